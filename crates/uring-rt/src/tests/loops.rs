//! What the loop asks of its rings, by their logs.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use samestep_provider_traits::{
    File, JoinError, JoinHandle, NetworkProvider, OpenOptions, Providers, StorageProvider, TaskProvider,
    TcpListener, TcpStream, TimeProvider,
};

use super::{PATIENCE, runtime};
use crate::sys::{Adversary, Seen};
use crate::tasks::{Latency, Shares, TaskGroup};

/// A ring that does at once what it is asked.
pub(super) fn prompt() -> Adversary {
    Adversary {
        promptness: 255,
        shortness: 0,
        file_shortness: 0,
        interruptions: 0,
        fatigue: 0,
        deafness: 0,
        entries: 64,
        completions: 64,
        ..Adversary::new(5)
    }
}

/// Reads one after the other: each is submitted and waited for by one enter of one ring.
#[test]
fn a_read_alone_costs_one_enter() {
    const READS: usize = 50;
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), [7; 4096]).unwrap();
    let (runtime, [main, latency]) = runtime(prompt(), PATIENCE);
    let world = runtime.providers(root.path(), 1).unwrap();
    runtime.block_on(async {
        let file = world.storage().open("f".as_ref(), OpenOptions::read_only()).await.unwrap();
        main.borrow_mut().clear();
        latency.borrow_mut().clear();
        let mut buf = vec![0; 512];
        for _ in 0..READS {
            let outcome;
            (outcome, buf) = file.read_at(buf, 0).await;
            assert_eq!(outcome.unwrap(), 512);
        }
    });
    let log = main.borrow();
    let reads = log.iter().filter(|seen| matches!(seen, Seen::Completed("read", 512))).count();
    let entered: Vec<&Seen> = log.iter().filter(|seen| matches!(seen, Seen::Entered(..))).collect();
    assert_eq!(reads, READS);
    // A draw of 255 out of 256 leaves one in 256 to the next enter.
    assert!(entered.len() <= READS + 3, "{} enters for {READS} reads", entered.len());
    assert!(latency.borrow().is_empty(), "a ring with nothing to do was entered: {:?}", latency.borrow());
}

/// A task that yields all the time makes no system call.
#[test]
fn yields_enter_no_ring() {
    let root = tempfile::tempdir().unwrap();
    let (runtime, logs) = runtime(prompt(), PATIENCE);
    let world = runtime.providers(root.path(), 1).unwrap();
    runtime.block_on(async {
        for _ in 0..10_000 {
            world.task().yield_now().await;
        }
    });
    for log in logs {
        assert!(log.borrow().is_empty(), "{:?}", log.borrow());
    }
}

fn timers(log: &[Seen]) -> usize {
    log.iter().filter(|seen| **seen == Seen::Pushed("timeout")).count()
}

/// The timer that asks a running task to yield is set only while a queue has something to run whose latency matters.
#[test]
fn the_preempt_timer_runs_only_for_a_queue_that_waits_and_matters() {
    let root = tempfile::tempdir().unwrap();
    let (runtime, [_, latency]) = runtime(prompt(), PATIENCE);
    let world = runtime.providers(root.path(), 1).unwrap();
    let tasks = world.task().clone();
    let bulk = tasks.create_queue("bulk", TaskGroup::ROOT, Shares::new(100), Latency::NotImportant);
    let urgent = tasks.create_queue(
        "urgent",
        TaskGroup::ROOT,
        Shares::new(100),
        Latency::Matters(Duration::from_micros(50)),
    );
    let spin = |queue, turns: u32| {
        let (inner, task) = (tasks.clone(), tasks.clone());
        task.spawn_into(queue, "spinner", async move {
            for _ in 0..turns {
                inner.yield_now().await;
            }
        })
    };
    runtime.block_on(async { spin(bulk, 1000).await.unwrap() });
    assert_eq!(timers(&latency.borrow()), 0, "only a queue that does not matter was there");
    runtime.block_on(async { spin(urgent, 1000).await.unwrap() });
    assert_eq!(timers(&latency.borrow()), 0, "the queue that matters was alone");
    runtime.block_on(async {
        let (one, two) = (spin(bulk, 1000), spin(urgent, 1000));
        one.await.unwrap();
        two.await.unwrap();
    });
    assert!(timers(&latency.borrow()) > 0, "no timer for a queue that matters and waits");
    let before = timers(&latency.borrow());
    runtime.block_on(async { spin(bulk, 1000).await.unwrap() });
    assert_eq!(timers(&latency.borrow()), before, "a timer though nobody waits");
}

/// A task that asks whether it should yield is told so when the timer fired, and until it yields.
#[test]
fn a_task_is_asked_to_yield_until_it_does() {
    let root = tempfile::tempdir().unwrap();
    let (runtime, _) = runtime(prompt(), PATIENCE);
    let world = runtime.providers(root.path(), 1).unwrap();
    let tasks = world.task().clone();
    let urgent = tasks.create_queue(
        "urgent",
        TaskGroup::ROOT,
        Shares::new(1000),
        Latency::Matters(Duration::from_micros(50)),
    );
    let ran = Rc::new(Cell::new(0));
    runtime.block_on(async {
        let bulk = {
            let (tasks, ran, time) = (tasks.clone(), Rc::clone(&ran), world.time().clone());
            world.task().clone().spawn("bulk", async move {
                let urgent = {
                    let ran = Rc::clone(&ran);
                    tasks.spawn_into(urgent, "urgent", async move { ran.set(1) })
                };
                let end = time.now() + Duration::from_secs(20);
                while ran.get() == 0 && time.now() < end {
                    tasks.yield_now().await;
                    // The queue that matters waits: this is told before long.
                    while ran.get() == 0 && !tasks.needs_preempt() && time.now() < end {}
                }
                assert_eq!(ran.get(), 1, "the urgent task never ran");
                urgent.await.unwrap();
            })
        };
        bulk.await.unwrap();
    });
    assert!(runtime.stats().preemptions > 0);
}

/// A queue with few shares gets its turns while the program yields. What the system takes of its time is charged to it,
/// and made up for by the others before its next turn: the bound is far beyond what that may be.
#[test]
fn no_queue_starves() {
    let root = tempfile::tempdir().unwrap();
    let (runtime, _) = runtime(prompt(), PATIENCE);
    let world = runtime.providers(root.path(), 1).unwrap();
    let tasks = world.task().clone();
    let queues = [50, 10_000].map(|shares| {
        tasks.create_queue("worker", TaskGroup::ROOT, Shares::new(shares), Latency::NotImportant)
    });
    let ran = Rc::new(Cell::new(0));
    runtime.block_on(async {
        for round in 1..=20 {
            for queue in queues {
                let ran = Rc::clone(&ran);
                drop(tasks.spawn_into(queue, "worker", async move { ran.set(ran.get() + 1) }));
            }
            let begun = world.time().now();
            while ran.get() < round * 2 {
                let waited = world.time().now() - begun;
                assert!(waited < Duration::from_secs(60), "a queue starves in round {round}");
                tasks.yield_now().await;
            }
        }
    });
}

/// A task that has woken one whose latency matters, and goes on, is asked to yield without having yielded before.
#[test]
fn a_task_that_wakes_an_urgent_one_is_asked_to_yield() {
    let root = tempfile::tempdir().unwrap();
    let (runtime, [_, latency]) = runtime(prompt(), PATIENCE);
    let world = runtime.providers(root.path(), 1).unwrap();
    let tasks = world.task().clone();
    let matters = Latency::Matters(Duration::from_micros(50));
    let urgent = tasks.create_queue("urgent", TaskGroup::ROOT, Shares::new(1000), matters);
    let has_run = Rc::new(Cell::new(false));
    runtime.block_on(async {
        assert!(!tasks.needs_preempt());
        let urgent = {
            let has_run = Rc::clone(&has_run);
            tasks.spawn_into(urgent, "urgent", async move { has_run.set(true) })
        };
        let give_up = world.time().now() + Duration::from_secs(5);
        while !tasks.needs_preempt() {
            assert!(world.time().now() < give_up, "it was never asked");
        }
        assert_eq!((timers(&latency.borrow()), has_run.get()), (1, false));
        urgent.await.unwrap();
        assert!(!tasks.needs_preempt(), "it has yielded");
    });
}

/// A file is cut by the ring if that can, else by a thread: the same either way.
#[test]
fn files_are_cut_on_the_ring_if_it_can() {
    for can_truncate in [true, false] {
        let root = tempfile::tempdir().unwrap();
        let (runtime, [main, _]) = runtime(Adversary { can_truncate, ..prompt() }, PATIENCE);
        let world = runtime.providers(root.path(), 1).unwrap();
        runtime.block_on(async {
            let options = OpenOptions::read_write().create();
            let file = world.storage().open("f".as_ref(), options).await.unwrap();
            file.set_len(10_000).await.unwrap();
            file.set_len(5000).await.unwrap();
            assert_eq!(file.metadata().await.unwrap().len, 5000);
        });
        let cuts = main.borrow().iter().filter(|seen| **seen == Seen::Pushed("truncate")).count();
        assert_eq!(cuts, if can_truncate { 2 } else { 0 });
    }
}

/// What a task whose latency matters waits for is known to the kernel before others compute, be it bytes or a disk: or it
/// would not begin to happen before they are done.
#[test]
fn what_an_urgent_task_waits_for_is_submitted_before_others_run() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), [7; 4096]).unwrap();
    let (runtime, [main, latency]) = runtime(prompt(), PATIENCE);
    let world = runtime.providers(root.path(), 1).unwrap();
    let tasks = world.task().clone();
    let matters = Latency::Matters(Duration::from_secs(100));
    let urgent = tasks.create_queue("urgent", TaskGroup::ROOT, Shares::new(1000), matters);
    runtime.block_on(async {
        let listener = world.network().bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let stream = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
        let file = world.storage().open("f".as_ref(), OpenOptions::read_only()).await.unwrap();
        for (log, name) in [(&latency, "recv"), (&main, "read")] {
            log.borrow_mut().clear();
            let (stream, file) = (stream.clone(), file.clone());
            let waits = tasks.spawn_into(urgent, "waits", async move {
                match name {
                    "recv" => drop(stream.read(vec![0; 1]).await),
                    _ => drop(file.read_at(vec![0; 1], 0).await),
                }
            });
            let pushed = || log.borrow().iter().position(|seen| *seen == Seen::Pushed(name));
            let mut yields = 0;
            while pushed().is_none() {
                yields += 1;
                assert!(yields < 1000, "its turn never came");
                tasks.yield_now().await;
            }
            // From here on this one might compute.
            let (pushed, log) = (pushed().expect("just seen"), log.borrow());
            let entered = log[pushed..].iter().any(|seen| matches!(seen, Seen::Entered(1.., _)));
            assert!(entered, "the kernel does not know of the {name}: {log:?}");
            waits.abort();
        }
    });
}

/// However much there is to poll, the loop looks around after every so many polls: whoever yields in a circle keeps
/// neither timers nor rings waiting.
#[test]
fn the_loop_looks_around_after_64_polls() {
    const YIELDS: u64 = 6400;
    let root = tempfile::tempdir().unwrap();
    let (runtime, _) = runtime(prompt(), PATIENCE);
    let world = runtime.providers(root.path(), 1).unwrap();
    let before = runtime.stats().turns;
    runtime.block_on(async {
        let task = world.task().clone();
        let circle = async move {
            for _ in 0..YIELDS {
                task.yield_now().await;
            }
        };
        world.task().spawn("circle", circle).await.unwrap();
    });
    let turns = runtime.stats().turns - before;
    assert!(turns >= YIELDS / 64, "{turns} turns while a task was polled {YIELDS} times");
}

/// A task that was never polled ends with its shard like any other, also if its handle lives on.
#[test]
fn shutdown_ends_tasks_that_were_never_polled() {
    let root = tempfile::tempdir().unwrap();
    let (runtime, _) = runtime(prompt(), PATIENCE);
    let world = runtime.providers(root.path(), 1).unwrap();
    let kept = Rc::new(());
    let (late, mut handle) = (Rc::clone(&kept), None);
    // The program is over before its turn comes.
    runtime.block_on(async { handle = Some(world.task().spawn("late", async move { drop(late) })) });
    let mut handle = handle.unwrap();
    assert_eq!(Rc::strong_count(&kept), 2, "it was polled");
    runtime.shutdown().unwrap();
    assert_eq!(Rc::strong_count(&kept), 1, "what it had is still there");
    let ended = std::pin::Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(ended, Poll::Ready(Err(JoinError::Cancelled))), "{ended:?}");
}

/// A file is closed after the reads that are under way, also if nobody looks at those meanwhile; and at once after
/// reads that are over, of whose ends nobody was told.
#[test]
fn close_waits_for_reads_under_way_and_for_no_others() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), [7; 4096]).unwrap();
    // Half of the completions are late.
    let (runtime, _) = runtime(Adversary { promptness: 128, ..prompt() }, PATIENCE);
    let world = runtime.providers(root.path(), 1).unwrap();
    let soon = Duration::from_secs(5);
    runtime.block_on(async {
        for _ in 0..8 {
            let file = world.storage().open("f".as_ref(), OpenOptions::read_only()).await.unwrap();
            let (over, _) = file.read_at(vec![0; 512], 0).await;
            assert_eq!(over.unwrap(), 512);
            let mut read = std::pin::pin!(file.read_at(vec![0; 512], 0));
            assert!(read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let closed = world.time().timeout(soon, file.clone().close()).await;
            closed.expect("the read has ended").unwrap();
            let (under_way, _) = read.await;
            assert_eq!(under_way.unwrap(), 512);
            drop(file);
        }
        let file = world.storage().open("f".as_ref(), OpenOptions::read_only()).await.unwrap();
        let (over, _) = file.read_at(vec![0; 512], 0).await;
        assert_eq!(over.unwrap(), 512);
        let closed = world.time().timeout(soon, file.close()).await;
        closed.expect("nothing is under way").unwrap();
    });
    runtime.shutdown().unwrap();
}
