//! The engine's names of the simulation seed, each seen to act.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use samestep_provider_traits::{JoinHandle, RandomProvider, TimeProvider};
use samestep_sim::{
    Event, EventQueue, ScheduledEvent, SimRandomProvider, SimTimeProvider, SimWorld, SimulationError,
    SleepFuture, get_current_sim_seed, reset_sim_rng, set_sim_seed, sim_random, sim_random_range,
    sim_random_range_or_default,
};

use crate::world::world_of_one_node;

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_seed_decides_what_is_drawn() {
    set_sim_seed(42);
    let drawn: Vec<u64> = (0..100).map(|_| sim_random()).collect();
    let ranged = sim_random_range(100..1000);
    assert_eq!(get_current_sim_seed(), 42);
    set_sim_seed(42);
    assert_eq!((0..100).map(|_| sim_random()).collect::<Vec<u64>>(), drawn);
    assert_eq!(sim_random_range(100..1000), ranged);
    set_sim_seed(43);
    assert_ne!((0..100).map(|_| sim_random()).collect::<Vec<u64>>(), drawn);
    reset_sim_rng();
    assert_eq!(get_current_sim_seed(), 0);
    let fresh: u64 = sim_random();
    reset_sim_rng();
    assert_eq!(sim_random::<u64>(), fresh);
}

#[test]
fn an_empty_range_gives_its_start_and_draws_nothing() {
    set_sim_seed(1);
    let next: u64 = sim_random();
    set_sim_seed(1);
    assert_eq!(sim_random_range_or_default(5..5), 5);
    assert!((0.5..=0.5).contains(&sim_random_range_or_default(0.5..0.5)));
    assert_eq!(sim_random::<u64>(), next);
    assert!((5..9).contains(&sim_random_range_or_default(5..9)));
}

/// What a node draws is its seed's, whatever other nodes and the thread draw.
#[test]
fn nodes_draw_from_streams_of_their_own() {
    let drawn_by_one = |others_draw: bool| {
        let (world, one) = world_of_one_node(9);
        let two = world.add_node("two", std::net::IpAddr::from([10, 0, 0, 2]));
        if others_draw {
            drop(world.spawn(Some(two), "two", async { sim_random::<u64>() }));
            drop(world.spawn(None, "test", async { sim_random::<u64>() }));
        }
        let mut task = world.spawn(Some(one), "one", async { (sim_random::<u64>(), get_current_sim_seed()) });
        world.block_on(&mut task).unwrap().unwrap()
    };
    assert_eq!(drawn_by_one(false), drawn_by_one(true));
    assert_eq!(drawn_by_one(true).1, 9);
    set_sim_seed(9);
    assert_ne!(sim_random::<u64>(), drawn_by_one(false).0);
    assert_eq!(get_current_sim_seed(), 9);
}

#[test]
fn a_random_provider_is_its_seed() {
    let draw = |seed| SimRandomProvider::new(seed).fork("dice").random_range(0..1_000_000_u32);
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn a_time_provider_sleeps_in_simulated_time() {
    let world = SimWorld::new();
    let time = SimTimeProvider::new(world.downgrade());
    let mut task = world.spawn(None, "sleeper", async move {
        time.sleep(MS * 100).await;
        time.now()
    });
    assert_eq!(world.block_on(&mut task), Some(Ok(MS * 100)));
    assert_eq!((world.current_time(), world.timer()), (MS * 100, MS * 100));
}

#[test]
fn a_queue_gives_events_by_time_and_then_by_number() {
    let mut queue = EventQueue::new();
    for (time, number) in [(3, 0), (1, 2), (1, 1), (2, 3)] {
        queue.schedule(ScheduledEvent::new(MS * time, Event::Timer { task_id: number }, number));
    }
    assert_eq!((queue.len(), queue.is_empty()), (4, false));
    assert_eq!(queue.peek_earliest().unwrap().time(), MS);
    let order: Vec<_> = std::iter::from_fn(|| queue.pop_earliest()).collect();
    assert_eq!(order.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2, 3, 0]);
    assert_eq!(*order[3].event(), Event::Timer { task_id: 0 });
    assert_eq!(order[0].clone().into_event(), Event::Timer { task_id: 1 });
    assert!(queue.is_empty());
}

/// Waits until woken `times` times, and counts the polls.
fn counts_polls(world: &SimWorld) -> (Rc<Cell<u32>>, u64) {
    let polls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&polls);
    let task = world.spawn(None, "counts", async move {
        poll_fn(|_| {
            counted.set(counted.get() + 1);
            Poll::<()>::Pending
        })
        .await;
    });
    (polls, task.id().unwrap().number())
}

#[test]
fn events_that_a_test_puts_in_wake_tasks() {
    let world = SimWorld::new();
    let (first, task_id) = counts_polls(&world);
    let (second, _) = counts_polls(&world);
    world.schedule_event(Event::Timer { task_id }, MS * 2);
    world.schedule_event_at(Event::Shutdown, MS * 5);
    assert_eq!(world.pending_event_count(), 2);
    assert!(world.step());
    assert_eq!((world.now(), first.get(), second.get()), (MS * 2, 2, 1));
    assert_eq!(world.last_processed_event(), Some(Event::Timer { task_id }));
    assert!(!world.step());
    assert_eq!((world.now(), first.get(), second.get()), (MS * 5, 3, 2));
    assert_eq!(world.last_processed_event(), Some(Event::Shutdown));
    assert!(!world.has_pending_events());
}

#[test]
fn a_weak_handle_does_not_keep_its_world() {
    let world = SimWorld::new_with_seed(42);
    assert_eq!((world.seed(), get_current_sim_seed()), (42, 42));
    let weak = world.downgrade();
    let sleep: SleepFuture = weak.sleep(MS * 7).unwrap();
    let task = world.spawn(None, "sleeper", sleep);
    weak.schedule_event(Event::Shutdown, MS).unwrap();
    weak.upgrade().unwrap().run_until_empty();
    assert!(task.is_finished());
    assert_eq!((weak.now().unwrap(), weak.current_time().unwrap()), (MS * 7, MS * 7));
    drop(world);
    assert!(matches!(weak.upgrade(), Err(SimulationError::SimulationShutdown)));
    assert!(matches!(weak.sleep(MS), Err(SimulationError::SimulationShutdown)));
}
