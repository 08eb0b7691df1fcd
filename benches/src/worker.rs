//! One step of one measurement, in a process of its own. Says what it found in one line of JSON.

use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use crate::engines::{self, Engine, Setup, Subject, Writer};
use crate::payload::{Checker, Look, Payloads};
use crate::rows::{Durability, Ending, Row, TAIL_RECORDS, Work};
use crate::{OneArgs, Result, alloc, machine};

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Step {
    /// Write the log that a row reads.
    Prepare,
    /// What the row is about, timed.
    Measure,
    /// Read everything back and compare every byte.
    Verify,
    /// What the row is about and nothing else, for a profiler: no threads, no clock.
    Count,
}

pub(crate) fn run(args: &OneArgs) -> Result<()> {
    let mut row = Row::find(&args.row, args.quick).ok_or_else(|| format!("no row {}", args.row))?;
    row.records = args.records.unwrap_or(row.records);
    let figures = match args.step {
        Step::Prepare => prepare(args.engine, &args.dir, &row),
        Step::Measure => measure(args.engine, &args.dir, &row),
        Step::Verify => verify(args.engine, &args.dir, &row),
        Step::Count => count(args.engine, &args.dir, &row),
    }?;
    println!("{}", Value::Object(figures));
    if args.step == Step::Prepare && row.work == Work::Open(Ending::Killed) {
        // No destructor runs: what is not in the kernel is gone, and nobody says goodbye to the log.
        std::process::exit(0);
    }
    Ok(())
}

type Figures = Map<String, Value>;

fn prepare(engine: Engine, dir: &Path, row: &Row) -> Result<Figures> {
    let mut opened = engines::open(engine, dir, &Setup::of(row))?;
    let is_killed = row.work == Work::Open(Ending::Killed);
    {
        let mut writers = opened.subject.writers(1);
        let writer = &mut writers[0];
        let mut payloads = Payloads::new(0, row.payload_bytes);
        let synced = if is_killed { row.records.saturating_sub(TAIL_RECORDS) } else { row.records };
        for _ in 0..synced {
            writer.append(payloads.next())?;
        }
        writer.sync()?;
        for _ in synced..row.records {
            writer.append(payloads.next())?;
        }
        writer.flush()?;
    }
    if is_killed {
        std::mem::forget(opened);
    } else {
        opened.subject.close()?;
    }
    Ok(Figures::new())
}

fn measure(engine: Engine, dir: &Path, row: &Row) -> Result<Figures> {
    match row.work {
        Work::Append(durability) => measure_append(engine, dir, row, durability),
        Work::Replay => measure_replay(engine, dir, row),
        Work::Open(_) => measure_open(engine, dir, row),
    }
}

fn measure_append(engine: Engine, dir: &Path, row: &Row, durability: Durability) -> Result<Figures> {
    let mut opened = engines::open(engine, dir, &Setup::of(row))?;
    let mut writers = opened.subject.writers(row.writers);
    // A limit does the work of all writers in one thread.
    let is_merged = writers.len() < row.writers;
    let share = row.records / writers.len() as u64;
    let barrier = Barrier::new(writers.len() + 1);
    let clocked = durability == Durability::Synced && !is_merged;
    let (mut outcomes, elapsed, cpu) = thread::scope(|scope| -> Result<_> {
        let threads: Vec<_> = writers
            .iter_mut()
            .enumerate()
            .map(|(number, writer)| {
                let (barrier, writer) = (&barrier, writer.as_mut());
                let start = move || {
                    let work = Loop::new(number, row, share, clocked);
                    barrier.wait();
                    work.run(writer)
                };
                scope.spawn(start)
            })
            .collect();
        barrier.wait();
        let (cpu_before, started) = (machine::cpu_time(), Instant::now());
        let outcomes: Vec<Result<Outcome>> =
            threads.into_iter().map(|thread| thread.join().map_err(|_| "a writer panicked")?).collect();
        let (elapsed, cpu) = (started.elapsed(), machine::cpu_time().saturating_sub(cpu_before));
        Ok((outcomes.into_iter().collect::<Result<Vec<_>>>()?, elapsed, cpu))
    })?;
    drop(writers);
    let mut figures = per_second(share * outcomes.len() as u64, elapsed);
    figures.insert("cpu_us_per_op".into(), json!(cpu.as_secs_f64() * 1e6 / row.records as f64));
    memory(&mut figures);
    if let [outcome] = &outcomes[..] {
        figures.insert("allocs_per_op".into(), json!(outcome.allocations_per_op));
    }
    let mut latencies: Vec<Duration> =
        outcomes.iter_mut().flat_map(|outcome| outcome.latencies.drain(..)).collect();
    latencies.sort_unstable();
    for (name, per_mille) in [("p50_us", 500), ("p99_us", 990), ("p999_us", 999)] {
        if let Some(latency) = latencies.get(latencies.len() * per_mille / 1000) {
            figures.insert(name.into(), json!(latency.as_secs_f64() * 1e6));
        }
    }
    opened.subject.close()?;
    Ok(figures)
}

/// What one writer does.
struct Loop {
    payloads: Payloads,
    records: u64,
    latencies: Option<Vec<Duration>>,
}

struct Outcome {
    latencies: Vec<Duration>,
    /// Over the second half, of the whole process.
    allocations_per_op: f64,
}

impl Loop {
    fn new(number: usize, row: &Row, records: u64, clocked: bool) -> Self {
        let latencies = clocked.then(|| Vec::with_capacity(usize::try_from(records).unwrap_or_default()));
        Self { payloads: Payloads::new(number, row.payload_bytes), records, latencies }
    }

    fn run(mut self, writer: &mut (dyn Writer + Send)) -> Result<Outcome> {
        let half = self.records / 2;
        self.append(writer, half)?;
        let before = alloc::calls();
        self.append(writer, self.records - half)?;
        let allocations = alloc::calls() - before;
        writer.flush()?;
        let allocations_per_op = allocations as f64 / (self.records - half) as f64;
        Ok(Outcome { latencies: self.latencies.unwrap_or_default(), allocations_per_op })
    }

    fn append(&mut self, writer: &mut (dyn Writer + Send), records: u64) -> Result<()> {
        let Some(latencies) = &mut self.latencies else {
            for _ in 0..records {
                writer.append(self.payloads.next())?;
            }
            return Ok(());
        };
        let mut last = Instant::now();
        for _ in 0..records {
            writer.append(self.payloads.next())?;
            let now = Instant::now();
            latencies.push(now - last);
            last = now;
        }
        Ok(())
    }
}

fn measure_replay(engine: Engine, dir: &Path, row: &Row) -> Result<Figures> {
    let setup = Setup::of(row);
    let checker = Checker::new(row.writers, row.payload_bytes, Look::Order);
    let (cpu_before, started) = (machine::cpu_time(), Instant::now());
    let (checker, opened) = engines::replay(engine, dir, &setup, checker)?;
    let (elapsed, cpu) = (started.elapsed(), machine::cpu_time().saturating_sub(cpu_before));
    expect(checker.records(), row.records)?;
    let mut figures = per_second(row.records, elapsed);
    figures.insert("cpu_us_per_op".into(), json!(cpu.as_secs_f64() * 1e6 / row.records as f64));
    figures.insert("open_ms".into(), json!(opened.as_secs_f64() * 1e3));
    memory(&mut figures);
    Ok(figures)
}

fn measure_open(engine: Engine, dir: &Path, row: &Row) -> Result<Figures> {
    let setup = Setup::of(row);
    let (cpu_before, started) = (machine::cpu_time(), Instant::now());
    let opened = engines::open(engine, dir, &setup)?;
    let (elapsed, cpu) = (started.elapsed(), machine::cpu_time().saturating_sub(cpu_before));
    let mut figures = per_second(1, elapsed);
    figures.insert("open_ms".into(), json!(elapsed.as_secs_f64() * 1e3));
    figures.insert("cpu_us_per_op".into(), json!(cpu.as_secs_f64() * 1e6));
    memory(&mut figures);
    if let Some(records) = opened.records {
        expect(records, row.records)?;
    }
    opened.subject.close()?;
    Ok(figures)
}

fn verify(engine: Engine, dir: &Path, row: &Row) -> Result<Figures> {
    let setup = Setup::of(row);
    let merged = matches!(engine, Engine::Limit | Engine::LimitGrowing | Engine::LimitFrames);
    let writers = if merged { 1 } else { row.writers };
    let checker = Checker::new(writers, row.payload_bytes, Look::All);
    let (checker, _) = engines::replay(engine, dir, &Setup { writers, ..setup }, checker)?;
    expect(checker.records(), row.records)?;
    Ok(Figures::new())
}

fn count(engine: Engine, dir: &Path, row: &Row) -> Result<Figures> {
    let setup = Setup::of(row);
    match row.work {
        Work::Append(_) => {
            fs::create_dir_all(dir)?;
            let mut opened = engines::open(engine, dir, &setup)?;
            append_all(&mut *opened.subject, row)?;
            opened.subject.close()?;
        }
        Work::Replay => {
            let checker = Checker::new(row.writers, row.payload_bytes, Look::Order);
            let (checker, _) = engines::replay(engine, dir, &setup, checker)?;
            expect(checker.records(), row.records)?;
        }
        Work::Open(_) => engines::open(engine, dir, &setup)?.subject.close()?,
    }
    Ok(Figures::new())
}

fn append_all(subject: &mut dyn Subject, row: &Row) -> Result<()> {
    let mut writers = subject.writers(1);
    let mut payloads = Payloads::new(0, row.payload_bytes);
    for _ in 0..row.records {
        writers[0].append(payloads.next())?;
    }
    writers[0].flush()
}

fn expect(found: u64, records: u64) -> Result<()> {
    if found == records {
        return Ok(());
    }
    Err(format!("{found} records came back of {records}").into())
}

fn per_second(records: u64, elapsed: Duration) -> Figures {
    let mut figures = Figures::new();
    figures.insert("per_s".into(), json!(records as f64 / elapsed.as_secs_f64()));
    figures.insert("records".into(), json!(records));
    figures.insert("seconds".into(), json!(elapsed.as_secs_f64()));
    figures
}

fn memory(figures: &mut Figures) {
    for (name, field) in [("rss_mib", "VmRSS:"), ("peak_rss_mib", "VmHWM:")] {
        if let Some(kib) = machine::memory_kib(field) {
            figures.insert(name.into(), json!(kib as f64 / 1024.0));
        }
    }
}
