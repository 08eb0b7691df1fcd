//! A bounded channel between two threads, each of which waits for the other: the queue and a bell at each end.

use std::task::{Wake, Waker};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::door_bell::DoorBell;
use crate::{Bell, explore, spsc};

/// A thread that a waker wakes.
struct Sleeping(Bell);

impl Wake for Sleeping {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.ring();
    }
}

struct Link {
    receiver: DoorBell,
    sender: DoorBell,
    is_closed: AtomicBool,
}

impl Link {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            receiver: DoorBell::new(),
            sender: DoorBell::new(),
            is_closed: AtomicBool::new(false),
        })
    }
}

/// Looks, announces that it waits, looks again, and only then sleeps, as `poll_fn` of the channel does.
fn until<T>(bell: &DoorBell, mut look: impl FnMut() -> Option<T>) -> T {
    let thread = std::sync::Arc::new(Sleeping(Bell::new()));
    let waker = Waker::from(std::sync::Arc::clone(&thread));
    loop {
        if let Some(found) = look() {
            return found;
        }
        bell.await_ring(&waker);
        if let Some(found) = look() {
            return found;
        }
        // Without a ring this waits for ever, which loom tells.
        thread.0.wait();
    }
}

/// Whatever is sent into a channel with room for one arrives, in order, and both ends sleep in between.
#[test]
fn both_ends_of_a_channel_are_woken() {
    explore(|| {
        let (mut producer, mut consumer) = spsc::queue(1);
        let link = Link::new();
        let sending = {
            let link = Arc::clone(&link);
            thread::spawn(move || {
                for number in 0..2 {
                    let mut value = Some(number);
                    until(&link.sender, || {
                        value = producer.push(value.take()?).err();
                        value.is_none().then(|| link.receiver.ring())
                    });
                }
            })
        };
        for number in 0..2 {
            let received = until(&link.receiver, || consumer.pop().inspect(|_| link.sender.ring()));
            assert_eq!(received, number);
        }
        sending.join().unwrap();
    });
}

/// A receiver that waits is told that the sender has gone, behind what was sent.
#[test]
fn the_end_of_a_channel_is_behind_what_was_sent() {
    explore(|| {
        let (mut producer, mut consumer) = spsc::queue(1);
        let link = Link::new();
        let sending = {
            let link = Arc::clone(&link);
            thread::spawn(move || {
                producer.push(7).unwrap();
                link.receiver.ring();
                link.is_closed.store(true, Ordering::Release);
                link.receiver.ring();
            })
        };
        let mut next = || {
            until(&link.receiver, || {
                let is_closed = link.is_closed.load(Ordering::Acquire);
                consumer.pop().map(Some).or(is_closed.then_some(None))
            })
        };
        assert_eq!((next(), next()), (Some(7), None));
        sending.join().unwrap();
    });
}
