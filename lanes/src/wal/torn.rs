//! A last write that a crash cut short.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};
use samestep_wal::{CommitPolicy, Disk, FileName, OpenError, Options, TailModel, Wal};

use super::image::Image;
use super::{LOG_ID, append, names, tell};
use crate::scenario::{Random, Scenario};

/// Cut at every byte of the last segment, and damaged at every byte of what was synced.
pub(crate) const TORN_TAIL_IMAGES: Scenario = Scenario {
    name: "wal/torn-tail-images",
    about: "the last segment cut, and damaged, at every byte: a prefix with all that was synced, or a typed error",
    run: torn_tail_images,
};

/// Cut at a byte that the seed draws, on real files.
pub(crate) const TORN_TAIL_FILE: Random = Random(Scenario {
    name: "wal/torn-tail-file",
    about: "a real file cut at five drawn bytes of its unsynced tail: a prefix is kept and the log goes on",
    run: torn_tail_file,
});

/// Entries that are synced before the crash, and entries behind them that are only written.
const SYNCED: u64 = 6;
const WRITTEN: u64 = 6;

/// A log that syncs when it is told to, and in which a crash may leave anything in bytes being written.
fn options() -> Options {
    let mut options = Options::create(LOG_ID);
    options.segment_bytes = 8 << 10;
    options.commit = CommitPolicy::NoSync;
    options.tail = TailModel::Evidence;
    options
}

/// Appends what is synced and what is only written, calls `synced` between the two, and crashes.
fn write_and_crash<D: Disk>(mut wal: Wal<D>, synced: impl FnOnce()) -> Result<(), LaneError> {
    for index in 1..=SYNCED {
        append(&mut wal, index, 1, format!("entry {index} of the torn log").as_bytes())?;
    }
    wal.sync()?;
    synced();
    for index in SYNCED + 1..=SYNCED + WRITTEN {
        append(&mut wal, index, 1, format!("entry {index} of the torn log").as_bytes())?;
    }
    wal.flush()?;
    Ok(())
}

fn torn_tail_images(_: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let image = Image::default();
    let mut synced_end = 0;
    write_and_crash(Wal::open_on(image.handle(), options())?.0, || {
        synced_end = image.newest_segment().map_or(0, |newest| end_of(&image.bytes(newest)));
    })?;
    let newest = image.newest_segment().ok_or_else(|| LaneError::failed("there is no segment"))?;
    for cut in 0..=end_of(&image.bytes(newest)) {
        let torn = image.snapshot();
        torn.zero_from(newest, cut);
        let next = open_and_tell(&torn, Event::new("cut").field("at", cut), transcript)?;
        // A cut below takes acknowledged bytes and every trace of them: no crash does that, and no log can tell.
        let is_lost = cut >= synced_end && next.is_none_or(|next| next <= SYNCED);
        if is_lost {
            return Err(LaneError::failed(format!("a cut at {cut} lost what was synced up to {synced_end}")));
        }
    }
    for at in 0..synced_end {
        let rotten = image.snapshot();
        rotten.flip(newest, at, 0x04);
        let next = open_and_tell(&rotten, Event::new("rot").field("at", at), transcript)?;
        // Later frames tell that this was durable. What is not part of a frame may rot unnoticed, and harmlessly.
        if next.is_some_and(|next| next != SYNCED + WRITTEN + 1) {
            return Err(LaneError::failed(format!("rot at {at} of what was synced went for a torn tail")));
        }
    }
    Ok(())
}

/// Opens the log and writes what was found. The next index, or `None` if the log was refused as damaged.
fn open_and_tell(image: &Image, event: Event, transcript: &mut Transcript) -> Result<Option<u64>, LaneError> {
    match Wal::open_on(image.handle(), options()) {
        Ok((mut wal, report)) => {
            let next = wal.next_index().get();
            let event = event.field("next", next).field("dropped", report.dropped_bytes);
            transcript.event(&event.field("tail", format_args!("{:?}", report.tail)));
            append_and_replay(&mut wal)?;
            Ok(Some(next))
        }
        Err(OpenError::Corrupt(damage)) => {
            transcript.event(&event.field("damage", damage));
            Ok(None)
        }
        Err(other) => Err(other.into()),
    }
}

/// Appends one entry behind what is left, and checks that replay gives the entries as they were written.
fn append_and_replay<D: Disk>(wal: &mut Wal<D>) -> Result<(), LaneError> {
    let last = wal.next_index().get();
    append(wal, last, 2, b"after the crash")?;
    let (mut next, mut is_right) = (1, true);
    super::replay(wal, |entry| {
        let written = format!("entry {next} of the torn log");
        let expected = if next == last { "after the crash" } else { &written };
        is_right &= entry.index.get() == next && entry.payload == expected.as_bytes();
        next += 1;
    })?;
    if is_right && next == last + 1 {
        return Ok(());
    }
    Err(LaneError::failed(format!("replay of entries up to {last} gave others, or ended at {next}")))
}

/// Where the written part of a zero-filled segment ends.
fn end_of(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn torn_tail_file(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    for number in 0..5 {
        let dir = context.scratch().join(format!("log-{number}"));
        write_and_crash(Wal::open(&dir, options())?.0, || {})?;
        let newest = names(&dir)?.iter().filter_map(|name| FileName::parse(name)).filter(is_segment).max();
        let path = dir.join(newest.ok_or_else(|| LaneError::failed("there is no segment"))?.to_string());
        let bytes = fs::read(&path)?;
        let written = end_of(&bytes);
        // Somewhere in the last half of what was only written.
        let tail = 64 * WRITTEN / 2;
        let cut = written as u64 - context.seed().fork(&number.to_string()).get() % tail;
        let file = OpenOptions::new().write(true).open(&path)?;
        file.write_all_at(&vec![0; bytes.len() - usize::try_from(cut)?], cut)?;
        file.sync_all()?;
        drop(file);

        let (mut wal, report) = Wal::open(&dir, options())?;
        let event = Event::new("fault").field("family", "torn-write").field("at", cut);
        let event = event.field("dropped", report.dropped_bytes);
        transcript.event(&event.field("tail", format_args!("{:?}", report.tail)));
        if wal.next_index().get() <= SYNCED {
            return Err(LaneError::failed(format!("synced entries are lost by a cut at {cut}")));
        }
        append_and_replay(&mut wal)?;
        tell(&mut wal, transcript)?;
        wal.close()?;
    }
    Ok(())
}

fn is_segment(file: &FileName) -> bool {
    matches!(file, FileName::Segment(_))
}
