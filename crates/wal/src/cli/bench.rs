//! `bench`: how fast this disk takes appends, beside bare writes that do the same work.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Failed, Outcome};
use crate::id::LogId;
use crate::options::{CommitPolicy, Options};
use crate::wal::Wal;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A directory for the log. Must not exist; it is removed afterwards.
    dir: PathBuf,
    /// How many records.
    #[arg(long, default_value_t = 1000)]
    records: u32,
    /// Bytes of each record's payload.
    #[arg(long, default_value_t = 256)]
    bytes: usize,
    /// Append all, and sync once at the end.
    #[arg(long)]
    no_sync: bool,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failed> {
    if args.dir.exists() {
        return Err(Failed::Refused(format!("{} exists already", args.dir.display())));
    }
    if args.records == 0 {
        return Err(Failed::Refused("there is nothing to measure without records".to_owned()));
    }
    fs::create_dir_all(&args.dir)?;
    let measured = bare(args).and_then(|bare| Ok((bare, log(args)?)));
    fs::remove_dir_all(&args.dir)?;
    let (bare, log) = measured?;
    let mut out = io::stdout().lock();
    if args.json {
        let value =
            json!({ "records": args.records, "bytes": args.bytes, "log": log.json(), "bare": bare.json() });
        writeln!(out, "{value:#}")?;
    } else {
        writeln!(out, "         records/s       p50       p99")?;
        writeln!(out, "log   {log}")?;
        writeln!(out, "bare  {bare}   writes of frames of the same size to a zero-filled file")?;
        writeln!(out, "ratio {:12.2}", log.rate() / bare.rate())?;
    }
    Ok(Outcome::Sound)
}

/// How long each call took, sorted, and all of them together.
struct Measured {
    each: Vec<Duration>,
    total: Duration,
}

impl Measured {
    fn of(records: u32, mut call: impl FnMut(u64) -> Result<(), Failed>) -> Result<Self, Failed> {
        let mut each = Vec::with_capacity(records as usize);
        let start = Instant::now();
        for number in 0..records {
            let before = Instant::now();
            call(number.into())?;
            each.push(before.elapsed());
        }
        let total = start.elapsed();
        each.sort_unstable();
        Ok(Self { each, total })
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate is no more precise than this")]
    fn rate(&self) -> f64 {
        self.each.len() as f64 / self.total.as_secs_f64()
    }

    fn quantile(&self, percent: usize) -> Duration {
        self.each[(self.each.len() * percent / 100).min(self.each.len() - 1)]
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "records_per_second": self.rate(),
            "p50_ns": u64::try_from(self.quantile(50).as_nanos()).unwrap_or(u64::MAX),
            "p99_ns": u64::try_from(self.quantile(99).as_nanos()).unwrap_or(u64::MAX),
        })
    }
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (p50, p99) = (format!("{:.1?}", self.quantile(50)), format!("{:.1?}", self.quantile(99)));
        write!(f, "{:12.0} {p50:>9} {p99:>9}", self.rate())
    }
}

fn log(args: &Args) -> Result<Measured, Failed> {
    let mut options = Options::create(LogId::random()?);
    options.commit = if args.no_sync { CommitPolicy::NoSync } else { CommitPolicy::StrictSync };
    let (wal, _) = Wal::open(args.dir.join("log"), options).map_err(Failed::Damaged)?;
    let payload = vec![0x5a; args.bytes];
    let refused = |error: &dyn std::error::Error| Failed::Refused(error.to_string());
    let last = u64::from(args.records) - 1;
    let measured = Measured::of(args.records, |number| {
        wal.append(&payload).map_err(|error| refused(&error))?;
        if args.no_sync && number == last {
            wal.sync().map_err(|error| refused(&error))?;
        }
        Ok(())
    })?;
    wal.close().map_err(|error| refused(&error))?;
    Ok(measured)
}

/// The same bytes without a log: positional writes into zeros, and a barrier after each or at the end.
fn bare(args: &Args) -> Result<Measured, Failed> {
    let file = File::create_new(args.dir.join("bare"))?;
    let frame = vec![0x5a; (crate::frame::FRAME_HEADER_BYTES + args.bytes).next_multiple_of(8)];
    let zeros = vec![0; 1 << 20];
    let bytes = frame.len() as u64 * u64::from(args.records);
    for offset in (0..bytes).step_by(zeros.len()) {
        file.write_all_at(&zeros, offset)?;
    }
    file.sync_all()?;
    let last = u64::from(args.records) - 1;
    Measured::of(args.records, |number| {
        file.write_all_at(&frame, number * frame.len() as u64)?;
        if !args.no_sync || number == last {
            file.sync_data()?;
        }
        Ok(())
    })
}
