//! `samestep-uring`: what a runtime runs on here, and why.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    samestep_uring_rt::cli::run()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("samestep-uring: io_uring is Linux's");
    ExitCode::FAILURE
}
