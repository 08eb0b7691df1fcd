//! Each way in which a run may end, and that each failure is the one that it should be.

use std::cell::Cell;
use std::future::pending;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{TaskProvider, TimeProvider};

use super::{Main, RunPlan, RunReport, run_one};
use crate::runner::Failure;
use crate::world::{Down, SimWorld, WorldConfig};
use crate::{SimTaskProvider, SimTimeProvider};

fn plan() -> RunPlan {
    RunPlan::new(WorldConfig::new(1).keep_trace().polls_per_instant_max(1000))
}

fn run(setup: impl FnOnce(&SimWorld) -> Main) -> RunReport {
    run_one(&plan(), setup, &mut |_| {})
}

fn only_failure(report: &RunReport) -> &Failure {
    assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
    &report.failures[0]
}

#[test]
fn a_test_that_ends_well_passes() {
    let report = run(|world| {
        let time = SimTimeProvider::new(world);
        world.spawn(None, "main", async move {
            time.sleep(Duration::from_secs(1)).await;
            Ok(())
        })
    });
    assert_eq!(report.failures, []);
    assert_eq!(report.ended_at.since_start(), Duration::from_secs(1));
    assert!(report.events > 0 && report.polls == 2, "{report:?}");
}

#[test]
fn an_error_is_a_failure() {
    let report = run(|world| world.spawn(None, "main", async { Err("no luck".to_owned()) }));
    assert_eq!(*only_failure(&report), Failure::Error { message: "no luck".to_owned() });
}

#[test]
fn a_panic_of_the_setup_is_a_failure() {
    let report = run(|_| panic!("too early"));
    let Failure::SetupPanic { message } = only_failure(&report) else { panic!("{report:?}") };
    assert!(message.starts_with("too early, at ") && message.contains("tests.rs"), "{message}");
}

/// In the main task, in one that somebody joins, in one that nobody joins, and in a value that is dropped when the
/// world ends.
#[test]
fn a_panic_anywhere_is_a_failure() {
    let in_main = run(|world| world.spawn(None, "main", async { panic!("here") }));
    let in_another = run(|world| {
        let tasks = SimTaskProvider::new(world);
        world.spawn(None, "main", async move {
            drop(tasks.spawn("other", async { panic!("here") }).await);
            Ok(())
        })
    });
    let on_a_node = run(|world| {
        let node = world.add_node("node", IpAddr::V4(Ipv4Addr::LOCALHOST));
        drop(world.spawn(Some(node), "other", async { panic!("here") }));
        world.spawn(None, "main", pending())
    });
    let at_the_end = run(|world| {
        let bomb = Bomb;
        drop(world.spawn(None, "other", async move {
            pending::<()>().await;
            drop(bomb);
        }));
        let tasks = SimTaskProvider::new(world);
        world.spawn(None, "main", async move {
            tasks.yield_now().await;
            Ok(())
        })
    });
    for report in [in_main, in_another, on_a_node, at_the_end] {
        let Failure::Panic(panic) = only_failure(&report) else { panic!("{report:?}") };
        assert_eq!(panic.message, "here");
        assert!(panic.location.as_ref().is_some_and(|place| place.contains("tests.rs")), "{panic:?}");
    }
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("here");
    }
}

#[test]
fn a_deadlock_names_who_waits_for_what() {
    let report = run(|world| {
        let node = world.add_node("server", IpAddr::V4(Ipv4Addr::LOCALHOST));
        drop(world.spawn(Some(node), "lost", pending::<()>()));
        let tasks = SimTaskProvider::new(world);
        world.spawn(None, "main", async move {
            tasks.spawn("joined", pending::<()>()).await.map_err(|error| error.to_string())
        })
    });
    let failure = only_failure(&report);
    assert!(matches!(failure, Failure::Deadlock { tasks, .. } if tasks.len() == 3), "{failure}");
    let text = failure.to_string();
    assert!(text.contains(r#"task 0 "lost" of server, started at "#), "{text}");
    assert!(text.contains("waits for something of its own"), "{text}");
    assert!(text.contains("waits for the end of task 2"), "{text}");
}

/// The next fault is no hope: a world in which only that is to come has a deadlock.
#[test]
fn what_comes_by_itself_does_not_hide_a_deadlock() {
    let report = run(|world| {
        let event = crate::world::due::Due::Put(Box::new(crate::Event::Shutdown));
        world.shared.core.borrow_mut().kernel.schedule_background(1_000_000_000, event);
        waits_for_ever(world)
    });
    assert!(matches!(only_failure(&report), Failure::Deadlock { .. }), "{report:?}");
}

#[test]
fn endless_timers_reach_the_deadline() {
    let report = run(|world| {
        let time = SimTimeProvider::new(world);
        world.spawn(None, "main", async move {
            loop {
                time.sleep(Duration::from_secs(7)).await;
            }
        })
    });
    let failure = only_failure(&report);
    assert!(matches!(failure, Failure::Deadline { .. }), "{failure}");
    assert!(failure.to_string().contains("a timer until 602.000000000s"), "{failure}");
}

#[test]
fn too_many_events_are_a_failure() {
    let plan = RunPlan { events_max: 500, ..plan() };
    let report = run_one(&plan, sleeps_for_ever, &mut |_| {});
    assert!(matches!(only_failure(&report), Failure::TooManyEvents { .. }), "{report:?}");
    assert!((500..510).contains(&report.events), "{}", report.events);
}

#[test]
fn tasks_that_spin_are_a_failure() {
    let report = run(|world| {
        let tasks = SimTaskProvider::new(world);
        world.spawn(None, "main", async move {
            loop {
                tasks.yield_now().await;
            }
        })
    });
    assert!(matches!(only_failure(&report), Failure::Spinning { .. }), "{report:?}");
}

#[test]
fn a_run_stops_at_the_event_that_was_asked_for() {
    let plan = RunPlan { stop_at_event: Some(100), ..plan() };
    let report = run_one(&plan, sleeps_for_ever, &mut |_| {});
    assert_eq!(report.failures, []);
    assert!((100..110).contains(&report.events), "{}", report.events);
}

#[test]
fn a_check_after_an_instant_ends_the_run_there() {
    let calls = Cell::new(0);
    let report = run_one(&plan(), sleeps_for_ever, &mut |world| {
        calls.set(calls.get() + 1);
        if calls.get() == 5 {
            world.fail(Failure::Check { name: "five".to_owned(), message: "reached".to_owned() });
        }
    });
    assert!(matches!(only_failure(&report), Failure::Check { .. }), "{report:?}");
    assert_eq!(calls.get(), 5);
    let report = run_one(&plan(), sleeps_for_ever, &mut |_| panic!("an oracle's own"));
    assert!(matches!(only_failure(&report), Failure::Check { .. }), "{report:?}");
}

#[test]
fn a_main_task_that_is_killed_is_a_failure() {
    let report = run(|world| {
        let node = world.add_node("node", IpAddr::V4(Ipv4Addr::LOCALHOST));
        let main = world.spawn(Some(node), "main", pending());
        world.kill(node, Down::Crash);
        main
    });
    assert!(matches!(only_failure(&report), Failure::Error { .. }), "{report:?}");
}

#[test]
fn a_run_that_failed_leaves_nothing_behind() {
    let held = Rc::new(());
    let inside = Rc::clone(&held);
    let first = run(move |world| {
        world.spawn(None, "main", async move {
            pending::<()>().await;
            drop(inside);
            Ok(())
        })
    });
    assert_eq!(Rc::strong_count(&held), 1);
    let again = |report: &RunReport| (report.hash, report.failures.clone());
    let second = run(waits_for_ever);
    assert_eq!(first.trace, second.trace);
    assert_eq!(again(&first).0, again(&second).0);
}

fn waits_for_ever(world: &SimWorld) -> Main {
    world.spawn(None, "main", pending())
}

fn sleeps_for_ever(world: &SimWorld) -> Main {
    let time = SimTimeProvider::new(world);
    world.spawn(None, "main", async move {
        loop {
            time.sleep(Duration::from_millis(1)).await;
        }
    })
}
