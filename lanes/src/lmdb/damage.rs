//! Damaged logs: one damage, one finding, one failure.

use std::error::Error;
use std::fs;
use std::path::Path;

use samestep_lmdb_replay::play::{MugCheck, PlayOptions, Start, play};
use samestep_lmdb_replay::vere::{Depth, verify};
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};

use super::{Mugs, machine, make_pier, open};
use crate::scenario::{Random, Scenario, tell_faults};

/// A bit flipped, a file cut, a file gone.
pub(crate) const DAMAGE: Random = Random(Scenario {
    name: "lmdb/damage",
    about: "256 bits flipped, files cut at each page and files gone give one finding and one failure each",
    run: damage,
});

fn damage(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let root = context.scratch().join("pier");
    make_pier(&root)?;
    let (mut flips, mut cuts, mut losses) = (0, 0, 0);
    for epoch in ["0i0", "0i30"] {
        let path = root.join(".urb/log").join(epoch).join("data.mdb");
        let whole = fs::read(&path)?;
        // Most of a small file is room for more, where damage means nothing.
        let used: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] != 0).collect();
        let mut random = context.seed().get();
        for _ in 0..128 {
            // Constants of a common linear congruential generator, whose high bits are good enough here.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = used[usize::try_from(random >> 33)? % used.len()];
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (random >> 20 & 7);
            fs::write(&path, bytes)?;
            tell(&root, &format!("{epoch} byte {at}"), transcript)?;
            flips += 1;
        }
        for len in (0..whole.len()).step_by(4096) {
            fs::write(&path, &whole[..len])?;
            tell(&root, &format!("{epoch} cut to {len}"), transcript)?;
            cuts += 1;
        }
        fs::write(&path, &whole)?;
    }
    for name in ["0i10/epoc.txt", "0i30/vere.txt", "0i20/data.mdb"] {
        let path = root.join(".urb/log").join(name);
        let bytes = fs::read(&path)?;
        fs::remove_file(&path)?;
        tell(&root, &format!("{name} gone"), transcript)?;
        losses += 1;
        fs::write(&path, bytes)?;
    }
    tell(&root, "whole again", transcript)?;
    tell_faults(transcript, [("bit-rot", flips), ("file-cut", cuts), ("file-gone", losses)]);
    Ok(())
}

/// What a check finds, and how far a replay comes.
fn tell(root: &Path, damage: &str, transcript: &mut Transcript) -> Result<(), LaneError> {
    // Where the folder is, is not part of what is found.
    let plain = |text: String| text.replace(&root.display().to_string(), "PIER");
    let pier = match open(root) {
        Ok(pier) => pier,
        Err(error) => {
            transcript
                .event(&Event::new("refused").field("damage", damage).field("why", plain(error.to_string())));
            return Ok(());
        }
    };
    let verified = verify(&pier, Depth::Events, |_, _| ())?;
    let event = Event::new("verified").field("damage", damage).field("sound", verified.is_sound());
    transcript.event(&event.field("events", verified.events));
    for finding in verified.findings {
        transcript.event(&Event::new("finding").field("what", plain(finding.to_string())));
    }
    let mut options = PlayOptions::default();
    (options.start, options.mugs) = (Start::First, MugCheck::Soft);
    let mut mugs = Mugs::default();
    let outcome = play(&pier, machine(), None, &options, &mut mugs);
    let event = Event::new("replayed").field("states", mugs.by_number.len());
    let event = match outcome {
        Ok((_, report)) => event.field("diverged", report.replay.diverged),
        Err(error) => event.field("failed", plain(chain(&error))),
    };
    transcript.event(&event);
    Ok(())
}

/// An error with all its reasons.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
