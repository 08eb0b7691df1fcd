//! Messages of protocol 1: runtimes 3.x, `urbit serf`.

use samestep_noun::Noun;

use crate::ipc::message::{MessageError, list, unknown, word};

/// What a king asks. `mil` is a limit in milliseconds, 0 for none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// `[%live %exit code]`: end.
    Exit {
        /// The exit code.
        code: u64,
    },
    /// `[%live %save event]`: make the state after this event durable; it must be the last one.
    Save {
        /// The event.
        event: u64,
    },
    /// `[%live %cram event]`: write a rock.
    Cram {
        /// The event.
        event: u64,
    },
    /// `[%live %pack ~]`: give memory back.
    Pack,
    /// `[%live %meld ~]`: give memory back by sharing equal parts.
    Meld,
    /// `[%peek mil sample]`: read from the kernel.
    Peek {
        /// The limit.
        mil: u64,
        /// What to read.
        sample: Noun,
    },
    /// `[%play event list]`: apply events, from this one on. At the beginning, boot with them.
    Play {
        /// The first event.
        event: u64,
        /// The events, at least one.
        list: Vec<Noun>,
    },
    /// `[%work mil job]`: apply a live event.
    Work {
        /// The limit.
        mil: u64,
        /// `[now ovum]`.
        job: Noun,
    },
}

impl Command {
    /// The command that a noun is.
    ///
    /// # Errors
    ///
    /// [`MessageError::Unknown`].
    pub fn from_noun(noun: &Noun) -> Result<Self, MessageError> {
        Self::parse(noun).ok_or_else(|| unknown(noun))
    }

    fn parse(noun: &Noun) -> Option<Self> {
        let [tag, first, second] = noun.as_tuple()?;
        match tag.to_cord()?.as_str() {
            "live" => match (first.to_cord()?.as_str(), second.as_u64()?) {
                ("exit", code) => Some(Self::Exit { code }),
                ("save", event) => Some(Self::Save { event }),
                ("cram", event) => Some(Self::Cram { event }),
                ("pack", 0) => Some(Self::Pack),
                ("meld", 0) => Some(Self::Meld),
                _ => None,
            },
            "peek" => Some(Self::Peek { mil: first.as_u64()?, sample: second.clone() }),
            "play" => {
                let list = list(second).filter(|list| !list.is_empty())?;
                Some(Self::Play { event: first.as_u64()?, list })
            }
            "work" => Some(Self::Work { mil: first.as_u64()?, job: second.clone() }),
            _ => None,
        }
    }

    /// The noun.
    pub fn to_noun(&self) -> Noun {
        match self {
            Self::Exit { code } => Noun::from(("live", "exit", *code)),
            Self::Save { event } => Noun::from(("live", "save", *event)),
            Self::Cram { event } => Noun::from(("live", "cram", *event)),
            Self::Pack => Noun::from(("live", "pack", 0)),
            Self::Meld => Noun::from(("live", "meld", 0)),
            Self::Peek { mil, sample } => Noun::from(("peek", *mil, sample)),
            Self::Play { event, list } => Noun::from(("play", *event, Noun::list(list))),
            Self::Work { mil, job } => Noun::from(("work", *mil, job)),
        }
    }
}

/// What a serf says. A goof is `[mote tang]`: the kind of failure, and its trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// `[%ripe [1 hoon nock] event mug]`: once, at the start.
    Ripe {
        /// The protocol.
        protocol: u64,
        /// The version of Hoon.
        hoon: u64,
        /// The version of Nock.
        nock: u64,
        /// The last event in the state.
        event: u64,
        /// The mug of the state, 0 before the first event.
        mug: u32,
    },
    /// `[%live ~]`: done.
    Live,
    /// `[%slog priority tank]`: something to print, at any time.
    Slog {
        /// The priority.
        priority: u64,
        /// The text, as Hoon has it.
        tank: Noun,
    },
    /// `[%flog cord]`: something to print, at any time.
    Flog {
        /// The text.
        cord: Noun,
    },
    /// `[%peek %done unit]`.
    PeekDone {
        /// What was read, if anything.
        value: Noun,
    },
    /// `[%peek %bail goof]`.
    PeekBail {
        /// Why not.
        goof: Noun,
    },
    /// `[%play %done mug]`.
    PlayDone {
        /// The mug of the state.
        mug: u32,
    },
    /// `[%play %bail event mug goof]`: the state is that after `event`.
    PlayBail {
        /// The last good event.
        event: u64,
        /// The mug of the state.
        mug: u32,
        /// Why the next one failed.
        goof: Noun,
    },
    /// `[%work %done event mug effects]`.
    WorkDone {
        /// The event.
        event: u64,
        /// The mug of the state.
        mug: u32,
        /// The effects.
        effects: Noun,
    },
    /// `[%work %swap event mug job effects]`: the event failed, and this one was applied in its place.
    WorkSwap {
        /// The event.
        event: u64,
        /// The mug of the state.
        mug: u32,
        /// What was applied.
        job: Noun,
        /// The effects.
        effects: Noun,
    },
    /// `[%work %bail goofs]`: nothing was applied.
    WorkBail {
        /// Why, and why not the one in its place.
        goofs: Vec<Noun>,
    },
}

impl Reply {
    /// The reply that a noun is.
    ///
    /// # Errors
    ///
    /// [`MessageError::Unknown`].
    pub fn from_noun(noun: &Noun) -> Result<Self, MessageError> {
        Self::parse(noun).ok_or_else(|| unknown(noun))
    }

    fn parse(noun: &Noun) -> Option<Self> {
        let (tag, rest) = noun.as_pair()?;
        match tag.to_cord()?.as_str() {
            "ripe" => {
                let [versions, event, mug] = rest.as_tuple()?;
                let [protocol, hoon, nock] = versions.as_tuple()?;
                Some(Self::Ripe {
                    protocol: protocol.as_u64()?,
                    hoon: hoon.as_u64()?,
                    nock: nock.as_u64()?,
                    event: event.as_u64()?,
                    mug: word(mug)?,
                })
            }
            "live" => (rest.as_u64() == Some(0)).then_some(Self::Live),
            "slog" => {
                let (priority, tank) = rest.as_pair()?;
                Some(Self::Slog { priority: priority.as_u64()?, tank: tank.clone() })
            }
            "flog" => Some(Self::Flog { cord: rest.clone() }),
            "peek" => match Self::kind(rest)? {
                (kind, value) if kind.is_cord("done") => Some(Self::PeekDone { value: value.clone() }),
                (kind, goof) if kind.is_cord("bail") => Some(Self::PeekBail { goof: goof.clone() }),
                _ => None,
            },
            "play" => Self::parse_play(rest),
            "work" => Self::parse_work(rest),
            _ => None,
        }
    }

    fn kind(rest: &Noun) -> Option<(&Noun, &Noun)> {
        rest.as_pair()
    }

    fn parse_play(rest: &Noun) -> Option<Self> {
        let (kind, rest) = Self::kind(rest)?;
        if kind.is_cord("done") {
            return Some(Self::PlayDone { mug: word(rest)? });
        }
        let [event, mug, goof] = rest.as_tuple()?;
        let bail = Self::PlayBail { event: event.as_u64()?, mug: word(mug)?, goof: goof.clone() };
        kind.is_cord("bail").then_some(bail)
    }

    fn parse_work(rest: &Noun) -> Option<Self> {
        let (kind, rest) = Self::kind(rest)?;
        match kind.to_cord()?.as_str() {
            "done" => {
                let [event, mug, effects] = rest.as_tuple()?;
                Some(Self::WorkDone { event: event.as_u64()?, mug: word(mug)?, effects: effects.clone() })
            }
            "swap" => {
                let [event, mug, job, effects] = rest.as_tuple()?;
                let (event, mug) = (event.as_u64()?, word(mug)?);
                Some(Self::WorkSwap { event, mug, job: job.clone(), effects: effects.clone() })
            }
            "bail" => Some(Self::WorkBail { goofs: list(rest)? }),
            _ => None,
        }
    }

    /// The noun.
    pub fn to_noun(&self) -> Noun {
        let mug = |mug: &u32| u64::from(*mug);
        match self {
            Self::Ripe { protocol, hoon, nock, event, mug: state } => {
                Noun::from(("ripe", (*protocol, *hoon, *nock), *event, mug(state)))
            }
            Self::Live => Noun::from(("live", 0)),
            Self::Slog { priority, tank } => Noun::from(("slog", *priority, tank)),
            Self::Flog { cord } => Noun::from(("flog", cord)),
            Self::PeekDone { value } => Noun::from(("peek", "done", value)),
            Self::PeekBail { goof } => Noun::from(("peek", "bail", goof)),
            Self::PlayDone { mug: state } => Noun::from(("play", "done", mug(state))),
            Self::PlayBail { event, mug: state, goof } => {
                Noun::from(("play", "bail", *event, mug(state), goof))
            }
            Self::WorkDone { event, mug: state, effects } => {
                Noun::from(("work", "done", *event, mug(state), effects))
            }
            Self::WorkSwap { event, mug: state, job, effects } => {
                Noun::from(("work", "swap", *event, mug(state), job, effects))
            }
            Self::WorkBail { goofs } => Noun::from(("work", "bail", Noun::list(goofs))),
        }
    }

    /// Whether it may come at any time and answers nothing.
    pub fn is_slog(&self) -> bool {
        matches!(self, Self::Slog { .. } | Self::Flog { .. })
    }
}

/// The protocol of these messages.
pub const PROTOCOL: u64 = 1;
/// The version of Hoon that runtimes 3.x tell.
pub const HOON: u64 = 139;
/// The version of Nock.
pub const NOCK: u64 = 4;
