//! Tickets: the index of a record at once, its durability later.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use samestep_replay_traits::Index;

use crate::background::Life;
use crate::disk::Disk;
use crate::error::{Failure, SyncError};
use crate::group::Group;
use crate::options::CommitPolicy;
use crate::std_io::StdDisk;

/// A promise that a record becomes durable. Made by [`Wal::append_ticket`](crate::Wal::append_ticket).
///
/// Wait for it with a thread, by [`Self::wait`], or as a future, on any executor. Either asks for a barrier, except
/// under [`CommitPolicy::Interval`], where the ticket waits for the next one that is due. Dropping it changes
/// nothing: the record stays, and becomes durable with those around it.
///
/// A ticket is a handle on the log: the log stays open while one is left.
#[must_use = "nothing is known to be durable before the ticket is waited for"]
pub struct Ticket<D: Disk = StdDisk> {
    life: Arc<Life<D>>,
    group: Arc<Group>,
    index: Index,
    place: Option<usize>,
}

impl<D: Disk> Ticket<D> {
    pub(crate) fn new(life: Arc<Life<D>>, group: Arc<Group>, index: Index) -> Self {
        Self { life, group, index, place: None }
    }

    /// Index of the record; of a batch, of its first.
    pub fn index(&self) -> Index {
        self.index
    }

    /// The outcome, if it is known: whether the record is durable.
    ///
    /// # Errors
    ///
    /// As for [`Self::wait`].
    pub fn try_outcome(&self) -> Option<Result<Index, SyncError>> {
        self.group.outcome().map(|outcome| self.to_output(outcome))
    }

    /// Sleeps until the record is durable and returns its index.
    ///
    /// # Errors
    ///
    /// See [`SyncError`]: the record is not durable. After [`SyncError::NoSpace`] it is not part of the log.
    pub fn wait(&self) -> Result<Index, SyncError> {
        if let Some(outcome) = self.try_outcome() {
            return outcome;
        }
        if matches!(self.life.shared.policy, CommitPolicy::Interval(_)) {
            return self.to_output(self.group.wait());
        }
        self.life.shared.wait(self.life.shared.lock(), &self.group)?;
        Ok(self.index)
    }

    fn to_output(&self, outcome: &Result<(), Failure>) -> Result<Index, SyncError> {
        outcome.clone()?;
        Ok(self.index)
    }
}

impl<D: Disk + Send + 'static> Future for Ticket<D> {
    type Output = Result<Index, SyncError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ticket = &mut *self;
        if ticket.group.register(&mut ticket.place, context.waker())
            && !matches!(ticket.life.shared.policy, CommitPolicy::Interval(_))
        {
            // Without a thread that could lead, this one does: late is better than never.
            if ticket.life.start_background().is_err() {
                return Poll::Ready(ticket.wait());
            }
            ticket.life.shared.kick_background(&ticket.group);
        }
        match ticket.try_outcome() {
            Some(outcome) => Poll::Ready(outcome),
            None => Poll::Pending,
        }
    }
}

impl<D: Disk> fmt::Debug for Ticket<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = self.group.outcome();
        f.debug_struct("Ticket")
            .field("index", &self.index)
            .field("outcome", &outcome)
            .finish_non_exhaustive()
    }
}
