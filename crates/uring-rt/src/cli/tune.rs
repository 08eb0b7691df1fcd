//! Measures what a device can do, and writes it as properties for the scheduler.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use samestep_provider_traits::{Providers, TimeProvider};

use super::CommandError;
use super::disk::{Bytes, Done, MIB, Progress, Scratch, Work};
use crate::schedule::Direction;
use crate::{
    DeviceProperties, DriverChoice, IoProperties, Latency, Runtime, Shares, TaskGroup, UringFile,
    UringProviders,
};

/// What a tuning is to do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) lasts: Duration,
    pub(super) driver: DriverChoice,
    pub(super) folder: PathBuf,
    pub(super) size_mib: u64,
    pub(super) out: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug)]
struct Measured {
    /// Reads of a page, one at a time.
    alone: Done,
    /// Reads and writes of a page, and long ones, by direction: many at a time.
    short: [Done; 2],
    long: [Done; 2],
    /// Reads of lengths in between, few at a time.
    steps: Vec<(usize, Done)>,
}

/// Measures, and prints or writes the properties.
pub(super) fn run(plan: &Plan) -> Result<(), CommandError> {
    let bytes = plan.size_mib.max(SIZE_MIB_MIN) * MIB;
    eprintln!(
        "writes a file of {} in {}, reads and writes it for {:?}, and removes it; the numbers are those of the device if \
         nothing else uses it",
        Bytes(bytes),
        plan.folder.display(),
        plan.lasts
    );
    let folder = std::path::absolute(&plan.folder)?;
    let scratch = Scratch::new(&folder, "tune", bytes)?;
    let runtime = Runtime::builder().driver(plan.driver).build()?;
    let world = runtime.providers(scratch.folder(), 1)?;
    let measured = runtime.block_on(measure(&world, &scratch, plan.lasts))?;
    runtime.shutdown()?;
    drop(scratch);
    let properties = IoProperties::new().folder(&folder, measured.properties())?;
    let text = format!("{}{properties}", measured.comments());
    match &plan.out {
        Some(out) => {
            std::fs::write(out, text)?;
            eprintln!("written to {}: give it to RuntimeBuilder::io_properties", out.display());
        }
        None => print!("{text}"),
    }
    Ok(())
}

async fn measure(
    world: &UringProviders,
    scratch: &Scratch,
    lasts: Duration,
) -> Result<Measured, CommandError> {
    let progress = Progress::new(lasts);
    progress.tell("writes the file");
    let file = scratch.open(world).await?;
    scratch.hide()?;
    // Each of the latter with half the time of each of the former.
    let each = lasts * 2 / u32::try_from(2 * 5 + STEPS_BYTES.len()).expect("few");
    let one = async |direction, bytes, depth, lasts| {
        let verb = if direction == Direction::Read { "reads" } else { "writes" };
        progress.tell(format_args!("{verb} of {} KiB, {depth} at a time", bytes / 1024));
        perform(world, scratch, &file, Work { direction, bytes, depth }, lasts).await
    };
    let (read, write) = (Direction::Read, Direction::Write);
    let alone = one(read, SHORT_BYTES, 1, each).await?;
    let short = [one(read, SHORT_BYTES, DEPTH, each).await?, one(write, SHORT_BYTES, DEPTH, each).await?];
    let mut steps = Vec::new();
    for bytes in STEPS_BYTES {
        steps.push((bytes, one(read, bytes, DEPTH_LONG, each / 2).await?));
    }
    let long =
        [one(read, LONG_BYTES, DEPTH_LONG, each).await?, one(write, LONG_BYTES, DEPTH_LONG, each).await?];
    Ok(Measured { alone, short, long, steps })
}

/// Does a work for a while.
async fn perform(
    world: &UringProviders,
    scratch: &Scratch,
    file: &UringFile,
    work: Work,
    lasts: Duration,
) -> Result<Done, CommandError> {
    let tasks = world.task();
    let queue = tasks.create_queue("tune", TaskGroup::ROOT, Shares::default(), Latency::NotImportant);
    let working = scratch.start(world, file, queue, work);
    world.time().sleep(lasts).await;
    let done = working.stop(work).await?;
    if done.operations == 0 {
        let message = format!("nothing ended within {lasts:?}: ask for longer by --for");
        return Err(CommandError::new(message));
    }
    Ok(done)
}

impl Measured {
    /// Two lengths give a line: what each costs by itself, and for each byte.
    fn properties(&self) -> DeviceProperties {
        let [read, write] = [Direction::Read, Direction::Write].map(|direction| {
            let (short, long) = (&self.short[direction as usize], &self.long[direction as usize]);
            line(short.each_ns(), long.each_ns())
        });
        // Whoever comes next waits no longer than it would take alone.
        let latency_goal = self.alone.rank(500).max(Duration::from_micros(1));
        DeviceProperties {
            read_bytes_per_s: read.1,
            write_bytes_per_s: write.1,
            reads_per_s: read.0,
            writes_per_s: write.0,
            latency_goal,
            part_bytes_max: part_bytes(read, latency_goal).min(part_bytes(write, latency_goal)),
        }
    }

    /// What was measured, for people.
    fn comments(&self) -> String {
        let mut text = String::from("# Measured by samestep-uring tune.\n");
        let [p50, p99] = [500, 990].map(|per_mille| self.alone.rank(per_mille));
        let _ = writeln!(text, "# A read of 4 KiB alone takes {p50:?} at the median, {p99:?} at p99.");
        for (name, at) in [("reads", 0), ("writes", 1)] {
            let (short, long) = (self.short[at].per_s(), Bytes(self.long[at].bytes_per_s()));
            let _ = writeln!(text, "# {short} {name} of 4 KiB in a second; of 1 MiB, {long}.");
        }
        for (bytes, done) in &self.steps {
            let rate = Bytes(done.bytes_per_s());
            let _ = writeln!(text, "# Reads of {} KiB, {DEPTH_LONG} at a time: {rate}/s.", bytes / 1024);
        }
        text
    }
}

/// How many of no length there are in a second, and how many bytes of one without end, if one of the short length takes
/// so long and one of the long length so long.
fn line(short_ns: u64, long_ns: u64) -> (u64, u64) {
    let bytes = (LONG_BYTES - SHORT_BYTES) as u64;
    let bytes_ns = long_ns.saturating_sub(short_ns).max(1);
    let alone_ns = short_ns.saturating_sub(bytes_ns * SHORT_BYTES as u64 / bytes).max(1);
    (1_000_000_000 / alone_ns, bytes * 1_000_000_000 / bytes_ns)
}

/// The longest part, of those that are powers of two, that is within the goal, of a device that does so many of no length
/// and so many bytes in a second; but not so short that it is nearly all cost and no bytes.
fn part_bytes((per_s, bytes_per_s): (u64, u64), goal: Duration) -> u32 {
    let goal_ns = u64::try_from(goal.as_nanos()).unwrap_or(u64::MAX);
    let cost_ns = |bytes: u32| {
        1_000_000_000 / per_s.max(1) + u64::from(bytes).saturating_mul(1_000_000_000) / bytes_per_s.max(1)
    };
    let lengths = (PART_BYTES_MIN.ilog2()..=PART_BYTES_MAX.ilog2()).map(|shift| 1 << shift);
    lengths.take_while(|bytes| cost_ns(*bytes) <= goal_ns).last().unwrap_or(PART_BYTES_MIN)
}

const SHORT_BYTES: usize = 4096;
const LONG_BYTES: usize = 1 << 20;
const STEPS_BYTES: [usize; 5] = [16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10];
const DEPTH: usize = 64;
const DEPTH_LONG: usize = 8;
const SIZE_MIB_MIN: u64 = 4;
const PART_BYTES_MIN: u32 = 32 << 10;
const PART_BYTES_MAX: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{line, part_bytes};

    /// A device of 10 us each and 1 ns for each byte, as those two lengths show it.
    #[test]
    fn two_lengths_tell_what_bytes_and_requests_cost() {
        let (per_s, bytes_per_s) = line(10_000 + 4096, 10_000 + (1 << 20));
        assert_eq!((per_s, bytes_per_s), (100_000, 1_000_000_000));
        // Times that make no sense give properties that do.
        let (per_s, bytes_per_s) = line(10, 5);
        assert!(per_s > 0 && bytes_per_s > 0);
    }

    /// Of 10 us each and 1 ns for each byte.
    #[test]
    fn a_part_is_within_the_goal() {
        let bytes = |goal| part_bytes((100_000, 1_000_000_000), Duration::from_micros(goal));
        assert_eq!([1, 50, 75, 76, 1_000_000].map(bytes), [32 << 10, 32 << 10, 32 << 10, 64 << 10, 1 << 20]);
    }
}
