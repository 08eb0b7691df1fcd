//! A good log with bytes written over it: refused, or what it held after one of its calls, and never a panic.
#![no_main]
#![expect(clippy::unwrap_used, reason = "the log that is patched is good")]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/wal/tests/it/disk.rs"]
#[expect(dead_code, reason = "the tests of crashes use more of it")]
mod disk;
#[path = "../../crates/wal/tests/it/model.rs"]
#[expect(dead_code, reason = "the tests of crashes use more of it")]
mod model;
#[path = "../../crates/wal/tests/it/patched.rs"]
mod patched;
#[path = "../../crates/wal/tests/it/sample.rs"]
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

fuzz_target!(|data: &[u8]| patched::survive(data));
