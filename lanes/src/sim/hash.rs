//! The identity of runs.

use std::path::Path;
use std::time::{Duration, SystemTime};

use samestep_provider_traits::{
    File, OpenOptions, RandomProvider, StorageProvider, TaskProvider, TimeProvider,
};
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};
use samestep_sim::{
    ClockConfiguration, Down, FaultFamily, SimProviders, SimTime, SimWorld, StorageConfiguration,
    WorldConfig, set_sim_seed,
};

use super::add_node;
use crate::scenario::{Random, Scenario, tell_faults};

/// The same seed gives the same run: in each process, in debug and release, on each machine.
pub(crate) const TRACE_HASH: Random = Random(Scenario {
    name: "sim/trace-hash",
    about: "three nodes with tasks, timers, files, wrong clocks and crashes, 40 seeds: each has one hash, here and everywhere",
    run: trace_hash,
});

fn trace_hash(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let mut acted = FaultFamily::ALL.map(|family| (family, 0));
    for number in 0..40_u64 {
        let seed = context.seed().fork(&number.to_string()).get();
        let world = run(seed);
        let same = run(seed);
        if world.trace_hash() != same.trace_hash() {
            return Err(LaneError::failed(format!("seed {seed} has two hashes in one process")));
        }
        transcript.event(
            &Event::new("run")
                .field("seed", seed)
                .field("events", world.trace_count())
                .field("now", world.now().as_nanos())
                .field("hash", format_args!("{:016x}", world.trace_hash())),
        );
        let faults = world.faults();
        for (family, times) in &mut acted {
            *times += faults.count(*family);
        }
    }
    tell_faults(transcript, acted);
    Ok(())
}

fn run(seed: u64) -> SimWorld {
    set_sim_seed(seed);
    let config = WorldConfig::new(seed)
        .storage(StorageConfiguration::random_for_seed())
        .clocks(ClockConfiguration::random_for_seed());
    let world = SimWorld::with_config(config);
    let nodes = ["a", "b", "c"].map(|name| add_node(&world, name));
    for round in 0..3_u64 {
        for node in nodes {
            drop(world.spawn(Some(node), "program", program(world.providers(node), round)));
        }
        world.run_until(SimTime::ZERO.after(Duration::from_millis(60 * (round + 1))));
        let victim = nodes[usize::try_from((seed + round) % 3).expect("below 3")];
        world.kill(victim, if round == 1 { Down::Graceful } else { Down::Crash });
        world.boot(victim);
    }
    world.run_until_empty();
    world
}

/// Sleeps, draws, spawns, writes and reads; what fails is as good as what succeeds.
async fn program(providers: SimProviders, round: u64) {
    let (time, random, storage) = (providers.time(), providers.random().clone(), providers.storage());
    let options = OpenOptions::read_write().create();
    let Ok(file) = storage.open(Path::new(&format!("file-{round}")), options).await else { return };
    for step in 0..30_u64 {
        let offset = random.next_u64() % 5000;
        let writer = {
            let (file, time) = (file.clone(), *time);
            providers.task().spawn("writer", async move {
                time.sleep(Duration::from_micros(offset)).await;
                file.write_at(vec![1; 200], offset).await.0.is_ok()
            })
        };
        let _ = file.read_at(Vec::with_capacity(300), offset / 2).await;
        time.sleep(Duration::from_micros(millis_of(time.wall_clock()))).await;
        let _ = writer.await;
        if step % 5 == 0 {
            let _ = file.sync_data().await;
            let _ = storage.sync_dir(Path::new("")).await;
        }
    }
}

/// Milliseconds of the second that a wall clock shows, so that what it shows is part of the run.
fn millis_of(clock: SystemTime) -> u64 {
    clock.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| u64::from(since.subsec_millis()))
}
