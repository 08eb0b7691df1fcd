//! Every bit of every file of a small log, flipped one at a time.
//!
//! The log is refused by a typed error, or reads as before: never less, never more. And no length is believed before
//! its checksum: opening and reading ask for no allocation larger than the files. A binary of its own, as that takes
//! an allocator of its own.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use samestep_wal::verify::{Depth, Severity, Verify};
use samestep_wal::{Disk, Index, Op, Options, ReadError, TailModel, Wal};

use crate::disk::{Image, SimDisk};
use crate::model::{ByIndex, Model};

mod alloc;
#[path = "../it/disk.rs"]
#[expect(dead_code, reason = "the tests of crashes and failures use more of it")]
mod disk;
#[path = "../it/model.rs"]
#[expect(dead_code, reason = "the tests of crashes and failures use more of it")]
mod model;
#[path = "../it/sample.rs"]
#[expect(dead_code, reason = "other damage is tested elsewhere")]
mod sample;

/// What the model takes its options from.
mod public {
    use samestep_wal::{LogId, Options};

    pub(crate) fn small() -> Options {
        let mut options = Options::create(LogId::new(*b"samestep-wal-tst"));
        options.segment_bytes = 8192;
        options
    }
}

/// The model disk. What it allocates to be one is not the log's.
#[derive(Clone)]
struct Quiet(SimDisk);

impl Disk for Quiet {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        alloc::paused(|| self.0.perform(op))
    }

    fn reader(&self) -> Self {
        Self(self.0.reader())
    }
}

/// What the sweep counts.
#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    same: usize,
    /// Bytes of the largest allocation over all images.
    largest: usize,
}

fn flip_every_bit(image: &Image, model: &Model) -> Tally {
    let _alone = alone();
    let mut options = sample::defaults();
    options.tail = TailModel::Sector;
    let mut tally = Tally::default();
    let mut flipped = image.clone();
    for (name, bytes) in image {
        for bit in 0..bytes.len() * 8 {
            let byte = bit / 8;
            flipped.get_mut(name).unwrap()[byte] ^= 1 << (bit % 8);
            let outcome = read(&flipped, &options, bit, &mut tally.largest);
            if bit.is_multiple_of(7) {
                let damages = damages(&flipped);
                assert!(
                    outcome.is_ok() || damages > 0,
                    "{name} bit {bit}: refused, and `verify` finds nothing"
                );
            }
            flipped.get_mut(name).unwrap()[byte] ^= 1 << (bit % 8);
            match outcome {
                Ok(found) => {
                    assert_eq!(&found, model, "{name} bit {bit}");
                    tally.same += 1;
                }
                Err(_) => tally.refused += 1,
            }
        }
    }
    let bits: usize = image.values().map(|bytes| bytes.len() * 8).sum();
    println!("{bits} bits: {tally:?}, {} bytes of files", bits / 8);
    assert!(tally.refused + tally.same == bits && tally.refused > 1000 && tally.same > 100, "{tally:?}");
    tally
}

/// Opens `image` and reads all of it: in order, and at some bits also by index and by several threads.
fn read(image: &Image, options: &Options, bit: usize, largest: &mut usize) -> Result<Model, String> {
    let disk = Quiet(SimDisk::from_image(image));
    let by_index = if bit.is_multiple_of(61) { ByIndex::Too } else { ByIndex::No };
    alloc::take_largest();
    let outcome = sample::read_on(disk.clone(), options, by_index);
    if bit.is_multiple_of(97) && outcome.is_ok() {
        disk.0.unlock();
        replay(disk, options);
    }
    let files: usize = image.values().map(Vec::len).sum();
    let asked = alloc::take_largest();
    assert!(asked <= files + SLACK_BYTES, "bit {bit}: {asked} bytes are asked for, the files have {files}");
    *largest = asked.max(*largest);
    outcome
}

fn replay(disk: Quiet, options: &Options) {
    let (wal, _) = Wal::open_on(disk, options.clone()).unwrap();
    let threads = NonZeroUsize::new(2).unwrap();
    let replayed = wal.replay_parallel(Index::new(0), threads, |_| ControlFlow::<()>::Continue(()));
    assert!(matches!(replayed, Ok(_) | Err(ReadError::Corrupt(_))), "{replayed:?}");
}

/// How many damages `verify` names in `image`.
fn damages(image: &Image) -> usize {
    let mut disk = SimDisk::from_image(image);
    let mut verify = Verify::new(Depth::Frames, TailModel::Sector);
    let mut damages = 0;
    while let Some(mut op) = verify.poll_op() {
        let outcome = disk.perform(&mut op);
        verify.handle_completion(op, outcome).unwrap();
        while let Some(finding) = verify.poll_finding() {
            damages += usize::from(finding.severity() == Severity::Damage);
        }
    }
    damages
}

/// Keeps the other tests of this binary waiting: they share the allocator.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What an opening may ask for beside what the files hold: both slots of `wal.meta`, which may be missing.
const SLACK_BYTES: usize = 2 * 4096;

#[test]
fn every_flipped_bit_of_a_closed_log_is_noticed() {
    let (image, model) = sample::log(true);
    flip_every_bit(&image, &model);
}

/// A log that was never closed proves all but its last record, and refuses rather than drop that.
#[test]
fn every_flipped_bit_of_a_crashed_log_is_noticed() {
    let (image, model) = sample::log(false);
    flip_every_bit(&image, &model);
}

/// The watch itself works: what is larger than the bound is seen, on any thread, and what is paused is not.
#[test]
fn a_large_allocation_is_seen() {
    let _alone = alone();
    alloc::take_largest();
    alloc::paused(|| drop(vec![0_u8; 3 << 20]));
    assert!(alloc::take_largest() < 3 << 20);
    drop(vec![0_u8; 3 << 20]);
    assert!(alloc::take_largest() >= 3 << 20);
}
