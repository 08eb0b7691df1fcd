//! What is under way on one open file, and what became of operations whose futures are gone.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::{Notify, oneshot};

/// The operations of one open file that have begun and are not over, whether somebody waits for them or not.
#[derive(Clone, Debug, Default)]
pub(super) struct Underway {
    state: Arc<Mutex<State>>,
    /// Told whenever an operation is over.
    ended: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    begun_count: u64,
    /// By number, in the order of beginning.
    running: BTreeMap<u64, Effect>,
    /// The first error of a change that nobody was there to see, until it is reported.
    unseen_error: Option<io::Error>,
}

/// What an operation does to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Changes its bytes or its length. A sync waits for it.
    Change,
    /// Changes nothing that a sync would make durable.
    Look,
}

impl Underway {
    /// Begins `work` on a thread that may block. It runs to its end, also if the result is dropped.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        effect: Effect,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Operation<T> {
        let ticket = Ticket::take(self, effect);
        let (outcome, receiver) = oneshot::channel();
        let operation = Operation { underway: self.clone(), effect, outcome: Some(receiver) };
        tokio::task::spawn_blocking(move || {
            if let Err(unseen) = outcome.send(work()) {
                ticket.underway.note_unseen(ticket.effect, unseen);
            }
            // Last, so that who waits for the ticket finds the outcome noted.
            drop(ticket);
        });
        operation
    }

    /// Ends when all changes are over that began before the first poll.
    pub(super) async fn earlier_changes(&self) {
        self.ended(|effect| effect == Effect::Change).await;
    }

    /// Ends when all is over that began before the first poll.
    pub(super) async fn all_earlier(&self) {
        self.ended(|_| true).await;
    }

    /// The error of a change that nobody was there to see. Told once.
    pub(super) fn take_unseen_error(&self) -> io::Result<()> {
        self.lock().unseen_error.take().map_or(Ok(()), Err)
    }

    async fn ended(&self, matters: impl Fn(Effect) -> bool) {
        let last = self.lock().begun_count;
        loop {
            let mut ended = pin!(self.ended.notified());
            // Before the look, so that what ends behind it is told.
            ended.as_mut().enable();
            if !self.lock().running.range(..=last).any(|(_, effect)| matters(*effect)) {
                return;
            }
            ended.await;
        }
    }

    fn note_unseen<T>(&self, effect: Effect, outcome: io::Result<T>) {
        if let (Effect::Change, Err(error)) = (effect, outcome) {
            self.lock().unseen_error.get_or_insert(error);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An operation that has begun. Dropping it gives up its outcome, not the operation.
#[derive(Debug)]
pub(super) struct Operation<T> {
    underway: Underway,
    effect: Effect,
    /// `None` once the outcome was taken.
    outcome: Option<oneshot::Receiver<io::Result<T>>>,
}

impl<T> Future for Operation<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let receiver = self.outcome.as_mut().expect("an operation was polled after its end");
        Pin::new(receiver).poll(cx).map(|received| {
            self.outcome = None;
            received.unwrap_or_else(|_| Err(io::Error::other("the operation panicked, or its runtime ended")))
        })
    }
}

impl<T> Drop for Operation<T> {
    fn drop(&mut self) {
        let Some(mut receiver) = self.outcome.take() else { return };
        // From here on the thread finds nobody to tell; what it told before is taken here.
        receiver.close();
        if let Ok(unseen) = receiver.try_recv() {
            self.underway.note_unseen(self.effect, unseen);
        }
    }
}

/// Keeps an operation in the list until it is over, or will never run.
struct Ticket {
    underway: Underway,
    effect: Effect,
    number: u64,
}

impl Ticket {
    fn take(underway: &Underway, effect: Effect) -> Self {
        let mut state = underway.lock();
        state.begun_count += 1;
        let number = state.begun_count;
        state.running.insert(number, effect);
        drop(state);
        Self { underway: underway.clone(), effect, number }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.underway.lock().running.remove(&self.number);
        self.underway.ended.notify_waiters();
    }
}
