//! The bytes of a [`Change`], format version 1.

use crate::change::{Change, Origin, StallPolicy, Target};
use crate::client::{CLIENT_BYTES_MAX, Token, is_client_name};
use crate::fingerprint::Fingerprint;
use crate::id::{NodeId, ProducerId, Seq, SubscriptionId, Term};
use crate::limits::{Limits, PAYLOAD_BYTES_LIMIT};
use crate::wire::{WireError, WireReader, put_bytes, put_number};

impl<'a> Change<'a> {
    /// Appends the record's bytes to `out`.
    ///
    /// `version: u8 = 1 | kind: u8 |` fields in the order of their declaration. A number is LEB128 in its shortest
    /// form, a fingerprint 8 bytes little-endian, a token 16 bytes; a name or payload is its length as a number and its
    /// bytes; an enum is its number. An absent origin is producer 0, number 0. docs/emission-contract.md has vectors.
    ///
    /// # Errors
    ///
    /// [`EncodeError`] if a name is empty or too long, a payload too long, or an origin's number 0. Nothing is
    /// appended then.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.check()?;
        out.push(VERSION);
        match *self {
            Self::StartEpoch { term, node } => {
                out.push(KIND_START_EPOCH);
                put_number(out, term.get());
                put_number(out, node.get());
            }
            Self::Configure(limits) => {
                out.push(KIND_CONFIGURE);
                put_limits(out, &limits);
            }
            Self::Subscribe { client, fingerprint, token, stall } => {
                out.push(KIND_SUBSCRIBE);
                put_bytes(out, client);
                out.extend_from_slice(&fingerprint.get().to_le_bytes());
                out.extend_from_slice(&token.to_bytes());
                out.push(stall_number(stall));
            }
            Self::Unsubscribe { subscription, token } => {
                out.push(KIND_UNSUBSCRIBE);
                put_number(out, subscription.get());
                out.extend_from_slice(&token.to_bytes());
            }
            Self::Emit { target, origin, payload } => put_emit(out, target, origin, payload),
            Self::Acknowledge { subscription, through } => {
                out.push(KIND_ACKNOWLEDGE);
                put_number(out, subscription.get());
                put_number(out, through.get());
            }
            Self::Rebind { subscription, from, token, to, next_token } => {
                out.push(KIND_REBIND);
                put_number(out, subscription.get());
                put_bytes(out, from);
                out.extend_from_slice(&token.to_bytes());
                put_bytes(out, to);
                out.extend_from_slice(&next_token.to_bytes());
            }
            Self::Compact { subscription, through, snapshot } => {
                out.push(KIND_COMPACT);
                put_number(out, subscription.get());
                put_number(out, through.get());
                put_bytes(out, snapshot);
            }
            Self::Evict { subscription, through } => {
                out.push(KIND_EVICT);
                put_number(out, subscription.get());
                put_number(out, through.get());
            }
            Self::Retire { producer } => {
                out.push(KIND_RETIRE);
                put_number(out, producer.get());
            }
        }
        Ok(())
    }

    /// The record that `bytes` are, all of them.
    ///
    /// Equal records have equal bytes: what decodes encodes to the same bytes again. Whether the record makes sense
    /// is for [`Outbox::apply`](crate::Outbox::apply) to say.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]; no length is believed that exceeds what its place allows or what is there.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = WireReader::new(bytes);
        let version = reader.byte()?;
        if version != VERSION {
            return Err(DecodeError::Version { found: version });
        }
        let kind = reader.byte()?;
        let change = decode_body(kind, &mut reader)?;
        match reader.remaining() {
            0 => Ok(change),
            bytes => Err(DecodeError::Trailing { bytes }),
        }
    }

    fn check(&self) -> Result<(), EncodeError> {
        let name = |name: &[u8]| {
            if is_client_name(name) { Ok(()) } else { Err(EncodeError::Client { bytes: name.len() }) }
        };
        let payload = |payload: &[u8]| {
            if payload.len() <= PAYLOAD_BYTES_LIMIT {
                Ok(())
            } else {
                Err(EncodeError::Payload { bytes: payload.len() })
            }
        };
        match self {
            Self::Subscribe { client, .. } => name(client),
            Self::Rebind { from, to, .. } => name(from).and_then(|()| name(to)),
            Self::Emit { origin: Some(Origin { number: 0, .. }), .. } => Err(EncodeError::Origin),
            Self::Emit { payload: bytes, .. } | Self::Compact { snapshot: bytes, .. } => payload(bytes),
            _ => Ok(()),
        }
    }
}

fn put_emit(out: &mut Vec<u8>, target: Target, origin: Option<Origin>, payload: &[u8]) {
    match target {
        Target::Subscription(subscription) => {
            out.push(KIND_EMIT);
            put_number(out, subscription.get());
        }
        Target::Topic(fingerprint) => {
            out.push(KIND_EMIT_TOPIC);
            out.extend_from_slice(&fingerprint.get().to_le_bytes());
        }
    }
    let (producer, number) = origin.map_or((0, 0), |origin| (origin.producer.get(), origin.number));
    put_number(out, producer);
    put_number(out, number);
    put_bytes(out, payload);
}

fn decode_body<'a>(kind: u8, reader: &mut WireReader<'a>) -> Result<Change<'a>, DecodeError> {
    Ok(match kind {
        KIND_START_EPOCH => {
            Change::StartEpoch { term: Term::new(reader.number()?), node: NodeId::new(reader.number()?) }
        }
        KIND_CONFIGURE => Change::Configure(read_limits(reader)?),
        KIND_SUBSCRIBE => Change::Subscribe {
            client: read_client(reader)?,
            fingerprint: read_fingerprint(reader)?,
            token: Token::new(reader.array()?),
            stall: read_stall(reader)?,
        },
        KIND_UNSUBSCRIBE => Change::Unsubscribe {
            subscription: read_subscription(reader)?,
            token: Token::new(reader.array()?),
        },
        KIND_EMIT => {
            let target = Target::Subscription(read_subscription(reader)?);
            read_emit(target, reader)?
        }
        KIND_EMIT_TOPIC => {
            let target = Target::Topic(read_fingerprint(reader)?);
            read_emit(target, reader)?
        }
        KIND_ACKNOWLEDGE => Change::Acknowledge {
            subscription: read_subscription(reader)?,
            through: Seq::new(reader.number()?),
        },
        KIND_REBIND => Change::Rebind {
            subscription: read_subscription(reader)?,
            from: read_client(reader)?,
            token: Token::new(reader.array()?),
            to: read_client(reader)?,
            next_token: Token::new(reader.array()?),
        },
        KIND_COMPACT => Change::Compact {
            subscription: read_subscription(reader)?,
            through: Seq::new(reader.number()?),
            snapshot: reader.bytes(PAYLOAD_BYTES_LIMIT)?,
        },
        KIND_EVICT => {
            Change::Evict { subscription: read_subscription(reader)?, through: Seq::new(reader.number()?) }
        }
        KIND_RETIRE => Change::Retire { producer: ProducerId::new(reader.number()?) },
        found => return Err(DecodeError::Kind { found }),
    })
}

fn read_emit<'a>(target: Target, reader: &mut WireReader<'a>) -> Result<Change<'a>, DecodeError> {
    let origin = Origin { producer: ProducerId::new(reader.number()?), number: reader.number()? };
    let origin = match origin.number {
        // One way only to say that there is none.
        0 if origin.producer.get() != 0 => return Err(DecodeError::Field { name: "origin" }),
        0 => None,
        _ => Some(origin),
    };
    Ok(Change::Emit { target, origin, payload: reader.bytes(PAYLOAD_BYTES_LIMIT)? })
}

fn read_subscription(reader: &mut WireReader<'_>) -> Result<SubscriptionId, DecodeError> {
    Ok(SubscriptionId::new(reader.number()?))
}

pub(crate) fn read_fingerprint(reader: &mut WireReader<'_>) -> Result<Fingerprint, DecodeError> {
    Ok(Fingerprint::new(u64::from_le_bytes(reader.array()?)))
}

pub(crate) fn read_client<'a>(reader: &mut WireReader<'a>) -> Result<&'a [u8], DecodeError> {
    let client = reader.bytes(CLIENT_BYTES_MAX)?;
    if is_client_name(client) { Ok(client) } else { Err(DecodeError::Field { name: "client" }) }
}

pub(crate) fn read_stall(reader: &mut WireReader<'_>) -> Result<StallPolicy, DecodeError> {
    match reader.byte()? {
        0 => Ok(StallPolicy::Suspend),
        1 => Ok(StallPolicy::Coalesce),
        2 => Ok(StallPolicy::Evict),
        _ => Err(DecodeError::Field { name: "stall" }),
    }
}

pub(crate) fn stall_number(stall: StallPolicy) -> u8 {
    match stall {
        StallPolicy::Suspend => 0,
        StallPolicy::Coalesce => 1,
        StallPolicy::Evict => 2,
    }
}

pub(crate) fn put_limits(out: &mut Vec<u8>, limits: &Limits) {
    put_number(out, u64::from(limits.subscriptions_max));
    put_number(out, u64::from(limits.producers_max));
    put_number(out, limits.entries_max);
    put_number(out, limits.bytes_max);
    put_number(out, limits.subscription_entries_max);
    put_number(out, limits.subscription_bytes_max);
    put_number(out, limits.payload_bytes_max);
}

pub(crate) fn read_limits(reader: &mut WireReader<'_>) -> Result<Limits, DecodeError> {
    Ok(Limits {
        subscriptions_max: reader.number_u32()?,
        producers_max: reader.number_u32()?,
        entries_max: reader.number()?,
        bytes_max: reader.number()?,
        subscription_entries_max: reader.number()?,
        subscription_bytes_max: reader.number()?,
        payload_bytes_max: reader.number()?,
    })
}

/// Why a [`Change`] has no bytes. The change is at fault: mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A client's name is empty or too long.
    #[error("a client's name has 1 to {CLIENT_BYTES_MAX} bytes, not {bytes}")]
    Client {
        /// Its length.
        bytes: usize,
    },
    /// A payload or snapshot is too long.
    #[error("a payload has at most {PAYLOAD_BYTES_LIMIT} bytes, not {bytes}")]
    Payload {
        /// Its length.
        bytes: usize,
    },
    /// An origin has number 0.
    #[error("a producer numbers its events from 1")]
    Origin,
}

/// Why bytes are no [`Change`]. They were damaged, or written by a later version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// They end too early.
    #[error("the record ends too early")]
    Short,
    /// Their format is another than version 1.
    #[error("format version {found} is not known, only version {VERSION}")]
    Version {
        /// The version they claim.
        found: u8,
    },
    /// Their kind is none of version 1.
    #[error("kind {found} is not known")]
    Kind {
        /// The kind they claim.
        found: u8,
    },
    /// A length exceeds what its place allows.
    #[error("a length of {bytes} where at most {bytes_max} is allowed")]
    Long {
        /// The length they claim.
        bytes: u64,
        /// The longest that is allowed.
        bytes_max: usize,
    },
    /// A number is not in its shortest form or too large.
    #[error("a number is not in its shortest form, or too large for its place")]
    Number,
    /// A field has a value that it cannot have.
    #[error("field {name} has no such value")]
    Field {
        /// The field.
        name: &'static str,
    },
    /// Bytes are left over.
    #[error("{bytes} bytes are left behind the record")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

impl From<WireError> for DecodeError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Short => Self::Short,
            WireError::Number => Self::Number,
            WireError::Long { bytes, bytes_max } => Self::Long { bytes, bytes_max },
        }
    }
}

const VERSION: u8 = 1;

// Kinds are never given out again.
const KIND_START_EPOCH: u8 = 1;
const KIND_CONFIGURE: u8 = 2;
const KIND_SUBSCRIBE: u8 = 3;
const KIND_UNSUBSCRIBE: u8 = 4;
const KIND_EMIT: u8 = 5;
const KIND_EMIT_TOPIC: u8 = 6;
const KIND_ACKNOWLEDGE: u8 = 7;
const KIND_REBIND: u8 = 8;
const KIND_COMPACT: u8 = 9;
const KIND_EVICT: u8 = 10;
const KIND_RETIRE: u8 = 11;

#[cfg(test)]
mod tests;
