//! What travels between processes: frames of a length, a kind and fields.
//!
//! `length: u32 | kind: u8 | numbers: u64 each | the rest: bytes`, little-endian; the length counts what follows it.

use protobuf::Message as _;
use raft::eraftpb::Message;
use samestep_emission::{
    Answer, ClientId, Delivery, DeliveryKind, Epoch, Fingerprint, Position, Reconnect, Restart, Seq,
    SubscriptionId, Term,
};

use super::Result;

/// What reaches a node.
#[derive(Debug)]
pub(crate) enum ToNode {
    Raft(Box<Message>),
    /// The client wants a subscription.
    Subscribe {
        client: ClientId,
    },
    Reconnect(Reconnect),
    Publish {
        producer: u64,
        number: u64,
        payload: Vec<u8>,
    },
    Acknowledge {
        subscription: SubscriptionId,
        through: Seq,
    },
    /// Somebody wants to know how it stands.
    Status,
    /// Call an election, if this is still the node's newest entry.
    Campaign {
        newest_term: u64,
        newest_index: u64,
    },
}

/// What reaches the client.
#[derive(Debug)]
pub(crate) enum ToClient {
    Subscribed {
        subscription: SubscriptionId,
    },
    Answer {
        node: u64,
        term: Term,
        answer: Answer,
    },
    Deliver(Delivered),
    /// The event is committed.
    Published {
        number: u64,
    },
    /// Ask somebody else.
    NotLeading,
    /// How the node stands: its newest entry, and whether it leads.
    Status {
        newest_term: u64,
        newest_index: u64,
        serves: bool,
    },
}

/// A delivery that owns its payload.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) subscription: SubscriptionId,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) term: Term,
    pub(crate) epoch: Epoch,
    pub(crate) seq: Seq,
    pub(crate) kind: DeliveryKind,
    pub(crate) payload: Vec<u8>,
}

impl ToNode {
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Raft(message) => frame(1, &[], &message.write_to_bytes()?),
            Self::Subscribe { client } => frame(2, &[], client.as_bytes()),
            Self::Reconnect(request) => {
                let position = request.position;
                let numbers = [request.subscription.get(), position.epoch.get(), position.seq.get()];
                frame(3, &numbers, request.client.as_bytes())
            }
            Self::Publish { producer, number, payload } => frame(4, &[*producer, *number], payload),
            Self::Acknowledge { subscription, through } => {
                frame(5, &[subscription.get(), through.get()], &[])
            }
            Self::Status => frame(6, &[], &[]),
            Self::Campaign { newest_term, newest_index } => frame(7, &[*newest_term, *newest_index], &[]),
        })
    }

    pub(crate) fn decode(frame: &[u8]) -> Result<Self> {
        let mut fields = Fields::new(frame)?;
        Ok(match fields.kind {
            1 => Self::Raft(Box::new(Message::parse_from_bytes(fields.rest)?)),
            2 => Self::Subscribe { client: ClientId::new(fields.rest)? },
            3 => {
                let subscription = SubscriptionId::new(fields.number()?);
                let position =
                    Position { epoch: Epoch::new(fields.number()?), seq: Seq::new(fields.number()?) };
                Self::Reconnect(Reconnect { subscription, position, client: ClientId::new(fields.rest)? })
            }
            4 => Self::Publish {
                producer: fields.number()?,
                number: fields.number()?,
                payload: fields.rest.to_vec(),
            },
            5 => Self::Acknowledge {
                subscription: SubscriptionId::new(fields.number()?),
                through: Seq::new(fields.number()?),
            },
            6 => Self::Status,
            7 => Self::Campaign { newest_term: fields.number()?, newest_index: fields.number()? },
            kind => return Err(format!("a node gets no frame of kind {kind}").into()),
        })
    }
}

impl ToClient {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Subscribed { subscription } => frame(1, &[subscription.get()], &[]),
            Self::Answer { node, term, answer } => {
                let (status, next, (restart, epoch)) = match *answer {
                    Answer::Ok { next } => (0, next.get(), (0, 0)),
                    Answer::Stale { next, restart } => (1, next.get(), restart_numbers(restart)),
                    Answer::Invalid { next, restart } => (2, next.get(), restart_numbers(restart)),
                    Answer::NotFound => (3, 0, (0, 0)),
                };
                frame(2, &[*node, term.get(), status, next, restart, epoch], &[])
            }
            Self::Deliver(delivered) => {
                let kind = u64::from(delivered.kind == DeliveryKind::Snapshot);
                let numbers = [
                    delivered.subscription.get(),
                    delivered.fingerprint.get(),
                    delivered.term.get(),
                    delivered.epoch.get(),
                    delivered.seq.get(),
                    kind,
                ];
                frame(3, &numbers, &delivered.payload)
            }
            Self::Published { number } => frame(4, &[*number], &[]),
            Self::NotLeading => frame(5, &[], &[]),
            Self::Status { newest_term, newest_index, serves } => {
                frame(6, &[*newest_term, *newest_index, u64::from(*serves)], &[])
            }
        }
    }

    pub(crate) fn decode(frame: &[u8]) -> Result<Self> {
        let mut fields = Fields::new(frame)?;
        Ok(match fields.kind {
            1 => Self::Subscribed { subscription: SubscriptionId::new(fields.number()?) },
            2 => {
                let (node, term) = (fields.number()?, Term::new(fields.number()?));
                let (status, next) = (fields.number()?, Seq::new(fields.number()?));
                let restart = match (fields.number()?, Epoch::new(fields.number()?)) {
                    (0, _) => Restart::Snapshot,
                    (1, _) => Restart::Beginning,
                    (_, epoch) => Restart::Wanted { epoch },
                };
                let answer = match status {
                    0 => Answer::Ok { next },
                    1 => Answer::Stale { next, restart },
                    2 => Answer::Invalid { next, restart },
                    _ => Answer::NotFound,
                };
                Self::Answer { node, term, answer }
            }
            3 => Self::Deliver(Delivered {
                subscription: SubscriptionId::new(fields.number()?),
                fingerprint: Fingerprint::new(fields.number()?),
                term: Term::new(fields.number()?),
                epoch: Epoch::new(fields.number()?),
                seq: Seq::new(fields.number()?),
                kind: if fields.number()? == 0 { DeliveryKind::Event } else { DeliveryKind::Snapshot },
                payload: fields.rest.to_vec(),
            }),
            4 => Self::Published { number: fields.number()? },
            5 => Self::NotLeading,
            6 => Self::Status {
                newest_term: fields.number()?,
                newest_index: fields.number()?,
                serves: fields.number()? == 1,
            },
            kind => return Err(format!("a client gets no frame of kind {kind}").into()),
        })
    }
}

impl Delivered {
    pub(crate) fn new(delivery: &Delivery<'_>) -> Self {
        Self {
            subscription: delivery.subscription,
            fingerprint: delivery.fingerprint,
            term: delivery.term,
            epoch: delivery.epoch,
            seq: delivery.seq,
            kind: delivery.kind,
            payload: delivery.payload.to_vec(),
        }
    }

    pub(crate) fn lend(&self) -> Delivery<'_> {
        Delivery {
            subscription: self.subscription,
            fingerprint: self.fingerprint,
            term: self.term,
            epoch: self.epoch,
            seq: self.seq,
            kind: self.kind,
            payload: &self.payload,
        }
    }
}

fn restart_numbers(restart: Restart) -> (u64, u64) {
    match restart {
        Restart::Snapshot => (0, 0),
        Restart::Beginning => (1, 0),
        Restart::Wanted { epoch } => (2, epoch.get()),
    }
}

fn frame(kind: u8, numbers: &[u64], rest: &[u8]) -> Vec<u8> {
    let len = 1 + 8 * numbers.len() + rest.len();
    let mut frame = Vec::with_capacity(4 + len);
    frame.extend_from_slice(&u32::try_from(len).expect("frames are small").to_le_bytes());
    frame.push(kind);
    for number in numbers {
        frame.extend_from_slice(&number.to_le_bytes());
    }
    frame.extend_from_slice(rest);
    frame
}

/// A frame without its length, read from the front.
struct Fields<'a> {
    kind: u8,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn new(frame: &'a [u8]) -> Result<Self> {
        let (&kind, rest) = frame.split_first().ok_or("an empty frame")?;
        Ok(Self { kind, rest })
    }

    fn number(&mut self) -> Result<u64> {
        let (number, rest) = self.rest.split_first_chunk().ok_or("a frame is too short")?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*number))
    }
}

/// Longest frame that is believed, in bytes.
pub(crate) const FRAME_BYTES_MAX: usize = 64 << 20;
