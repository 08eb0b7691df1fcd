//! Runs the determinism suite: `cargo xtask determinism`, or `--help` for all it can do.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    samestep_lane_runner::main(samestep_lanes::LANES)
}
