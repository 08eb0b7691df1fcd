//! The command `samestep-uring`.

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

use crate::{DriverChoice, Runtime};

/// What a runtime runs on here.
#[derive(Debug, Parser)]
#[command(name = "samestep-uring", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a runtime and prints its driver, the kernel, and each feature: used or not, and why.
    Info {
        /// Which driver to start.
        #[arg(long, value_enum, default_value_t = DriverName::Ring)]
        driver: DriverName,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DriverName {
    Ring,
    Threads,
    RingOrThreads,
}

/// Runs the command with the arguments of this process. Exit codes: 0 a runtime starts, 1 it does not, and stderr says
/// why and what can be done, 2 usage.
pub fn run() -> ExitCode {
    let Command::Info { driver } = Arguments::parse().command;
    let driver = match driver {
        DriverName::Ring => DriverChoice::Ring,
        DriverName::Threads => DriverChoice::Threads,
        DriverName::RingOrThreads => DriverChoice::RingOrThreads,
    };
    match Runtime::builder().driver(driver).build() {
        Ok(runtime) => {
            print!("{}", runtime.info());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("samestep-uring: {error}");
            ExitCode::FAILURE
        }
    }
}
