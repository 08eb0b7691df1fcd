//! A server whose requests wait in a queue for one worker.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use samestep_provider_traits::{File, OpenOptions, StorageProvider, TaskProvider, TcpListener, TimeProvider};
use samestep_sim::{Chaos, SimContext, SimTcpStream, Test};

use crate::{Outcome, Words, is_found, is_sound, receive, send};

/// Tells a task that waits.
#[derive(Default)]
struct Notify {
    waiting: RefCell<Option<Waker>>,
    is_told: Cell<bool>,
}

impl Notify {
    fn tell(&self, keeps: bool) {
        match self.waiting.borrow_mut().take() {
            Some(waker) => {
                self.is_told.set(true);
                waker.wake();
            }
            None => self.is_told.set(keeps),
        }
    }

    async fn told(&self) {
        poll_fn(|cx| {
            if self.is_told.take() {
                return Poll::Ready(());
            }
            *self.waiting.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[derive(Default)]
struct Queue {
    jobs: RefCell<VecDeque<(Words, SimTcpStream)>>,
    notify: Notify,
}

async fn serve(context: SimContext, keeps: bool) -> Outcome {
    let queue = Rc::new(Queue::default());
    let (jobs, worker_context) = (Rc::clone(&queue), context.clone());
    context.task().spawn("worker", async move { work(&worker_context, &jobs).await });
    let listener = context.listen(80).await?;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let queue = Rc::clone(&queue);
        context.task().spawn("connection", async move {
            while let Ok(request) = receive(&stream).await {
                queue.jobs.borrow_mut().push_back((request, stream.clone()));
                queue.notify.tell(keeps);
            }
        });
    }
}

async fn work(context: &SimContext, queue: &Queue) -> std::io::Result<()> {
    let options = OpenOptions::read_write().create();
    let log = context.storage().open("served".as_ref(), options).await?;
    let mut served = 0_u64;
    loop {
        loop {
            let Some(([number, _], stream)) = queue.jobs.borrow_mut().pop_front() else { break };
            served += 1;
            // A client that is gone does not matter.
            let _gone = send(&stream, [number, served]).await;
        }
        log.write_all_at(Box::new(served.to_le_bytes()), 0).await.0?;
        queue.notify.told().await;
    }
}

fn define(test: &mut Test, keeps: bool) {
    let _server = test.node("server", 1, move |context| serve(context, keeps));
    test.clients("client", 1..=3, |context| async move {
        for number in 0..10 {
            let stream = loop {
                let connecting = context.connect("server:80");
                match context.time().timeout(Duration::from_secs(2), connecting).await {
                    Ok(Ok(stream)) => break stream,
                    Ok(Err(_)) | Err(_) => context.sleep(Duration::from_millis(100)).await,
                }
            };
            // An answer that is lost with its connection is not missed.
            if send(&stream, [number, 0]).await.is_ok() {
                let _lost = receive(&stream).await;
            }
        }
        Ok(())
    });
    test.chaos(Chaos::swarm().for_secs(20));
}

#[test]
fn a_lost_wake_up_is_found() {
    is_found(&["liveness"], |test| define(test, false));
    is_sound(|test| define(test, true));
}
