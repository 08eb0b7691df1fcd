//! Where a client that comes back goes on: a decision for every request.

use crate::client::ClientId;
use crate::id::{Epoch, Seq, SubscriptionId};
use crate::outbox::Outbox;
use crate::subscription::Subscription;

/// What a client has processed: the newest event, and its epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Epoch of that event; 0 if there is none.
    pub epoch: Epoch,
    /// Its position in the subscription; 0 if there is none.
    pub seq: Seq,
}

impl Position {
    /// Nothing was processed yet.
    pub const START: Self = Self { epoch: Epoch::new(0), seq: Seq::new(0) };

    /// Whether the next event may be one of `epoch`. Before the first event there is none that could be later.
    pub(crate) fn may_precede(self, epoch: Epoch) -> bool {
        self.seq == Seq::default() || self.epoch <= epoch
    }
}

/// A client comes, or comes back, and wants its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// Of which subscription.
    pub subscription: SubscriptionId,
    /// Who it is.
    pub client: ClientId,
    /// The newest event that it processed, acknowledged or not.
    pub position: Position,
}

/// What becomes of a [`Reconnect`]. Complete by definition: there is one for every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Everything behind the position is there. Events that were processed and whose acknowledgements were lost are
    /// not sent again.
    Ok {
        /// First event that will be sent.
        next: Seq,
    },
    /// Events behind the position are gone.
    Stale {
        /// First position that will be sent.
        next: Seq,
        /// What it is.
        restart: Restart,
    },
    /// The client has processed what this log never emitted: an event from beyond its end, or another event at this
    /// position. What it made of that must be undone before it goes on.
    Invalid {
        /// First position that will be sent.
        next: Seq,
        /// What it is.
        restart: Restart,
    },
    /// There is no such subscription of this client. Subscribe.
    NotFound,
}

/// What a client that cannot go on where it was begins with. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// A snapshot: it is the first thing to be sent, and stands for everything up to its position.
    Snapshot,
    /// The very first event: nothing is gone.
    Beginning,
    /// The first event that is not gone; what stands for those before is missing. Whoever has the state should propose a
    /// [`Change::Compact`](crate::Change::Compact), after which reconnecting gives a snapshot; or the client takes the
    /// loss.
    Wanted {
        /// Epoch of the last event that is gone.
        epoch: Epoch,
    },
}

impl Outbox {
    /// Decides where the client goes on. Changes nothing.
    ///
    /// In this order, with `r` the position, `F` the floor, `M` the newest event, `E` the current epoch:
    ///
    /// | | if | answer | next |
    /// |---|---|---|---|
    /// | 1 | no such subscription, or another client's | NOT_FOUND | |
    /// | 2 | `r.epoch > E` | INVALID | restart |
    /// | 3 | `r.seq < F` | STALE | restart |
    /// | 4 | `r.seq > M`, or `r.seq > 0` and the event there is of another epoch | INVALID | restart |
    /// | 5 | else | OK | `r.seq + 1` |
    ///
    /// Restart is the snapshot at `F` if there is one, else `F + 1`. The upper bound is what was emitted, not what was
    /// acknowledged: acknowledgements may be lost on their way.
    pub fn reconnect(&self, request: &Reconnect) -> Answer {
        let position = request.position;
        let Some(subscription) =
            self.subscription(request.subscription).filter(|found| *found.client() == request.client)
        else {
            return Answer::NotFound;
        };
        if position.epoch > self.reign().epoch {
            let (next, restart) = restart(subscription);
            return Answer::Invalid { next, restart };
        }
        if position.seq < subscription.floor() {
            let (next, restart) = restart(subscription);
            return Answer::Stale { next, restart };
        }
        // Behind the newest event there is none, and so no epoch.
        let is_same = position.seq == Seq::default()
            || subscription.epoch_at(position.seq).is_some_and(|epoch| epoch == position.epoch);
        if !is_same {
            let (next, restart) = restart(subscription);
            return Answer::Invalid { next, restart };
        }
        Answer::Ok { next: position.seq.next() }
    }
}

fn restart(subscription: &Subscription) -> (Seq, Restart) {
    let floor = subscription.floor();
    if subscription.snapshot().is_some() {
        (floor, Restart::Snapshot)
    } else if floor == Seq::default() {
        (floor.next(), Restart::Beginning)
    } else {
        (floor.next(), Restart::Wanted { epoch: subscription.floor_epoch })
    }
}
