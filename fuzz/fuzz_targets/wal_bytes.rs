//! Any bytes as the files of a log: verified, opened and read, they give findings and errors and never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/wal/tests/it/any_files.rs"]
mod any_files;

fuzz_target!(|data: &[u8]| any_files::survive(data, any_files::Checksums::AsTheyAre));
