//! Measures how long short reads take while a disk is busy with long ones.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use samestep_provider_traits::{Providers, TaskProvider, TimeProvider};

use super::CommandError;
use super::disk::{Bytes, Done, MIB, Progress, Scratch, Work};
use super::preempt::Stolen;
use crate::schedule::Direction;
use crate::{IoProperties, Latency, Runtime, Shares, TaskGroup, UringProviders};

/// What is to be measured.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) lasts: Duration,
    pub(super) folder: PathBuf,
    pub(super) size_mib: u64,
    pub(super) properties: PathBuf,
    pub(super) rounds: u32,
    pub(super) bulk: Bulk,
}

/// Of what the bulk load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Bulk {
    Reads,
    Writes,
    Both,
}

/// What else the disk has to do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    Bulk,
    ScheduledBulk,
}

/// Of one phase: the short reads, and the bulk.
#[derive(Debug)]
struct Outcome {
    short: Done,
    bulk: Done,
}

/// Prints the latencies of short reads alone, beside a bulk load as it comes, and beside one that is scheduled; in rounds,
/// so that what else the machine does meets all three.
pub(super) fn run(plan: &Plan) -> Result<(), CommandError> {
    let properties = IoProperties::read(&plan.properties)?;
    let folder = std::path::absolute(&plan.folder)?;
    let bytes = plan.size_mib.max(4) * MIB;
    eprintln!("writes a file of {} in {}, and removes it", Bytes(bytes), folder.display());
    let scratch = Scratch::new(&folder, "latency", bytes)?;
    let (before, progress) = (Stolen::read(), Progress::new(plan.lasts));
    let phases = [Beside::Nothing, Beside::Bulk, Beside::ScheduledBulk];
    let each = plan.lasts / (plan.rounds.max(1) * 3);
    let mut outcomes: [Vec<Outcome>; 3] = phases.map(|_| Vec::new());
    for round in 1..=plan.rounds.max(1) {
        for (beside, outcomes) in phases.into_iter().zip(&mut outcomes) {
            progress.tell(format_args!("round {round}, {}", beside.name()));
            let known = match beside {
                Beside::ScheduledBulk => properties.clone(),
                Beside::Nothing | Beside::Bulk => IoProperties::new(),
            };
            let runtime = Runtime::builder().io_properties(known).build()?;
            let world = runtime.providers(scratch.folder(), u64::from(round))?;
            let outcome = runtime.block_on(measure(&world, &scratch, (beside, plan.bulk), each))?;
            if beside == Beside::ScheduledBulk && runtime.stats().io_devices.is_empty() {
                let file = plan.properties.display();
                return Err(CommandError::new(format!(
                    "{file} says nothing about the device of {}: measure it by samestep-uring tune",
                    folder.display()
                )));
            }
            runtime.shutdown()?;
            outcomes.push(outcome);
        }
    }
    drop(progress);
    println!("medians of {} rounds, and the ratio to the first line:", plan.rounds.max(1));
    let alone = Told::of(&outcomes[0]);
    for (beside, outcomes) in phases.into_iter().zip(&outcomes) {
        println!("{:<22} {}", beside.name(), Told::of(outcomes).beside(&alone));
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("meanwhile {}; load average {}", Stolen::read().since(&before), load.trim());
    Ok(())
}

async fn measure(
    world: &UringProviders,
    scratch: &Scratch,
    (beside, bulk): (Beside, Bulk),
    lasts: Duration,
) -> Result<Outcome, CommandError> {
    let tasks = world.task();
    let file = scratch.open(world).await?;
    let matters = Latency::Matters(Duration::from_micros(500));
    let short_queue = tasks.create_queue("short", TaskGroup::ROOT, Shares::new(1000), matters);
    let bulk_queue = tasks.create_queue("bulk", TaskGroup::ROOT, Shares::new(100), Latency::NotImportant);
    let bulks = match (beside, bulk) {
        (Beside::Nothing, _) => &[],
        (_, Bulk::Reads) => &BULKS[..1],
        (_, Bulk::Writes) => &BULKS[1..],
        (_, Bulk::Both) => &BULKS[..],
    };
    let loads: Vec<_> =
        bulks.iter().copied().map(|work| (work, scratch.start(world, &file, bulk_queue, work))).collect();
    // The disk is busy before the first is measured.
    tasks.yield_now().await;
    let short = scratch.start(world, &file, short_queue, SHORT);
    world.time().sleep(lasts).await;
    let mut outcome = Outcome { short: short.stop(SHORT).await?, bulk: Done::default() };
    for (work, load) in loads {
        let Done { operations, bytes, lasted, .. } = load.stop(work).await?;
        outcome.bulk.operations += operations;
        outcome.bulk.bytes += bytes;
        outcome.bulk.lasted = lasted;
    }
    Ok(outcome)
}

/// What is told of the rounds of a phase: the medians of each.
struct Told {
    /// Nanoseconds that 500, 990 and 999 of a thousand reads do not exceed.
    ranks_ns: [u64; 3],
    per_s: u64,
    bulk_per_s: u64,
}

impl Told {
    fn of(rounds: &[Outcome]) -> Self {
        let median = |of: &dyn Fn(&Outcome) -> u64| {
            let mut all: Vec<u64> = rounds.iter().map(of).collect();
            all.sort_unstable();
            all.get(all.len() / 2).copied().unwrap_or_default()
        };
        let rank = |per_mille| {
            median(&|outcome| u64::try_from(outcome.short.rank(per_mille).as_nanos()).unwrap_or(u64::MAX))
        };
        Self {
            ranks_ns: [500, 990, 999].map(rank),
            per_s: median(&|outcome| outcome.short.per_s()),
            bulk_per_s: median(&|outcome| outcome.bulk.bytes_per_s()),
        }
    }

    fn beside(&self, alone: &Self) -> String {
        let [p50, p99, p999] = [0, 1, 2].map(|at| {
            let (ns, of_ns) = (self.ranks_ns[at], alone.ranks_ns[at].max(1));
            let hundredths = ns.saturating_mul(100) / of_ns;
            format!("{:?} ({}.{:02} x)", Duration::from_nanos(ns), hundredths / 100, hundredths % 100)
        });
        let Self { per_s, bulk_per_s, .. } = self;
        format!("p50 {p50}, p99 {p99}, p99.9 {p999}, {per_s} reads/s, bulk {}/s", Bytes(*bulk_per_s))
    }
}

impl Beside {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "alone",
            Self::Bulk => "beside a bulk load",
            Self::ScheduledBulk => "beside one in turns",
        }
    }
}

const SHORT: Work = Work { direction: Direction::Read, bytes: 4096, depth: 1 };
const BULKS: [Work; 2] = [
    Work { direction: Direction::Read, bytes: 256 << 10, depth: 16 },
    Work { direction: Direction::Write, bytes: 256 << 10, depth: 16 },
];
