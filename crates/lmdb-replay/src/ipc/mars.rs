//! Messages of protocol 2: runtimes 4.x, `urbit work` and `urbit boot`.
//!
//! Here the process with the kernel, mars, has the log too, and stamps events with their time; urth does the rest. No
//! message replays: that is a run of the binary of its own.

use samestep_noun::Noun;

use crate::ipc::message::{MessageError, list, unknown, word};

/// What urth asks. `mil` is a limit in milliseconds, 0 for none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// `[%poke mil ovum]`: apply and log an event that has no date yet.
    Poke {
        /// The limit.
        mil: u64,
        /// `[wire card]`.
        ovum: Noun,
    },
    /// `[%peek mil sample]`: read from the kernel.
    Peek {
        /// The limit.
        mil: u64,
        /// What to read.
        sample: Noun,
    },
    /// `[%sync %save ~]`: make the state durable.
    Save,
    /// `[%live %pack ~]`: give memory back.
    Pack,
    /// `[%live %meld how]`: give memory back by sharing equal parts.
    Meld {
        /// How, in the runtime's own terms.
        how: Noun,
    },
    /// `[%quiz %quac ~]` or `[%quiz %quic ~]`: tell what memory is used for.
    Quiz {
        /// `quac` or `quic`.
        kind: Noun,
    },
    /// `[%exit ~]`: end.
    Exit,
    /// `[%boot [pill event props]]`: make a ship. Only to `urbit boot`.
    Boot {
        /// Pill, first event, and properties.
        with: Noun,
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
        let (tag, rest) = noun.as_pair()?;
        let tag = tag.to_cord()?;
        match (tag.as_str(), rest) {
            ("exit", rest) => return (rest.as_u64() == Some(0)).then_some(Self::Exit),
            ("boot", rest) => return rest.is_cell().then(|| Self::Boot { with: rest.clone() }),
            _ => {}
        }
        let (first, second) = rest.as_pair()?;
        let is_null = second.as_u64() == Some(0);
        match tag.as_str() {
            "poke" => Some(Self::Poke { mil: first.as_u64()?, ovum: second.clone() }),
            "peek" => Some(Self::Peek { mil: first.as_u64()?, sample: second.clone() }),
            "sync" if first.is_cord("save") && is_null => Some(Self::Save),
            "live" if first.is_cord("pack") && is_null => Some(Self::Pack),
            "live" if first.is_cord("meld") => Some(Self::Meld { how: second.clone() }),
            "quiz" if (first.is_cord("quac") || first.is_cord("quic")) && is_null => {
                Some(Self::Quiz { kind: first.clone() })
            }
            _ => None,
        }
    }

    /// The noun.
    pub fn to_noun(&self) -> Noun {
        match self {
            Self::Poke { mil, ovum } => Noun::from(("poke", *mil, ovum)),
            Self::Peek { mil, sample } => Noun::from(("peek", *mil, sample)),
            Self::Save => Noun::from(("sync", "save", 0)),
            Self::Pack => Noun::from(("live", "pack", 0)),
            Self::Meld { how } => Noun::from(("live", "meld", how)),
            Self::Quiz { kind } => Noun::from(("quiz", kind, 0)),
            Self::Exit => Noun::from(("exit", 0)),
            Self::Boot { with } => Noun::from(("boot", with)),
        }
    }
}

/// What mars says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// `[%ripe [2 wynn] [who fake] event mug]`: once, at the start.
    Ripe {
        /// The protocol.
        protocol: u64,
        /// The versions of the runtime, Hoon, Nock and the rest.
        wynn: Noun,
        /// The ship's number.
        who: Noun,
        /// Whether it is a fake ship, as a loobean.
        fake: Noun,
        /// The last event in the state.
        event: u64,
        /// The mug of the state.
        mug: u32,
    },
    /// `[%poke %.y effects]`: applied, and durable.
    PokeDone {
        /// The effects.
        effects: Noun,
    },
    /// `[%poke %.n goofs]`: not applied.
    PokeBail {
        /// Why.
        goofs: Vec<Noun>,
    },
    /// `[%peek value]`, in the runtime's own terms.
    Peek {
        /// What was read, or why not.
        value: Noun,
    },
    /// `[%sync event mug]`: the state after this event is durable.
    Sync {
        /// The event.
        event: u64,
        /// The mug of the state.
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
    /// `[%quiz value]`, in the runtime's own terms.
    Quiz {
        /// What memory is used for.
        value: Noun,
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
        let pair = || rest.as_pair();
        match tag.to_cord()?.as_str() {
            "ripe" => {
                let [versions, ship, event, mug] = rest.as_tuple()?;
                let ((protocol, wynn), (who, fake)) = (versions.as_pair()?, ship.as_pair()?);
                Some(Self::Ripe {
                    protocol: protocol.as_u64()?,
                    wynn: wynn.clone(),
                    who: who.clone(),
                    fake: fake.clone(),
                    event: event.as_u64()?,
                    mug: word(mug)?,
                })
            }
            "poke" => match pair()? {
                (is_done, effects) if is_done.as_u64() == Some(0) => {
                    Some(Self::PokeDone { effects: effects.clone() })
                }
                (is_done, goofs) if is_done.as_u64() == Some(1) => {
                    Some(Self::PokeBail { goofs: list(goofs)? })
                }
                _ => None,
            },
            "peek" => Some(Self::Peek { value: rest.clone() }),
            "sync" => {
                let (event, mug) = pair()?;
                Some(Self::Sync { event: event.as_u64()?, mug: word(mug)? })
            }
            "live" => (rest.as_u64() == Some(0)).then_some(Self::Live),
            "slog" => {
                let (priority, tank) = pair()?;
                Some(Self::Slog { priority: priority.as_u64()?, tank: tank.clone() })
            }
            "flog" => Some(Self::Flog { cord: rest.clone() }),
            "quiz" => Some(Self::Quiz { value: rest.clone() }),
            _ => None,
        }
    }

    /// The noun.
    pub fn to_noun(&self) -> Noun {
        match self {
            Self::Ripe { protocol, wynn, who, fake, event, mug } => {
                Noun::from(("ripe", (*protocol, wynn), (who, fake), *event, u64::from(*mug)))
            }
            Self::PokeDone { effects } => Noun::from(("poke", true, effects)),
            Self::PokeBail { goofs } => Noun::from(("poke", false, Noun::list(goofs))),
            Self::Peek { value } => Noun::from(("peek", value)),
            Self::Sync { event, mug } => Noun::from(("sync", *event, u64::from(*mug))),
            Self::Live => Noun::from(("live", 0)),
            Self::Slog { priority, tank } => Noun::from(("slog", *priority, tank)),
            Self::Flog { cord } => Noun::from(("flog", cord)),
            Self::Quiz { value } => Noun::from(("quiz", value)),
        }
    }
}

/// The protocol of these messages.
pub const PROTOCOL: u64 = 2;
