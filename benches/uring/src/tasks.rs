//! Rows without a device: tasks, timers, and the shortest way through a ring.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::draws::Draws;
use crate::figures::{Clock, Figures};
use crate::peers::{Access, Peer};

/// So many reads of 8 bytes of `/dev/zero`, one after the other: each ends at once.
pub(crate) async fn round_trips<P: Peer>(peer: P, count: u64) -> Figures {
    let file = peer.open(Path::new("/dev/zero"), Access::Cached).await;
    let mut buf = peer.buf(&file, 8);
    let clock = Clock::start();
    for _ in 0..count {
        let read;
        (read, buf) = peer.read(&file, buf, 0).await;
        assert_eq!(read, 8, "zeros do not end");
    }
    let figures = clock.stop(count);
    assert_eq!(P::bytes(&buf)[..8], [0; 8], "zeros");
    figures
}

/// So many tasks that yield so often: each wakes itself and waits for its next turn.
pub(crate) async fn yields<P: Peer>(peer: P, tasks: u64, each: u64) -> Figures {
    let clock = Clock::start();
    let yielding = || async move {
        let mut yields = 0;
        for _ in 0..each {
            yield_now().await;
            yields += 1;
        }
        yields
    };
    let mut sum = 0;
    for task in (0..tasks).map(|_| peer.spawn(yielding())).collect::<Vec<_>>() {
        sum += task.await;
    }
    assert_eq!(sum, tasks * each, "each yields as often as it was told to");
    clock.stop(sum)
}

/// Spawns tasks and awaits what they give, from within a task, `batch` at a time.
pub(crate) async fn spawns<P: Peer>(peer: P, batch: u64, count: u64) -> Figures {
    let clock = Clock::start();
    let spawner = peer.clone();
    let spawned = peer.spawn(async move {
        let mut sum = 0;
        let mut tasks = Vec::with_capacity(usize::try_from(batch).expect("a batch is small"));
        for first in (0..count).step_by(usize::try_from(batch).expect("a batch is small")) {
            if batch == 1 {
                sum += spawner.spawn(async move { first }).await;
                continue;
            }
            tasks.extend((first..first + batch).map(|number| spawner.spawn(async move { number })));
            for task in tasks.drain(..) {
                sum += task.await;
            }
        }
        sum
    });
    assert_eq!(spawned.await, count * (count - 1) / 2, "each gives its number");
    clock.stop(count)
}

/// 1000 tasks, each of which sleeps `each` times, one to four milliseconds.
pub(crate) async fn timers_fired<P: Peer>(peer: P, each: u64) -> Figures {
    let clock = Clock::start();
    let late = Rc::new(Cell::new(Duration::ZERO));
    let sleep_all = |task| {
        let (peer, late) = (peer.clone(), Rc::clone(&late));
        async move {
            let mut draws = Draws::new(task);
            // How late timers are is looked at by few, so that the clock is not what is measured.
            let looks = task % LOOK == 0;
            for _ in 0..each {
                let duration = Duration::from_micros(1000 + draws.below(3000));
                let before = looks.then(Instant::now);
                peer.sleep(duration).await;
                if let Some(before) = before {
                    let slept = before.elapsed();
                    assert!(slept >= duration, "no sleep is shorter than it was to be");
                    late.set(late.get() + (slept - duration));
                }
            }
            each
        }
    };
    let mut sum = 0;
    for task in (0..TIMERS).map(|task| peer.spawn(sleep_all(task))).collect::<Vec<_>>() {
        sum += task.await;
    }
    assert_eq!(sum, TIMERS * each, "each slept as often as it was told to");
    let looks = each * TIMERS.div_ceil(LOOK);
    clock.stop(sum).with(LATE, late.get().as_secs_f64() * 1e6 / looks as f64)
}

/// Sets so many timers that are to fire in ten seconds, and cancels each when 1000 more are set.
pub(crate) async fn timers_cancelled<P: Peer>(peer: P, count: u64) -> Figures {
    let clock = Clock::start();
    let setter = peer.clone();
    let set = peer.spawn(async move {
        let (mut draws, mut set, mut sleeps) = (Draws::new(1), 0, VecDeque::new());
        for _ in 0..count {
            let until = Duration::from_micros(10_000_000 + draws.below(1_000_000));
            let mut sleep: Pin<Box<dyn Future<Output = ()>>> = Box::pin(setter.sleep(until));
            set += u64::from(poll_once(&mut sleep).await.is_pending());
            sleeps.push_back(sleep);
            if sleeps.len() as u64 > TIMERS {
                drop(sleeps.pop_front());
            }
        }
        set
    });
    assert_eq!(set.await, count, "none fires");
    clock.stop(count)
}

/// Waits for so many milliseconds, in which nothing happens.
pub(crate) async fn idle<P: Peer>(peer: P, milliseconds: u64) -> Figures {
    // What starts late has started by then.
    peer.sleep(Duration::from_millis(milliseconds / 5)).await;
    let clock = Clock::start();
    peer.sleep(Duration::from_millis(milliseconds)).await;
    assert!(clock.elapsed() >= Duration::from_millis(milliseconds), "the time is over");
    clock.stop(milliseconds)
}

/// So many tasks that wait for ever; how much memory each takes.
pub(crate) async fn idle_tasks<P: Peer>(peer: P, count: u64) -> Figures {
    let before = crate::machine::resident_bytes();
    let clock = Clock::start();
    let mut tasks = Vec::with_capacity(usize::try_from(count).expect("it fits into memory"));
    tasks.extend((0..count).map(|number| {
        peer.spawn(async move {
            let state = [number; 4];
            std::future::pending::<()>().await;
            state.iter().sum()
        })
    }));
    // So that each was polled.
    peer.spawn(async { 0 }).await;
    let figures = clock.stop(count);
    let bytes = crate::machine::resident_bytes().saturating_sub(before);
    // They never end, and some runtimes would wait for them.
    std::mem::forget(tasks);
    figures.with(BYTES, bytes as f64 / count as f64)
}

async fn yield_now() {
    let mut has_yielded = false;
    poll_fn(|cx: &mut Context<'_>| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Every so many-th task looks at the clock.
const LOOK: u64 = 16;
/// Microseconds that a timer fires late, on average.
pub(crate) const LATE: &str = "late_us";
/// Bytes resident per operation.
pub(crate) const BYTES: &str = "bytes";
pub(crate) const TIMERS: u64 = 1000;
