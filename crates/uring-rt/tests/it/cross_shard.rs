//! Values, calls and messages between shards.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use samestep_provider_traits::{Providers, TaskProvider, TimeProvider};
use samestep_uring_rt::{
    AtHome, CallError, Caller, Choice, Feature, Mesh, MeshSendError, Sharded, run_shards,
};

use crate::shards::builders;

/// Counts the drops that happen on another thread than the one it was made on.
struct Homebody {
    home: thread::ThreadId,
    dropped: Arc<[AtomicUsize; 2]>,
}

impl Homebody {
    fn new(dropped: &Arc<[AtomicUsize; 2]>) -> Self {
        Self { home: here(), dropped: Arc::clone(dropped) }
    }
}

#[expect(clippy::disallowed_methods, reason = "on which thread something is dropped is what is tested")]
fn here() -> thread::ThreadId {
    thread::current().id()
}

impl Drop for Homebody {
    fn drop(&mut self) {
        self.dropped[usize::from(self.home != here())].fetch_add(1, Ordering::Relaxed);
    }
}

fn counts(dropped: &[AtomicUsize; 2]) -> [usize; 2] {
    [0, 1].map(|place| dropped[place].load(Ordering::Relaxed))
}

#[test]
fn a_sharded_value_is_made_used_and_dropped_at_home() {
    for builder in builders() {
        let dropped: Arc<[AtomicUsize; 2]> = Arc::default();
        let counted = Arc::clone(&dropped);
        let ended = run_shards(3, &builder, move |shard| {
            let dropped = Arc::clone(&dropped);
            async move {
                if shard.number() != 1 {
                    return;
                }
                let (caller, made) = (shard.caller(), Arc::clone(&dropped));
                let values = Sharded::start(&caller, move |shard| {
                    let body = Homebody::new(&made);
                    async move { (body, Cell::new(shard.number())) }
                });
                let values = values.await.unwrap();
                values.invoke_on(2, |value| async move { value.1.set(value.1.get() + 100) }).await.unwrap();
                assert_eq!(values.local(&shard).unwrap().1.get(), 1);
                let all = values.invoke_on_all(|value| async move { value.1.get() }).await;
                assert_eq!(all, Ok(vec![0, 1, 102]));
                let read = |value: Rc<(Homebody, Cell<usize>)>| async move { value.1.get() };
                let text = values.map_reduce(read, String::new(), |text, number| format!("{text} {number}"));
                assert_eq!(text.await.unwrap(), " 0 1 102");
                let error = values.invoke_on(3, |_| async {}).await;
                assert_eq!(error, Err(CallError::NoSuchShard { shard: 3, count: 3 }));
                assert_eq!(counts(&dropped), [0, 0]);
                values.stop(|value| async move { assert!(value.1.get() < 200) }).await.unwrap();
                assert_eq!(counts(&dropped), [3, 0]);
                assert!(values.local(&shard).is_none());
                let error = values.invoke_on(0, |_| async {}).await;
                assert_eq!(error, Err(CallError::Stopped { shard: 0 }));
            }
        });
        ended.unwrap();
        assert_eq!(counts(&counted), [3, 0], "dropped at home, and elsewhere");
    }
}

/// What nobody stopped ends with its shard, on its thread.
#[test]
fn a_sharded_value_that_is_not_stopped_ends_with_its_shard() {
    for builder in builders() {
        let dropped: Arc<[AtomicUsize; 2]> = Arc::default();
        let counted = Arc::clone(&dropped);
        let ended = run_shards(2, &builder, move |shard| {
            let dropped = Arc::clone(&dropped);
            async move {
                if shard.number() == 0 {
                    let made = move |_| {
                        let body = Homebody::new(&dropped);
                        async move { body }
                    };
                    drop(Sharded::start(&shard.caller(), made).await.unwrap());
                }
            }
        });
        ended.unwrap();
        assert_eq!(counts(&counted), [2, 0]);
    }
}

/// If a value cannot be made on one shard, those that were made elsewhere are dropped.
#[test]
fn a_sharded_value_is_on_all_shards_or_on_none() {
    for builder in builders() {
        let dropped: Arc<[AtomicUsize; 2]> = Arc::default();
        let counted = Arc::clone(&dropped);
        let ended = run_shards(3, &builder, move |shard| {
            let dropped = Arc::clone(&dropped);
            async move {
                if shard.number() == 0 {
                    let (caller, made) = (shard.caller(), Arc::clone(&dropped));
                    let error = Sharded::start(&caller, move |shard| {
                        let body = Homebody::new(&made);
                        async move {
                            assert_ne!(shard.number(), 2, "on purpose");
                            body
                        }
                    });
                    let error = error.await.unwrap_err();
                    assert!(
                        matches!(&error, CallError::Panicked { message } if message.contains("on purpose"))
                    );
                    assert_eq!(counts(&dropped), [3, 0], "the one that panicked had its body, too");
                }
            }
        });
        ended.unwrap();
        assert_eq!(counts(&counted), [3, 0]);
    }
}

/// A handle may go anywhere; what it stands for stays.
#[test]
fn a_value_at_home_is_used_and_dropped_at_home() {
    for builder in builders() {
        let dropped: Arc<[AtomicUsize; 2]> = Arc::default();
        let counted = Arc::clone(&dropped);
        let ended = run_shards(2, &builder, move |shard| {
            let dropped = Arc::clone(&dropped);
            async move {
                if shard.number() == 1 {
                    return;
                }
                let kept: AtHome<(Homebody, RefCell<u32>)> =
                    shard.keep((Homebody::new(&dropped), RefCell::new(5)));
                assert_eq!((kept.home(), *kept.local(&shard).unwrap().1.borrow()), (0, 5));
                let there = shard.submit_to(1, move || async move {
                    kept.invoke(|value| async move { *value.1.borrow_mut() += 1 }).await.unwrap();
                    let sum = kept.invoke(|value| async move { *value.1.borrow() }).await;
                    drop(kept);
                    sum
                });
                assert_eq!(there.await.unwrap(), Ok(6));
                // Behind the drop, in the inbox.
                shard.submit_to(0, || async {}).await.unwrap();
                assert_eq!(counts(&dropped), [1, 0]);
            }
        });
        ended.unwrap();
        assert_eq!(counts(&counted), [1, 0]);
    }
}

/// A group lets so many calls run on a shard, and no call of another group waits for it.
#[test]
fn a_service_group_bounds_its_calls_and_no_others() {
    const CALLS: usize = 20;
    for builder in builders() {
        let ended = run_shards(2, &builder, |shard| async move {
            if shard.number() == 1 {
                return;
            }
            let world = shard.providers("/", 1).unwrap();
            let (group, other) =
                (shard.caller().service_group("reads", 3), shard.caller().service_group("own", 1));
            assert_eq!((group.name(), group.calls_max()), ("reads", 3));
            let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let calls: Vec<_> = (0..CALLS)
                .map(|number| {
                    let (running, most, inner) = (Arc::clone(&running), Arc::clone(&most), shard.caller());
                    let call = shard.caller().submit_in(&group, 1, move || async move {
                        most.fetch_max(1 + running.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
                        // Long enough for the others to come.
                        for _ in 0..3 {
                            inner.submit_to(0, || async {}).await.unwrap();
                        }
                        running.fetch_sub(1, Ordering::Relaxed);
                        number
                    });
                    world.task().spawn("call", call)
                })
                .collect();
            world.task().yield_now().await;
            assert_eq!(group.calls(1), (3, CALLS - 3));
            assert_eq!(group.calls(0), (0, 0));
            assert_eq!(shard.caller().submit_in(&other, 1, || async { 7 }).await, Ok(7));
            for (number, call) in calls.into_iter().enumerate() {
                assert_eq!(call.await.unwrap(), Ok(number));
            }
            assert_eq!(most.load(Ordering::Relaxed), 3);
            assert_eq!(group.calls(1), (0, 0));
        });
        ended.unwrap();
    }
}

/// Calls that are given up while they wait for room, or just when they got it, leave it to the others.
#[test]
fn room_that_nobody_takes_any_more_is_the_next_ones() {
    for builder in builders() {
        let ended = run_shards(1, &builder, |shard| async move {
            let world = shard.providers("/", 1).unwrap();
            let group = shard.caller().service_group("one", 1);
            let time = world.time().clone();
            let slow = {
                let time = time.clone();
                let caller = shard.caller();
                let (go, gone) = samestep_uring_rt::shard_channel::<()>(1);
                let mut gone = gone;
                let call = caller.submit_in(&group, 0, move || async move { gone.recv().await });
                let task = world.task().spawn("slow", call);
                world.task().yield_now().await;
                let given_up = shard.caller().submit_in(&group, 0, || async { panic!("it was given up") });
                time.timeout(Duration::from_millis(1), given_up)
                    .await
                    .map(|_: Result<(), _>| ())
                    .unwrap_err();
                drop(go);
                task
            };
            assert_eq!(shard.caller().submit_in(&group, 0, || async { 9 }).await, Ok(9));
            assert_eq!(slow.await.unwrap(), Ok(None), "its channel has ended");
            let panicked = shard.caller().submit_in(&group, 0, || async { panic!("on purpose") }).await;
            assert!(matches!(panicked, Err::<(), _>(CallError::Panicked { .. })));
            assert_eq!(group.calls(0), (0, 0), "a panic gives its room back");
        });
        ended.unwrap();
    }
}

#[test]
fn a_mesh_carries_everything_from_everybody_to_everybody() {
    const EACH: usize = 500;
    for builder in builders() {
        let mesh = Mesh::new(3, 4);
        assert!(mesh.join(3).is_none(), "there are three");
        let ended = run_shards(3, &builder, move |shard| {
            let (mut senders, mut receivers) = mesh.join(shard.number()).unwrap();
            assert!(mesh.join(shard.number()).is_none(), "joined twice");
            async move {
                let world = shard.providers("/", 1).unwrap();
                let me = shard.number();
                let sending = world.task().spawn("sender", async move {
                    for number in 0..EACH {
                        for target in 0..senders.peers() {
                            senders.send_to(target, (me, number)).await.unwrap();
                        }
                    }
                    let error = senders.send_to(3, (0, 0)).await;
                    assert_eq!(error, Err(MeshSendError::NoSuchPeer((0, 0))));
                });
                let mut next = [0; 3];
                while let Some((from, (said, number))) = receivers.recv().await {
                    assert_eq!((said, number), (from, next[from]), "order within one peer");
                    next[from] += 1;
                }
                assert_eq!(next, [EACH; 3]);
                sending.await.unwrap();
            }
        });
        ended.unwrap();
    }
}

#[test]
fn a_mesh_tells_what_is_full_and_who_is_gone() {
    let mesh = Mesh::new(2, 1);
    let (mut senders, _receivers) = mesh.join(0).unwrap();
    let (_, other) = mesh.join(1).unwrap();
    senders.try_send_to(1, 1).unwrap();
    assert_eq!(senders.try_send_to(1, 2), Err(MeshSendError::Full(2)));
    drop(other);
    assert_eq!(senders.try_send_to(1, 3), Err(MeshSendError::Closed(3)));
    assert_eq!(senders.try_send_to(2, 4), Err(MeshSendError::NoSuchPeer(4)));
}

/// A shard that sleeps is woken by a message to its ring, where the kernel has them, or by its bell.
#[test]
fn a_sleeping_shard_is_woken() {
    for builder in builders() {
        let (callers, for_caller) = mpsc::channel::<Caller>();
        let is_done = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&is_done);
        #[expect(clippy::disallowed_methods, reason = "a thread that is no shard is what is tested")]
        let foreign = thread::spawn(move || {
            let caller = for_caller.recv().unwrap();
            for number in 0..50 {
                // Not before it sleeps, most times.
                thread::park_timeout(Duration::from_micros(300));
                assert_eq!(caller.submit_to(0, move || async move { number }).wait(), Ok(number));
            }
            let beyond = caller.submit_to(1, || async {}).wait();
            assert_eq!(beyond, Err(CallError::NoSuchShard { shard: 1, count: 1 }));
            done.store(true, Ordering::Relaxed);
        });
        let stats = run_shards(1, &builder, move |shard| {
            let (callers, is_done) = (callers.clone(), Arc::clone(&is_done));
            async move {
                let world = shard.providers("/", 1).unwrap();
                callers.send(shard.caller()).unwrap();
                while !is_done.load(Ordering::Relaxed) {
                    world.time().sleep(Duration::from_millis(1)).await;
                }
                shard.stats()
            }
        });
        foreign.join().unwrap();
        let stats = stats.unwrap().remove(0);
        assert!(stats.bell_rings > 0, "it never slept: {stats:?}");
        let runtime = builder.build().unwrap();
        let is_used = |choice: &Choice| choice.feature() == Feature::RingMessage && choice.is_used();
        let expected = if runtime.info().choices().iter().any(is_used) { stats.bell_rings } else { 0 };
        assert_eq!(stats.ring_messages, expected, "by messages, of {} wakes", stats.bell_rings);
    }
}

/// A shard that looks around before it sleeps is found awake by who calls soon.
#[test]
fn a_shard_that_looks_around_need_not_be_woken() {
    for builder in builders() {
        let (callers, for_caller) = mpsc::channel::<Caller>();
        #[expect(clippy::disallowed_methods, reason = "a thread that is no shard is what is tested")]
        let foreign = thread::spawn(move || {
            let caller = for_caller.recv().unwrap();
            for number in 0..50 {
                assert_eq!(caller.submit_to(0, move || async move { number }).wait(), Ok(number));
            }
        });
        let builder = builder.spin_before_park(Duration::from_secs(5));
        let stats = run_shards(1, &builder, move |shard| {
            let callers = callers.clone();
            async move {
                callers.send(shard.caller()).unwrap();
                let time = shard.providers("/", 1).unwrap().time().clone();
                for _ in 0..50_000 {
                    time.sleep(Duration::from_micros(200)).await;
                    let stats = shard.stats();
                    // Each call is two tasks, what it makes and its answer; the inbox is another. All of them may have
                    // come in one crowd: then it looks around for the timer.
                    if (stats.tasks_spawned, stats.tasks) == (1 + 2 * 50, 1) && stats.parks_spared > 0 {
                        return stats;
                    }
                }
                shard.stats()
            }
        });
        foreign.join().unwrap();
        let stats = stats.unwrap().remove(0);
        assert_eq!((stats.bell_rings, stats.parks), (0, 0), "{stats:?}");
        assert!(stats.parks_spared > 0, "{stats:?}");
    }
}
