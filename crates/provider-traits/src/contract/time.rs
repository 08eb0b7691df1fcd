//! What every [`TimeProvider`] must keep.

use std::cell::{Cell, RefCell};
use std::future::{pending, ready};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::{Case, Harness, Outcome, case, soon};
use crate::{JoinHandle, Providers, TaskProvider, TimeProvider};

/// The cases, in the order of this file.
pub fn cases<H: Harness>() -> Vec<Case<H>> {
    vec![
        case!(now_never_goes_back),
        case!(a_sleep_is_never_short),
        case!(a_sleep_of_zero_ends),
        case!(a_deadline_that_passed_ends_at_once),
        case!(sleeps_end_in_the_order_of_their_deadlines),
        case!(a_sleep_starts_at_its_first_poll),
        case!(a_future_in_time_gives_its_output),
        case!(a_future_that_is_ready_beats_a_limit_of_zero),
        case!(a_limit_that_passes_drops_the_future),
        case!(a_dropped_sleep_wakes_nobody),
    ]
}

async fn now_never_goes_back<P: Providers>(world: P) {
    let mut last = world.time().now();
    for _ in 0..100 {
        world.task().yield_now().await;
        let now = world.time().now();
        assert!(now >= last, "{now:?} after {last:?}");
        last = now;
    }
}

async fn a_sleep_is_never_short<P: Providers>(world: P) {
    for duration in [Duration::from_nanos(1), Duration::from_micros(700), Duration::from_millis(5)] {
        let start = world.time().now();
        world.time().sleep(duration).await;
        let slept = world.time().now() - start;
        assert!(slept >= duration, "slept {slept:?} of {duration:?}");
    }
}

async fn a_sleep_of_zero_ends<P: Providers>(world: P) {
    soon(&world, "sleep", world.time().sleep(Duration::ZERO)).await;
}

async fn a_deadline_that_passed_ends_at_once<P: Providers>(world: P) {
    world.time().sleep(Duration::from_millis(1)).await;
    soon(&world, "sleep_until", world.time().sleep_until(Duration::ZERO)).await;
    let deadline = world.time().now() + Duration::from_millis(2);
    world.time().sleep_until(deadline).await;
    assert!(world.time().now() >= deadline, "ended before its deadline");
}

async fn sleeps_end_in_the_order_of_their_deadlines<P: Providers>(world: P) {
    // A sleep that begins when its deadline has passed may end ahead of those that begin after it. On a real clock
    // that is seen when the machine stands still meanwhile; such an attempt says nothing, and is repeated.
    let mut began_in_time = false;
    while !began_in_time {
        let (ended, last_began) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(Duration::ZERO)));
        let start = world.time().now();
        let tasks: Vec<_> = [30_u64, 10, 20, 40]
            .into_iter()
            .map(|ms| {
                let (ended, last_began) = (Rc::clone(&ended), Rc::clone(&last_began));
                let time = world.time().clone();
                world.task().spawn("sleeper", async move {
                    last_began.set(time.now());
                    time.sleep_until(start + Duration::from_millis(ms)).await;
                    ended.borrow_mut().push(ms);
                })
            })
            .collect();
        for task in tasks {
            soon(&world, "a sleeper", task).await.unwrap();
        }
        began_in_time = last_began.get() < start + Duration::from_millis(10);
        assert!(!began_in_time || *ended.borrow() == [10, 20, 30, 40], "ended as {:?}", ended.borrow());
    }
}

async fn a_sleep_starts_at_its_first_poll<P: Providers>(world: P) {
    let sleep = world.time().sleep(Duration::from_millis(4));
    world.time().sleep(Duration::from_millis(6)).await;
    let start = world.time().now();
    sleep.await;
    assert!(world.time().now() - start >= Duration::from_millis(4), "the time before the first poll counted");
}

async fn a_future_in_time_gives_its_output<P: Providers>(world: P) {
    let time = world.time().clone();
    let slow = async move {
        time.sleep(Duration::from_millis(1)).await;
        7
    };
    assert_eq!(world.time().timeout(Duration::from_secs(20), slow).await, Ok(7));
}

async fn a_future_that_is_ready_beats_a_limit_of_zero<P: Providers>(world: P) {
    assert_eq!(world.time().timeout(Duration::ZERO, ready(1)).await, Ok(1));
}

async fn a_limit_that_passes_drops_the_future<P: Providers>(world: P) {
    let (limit, held) = (Duration::from_millis(2), Rc::new(()));
    let start = world.time().now();
    let forever = {
        let held = Rc::clone(&held);
        async move {
            pending::<()>().await;
            drop(held);
        }
    };
    let elapsed = world.time().timeout(limit, forever).await.unwrap_err();
    assert!(world.time().now() - start >= limit, "gave up early");
    assert_eq!(elapsed.limit(), limit);
    assert_eq!(io::Error::from(elapsed).kind(), io::ErrorKind::TimedOut);
    assert_eq!(Rc::strong_count(&held), 1, "the future is still held");
}

async fn a_dropped_sleep_wakes_nobody<P: Providers>(world: P) {
    let time = world.time().clone();
    let task = world.task().spawn("impatient", async move {
        let _ = time.timeout(Duration::from_millis(1), time.sleep(Duration::from_secs(3600))).await;
    });
    soon(&world, "the task", task).await.unwrap();
    let mut idle = world.task().spawn("idle", pending::<()>());
    world.time().sleep(Duration::from_millis(2)).await;
    assert!(!idle.is_finished());
    idle.abort();
    soon(&world, "the aborted task", &mut idle).await.unwrap_err();
}
