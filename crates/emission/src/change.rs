//! Records of the log: what may happen to an outbox.

use crate::client::Token;
use crate::fingerprint::Fingerprint;
use crate::id::{NodeId, ProducerId, Seq, SubscriptionId, Term};
use crate::limits::Limits;

mod codec;

pub use codec::{DecodeError, EncodeError};
pub(crate) use codec::{put_limits, read_client, read_fingerprint, read_limits, read_stall, stall_number};

/// One change of the outbox: one entry of the log. [`Outbox::apply`](crate::Outbox::apply) says what each does.
///
/// Borrows its bytes, from the caller who encodes it or from the log that it is decoded from. Complete by definition
/// of format version 1, see [`Self::decode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// A leader begins its reign: the next [`Epoch`](crate::Epoch).
    StartEpoch {
        /// The leader's term, above that of every epoch before.
        term: Term,
        /// The leader.
        node: NodeId,
    },
    /// Sets the limits. What waits already stays, also if it is more than they allow.
    Configure(Limits),
    /// A client subscribes.
    Subscribe {
        /// Its name: 1 to 255 bytes.
        client: &'a [u8],
        /// To what.
        fingerprint: Fingerprint,
        /// What the client will show to unsubscribe or to move the subscription.
        token: Token,
        /// What happens when the client is too slow.
        stall: StallPolicy,
    },
    /// Ends a subscription and drops all that waits for it.
    Unsubscribe {
        /// Which.
        subscription: SubscriptionId,
        /// The subscription's token.
        token: Token,
    },
    /// An event: the whole of it, one entry of the log however many subscriptions it goes to.
    Emit {
        /// To whom.
        target: Target,
        /// Who emits, and the event's number there; `None` if proposing it twice may emit it twice.
        origin: Option<Origin>,
        /// The event. Any bytes.
        payload: &'a [u8],
    },
    /// A client has processed all events up to one.
    Acknowledge {
        /// Of which subscription.
        subscription: SubscriptionId,
        /// The last event that was processed.
        through: Seq,
    },
    /// Moves a subscription, with all that waits for it, to another client.
    Rebind {
        /// Which.
        subscription: SubscriptionId,
        /// Whose it is.
        from: &'a [u8],
        /// The subscription's token.
        token: Token,
        /// Whose it will be.
        to: &'a [u8],
        /// The subscription's token from then on.
        next_token: Token,
    },
    /// Replaces all events up to one by a snapshot of what they amount to.
    Compact {
        /// Of which subscription.
        subscription: SubscriptionId,
        /// The last event that the snapshot stands for.
        through: Seq,
        /// The snapshot. Any bytes.
        snapshot: &'a [u8],
    },
    /// Drops all events up to one, without a snapshot: the client stalled.
    Evict {
        /// Of which subscription.
        subscription: SubscriptionId,
        /// The last event that is dropped.
        through: Seq,
    },
    /// Forgets a producer. Its numbers start anew.
    Retire {
        /// Which.
        producer: ProducerId,
    },
}

/// To whom an event goes. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// To one subscription.
    Subscription(SubscriptionId),
    /// To all subscriptions with this fingerprint, in the order of their clients' names; to none if there are none.
    Topic(Fingerprint),
}

/// Which event of which producer: equal for two proposals of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The producer.
    pub producer: ProducerId,
    /// The event's number there, above those of all events that the producer proposed before. From 1.
    pub number: u64,
}

/// What happens to an event that does not fit, because the client is too slow to acknowledge. Complete by definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StallPolicy {
    /// The event is refused, as a whole: it goes to no subscription. Its producer waits and proposes it again.
    #[default]
    Suspend,
    /// The oldest event makes room, and stands from then on as the snapshot for those before it. For subscriptions
    /// whose events each tell the whole value.
    Coalesce,
    /// All that waits is dropped, the event included. The client is told that it is STALE.
    Evict,
}
