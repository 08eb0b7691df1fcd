//! Event logs in LMDB: walking one beside LMDB's own library and beside heed, and what the rest of a replay costs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use samestep_lmdb_replay::lock::{self, ProcessIds};
use samestep_lmdb_replay::machine::{Budget, NockMachine};
use samestep_lmdb_replay::vere::StoredEvent;
use samestep_lmdb_replay::{EpochLog, EpochWriter, Index, Layout, Machine, WriteOptions};
use samestep_noun::Noun;
use serde_json::{Value, json};

use crate::machine::memory_kib;
use crate::{Result, mapped};

/// How the logs are measured.
#[derive(Args, Debug)]
pub(crate) struct LmdbArgs {
    /// Rounds. Figures are medians over them. Default: 5, with --quick 1.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Tiny sizes, one round: does it all still run? The figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Where the logs go: a folder in it, removed afterwards. Needs 1 GiB. Default: target/ of this workspace.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// One measurement, in this process.
#[derive(Args, Debug)]
pub(crate) struct LmdbOneArgs {
    /// What to measure.
    #[arg(long)]
    what: What,
    /// The folder that `lmdb` prepared.
    #[arg(long)]
    dir: PathBuf,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// LMDB's own cursor, mapped.
    CLoop,
    /// heed's iterator, mapped.
    Heed,
    /// Our reader: no mapping, every page checked.
    Walk,
    /// Our reader, a tenth of the events: what memory depends on.
    WalkTenth,
    /// Our reader; each value is cued, and the mug of each job is computed.
    Verify,
    /// Cueing the jams of all events.
    Cue,
    /// Jamming the nouns of all events.
    Jam,
    /// Events through the counting kernel on the reference Nock machine.
    Nock,
    /// Opening a log of 1,000 epochs.
    Open,
}

const WHATS: [What; 9] = [
    What::CLoop,
    What::Heed,
    What::Walk,
    What::WalkTenth,
    What::Verify,
    What::Cue,
    What::Jam,
    What::Nock,
    What::Open,
];

pub(crate) fn run(args: &LmdbArgs) -> Result<()> {
    let parent = match &args.dir {
        Some(dir) => dir.clone(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
    };
    fs::create_dir_all(&parent)?;
    let scratch = tempfile::Builder::new().prefix("benches-").tempdir_in(&parent)?;
    prepare(scratch.path(), if args.quick { 2_000 } else { 1_000_000 }, if args.quick { 20 } else { 1_000 })?;
    let rounds = args.rounds.unwrap_or(if args.quick { 1 } else { 5 });
    let mut figures = vec![Vec::new(); WHATS.len()];
    for round in 0..rounds {
        let order: Vec<usize> = (0..WHATS.len()).collect();
        let order: Vec<usize> = if round % 2 == 0 { order } else { order.into_iter().rev().collect() };
        for at in order {
            figures[at].push(measure(WHATS[at], scratch.path())?);
        }
    }
    print(&figures);
    Ok(())
}

/// A figure is one line of JSON on the standard output.
pub(crate) fn run_one(args: &LmdbOneArgs) -> Result<()> {
    let large = args.dir.join("large");
    let mut amount = Amount::default();
    let (started, what) = (Instant::now(), args.what);
    let took = match what {
        What::CLoop => {
            mapped::walk(&large.join("0i0"), |value| amount.take(value))?;
            started.elapsed()
        }
        What::Heed => {
            mapped::walk_by_heed(&large.join("0i0"), |value| amount.take(value))?;
            started.elapsed()
        }
        What::Walk | What::WalkTenth => {
            let folder = if what == What::Walk { large } else { args.dir.join("tenth") };
            walk(&folder, |value| {
                amount.take(value);
                Ok(())
            })?;
            started.elapsed()
        }
        What::Verify => {
            walk(&large, |value| {
                let event = StoredEvent::decode(value)?;
                amount.take(value);
                amount.sum = amount.sum.wrapping_add(Noun::cue(event.jam)?.mug().into());
                Ok(())
            })?;
            started.elapsed()
        }
        What::Cue | What::Jam => nouns(&large, what, &mut amount)?,
        What::Nock => nock(&mut amount)?,
        What::Open => {
            let log = EpochLog::open(&args.dir.join("epochs"), Layout::VERE)?;
            amount.events = log.epochs().len() as u64;
            started.elapsed()
        }
    };
    let peak_kib = memory_kib("VmHWM").unwrap_or(0);
    println!(
        "{}",
        json!({
            "seconds": took.as_secs_f64(),
            "events": amount.events,
            "bytes": amount.bytes,
            "sum": amount.sum,
            "peak_kib": peak_kib,
        })
    );
    Ok(())
}

/// What was seen, so that nothing is left out.
#[derive(Debug, Default)]
struct Amount {
    events: u64,
    bytes: u64,
    sum: u64,
}

impl Amount {
    /// Looks at both ends of the value.
    fn take(&mut self, value: &[u8]) {
        self.events += 1;
        self.bytes += value.len() as u64;
        let ends = [value.first(), value.last()].map(|byte| u64::from(*byte.unwrap_or(&0)));
        self.sum = self.sum.wrapping_mul(31).wrapping_add(ends[0] + 256 * ends[1]);
    }
}

fn prepare(dir: &Path, events: u64, epochs: u64) -> Result<()> {
    let large = dir.join("large");
    write(&large, 0, events, 1)?;
    write(&dir.join("tenth"), 0, events / 10, 1)?;
    for number in 0..epochs {
        write(&dir.join("epochs"), number, number + 1, 1)?;
    }
    Ok(())
}

/// An epoch with the events behind `number` up to `last`.
fn write(folder: &Path, number: u64, last: u64, mug: u32) -> Result<()> {
    let dir = folder.join(Layout::VERE.epoch_name(number));
    fs::create_dir_all(&dir)?;
    let guard = lock::write(&folder.join(".lock"), ProcessIds::Honour)?;
    let options = WriteOptions { map_bytes: 1 << 32 };
    let mut writer = EpochWriter::create(&dir, number, Layout::VERE, options, &guard)?;
    let numbers: Vec<u64> = (number + 1..=last).collect();
    for batch in numbers.chunks(10_000) {
        let values = batch.iter().map(|number| StoredEvent { mug, jam: &job(*number).jam() }.encode());
        writer.append(values.collect::<Vec<_>>())?;
    }
    Ok(())
}

/// An event as a ship has them: a date, a wire, and a card with some data.
fn job(number: u64) -> Noun {
    let date = (0x8000_0000_u64 + number, number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let wire = Noun::list(["g", "talk", "poke", "hall"]);
    let data: Vec<u64> = (0..number % 16).map(|item| item.wrapping_mul(number) & 0xffff).collect();
    Noun::from((Noun::from(date), wire, Noun::cord("helm-hi"), Noun::list(data)))
}

fn walk(folder: &Path, mut seen: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let log = EpochLog::open(folder, Layout::VERE)?;
    let mut reader = log.reader(Index::new(1))?;
    while let Some(event) = reader.next_event()? {
        seen(event.value)?;
    }
    Ok(())
}

/// The nouns of a tenth of the events, cued or jammed; what is read and kept before is not timed.
fn nouns(folder: &Path, what: What, amount: &mut Amount) -> Result<Duration> {
    let mut jams = Vec::new();
    walk(folder, |value| {
        if jams.len() < 100_000 {
            jams.push(StoredEvent::decode(value)?.jam.to_vec());
        }
        Ok(())
    })?;
    let cued = |jam: &Vec<u8>| Noun::cue(jam);
    if what == What::Cue {
        let started = Instant::now();
        for jam in &jams {
            let noun = cued(jam)?;
            amount.events += 1;
            amount.bytes += jam.len() as u64;
            amount.sum += u64::from(noun.is_cell());
        }
        return Ok(started.elapsed());
    }
    let nouns = jams.iter().map(cued).collect::<Result<Vec<_>, _>>()?;
    let started = Instant::now();
    for noun in &nouns {
        amount.take(&noun.jam());
    }
    Ok(started.elapsed())
}

/// Boots the counting kernel with its two events, and pokes it.
fn nock(amount: &mut Amount) -> Result<Duration> {
    let text = include_str!("../../crates/lmdb-replay/tests/data/count-kernel.txt");
    let unhex = |digits: &str| -> Result<Vec<u8>> {
        let byte = |at| Ok(u8::from_str_radix(&digits[at..at + 2], 16)?);
        (0..digits.len()).step_by(2).map(byte).collect()
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let jams: Vec<Vec<u8>> =
        lines.map(|line| unhex(line.rsplit(' ').next().unwrap_or(line))).collect::<Result<_>>()?;
    let mut machine = NockMachine::new(Budget::default());
    machine.boot(&jams[..2])?;
    let started = Instant::now();
    for number in 3..=3_000 {
        let jam = &jams[2 + number % (jams.len() - 2)];
        machine.poke(number as u64, jam)?;
        amount.take(jam);
        amount.sum = amount.sum.wrapping_add(machine.mug().into());
    }
    Ok(started.elapsed())
}

/// Runs one measurement in a process of its own.
fn measure(what: What, dir: &Path) -> Result<Value> {
    let name = what.to_possible_value().ok_or("every measurement has a name")?;
    let program = std::env::current_exe()?;
    let output =
        Command::new(program).args(["lmdb-one", "--what", name.get_name(), "--dir"]).arg(dir).output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", name.get_name(), String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn print(figures: &[Vec<Value>]) {
    let number = |value: &Value, key: &str| value[key].as_f64().unwrap_or(f64::NAN);
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!("| | events | seconds | events/s | MB/s | to the C loop | peak MiB |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (what, rounds) in WHATS.iter().zip(figures) {
        let seconds = median(rounds.iter().map(|round| number(round, "seconds")).collect());
        let ratios = rounds.iter().zip(&figures[0]);
        let ratio =
            median(ratios.map(|(ours, limit)| number(limit, "seconds") / number(ours, "seconds")).collect());
        let (events, bytes) = (number(&rounds[0], "events"), number(&rounds[0], "bytes"));
        let peak = median(rounds.iter().map(|round| number(round, "peak_kib") / 1024.0).collect());
        let is_walk = matches!(what, What::CLoop | What::Heed | What::Walk | What::Verify);
        let ratio = if is_walk { format!("{ratio:.2}") } else { String::new() };
        println!(
            "| {what:?} | {events} | {seconds:.4} | {:.0} | {:.0} | {ratio} | {peak:.1} |",
            events / seconds,
            bytes / seconds / 1e6
        );
    }
    let same = |what: usize| number(&figures[what][0], "sum") == number(&figures[0][0], "sum");
    println!("\nall three walks saw the same bytes: {}", same(1) && same(2));
}
