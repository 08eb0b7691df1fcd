//! Nodes that go down, stand still and are slow.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{JoinError, JoinHandle, TaskProvider, TimeProvider};
use samestep_sim::{Down, FaultFamily, NodeId, SimTimeProvider, SimWorld};

use crate::world::world_of_one_node;

const MS: Duration = Duration::from_millis(1);

/// Counts the polls of a task that ticks each millisecond, and of another that only yields to it.
fn ticker(world: &SimWorld, node: NodeId) -> Rc<Cell<u32>> {
    let ticks = Rc::new(Cell::new(0));
    let providers = world.providers(node);
    let counted = Rc::clone(&ticks);
    world.spawn(Some(node), "ticker", async move {
        loop {
            counted.set(counted.get() + 1);
            providers.time().sleep(MS).await;
        }
    });
    ticks
}

fn after(world: &SimWorld, duration: Duration) {
    world.run_until(samestep_sim::SimTime::ZERO.after(world.now() + duration));
}

/// Gate 5. Killed between steps, and by a task of another node while its own are ready to run.
#[test]
fn a_killed_node_executes_no_poll() {
    for seed in 0..32 {
        let (world, node) = world_of_one_node(seed);
        let ticks = ticker(&world, node);
        after(&world, MS * 10);
        assert_eq!(ticks.get(), 11);
        // Both sleep until the same time, so on half of the seeds the ticker is ready when it is killed.
        let (time, killer) = (SimTimeProvider::new(&world), world.downgrade());
        let seen = Rc::clone(&ticks);
        let at_kill = Rc::new(Cell::new(0));
        let noted = Rc::clone(&at_kill);
        world.spawn(None, "killer", async move {
            time.sleep(MS).await;
            killer.upgrade().unwrap().kill(node, Down::Crash);
            noted.set(seen.get());
        });
        after(&world, MS * 100);
        assert_eq!(ticks.get(), at_kill.get(), "seed {seed}: polled while dead");
        assert!((11..=12).contains(&at_kill.get()), "seed {seed}: {}", at_kill.get());
        assert_eq!(world.pending_event_count(), 0, "its timers are gone");
        assert!(!world.is_up(node));
        world.boot(node);
        after(&world, MS * 100);
        assert_eq!(ticks.get(), at_kill.get(), "a boot brings nothing back");
        assert_eq!((world.boot_count(node), world.last_down(node)), (1, Some(Down::Crash)));
        assert_eq!(world.faults().count(FaultFamily::Crash), 1);
    }
}

#[test]
fn handles_of_an_earlier_boot_do_nothing() {
    let (world, node) = world_of_one_node(2);
    let old = world.providers(node);
    world.kill(node, Down::Graceful);
    for _ in 0..2 {
        let mut task = old.task().spawn("late", async { 1 });
        assert_eq!(world.block_on(&mut task), Some(Err(JoinError::Cancelled)));
        let sleep = old.time().sleep(MS);
        let mut never = world.spawn(None, "sleeps on a dead node", sleep);
        assert_eq!(world.block_on(&mut never), None);
        world.boot(node);
    }
    let mut task = world.providers(node).task().spawn("new", async { 1 });
    assert_eq!(world.block_on(&mut task), Some(Ok(1)));
}

#[test]
fn a_task_may_kill_its_own_node() {
    let (world, node) = world_of_one_node(4);
    let (handle, went_on) = (world.downgrade(), Rc::new(Cell::new(0)));
    let (time, steps) = (*world.providers(node).time(), Rc::clone(&went_on));
    let mut task = world.spawn(Some(node), "suicide", async move {
        steps.set(1);
        handle.upgrade().unwrap().kill(node, Down::CrashAndWipe);
        steps.set(2);
        time.sleep(MS).await;
        steps.set(3);
    });
    assert_eq!(world.block_on(&mut task), Some(Err(JoinError::Cancelled)));
    assert_eq!(went_on.get(), 2);
}

#[test]
fn the_end_of_a_node_ends_joins_on_other_nodes() {
    let (world, node) = world_of_one_node(5);
    let mut task = world.spawn(Some(node), "endless", pending::<()>());
    world.run_until_empty();
    world.kill(node, Down::Crash);
    assert_eq!(world.block_on(&mut task), Some(Err(JoinError::Cancelled)));
}

#[test]
fn a_paused_node_stands_still_and_goes_on() {
    let (world, node) = world_of_one_node(6);
    let ticks = ticker(&world, node);
    after(&world, MS * 3);
    assert_eq!(ticks.get(), 4);
    world.pause(node);
    after(&world, MS * 50);
    assert_eq!(ticks.get(), 4);
    world.resume(node);
    after(&world, MS * 3);
    assert_eq!(ticks.get(), 8, "one late, and three");
    assert_eq!(world.faults().count(FaultFamily::Pause), 1);
}

#[test]
fn an_aborted_task_of_a_paused_node_ends() {
    let (world, node) = world_of_one_node(6);
    let mut task = world.spawn(Some(node), "endless", pending::<()>());
    world.pause(node);
    task.abort();
    assert_eq!(world.block_on(&mut task), Some(Err(JoinError::Cancelled)));
}

#[test]
fn polls_of_a_slow_node_take_their_time_one_after_the_other() {
    let (world, node) = world_of_one_node(7);
    world.slow_down(node, MS * 2);
    let ends: Vec<_> = (0..3)
        .map(|_| {
            let (time, tasks) = (*world.providers(node).time(), *world.providers(node).task());
            world.spawn(Some(node), "slow", async move {
                tasks.yield_now().await;
                time.now()
            })
        })
        .collect();
    world.run_until_empty();
    let mut ends: Vec<_> =
        ends.into_iter().map(|mut task| world.block_on(&mut task).unwrap().unwrap()).collect();
    ends.sort_unstable();
    // Six polls: three begin, then three end.
    assert_eq!(ends, [MS * 8, MS * 10, MS * 12]);
}
