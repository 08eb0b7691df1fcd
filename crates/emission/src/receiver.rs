//! The client's side: at-least-once delivery becomes exactly-once processing.

use crate::client::ClientId;
use crate::id::{Seq, SubscriptionId, Term};
use crate::notifier::{Delivery, DeliveryKind};
use crate::reconnect::{Answer, Position, Reconnect, Restart};

/// Tells a client what to do with what reaches it.
///
/// Store the [`position`](Self::position) in one step with what processing changed, and make the receiver from the
/// stored one after a crash: then each event is processed once, however often it is sent. Order of calls: after
/// connecting, send [`request`](Self::request) and hand its answer to [`handle_answer`](Self::handle_answer); for each
/// delivery, act as [`handle_delivery`](Self::handle_delivery) says and then call [`confirm`](Self::confirm); send
/// what [`poll_ack`](Self::poll_ack) gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    subscription: SubscriptionId,
    client: ClientId,
    position: Position,
    /// The highest term seen: whoever sends from a lower one was deposed.
    term: Term,
    /// Acknowledged in this connection.
    acked: Seq,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not connected, or something is wrong with the connection.
    Waiting,
    /// Events follow.
    Streaming,
    /// A snapshot must come first.
    Restarting,
    /// The client must decide whether it goes on from there.
    Stopped { next: Seq, restart: Restart },
    /// There is no such subscription.
    Gone,
}

/// What to do with a delivery. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Process the event, store the position with its effects, and confirm.
    Process,
    /// Replace the state by the snapshot, store the position with it, and confirm.
    Replace,
    /// It was processed before. Nothing to do.
    Duplicate,
    /// It comes from a leader that was deposed. Nothing to do.
    Fenced,
    /// Something before it is missing, or it does not follow from what was processed. Reconnect.
    Gap,
    /// It is for another subscription. Nothing to do.
    Foreign,
    /// It comes before the answer to the request, or while a decision is due. Nothing to do: it will come again.
    Unexpected,
}

/// What to do after the answer to a request. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// Go on.
    Continue,
    /// A snapshot comes first; go on.
    Replace,
    /// Events are gone, and there is no snapshot. Reconnect later, when there may be one, or take the loss:
    /// [`Receiver::restart`].
    Lost {
        /// First event that is gone.
        first: Seq,
        /// First event that is there.
        next: Seq,
    },
    /// What was processed is no part of this log. Undo it, then [`Receiver::restart`].
    Diverged {
        /// First position that will be sent: a snapshot, or the first event that is there.
        next: Seq,
    },
    /// There is no such subscription: subscribe.
    Gone,
    /// The answer cannot be one to this receiver's request. Reconnect.
    Mismatch,
}

impl Receiver {
    /// The receiver of a client that has processed everything up to `position`.
    pub fn new(subscription: SubscriptionId, client: ClientId, position: Position) -> Self {
        let (term, acked) = (Term::default(), Seq::default());
        Self { subscription, client, position, term, acked, state: State::Waiting }
    }

    /// The answer to [`Self::request`] came, from the leader of `term`.
    pub fn handle_answer(&mut self, answer: Answer, term: Term) -> Resumption {
        if term < self.term {
            return Resumption::Mismatch;
        }
        self.term = term;
        // Acknowledgements of the old connection may be lost.
        self.acked = Seq::default();
        let processed = self.position.seq;
        let (state, resumption) = match answer {
            Answer::Ok { next } if next.get() == processed.get() + 1 => {
                (State::Streaming, Resumption::Continue)
            }
            Answer::Stale { next, restart: Restart::Snapshot } if next > processed => {
                (State::Restarting, Resumption::Replace)
            }
            Answer::Stale { next, restart } if next.get() > processed.get() + 1 => {
                (State::Stopped { next, restart }, Resumption::Lost { first: processed.next(), next })
            }
            Answer::Invalid { next, restart } => {
                (State::Stopped { next, restart }, Resumption::Diverged { next })
            }
            Answer::NotFound => (State::Gone, Resumption::Gone),
            Answer::Ok { .. } | Answer::Stale { .. } => (State::Waiting, Resumption::Mismatch),
        };
        self.state = state;
        resumption
    }

    /// Something was delivered. Does not move on: see [`Self::confirm`].
    pub fn handle_delivery(&mut self, delivery: &Delivery<'_>) -> Verdict {
        if delivery.subscription != self.subscription {
            return Verdict::Foreign;
        }
        if delivery.term < self.term {
            return Verdict::Fenced;
        }
        match self.state {
            State::Streaming | State::Restarting => {}
            State::Waiting | State::Stopped { .. } | State::Gone => return Verdict::Unexpected,
        }
        self.term = delivery.term;
        if delivery.seq <= self.position.seq {
            // Sent again, so the acknowledgement was lost.
            self.acked = Seq::default();
            return Verdict::Duplicate;
        }
        match delivery.kind {
            DeliveryKind::Snapshot => Verdict::Replace,
            DeliveryKind::Event
                if self.state == State::Streaming
                    && delivery.seq == self.position.seq.next()
                    && self.position.may_precede(delivery.epoch) =>
            {
                Verdict::Process
            }
            DeliveryKind::Event => {
                self.state = State::Waiting;
                Verdict::Gap
            }
        }
    }

    /// The delivery was processed, and the position stored with its effects.
    ///
    /// # Panics
    ///
    /// If the verdict on it was neither [`Verdict::Process`] nor [`Verdict::Replace`]: an event would be lost.
    pub fn confirm(&mut self, delivery: &Delivery<'_>) {
        let verdict = self.clone().handle_delivery(delivery);
        assert!(
            matches!(verdict, Verdict::Process | Verdict::Replace),
            "only what is to be processed can be confirmed, not {verdict:?}"
        );
        self.position = Position { epoch: delivery.epoch, seq: delivery.seq };
        self.state = State::Streaming;
    }

    /// Goes on where the answer said, after [`Resumption::Lost`] or [`Resumption::Diverged`]: the client has made its
    /// peace with what is gone, or undone what never was. Store [`Self::position`] then. After anything else it does
    /// nothing.
    pub fn restart(&mut self) {
        let State::Stopped { next, restart } = self.state else { return };
        let before = Seq::new(next.get().saturating_sub(1));
        (self.position, self.state) = match restart {
            Restart::Snapshot => (Position::START, State::Restarting),
            Restart::Beginning => (Position::START, State::Streaming),
            Restart::Wanted { epoch } => (Position { epoch, seq: before }, State::Streaming),
        };
    }

    /// The connection is lost.
    pub fn handle_disconnect(&mut self) {
        if self.state != State::Gone {
            self.state = State::Waiting;
        }
    }

    /// What to acknowledge now, if anything: the newest processed event, once per connection, and again whenever an
    /// event that was processed is sent again.
    #[must_use]
    pub fn poll_ack(&mut self) -> Option<Seq> {
        if self.state != State::Streaming || self.position.seq <= self.acked {
            return None;
        }
        self.acked = self.position.seq;
        Some(self.acked)
    }

    /// What to send after connecting.
    pub fn request(&self) -> Reconnect {
        Reconnect { subscription: self.subscription, client: self.client.clone(), position: self.position }
    }

    /// What was processed.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether it must send [`Self::request`] before anything else can happen.
    pub fn needs_reconnect(&self) -> bool {
        self.state == State::Waiting
    }
}
