//! Logs to test with.

use std::fs;
use std::path::Path;

use samestep_lmdb_replay::lock::{self, ProcessIds};
use samestep_lmdb_replay::{EpochWriter, Layout, WriteOptions};

/// The bytes of event `number`: short ones, and each seventeenth long enough for pages of its own.
pub(crate) fn value(number: u64) -> Vec<u8> {
    let len = if number.is_multiple_of(17) { 3000 + 700 * (number % 5) } else { 20 + number % 50 };
    (0..len).map(|at| (number.wrapping_mul(31).wrapping_add(at * 7) % 251) as u8).collect()
}

/// Writes an epoch with events up to `last` into `folder`, `batch` a transaction.
pub(crate) fn write_epoch(folder: &Path, number: u64, last: u64, batch: usize) {
    let dir = folder.join(Layout::VERE.epoch_name(number));
    fs::create_dir_all(&dir).unwrap();
    let guard = lock::write(&folder.join(".lock"), ProcessIds::Honour).unwrap();
    let options = WriteOptions { map_bytes: 1 << 30 };
    let mut writer = EpochWriter::create(&dir, number, Layout::VERE, options, &guard).unwrap();
    writer.put_pairs("META", &[("life", &[2]), ("who", b"")]).unwrap();
    let numbers: Vec<u64> = (number + 1..=last).collect();
    for batch in numbers.chunks(batch) {
        writer.append(batch.iter().map(|number| value(*number))).unwrap();
    }
    assert_eq!(writer.last(), last.max(number));
}

/// Numbers without a pattern, the same in each run: a linear congruential generator, of which the high bits are used.
pub(crate) struct Lcg(pub(crate) u64);

impl Lcg {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % end as u64).unwrap()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.below(256).try_into().unwrap()
    }
}
