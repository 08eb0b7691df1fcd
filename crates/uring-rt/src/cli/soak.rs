//! A load of everything at once, for hours, and whether anything is left behind.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{Providers, TaskProvider, TimeProvider};

use super::CommandError;
use super::load::{Counts, work};
use crate::clock::monotonic;
use crate::{DriverChoice, Runtime, Shard, ShardStats, Sharded, run_shards};

/// What a soak is to do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) lasts: Duration,
    pub(super) shards: usize,
    pub(super) driver: DriverChoice,
    pub(super) seed: u64,
    pub(super) folder: PathBuf,
}

/// Runs the load for a while, once to warm up and once for as long as was asked, and compares what the process has
/// after each.
pub(super) fn run(plan: &Plan) -> Result<(), CommandError> {
    let builder = Runtime::builder().driver(plan.driver);
    let folder = tempfile_in(&plan.folder)?;
    let shared = (plan.clone(), folder.clone());
    let outcomes = run_shards(plan.shards, &builder, move |shard| {
        let (plan, folder) = shared.clone();
        async move {
            match shard.number() {
                0 => lead(shard, plan, &folder).await.map_err(|error| error.to_string()),
                _ => Ok(()),
            }
        }
    });
    let removed = std::fs::remove_dir_all(&folder);
    for outcome in outcomes? {
        outcome.map_err(CommandError::new)?;
    }
    Ok(removed?)
}

/// What is on each shard.
type Site = (Shard, Counts);

async fn lead(shard: Shard, plan: Plan, folder: &Path) -> Result<(), CommandError> {
    let sites = Sharded::start(&shard.caller(), |shard| async move { (shard, Counts::default()) }).await?;
    let warm_up = (plan.lasts / 10).min(WARM_UP_MAX);
    run_phase(&shard, &sites, &plan, folder, warm_up).await?;
    let before = Level::measure(&shard, &sites, folder).await?;
    println!("after a warm-up of {warm_up:?}: {before}");
    run_phase(&shard, &sites, &plan, folder, plan.lasts - warm_up).await?;
    let after = Level::measure(&shard, &sites, folder).await?;
    println!("after {:?}: {after}", plan.lasts);
    let counts = sites.map_reduce(|site| async move { site.1.read() }, [0; 5], add).await?;
    let [files, sockets, timers, calls, cancels] = counts;
    println!(
        "{files} file operations, {sockets} messages over sockets, {timers} timers, {calls} calls, {cancels} given up"
    );
    sites.stop(|_| async {}).await?;
    after.expect_flat(&before)
}

fn add(sum: [u64; 5], one: [u64; 5]) -> [u64; 5] {
    std::array::from_fn(|at| sum[at] + one[at])
}

/// The load on all shards, with a line that tells how it goes.
async fn run_phase(
    shard: &Shard,
    sites: &Sharded<Site>,
    plan: &Plan,
    folder: &Path,
    lasts: Duration,
) -> Result<(), CommandError> {
    let world = shard.providers(folder, plan.seed)?;
    let is_over = Rc::new(Cell::new(false));
    let telling = {
        let (world, shard, sites, is_over) =
            (world.clone(), shard.clone(), sites.clone(), Rc::clone(&is_over));
        let folder = folder.to_owned();
        world.clone().task().spawn("tells", async move {
            let (start, is_live) = (monotonic(), std::io::stderr().is_terminal());
            let step = if is_live { Duration::from_secs(1) } else { Duration::from_secs(30) };
            while !is_over.get() {
                world.time().sleep(Duration::from_millis(100)).await;
                let elapsed = monotonic() - start;
                if elapsed.as_millis() % step.as_millis() >= 100 {
                    continue;
                }
                if let Ok(level) = Level::measure_now(&shard, &sites).await {
                    let left = lasts.saturating_sub(elapsed).as_secs();
                    let end = if is_live { "\r" } else { "\n" };
                    eprint!("{left:>5} s to go: {level}    {end}");
                    let _ = std::io::stderr().flush();
                }
            }
            drop(folder);
        })
    };
    let (folder, seed) = (folder.to_owned(), plan.seed);
    let until = monotonic() + lasts;
    let worked = sites.invoke_on_all(move |site| {
        let folder = folder.clone();
        async move { work(&site.0, &site.1, &folder, seed, until).await.map_err(|error| error.to_string()) }
    });
    let worked = worked.await;
    is_over.set(true);
    telling.await.map_err(std::io::Error::other)?;
    for outcome in worked? {
        outcome.map_err(CommandError::new)?;
    }
    Ok(())
}

/// What the process has.
#[derive(Debug)]
struct Level {
    resident_kib: u64,
    descriptors: usize,
    in_flight: usize,
    tasks: usize,
    timers: usize,
    receive_buffers_out: u64,
    completions_unknown: u64,
}

impl Level {
    /// After all is quiet.
    async fn measure(shard: &Shard, sites: &Sharded<Site>, folder: &Path) -> Result<Self, CommandError> {
        let world = shard.providers(folder, 1)?;
        // Connections that were given up are closed by their peers' ends.
        world.time().sleep(QUIET).await;
        Self::measure_now(shard, sites).await
    }

    async fn measure_now(_: &Shard, sites: &Sharded<Site>) -> Result<Self, CommandError> {
        let stats: Vec<ShardStats> = sites.invoke_on_all(|site| async move { site.0.stats() }).await?;
        let told = std::fs::read_to_string("/proc/self/status")?;
        let resident = told.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|line| line.split_whitespace().next()?.parse().ok());
        Ok(Self {
            resident_kib: resident.ok_or_else(|| CommandError::new("the kernel does not tell VmRSS"))?,
            descriptors: std::fs::read_dir("/proc/self/fd")?.count(),
            in_flight: stats.iter().map(|stats| stats.operations_in_flight).sum(),
            tasks: stats.iter().map(|stats| stats.tasks).sum(),
            timers: stats.iter().map(|stats| stats.timers).sum(),
            receive_buffers_out: stats.iter().map(|stats| stats.receive_buffers_out).sum(),
            completions_unknown: stats.iter().map(|stats| stats.completions_unknown).sum(),
        })
    }

    /// Nothing grew. Of memory some is let grow, as what the allocator keeps differs from time to time; not by how long
    /// the load ran.
    fn expect_flat(&self, before: &Self) -> Result<(), CommandError> {
        let is_flat = self.descriptors <= before.descriptors
            && self.in_flight <= before.in_flight
            && self.tasks <= before.tasks
            && self.timers <= before.timers
            && self.receive_buffers_out == 0
            && self.completions_unknown == 0
            && self.resident_kib <= before.resident_kib + RESIDENT_SLACK_KIB;
        if is_flat {
            println!("flat");
            return Ok(());
        }
        Err(CommandError::new(format!("something was left behind: {before} became {self}")))
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { resident_kib, descriptors, in_flight, tasks, timers, receive_buffers_out, .. } = self;
        write!(
            f,
            "{resident_kib} KiB, {descriptors} descriptors, {in_flight} operations, {tasks} tasks, {timers} timers, \
             {receive_buffers_out} buffers out"
        )
    }
}

/// A folder of this run's own.
fn tempfile_in(folder: &Path) -> std::io::Result<PathBuf> {
    let own = folder.join(format!("samestep-soak.{}", monotonic().as_nanos()));
    std::fs::create_dir(&own)?;
    Ok(own)
}

const WARM_UP_MAX: Duration = Duration::from_secs(60);
const QUIET: Duration = Duration::from_millis(500);
const RESIDENT_SLACK_KIB: u64 = 16 * 1024;
