//! Any bytes as the files of a log, with checksums made right, so that what is behind them is reached.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/wal/tests/it/any_files.rs"]
#[expect(dead_code, reason = "the other target takes checksums as they are")]
mod any_files;

fuzz_target!(|data: &[u8]| any_files::survive(data, any_files::Checksums::Mended));
