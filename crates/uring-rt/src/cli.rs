//! The command `samestep-uring`.

mod disk;
mod latency;
mod load;
mod preempt;
mod soak;
mod tune;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    CallError, DriverChoice, Machine, Placement, PropertiesError, Runtime, ShardsError, ShutdownError,
    StartError,
};

/// What a runtime runs on here, and how it does.
#[derive(Debug, Parser)]
#[command(name = "samestep-uring", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts a runtime and prints its driver, the kernel, and each feature: used or not, and why; and which processors
    /// there are, which may be used, and where shards would go.
    Info {
        /// Which driver to start.
        #[arg(long, value_enum, default_value_t = DriverName::Ring)]
        driver: DriverName,
    },
    /// Measures how soon a task that computes is asked to yield: by an event, and by its time being over.
    Preempt {
        /// Of how many times the ranks are told.
        #[arg(long, default_value_t = 2000)]
        events: usize,
    },
    /// Measures what the device below a folder can do, and prints its properties for `RuntimeBuilder::io_properties`.
    ///
    /// Writes a file, reads and writes it in several ways, and removes it.
    Tune {
        /// A folder on the device.
        #[arg(long)]
        folder: PathBuf,
        /// For how long, besides writing the file: seconds, or a number with s, m or h behind it.
        #[arg(long = "for", value_parser = parse_duration, default_value = "30s")]
        lasts: Duration,
        /// How long the file is: longer than any cache on the way, if the numbers are to be the disk's.
        #[arg(long, default_value_t = 1024)]
        size_mib: u64,
        /// Where the properties go; to stdout, if this is not said.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Which driver.
        #[arg(long, value_enum, default_value_t = DriverName::Ring)]
        driver: DriverName,
    },
    /// Measures how long short reads of a class with many shares take: alone, beside a bulk load that saturates the disk,
    /// and beside the same load when both are scheduled.
    Latency {
        /// A folder on the device.
        #[arg(long)]
        folder: PathBuf,
        /// The properties of the device, as `tune` has written them.
        #[arg(long)]
        properties: PathBuf,
        /// For how long all together: seconds, or a number with s, m or h behind it.
        #[arg(long = "for", value_parser = parse_duration, default_value = "45s")]
        lasts: Duration,
        /// How often the three are measured in turn.
        #[arg(long, default_value_t = 9)]
        rounds: u32,
        /// How long the file is.
        #[arg(long, default_value_t = 1024)]
        size_mib: u64,
        /// Of what the bulk load is.
        #[arg(long, value_enum, default_value_t = latency::Bulk::Both)]
        bulk: latency::Bulk,
    },
    /// Loads files, sockets, timers and calls between shards, gives up at random, and fails if anything is left behind.
    Soak {
        /// For how long: seconds, or a number with s, m or h behind it.
        #[arg(long = "for", value_parser = parse_duration, default_value = "1h")]
        lasts: Duration,
        /// On so many shards.
        #[arg(long, default_value_t = 2)]
        shards: usize,
        /// Which driver.
        #[arg(long, value_enum, default_value_t = DriverName::Ring)]
        driver: DriverName,
        /// Of the random numbers; timing decides, too, so that no two runs are the same.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Where its files are, in a folder of their own.
        #[arg(long, default_value = ".")]
        folder: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DriverName {
    Ring,
    Threads,
    RingOrThreads,
}

impl DriverName {
    fn choice(self) -> DriverChoice {
        match self {
            Self::Ring => DriverChoice::Ring,
            Self::Threads => DriverChoice::Threads,
            Self::RingOrThreads => DriverChoice::RingOrThreads,
        }
    }
}

/// Runs the command with the arguments of this process. Exit codes: 0 it did what was asked, 1 it did not, and stderr
/// says why and what can be done, 2 usage.
pub fn run() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Info { driver } => info(driver.choice()),
        Command::Preempt { events } => preempt::run(events),
        Command::Tune { folder, lasts, size_mib, out, driver } => {
            tune::run(&tune::Plan { lasts, driver: driver.choice(), folder, size_mib, out })
        }
        Command::Latency { folder, properties, lasts, rounds, size_mib, bulk } => {
            latency::run(&latency::Plan { lasts, folder, size_mib, properties, rounds, bulk })
        }
        Command::Soak { lasts, shards, driver, seed, folder } => {
            soak::run(&soak::Plan { lasts, shards, driver: driver.choice(), seed, folder })
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("samestep-uring: {error}");
            ExitCode::FAILURE
        }
    }
}

fn info(driver: DriverChoice) -> Result<(), CommandError> {
    let runtime = Runtime::builder().driver(driver).build()?;
    // Makes the arena, which else is not there yet.
    drop(runtime.alloc_dma(1));
    print!("{}", runtime.info());
    println!();
    let machine = Machine::here()?;
    print!("{machine}");
    for (name, placement) in [("spread", Placement::Spread), ("pack", Placement::Pack)] {
        let seats: Vec<String> =
            machine.place(&placement, machine.shards())?.iter().flatten().map(u32::to_string).collect();
        println!("{name:<10}on cpus {}, in this order", seats.join(" "));
    }
    Ok(())
}

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Shutdown(#[from] ShutdownError),
    #[error(transparent)]
    Shards(#[from] ShardsError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Properties(#[from] PropertiesError),
    /// What was looked for was found.
    #[error("{finding}")]
    Found { finding: String },
}

impl CommandError {
    fn new(finding: impl Into<String>) -> Self {
        Self::Found { finding: finding.into() }
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        unit => return Err(format!("{unit:?} is no unit: expected s, m or h")),
    };
    let number: u64 =
        digits.parse().map_err(|_| format!("{text:?} is no duration, as 90s, 5m and 1h are"))?;
    let seconds = number.checked_mul(unit).filter(|seconds| *seconds > 0);
    seconds.map(Duration::from_secs).ok_or_else(|| format!("{text:?} is too long, or nothing"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse_duration;

    #[test]
    fn durations_are_numbers_with_units() {
        let seconds = |text| parse_duration(text).map(|lasts: Duration| lasts.as_secs());
        assert_eq!(["90", "90s", "5m", "1h"].map(seconds), [Ok(90), Ok(90), Ok(300), Ok(3600)]);
        for text in ["", "m", "1d", "1.5h", "-1s", "0", "99999999999999999h"] {
            seconds(text).unwrap_err();
        }
    }
}
