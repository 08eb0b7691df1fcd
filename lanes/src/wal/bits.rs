//! One flipped bit, anywhere.

use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};
use samestep_wal::{FileName, Wal};

use super::history::{Contents, HISTORY, chain, options, perform};
use super::image::Image;
use crate::scenario::{Random, Scenario, tell_faults};

/// Every bit of every file.
pub(crate) const BIT_FLIPS: Random = Random(Scenario {
    name: "wal/bit-flips",
    about: "each bit of each file of a closed log flipped in turn (of padding, one a byte): refused, or read the same",
    run: bit_flips,
});

fn bit_flips(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let image = Image::default();
    let (wal, _) = Wal::open_on(image.handle(), options())?;
    for step in HISTORY {
        perform(&wal, step).map_err(LaneError::failed)?;
    }
    wal.close()?;
    let whole = open(&image)?;
    let mut flips = 0;
    for file in image.names() {
        // Runs of bytes with one outcome make one line.
        let mut run: Option<(usize, usize, String)> = None;
        for (offset, byte) in image.bytes(file).into_iter().enumerate() {
            let drawn = context.seed().fork(&format!("{file} {offset}")).get() % 8;
            let bits = if byte == 0 && offset % 4096 >= 128 { drawn..drawn + 1 } else { 0..8 };
            let mut outcomes: Vec<String> = Vec::new();
            for bit in bits {
                let outcome = outcome_of(&image, file, offset, 1 << bit, &whole)?;
                flips += 1;
                if !outcomes.contains(&outcome) {
                    outcomes.push(outcome);
                }
            }
            let outcome = outcomes.join("; ");
            match &mut run {
                Some((_, last, of_run)) if *of_run == outcome => *last = offset,
                _ => {
                    tell(transcript, file, run.replace((offset, offset, outcome)));
                }
            }
        }
        tell(transcript, file, run);
    }
    tell_faults(transcript, [("bit-rot", flips)]);
    Ok(())
}

/// What opening says of the log with these bits of one byte flipped.
fn outcome_of(
    image: &Image,
    file: FileName,
    offset: usize,
    bits: u8,
    whole: &Contents,
) -> Result<String, LaneError> {
    let flipped = image.snapshot();
    flipped.flip(file, offset, bits);
    match open(&flipped) {
        Ok(found) if found == *whole => Ok("same".to_owned()),
        Ok(found) => {
            let text = format!("{file} byte {offset} ^ {bits:#04x} reads as {found:?}");
            Err(LaneError::failed(text))
        }
        Err(error) => Ok(error.to_string()),
    }
}

/// Opens the log and reads all of it. An error is the log's own word that it is damaged.
fn open(image: &Image) -> Result<Contents, LaneError> {
    let (mut wal, _) = Wal::open_on(image.handle(), options()).map_err(chain).map_err(LaneError::failed)?;
    Contents::of(&mut wal)
}

fn tell(transcript: &mut Transcript, file: FileName, run: Option<(usize, usize, String)>) {
    if let Some((first, last, outcome)) = run {
        let event = Event::new("flip").field("file", file).field("first", first).field("last", last);
        transcript.event(&event.field("outcome", outcome));
    }
}
