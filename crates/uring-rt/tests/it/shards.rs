//! Several shards, and threads that are none.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;

use samestep_provider_traits::{Providers, TaskProvider};
use samestep_uring_rt::{CallError, DriverChoice, Runtime, RuntimeBuilder, run_shards, shard_channel};

use crate::machine::ALL;

/// Builders for the drivers that this machine gives.
pub(crate) fn builders() -> Vec<RuntimeBuilder> {
    let mut builders = vec![Runtime::builder().driver(DriverChoice::Threads)];
    match Runtime::new() {
        Ok(_) => builders.push(Runtime::builder()),
        Err(error) => println!("skipped: {error}"),
    }
    builders
}

#[test]
fn calls_come_back_from_every_shard() {
    for builder in builders() {
        let sums = run_shards(3, &builder, |shard| async move {
            let mut sum = 0;
            for round in 0..50 {
                for target in 0..shard.count() {
                    let here = shard.number();
                    // What the call makes need not be `Send`.
                    sum += shard
                        .submit_to(target, move || async move { *Rc::new(target * 10 + here + round) })
                        .await
                        .unwrap();
                }
            }
            sum
        });
        let expected = |here: usize| {
            (0..50).flat_map(|round| (0..3).map(move |target| target * 10 + here + round)).sum()
        };
        assert_eq!(sums.unwrap(), [0, 1, 2].map(expected));
    }
}

#[test]
fn a_call_that_panics_leaves_its_shard_alone() {
    for builder in builders() {
        let ended = run_shards(2, &builder, |shard| async move {
            if shard.number() == 1 {
                return;
            }
            let error = shard.submit_to(1, || async { panic!("on purpose") }).await;
            assert_eq!(error, Err::<(), _>(CallError::Panicked { message: "on purpose".into() }));
            assert_eq!(shard.submit_to(1, || async { 7 }).await, Ok(7));
            let error = shard.submit_to(2, || async {}).await;
            assert_eq!(error, Err(CallError::NoSuchShard { shard: 2, count: 2 }));
        });
        ended.unwrap();
    }
}

/// A thread that is no shard calls one, and is told when it has ended.
#[test]
fn other_threads_call_shards() {
    for builder in builders() {
        let (callers, for_caller) = mpsc::channel();
        #[expect(clippy::disallowed_methods, reason = "a thread that is no shard is what is tested")]
        let foreign = thread::spawn(move || {
            let caller: samestep_uring_rt::Caller = for_caller.recv().unwrap();
            let answer = caller.submit_to(0, || async { 5 }).wait();
            let done = caller.submit_to(0, || async {});
            (answer, done)
        });
        let ended = run_shards(1, &builder, move |shard| {
            let callers = callers.clone();
            async move {
                let (sender, mut receiver) = shard_channel(1);
                let caller = shard.caller();
                callers.send(caller).unwrap();
                // Not over before the call was.
                let me = shard.clone();
                me.submit_to(0, move || async move { drop(sender) }).await.unwrap();
                assert_eq!(receiver.recv().await, None::<()>);
                for _ in 0..100_000 {
                    std::future::poll_fn(|cx| {
                        cx.waker().wake_by_ref();
                        Poll::Ready(())
                    })
                    .await;
                }
            }
        });
        ended.unwrap();
        let (answer, late) = foreign.join().unwrap();
        // The shard may have ended first, which is told, too.
        assert!(matches!(answer, Ok(5) | Err(CallError::Ended { shard: 0 })), "{answer:?}");
        assert_eq!(late.wait(), Err(CallError::Ended { shard: 0 }));
    }
}

#[test]
fn a_channel_carries_everything_in_order_and_ends() {
    const COUNT: u32 = 20_000;
    for builder in builders() {
        let ended = run_shards(2, &builder, |shard| async move {
            if shard.number() == 1 {
                return;
            }
            let (mut there, mut from_here) = shard_channel(7);
            let (mut back, mut echoed) = shard_channel(5);
            let echo = shard.submit_to(1, move || async move {
                let mut count = 0;
                while let Some(number) = from_here.recv().await {
                    back.send(number).await.unwrap();
                    count += 1;
                }
                count
            });
            let world = shard.providers("/", 1).unwrap();
            let echo = world.task().spawn("echo", echo);
            let sender = world.task().spawn("sender", async move {
                for number in 0..COUNT {
                    there.send(number).await.unwrap();
                }
            });
            for number in 0..COUNT {
                assert_eq!(echoed.recv().await, Some(number));
            }
            sender.await.unwrap();
            assert_eq!(echo.await.unwrap(), Ok(COUNT));
            assert_eq!(echoed.recv().await, None);
        });
        ended.unwrap();
    }
}

#[test]
fn a_channel_gives_back_what_it_cannot_send() {
    let (mut sender, receiver) = shard_channel(1);
    sender.try_send(1).unwrap();
    assert_eq!(sender.try_send(2), Err(2), "full");
    drop(receiver);
    assert_eq!(sender.try_send(3), Err(3), "no receiver");
    assert!(sender.is_closed());
}

/// A shard that does not start keeps the others from starting, and says why.
#[test]
fn a_program_that_panics_ends_all_and_goes_on_as_a_panic() {
    for builder in builders() {
        let unwound = std::panic::catch_unwind(|| {
            run_shards(2, &builder, |shard| async move {
                assert_eq!(shard.number(), 0, "on purpose");
                // Answered, or told that the shard has ended; never left alone.
                let _ = shard.submit_to(1, || async {}).await;
            })
        });
        let payload = unwound.unwrap_err();
        assert!(payload.downcast_ref::<String>().unwrap().contains("on purpose"));
    }
}

/// Wakers may be used anywhere, any number of times, and after everything is gone.
#[test]
fn wakers_outlive_task_runtime_and_thread() {
    for machine in ALL {
        let Some(runtime) = machine.runtime() else { return };
        let root = tempfile::tempdir().unwrap();
        let world = runtime.providers(root.path(), 1).unwrap();
        let polls = Rc::new(Cell::new(0));
        let (wakers, for_wakers) = mpsc::channel::<Waker>();
        #[expect(clippy::disallowed_methods, reason = "wakes from another thread are what is tested")]
        let thread = thread::spawn(move || {
            let waker = for_wakers.recv().unwrap();
            let clones: Vec<Waker> = (0..100_000).map(|_| waker.clone()).collect();
            for waker in clones {
                waker.wake();
            }
            waker
        });
        runtime.block_on(async {
            let task = {
                let polls = Rc::clone(&polls);
                world.task().spawn(
                    "waits",
                    std::future::poll_fn(move |cx| {
                        polls.set(polls.get() + 1);
                        if polls.get() == 1 {
                            wakers.send(cx.waker().clone()).unwrap();
                            return Poll::Pending;
                        }
                        Poll::Ready(())
                    }),
                )
            };
            task.await.unwrap();
        });
        assert_eq!(polls.get(), 2, "woken from elsewhere, and not polled after its end");
        drop(world);
        runtime.shutdown().unwrap();
        let waker = thread.join().unwrap();
        waker.wake_by_ref();
        drop(waker);
    }
}
