//! Rows between two threads, each on a processor of its own.

use std::thread;

use samestep_uring_rt::{DriverChoice, Runtime, run_shards};

use crate::figures::{Clock, Figures};
use crate::machine;
use crate::peers::{Peer, SPIN, Setup};

/// Sends a number to the other thread and waits for the next one, so often.
pub(crate) fn ping_pong<P: Peer>(waiting: Waiting, answering: Answering, count: u64) -> Figures {
    let ((tx, other_rx), (other_tx, rx)) = (P::channel(), P::channel());
    let other = thread::spawn(move || {
        P::run(setup(waiting, 1), |peer| async move {
            let (mut sender, mut receiver) = P::connect(other_tx, other_rx).await;
            let spawner = peer.clone();
            let answers = peer.spawn(async move {
                let mut answers = 0;
                while let Some(value) = P::receive(&mut receiver).await {
                    let answer = match answering {
                        Answering::AtOnce => value + 1,
                        Answering::ByTask => spawner.spawn(async move { value + 1 }).await,
                    };
                    P::send(&mut sender, answer).await;
                    answers += 1;
                }
                answers
            });
            answers.await
        })
    });
    let figures = P::run(setup(waiting, 0), |peer| async move {
        let (mut sender, mut receiver) = P::connect(tx, rx).await;
        let clock = Clock::start();
        let asked = peer.spawn(async move {
            for value in 0..count {
                P::send(&mut sender, value).await;
                let answer = P::receive(&mut receiver).await;
                assert_eq!(answer, Some(value + 1), "each is answered, in order");
            }
            count
        });
        assert_eq!(asked.await, count, "all were answered");
        clock.stop(count)
    });
    assert_eq!(other.join().expect("it does not panic"), count, "so many were answered");
    figures
}

/// Has the other shard compute the next number, so often, by our calls.
pub(crate) fn calls_of_ours(waiting: Waiting, count: u64) -> Figures {
    let mut builder = Runtime::builder().driver(DriverChoice::RingOrThreads);
    if waiting == Waiting::Awake {
        builder = builder.spin_before_park(SPIN);
    }
    let outputs = run_shards(2, &builder, move |shard| async move {
        machine::pin(shard.number());
        if shard.number() == 1 {
            return None;
        }
        // The other one is there: it has answered.
        assert_eq!(shard.submit_to(1, || async { 1 }).await, Ok(1), "it answers");
        let clock = Clock::start();
        for value in 0..count {
            let answer = shard.submit_to(1, move || async move { value + 1 }).await;
            assert_eq!(answer, Ok(value + 1), "each is answered");
        }
        Some(clock.stop(count))
    });
    outputs.expect("two shards can be had").swap_remove(0).expect("the first one measures")
}

/// The same by tokio's handle to a runtime on another thread.
#[cfg(feature = "peers")]
pub(crate) fn calls_of_tokio(count: u64) -> Figures {
    let runtime = || tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be had");
    let (other, (end, ended)) = (runtime(), tokio::sync::oneshot::channel::<()>());
    let handle = other.handle().clone();
    let other = thread::spawn(move || {
        machine::pin(1);
        other.block_on(ended)
    });
    machine::pin(0);
    let figures = runtime().block_on(async {
        let clock = Clock::start();
        for value in 0..count {
            let answer = handle.spawn(async move { value + 1 }).await.expect("it does not panic");
            assert_eq!(answer, value + 1, "each is answered");
        }
        clock.stop(count)
    });
    drop(end);
    assert!(other.join().expect("it does not panic").is_err(), "it ends when it is told to");
    figures
}

fn setup(waiting: Waiting, processor: usize) -> Setup {
    match waiting {
        Waiting::Awake => Setup::Spinning(processor),
        Waiting::Asleep => {
            machine::pin(processor);
            Setup::Plain
        }
    }
}

/// What a thread does that has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// It looks around before it sleeps.
    Awake,
    Asleep,
}

/// Who makes the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answering {
    /// Who receives the question.
    AtOnce,
    /// A task that is spawned for it, as of a call.
    ByTask,
}
