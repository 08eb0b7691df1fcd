//! What every [`TaskProvider`] must keep.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;

use super::{Case, Harness, Outcome, case, settle, soon};
use crate::{JoinError, JoinHandle, Providers, TaskProvider};

/// The cases, in the order of this file.
pub fn cases<H: Harness>() -> Vec<Case<H>> {
    vec![
        case!(a_task_gives_its_output),
        case!(a_task_is_not_polled_inside_spawn),
        case!(a_task_runs_though_nobody_joins_it),
        case!(a_task_may_spawn_and_join),
        case!(tasks_take_turns_at_yields),
        case!(tasks_wake_each_other),
        case!(an_aborted_task_is_dropped_before_its_join_ends),
        case!(an_abort_before_the_first_poll_drops_the_task),
        case!(an_abort_after_the_end_changes_nothing),
        case!(a_panic_ends_in_its_join_handle),
        case!(a_panic_that_nobody_joins_leaves_the_others_alone),
    ]
}

async fn a_task_gives_its_output<P: Providers>(world: P) {
    // A type that is neither `Send` nor `Clone`.
    let task = world.task().spawn("output", async { Rc::new(Cell::new(5)) });
    assert_eq!(soon(&world, "the task", task).await.unwrap().get(), 5);
}

async fn a_task_is_not_polled_inside_spawn<P: Providers>(world: P) {
    let ran = Rc::new(Cell::new(false));
    let task = {
        let ran = Rc::clone(&ran);
        world.task().spawn("later", async move { ran.set(true) })
    };
    assert!(!ran.get(), "ran before spawn returned");
    assert!(!task.is_finished());
    soon(&world, "the task", task).await.unwrap();
    assert!(ran.get());
}

async fn a_task_runs_though_nobody_joins_it<P: Providers>(world: P) {
    let ran = Rc::new(Cell::new(false));
    {
        let ran = Rc::clone(&ran);
        drop(world.task().spawn("detached", async move { ran.set(true) }));
    }
    settle(&world).await;
    assert!(ran.get(), "a dropped handle stopped its task");
}

async fn a_task_may_spawn_and_join<P: Providers>(world: P) {
    let task = {
        let world = world.clone();
        world.clone().task().spawn("outer", async move {
            let inner = world.task().spawn("inner", async { 20 });
            inner.await.unwrap() + 1
        })
    };
    assert_eq!(soon(&world, "the task", task).await, Ok(21));
}

async fn tasks_take_turns_at_yields<P: Providers>(world: P) {
    let turns = Rc::new(RefCell::new(Vec::new()));
    let tasks: Vec<_> = (0..2)
        .map(|number| {
            let (turns, tasks) = (Rc::clone(&turns), world.task().clone());
            world.task().spawn("taker", async move {
                for _ in 0..3 {
                    turns.borrow_mut().push(number);
                    tasks.yield_now().await;
                }
            })
        })
        .collect();
    for task in tasks {
        soon(&world, "a taker", task).await.unwrap();
    }
    for round in turns.borrow().chunks(2) {
        assert!(
            round.contains(&0) && round.contains(&1),
            "one task ran twice in a round: {:?}",
            turns.borrow()
        );
    }
}

async fn tasks_wake_each_other<P: Providers>(world: P) {
    let shutdown = crate::workload::Shutdown::new();
    let waiters: Vec<_> = (0..10).map(|_| world.task().spawn("waiter", shutdown.requested())).collect();
    world.task().yield_now().await;
    shutdown.request();
    for waiter in waiters {
        soon(&world, "a waiter", waiter).await.unwrap();
    }
}

async fn an_aborted_task_is_dropped_before_its_join_ends<P: Providers>(world: P) {
    let held = Rc::new(());
    let task = {
        let held = Rc::clone(&held);
        world.task().spawn("endless", async move {
            pending::<()>().await;
            drop(held);
        })
    };
    settle(&world).await;
    task.abort();
    assert_eq!(soon(&world, "the task", task).await, Err(JoinError::Cancelled));
    assert_eq!(Rc::strong_count(&held), 1, "the task's future is still held");
}

async fn an_abort_before_the_first_poll_drops_the_task<P: Providers>(world: P) {
    let ran = Rc::new(Cell::new(false));
    let task = {
        let ran = Rc::clone(&ran);
        world.task().spawn("never", async move { ran.set(true) })
    };
    task.abort();
    assert_eq!(soon(&world, "the task", task).await, Err(JoinError::Cancelled));
    assert!(!ran.get(), "an aborted task ran");
    assert_eq!(Rc::strong_count(&ran), 1, "the task's future is still held");
}

async fn an_abort_after_the_end_changes_nothing<P: Providers>(world: P) {
    let task = world.task().spawn("done", async { 3 });
    settle(&world).await;
    assert!(task.is_finished());
    task.abort();
    assert_eq!(soon(&world, "the task", task).await, Ok(3));
}

async fn a_panic_ends_in_its_join_handle<P: Providers>(world: P) {
    let task = world.task().spawn("panics", async { panic!("boom {}", 7) });
    match soon(&world, "the task", task).await {
        Err(JoinError::Panicked { message }) => assert_eq!(message, "boom 7"),
        other => panic!("expected a panic, got {other:?}"),
    }
    let task = world.task().spawn("after", async { 1 });
    assert_eq!(soon(&world, "the task after", task).await, Ok(1));
}

async fn a_panic_that_nobody_joins_leaves_the_others_alone<P: Providers>(world: P) {
    drop(world.task().spawn("panics", async { panic!("nobody sees this") }));
    settle(&world).await;
    let task = world.task().spawn("after", async { 1 });
    assert_eq!(soon(&world, "the task after", task).await, Ok(1));
}
