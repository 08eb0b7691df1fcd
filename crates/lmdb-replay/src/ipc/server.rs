//! A kernel here, driven by a king.

use std::error::Error;
use std::io::{self, Read, Write};

use samestep_noun::{Atom, CueLimits, Noun};

use crate::ipc::message::MessageError;
use crate::ipc::newt::{Decoder, FrameError, write_frame};
use crate::ipc::serf::{Command, HOON, NOCK, PROTOCOL, Reply};
use crate::machine::{FailureKind, Machine, NockMachine, NockMachineError, Reclaim};

/// A machine of nouns: what a king needs beyond replaying.
pub trait Kernel: Machine {
    /// Applies a live event, `[now ovum]`, and gives its effects.
    ///
    /// # Errors
    ///
    /// The machine's own; the state is what it was.
    fn work(&mut self, job: &Noun) -> Result<Noun, Self::Error>;

    /// Reads from the kernel.
    ///
    /// # Errors
    ///
    /// The machine's own.
    fn peek(&mut self, sample: &Noun) -> Result<Noun, Self::Error>;

    /// An error as `[mote tang]`. Without a trace unless it is written otherwise.
    fn goof(error: &Self::Error) -> Noun {
        Noun::from((mote(Self::failure_kind(error)), 0))
    }
}

impl Kernel for NockMachine {
    fn work(&mut self, job: &Noun) -> Result<Noun, NockMachineError> {
        Self::work(self, job)
    }

    fn peek(&mut self, sample: &Noun) -> Result<Noun, NockMachineError> {
        Self::peek(self, sample)
    }

    /// The hints around the failure, innermost first, a leaf each.
    fn goof(error: &NockMachineError) -> Noun {
        let trace = error.trace().map(|trace| trace.entries.as_slice()).unwrap_or_default();
        let tang = trace.iter().map(|entry| Noun::from(("leaf", Noun::tape(&entry.text))));
        Noun::from((mote(Self::failure_kind(error)), Noun::list(tang)))
    }
}

/// What a serf leaves to the process that it is.
pub trait SerfHost {
    /// The next command may take `mil` milliseconds, or with 0 as long as it likes.
    fn limit(&mut self, mil: u64);

    /// Makes the state after `event` durable.
    ///
    /// # Errors
    ///
    /// What the system says; the serf ends.
    fn save(&mut self, event: u64, mug: u32, state: Vec<u8>) -> io::Result<()>;

    /// Writes the state after `event` as a rock.
    ///
    /// # Errors
    ///
    /// What the system says; the serf ends.
    fn cram(&mut self, event: u64, state: Vec<u8>) -> io::Result<()>;
}

/// Lets the king at the other end of `reader` and `writer` drive `kernel`, whose state is that after `event`; gives the
/// exit code that the king asks for, or 0 if it is gone.
///
/// A live event that fails is tried once more as `%crud`, as runtimes do; one of a replay never is.
///
/// # Errors
///
/// [`ServeError`]: the process ends.
pub fn serve<K: Kernel>(
    kernel: K,
    event: u64,
    host: &mut impl SerfHost,
    reader: &mut impl Read,
    writer: &mut impl Write,
) -> Result<u64, ServeError> {
    let mut serf = Serf { kernel, event };
    let mug = serf.kernel.mug();
    let ripe = Reply::Ripe { protocol: PROTOCOL, hoon: HOON, nock: NOCK, event, mug };
    write_frame(writer, &ripe.to_noun().jam())?;
    let mut decoder = Decoder::new(u32::MAX);
    while let Some(jam) = decoder.read_frame(reader)? {
        let noun = Noun::cue_within(&jam, &CueLimits::default()).map_err(MessageError::from)?;
        let command = Command::from_noun(&noun)?;
        if let Command::Exit { code } = command {
            return Ok(code);
        }
        let reply = serf.answer(command, host)?;
        write_frame(writer, &reply.to_noun().jam())?;
    }
    Ok(0)
}

struct Serf<K> {
    kernel: K,
    /// The last event in its state.
    event: u64,
}

impl<K: Kernel> Serf<K> {
    fn answer(&mut self, command: Command, host: &mut impl SerfHost) -> Result<Reply, ServeError> {
        match command {
            Command::Exit { .. } => Ok(Reply::Live),
            Command::Save { event } => {
                let state = self.state(event)?;
                host.save(event, self.kernel.mug(), state)?;
                Ok(Reply::Live)
            }
            Command::Cram { event } => {
                let state = self.state(event)?;
                host.cram(event, state)?;
                Ok(Reply::Live)
            }
            Command::Pack => self.reclaim(Reclaim::Pack),
            Command::Meld => self.reclaim(Reclaim::Meld),
            Command::Peek { mil, sample } => {
                host.limit(mil);
                Ok(match self.kernel.peek(&sample) {
                    Ok(value) => Reply::PeekDone { value },
                    Err(error) => Reply::PeekBail { goof: K::goof(&error) },
                })
            }
            Command::Play { event, list } => {
                host.limit(0);
                self.play(event, &list)
            }
            Command::Work { mil, job } => {
                host.limit(mil);
                Ok(self.work(&job))
            }
        }
    }

    /// The state, if it is that after `event`.
    fn state(&mut self, event: u64) -> Result<Vec<u8>, ServeError> {
        if event != self.event {
            return Err(ServeError::OtherEvent { asked: event, event: self.event });
        }
        self.kernel.snapshot().map_err(ServeError::kernel)
    }

    fn reclaim(&mut self, how: Reclaim) -> Result<Reply, ServeError> {
        self.kernel.reclaim(how).map_err(ServeError::kernel)?;
        Ok(Reply::Live)
    }

    fn play(&mut self, event: u64, list: &[Noun]) -> Result<Reply, ServeError> {
        if event != self.event + 1 {
            return Err(ServeError::OtherEvent { asked: event, event: self.event });
        }
        let bail = |serf: &mut Self, error: &K::Error| Reply::PlayBail {
            event: serf.event,
            mug: serf.kernel.mug(),
            goof: K::goof(error),
        };
        if self.event == 0 {
            let payloads: Vec<Vec<u8>> = list.iter().map(Noun::jam).collect();
            if let Err(error) = self.kernel.boot(&payloads) {
                return Ok(bail(self, &error));
            }
            self.event = list.len() as u64;
        } else {
            for job in list {
                if let Err(error) = self.kernel.work(job) {
                    return Ok(bail(self, &error));
                }
                self.event += 1;
            }
        }
        Ok(Reply::PlayDone { mug: self.kernel.mug() })
    }

    fn work(&mut self, job: &Noun) -> Reply {
        let failed = match self.kernel.work(job) {
            Ok(effects) => {
                self.event += 1;
                return Reply::WorkDone { event: self.event, mug: self.kernel.mug(), effects };
            }
            Err(error) => error,
        };
        let goof = K::goof(&failed);
        let Some(job) = crud(job, &goof) else { return Reply::WorkBail { goofs: vec![goof] } };
        match self.kernel.work(&job) {
            Ok(effects) => {
                self.event += 1;
                Reply::WorkSwap { event: self.event, mug: self.kernel.mug(), job, effects }
            }
            Err(error) => Reply::WorkBail { goofs: vec![K::goof(&error), goof] },
        }
    }
}

/// `[(now + 1) [%$ %arvo ~] %crud goof ovum]`, what is applied in place of `[now ovum]`.
fn crud(job: &Noun, goof: &Noun) -> Option<Noun> {
    let (now, ovum) = job.as_pair()?;
    let next: Atom = now.as_atom()?.increment();
    Some(Noun::from((Noun::from(next), (0, "arvo", 0), ("crud", goof, ovum))))
}

fn mote(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Memory => "meme",
        FailureKind::Interrupt => "intr",
        FailureKind::Deadline => "alrm",
        FailureKind::Crash | FailureKind::Unreadable | FailureKind::Lost => "exit",
    }
}

/// Why a serf ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The stream from or to the king is broken.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// What came is no command.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The king is at another event.
    #[error("the king asks for event {asked}, the state is that after {event}")]
    OtherEvent {
        /// The event it asks for.
        asked: u64,
        /// The last event in the state.
        event: u64,
    },
    /// The state cannot be written.
    #[error("the state cannot be written")]
    Io(#[from] io::Error),
    /// The kernel gave no state.
    #[error("the kernel gives no state: {why}")]
    Kernel {
        /// Why, with its causes.
        why: String,
    },
}

impl ServeError {
    fn kernel(error: impl Error + 'static) -> Self {
        let mut why = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            why = format!("{why}: {error}");
            cause = error.source();
        }
        Self::Kernel { why }
    }
}
