//! What an outbox answers to a change that it does not make.

use samestep_replay_traits::Index;

use crate::change::DecodeError;
use crate::id::{Seq, SubscriptionId, Term};
use crate::limits::LimitsError;

/// Why a record of the log changed nothing. Every replica refuses the same records, and the log goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The bytes are no record.
    #[error("the entry is no record of an outbox")]
    Undecodable(#[from] DecodeError),
    /// There is no such subscription (any more). Subscribe.
    #[error("there is no subscription {subscription}")]
    UnknownSubscription {
        /// Which.
        subscription: SubscriptionId,
    },
    /// The subscription is another client's, or the token is not its token.
    #[error("subscription {subscription} belongs to somebody else")]
    NotOwner {
        /// Which.
        subscription: SubscriptionId,
    },
    /// The new owner has a subscription to this already, or the name that subscribes has one with another token.
    #[error("subscription {by} has this client and fingerprint already")]
    NameTaken {
        /// The subscription that is there.
        by: SubscriptionId,
    },
    /// A limit is reached. Wait for acknowledgements, then propose it again.
    #[error("full: {0}")]
    Full(Full),
    /// No leader has started an epoch.
    #[error("no epoch has been started")]
    NoEpoch,
    /// The term is not above that of the current epoch: another leader came after.
    #[error("term {term} is not above the current epoch's, {current}")]
    OldTerm {
        /// The term of the record.
        term: Term,
        /// The term of the current epoch.
        current: Term,
    },
    /// An acknowledgement, compaction or eviction of events that were never emitted.
    #[error("{through} was never emitted to subscription {subscription}, only up to {emitted}")]
    NotEmitted {
        /// Which subscription.
        subscription: SubscriptionId,
        /// The position in the record.
        through: Seq,
        /// The newest position there is.
        emitted: Seq,
    },
    /// A compaction that would go back: events behind its snapshot are gone already.
    #[error(
        "a snapshot at {through} is older than what subscription {subscription} has dropped, up to {floor}"
    )]
    BelowFloor {
        /// Which subscription.
        subscription: SubscriptionId,
        /// The position in the record.
        through: Seq,
        /// Where a snapshot must stand at least.
        floor: Seq,
    },
    /// A payload or snapshot exceeds [`Limits::payload_bytes_max`](crate::Limits::payload_bytes_max).
    #[error("a payload of {bytes} bytes, at most {bytes_max} are allowed")]
    TooLong {
        /// Its length.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The limits contradict each other.
    #[error("these limits cannot be set")]
    Limits(#[from] LimitsError),
}

/// Which limit is reached. Complete by definition: one per limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// [`Limits::subscriptions_max`](crate::Limits::subscriptions_max).
    #[error("as many subscriptions as there may be")]
    Subscriptions,
    /// [`Limits::producers_max`](crate::Limits::producers_max). Retire one.
    #[error("as many producers as there may be")]
    Producers,
    /// [`Limits::subscription_entries_max`](crate::Limits::subscription_entries_max).
    #[error("as many events wait for subscription {subscription} as may")]
    SubscriptionEntries {
        /// The first one that is full.
        subscription: SubscriptionId,
    },
    /// [`Limits::subscription_bytes_max`](crate::Limits::subscription_bytes_max).
    #[error("as many bytes wait for subscription {subscription} as may")]
    SubscriptionBytes {
        /// The first one that is full.
        subscription: SubscriptionId,
    },
    /// [`Limits::entries_max`](crate::Limits::entries_max).
    #[error("as many events wait as may")]
    Entries,
    /// [`Limits::bytes_max`](crate::Limits::bytes_max).
    #[error("as many bytes wait as may")]
    Bytes,
}

/// Why an entry of the log was not applied at all. The caller is at fault, or its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The entry was applied already. Skip it, or apply the log to a snapshot from before.
    #[error("entry {index} was applied already: the outbox is at {applied}")]
    Applied {
        /// The entry.
        index: Index,
        /// The newest entry that was applied.
        applied: Index,
    },
}
