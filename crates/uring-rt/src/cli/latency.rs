//! Measures how long short reads take while a disk is busy with long ones.

use std::path::PathBuf;
use std::time::Duration;

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
}

/// What else the disk has to do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    Bulk,
    ScheduledBulk,
}

/// Of one phase: the short reads, and the bulk.
#[derive(Debug, Default)]
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
    let mut outcomes = phases.map(|_| Outcome::default());
    for round in 1..=plan.rounds.max(1) {
        for (beside, outcome) in phases.into_iter().zip(&mut outcomes) {
            progress.tell(format_args!("round {round}, {}", beside.name()));
            let known = match beside {
                Beside::ScheduledBulk => properties.clone(),
                Beside::Nothing | Beside::Bulk => IoProperties::new(),
            };
            let runtime = Runtime::builder().io_properties(known).build()?;
            let world = runtime.providers(scratch.folder(), u64::from(round))?;
            let Outcome { short, bulk } = runtime.block_on(measure(&world, &scratch, beside, each))?;
            if beside == Beside::ScheduledBulk && runtime.stats().io_devices.is_empty() {
                let file = plan.properties.display();
                return Err(CommandError::new(format!(
                    "{file} says nothing about the device of {}: measure it by samestep-uring tune",
                    folder.display()
                )));
            }
            runtime.shutdown()?;
            outcome.short.add(short);
            outcome.bulk.add(bulk);
        }
    }
    drop(progress);
    let idle = outcomes[0].short.rank(990);
    for (beside, Outcome { short, bulk }) in phases.into_iter().zip(&outcomes) {
        let [p50, p99, p999] = [500, 990, 999].map(|per_mille| short.rank(per_mille));
        let hundredths = p99.as_nanos() * 100 / idle.as_nanos().max(1);
        println!(
            "{:<22} p50 {p50:?}, p99 {p99:?} ({}.{:02} x), p99.9 {p999:?} of {}; bulk {}/s",
            beside.name(),
            hundredths / 100,
            hundredths % 100,
            short.operations,
            Bytes(bulk.bytes_per_s())
        );
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("meanwhile {}; load average {}", Stolen::read().since(&before), load.trim());
    Ok(())
}

async fn measure(
    world: &UringProviders,
    scratch: &Scratch,
    beside: Beside,
    lasts: Duration,
) -> Result<Outcome, CommandError> {
    let tasks = world.task();
    let file = scratch.open(world).await?;
    let matters = Latency::Matters(Duration::from_micros(500));
    let short_queue = tasks.create_queue("short", TaskGroup::ROOT, Shares::new(1000), matters);
    let bulk_queue = tasks.create_queue("bulk", TaskGroup::ROOT, Shares::new(100), Latency::NotImportant);
    let bulks = if beside == Beside::Nothing { Vec::new() } else { BULKS.to_vec() };
    let loads: Vec<_> =
        bulks.into_iter().map(|work| (work, scratch.start(world, &file, bulk_queue, work))).collect();
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
