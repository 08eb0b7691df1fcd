//! A bounded channel between two threads, each of which waits for the other: the queue and a bell at each end.

use std::task::{Wake, Waker};

use loom::thread;

use crate::spsc::{self, Consumer, Producer};
use crate::{Bell, explore};

/// A thread that a waker wakes.
struct Sleeping(Bell);

impl Wake for Sleeping {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.ring();
    }
}

/// Looks, announces that it waits, looks again, and only then sleeps, as `poll_fn` of the channel does.
fn until<End, T>(
    end: &mut End,
    announce: fn(&End, &Waker),
    mut look: impl FnMut(&mut End) -> Option<T>,
) -> T {
    let thread = std::sync::Arc::new(Sleeping(Bell::new()));
    let waker = Waker::from(std::sync::Arc::clone(&thread));
    loop {
        if let Some(found) = look(end) {
            return found;
        }
        announce(end, &waker);
        if let Some(found) = look(end) {
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
        let sending = thread::spawn(move || {
            for number in 0..2 {
                let mut value = Some(number);
                until(&mut producer, Producer::await_room, |producer| {
                    value = producer.push(value.take()?).err();
                    value.is_none().then(|| producer.ring())
                });
            }
        });
        for number in 0..2 {
            let received = until(&mut consumer, Consumer::await_value, |consumer| {
                consumer.pop().inspect(|_| consumer.ring())
            });
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
        let sending = thread::spawn(move || {
            producer.push(7).unwrap();
            producer.ring();
            producer.close();
        });
        let mut next = || {
            until(&mut consumer, Consumer::await_value, |consumer| {
                let is_closed = consumer.is_closed();
                consumer.pop().map(Some).or(is_closed.then_some(None))
            })
        };
        assert_eq!((next(), next()), (Some(7), None));
        sending.join().unwrap();
    });
}

/// A sender that waits for room is told that the receiver has gone.
#[test]
fn a_sender_is_told_that_the_receiver_has_gone() {
    explore(|| {
        let (mut producer, consumer) = spsc::queue(1);
        producer.push(0).unwrap();
        let receiving = thread::spawn(move || consumer.close());
        until(&mut producer, Producer::await_room, |producer| {
            assert_eq!(producer.push(1), Err(1), "nothing is taken out");
            producer.is_closed().then_some(())
        });
        receiving.join().unwrap();
    });
}
