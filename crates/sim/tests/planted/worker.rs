//! A server that does its hard work elsewhere.

#![expect(clippy::disallowed_methods, reason = "the planted bug")]

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

use samestep_sim::{Chaos, Test};

use crate::{ask_until_answered, is_found, serve};

#[derive(Default)]
struct Job {
    result: Option<u64>,
    waiting: Option<Waker>,
}

async fn sum(numbers: u64) -> u64 {
    let job = Arc::new(Mutex::new(Job::default()));
    let theirs = Arc::clone(&job);
    thread::spawn(move || {
        let result = (1..=numbers).sum();
        let mut job = theirs.lock().expect("nobody panics with it");
        job.result = Some(result);
        if let Some(waker) = job.waiting.take() {
            waker.wake();
        }
    });
    poll_fn(|cx| {
        let mut job = job.lock().expect("nobody panics with it");
        if let Some(result) = job.result {
            return Poll::Ready(result);
        }
        job.waiting = Some(cx.waker().clone());
        Poll::Pending
    })
    .await
}

fn define(test: &mut Test) {
    let _server = test.node("server", 1, |context| {
        serve(context, |[number, upto]| async move { Ok([number, sum(upto).await]) })
    });
    test.client("client", |context| async move {
        for number in 0..5 {
            ask_until_answered(&context, "server:80", [number, 1_000]).await;
        }
        Ok(())
    });
    test.chaos(Chaos::swarm().for_secs(10));
}

#[test]
fn a_thread_that_was_left_is_found() {
    is_found(&["divergence", "foreign wake", "liveness", "deadlock"], define);
}
