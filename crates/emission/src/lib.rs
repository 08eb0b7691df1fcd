#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod canonical;
mod change;
mod client;
mod error;
mod fingerprint;
mod id;
mod limits;
mod metrics;
mod notifier;
mod outbox;
#[cfg(feature = "prometheus")]
mod prometheus;
mod receiver;
mod reconnect;
mod subscription;
mod wire;

pub use canonical::{Canonicalizer, DuplicateKey, Emission, Field, LineVersion, Numbering};
pub use change::{Change, DecodeError, EncodeError, Origin, StallPolicy, Target};
pub use client::{CLIENT_BYTES_MAX, ClientId, ClientIdError, TOKEN_BYTES, Token};
pub use error::{ApplyError, Full, Refused};
pub use fingerprint::{Fingerprint, ParseFingerprintError};
pub use id::{Epoch, NodeId, ProducerId, Seq, SubscriptionId, Term, Tick};
pub use limits::{Limits, LimitsError, PAYLOAD_BYTES_LIMIT};
pub use metrics::{Histogram, Metrics, Reconnects};
pub use notifier::{
    AckError, Delivery, DeliveryKind, NotLeading, Notifier, NotifierOptions, NotifierOptionsError, Output,
};
pub use outbox::{Applied, Outbox, Reign, ReplayError, RestoreError};
pub use receiver::{Receiver, Resumption, Verdict};
pub use reconnect::{Answer, Position, Reconnect, Restart};
pub use samestep_replay_traits::{Index, Record, ReplaySource};
pub use subscription::{PendingEvent, Subscription};
