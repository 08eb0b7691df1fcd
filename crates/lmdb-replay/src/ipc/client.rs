//! A machine in another process.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command as Program, Stdio};

use samestep_noun::{CueError, CueLimits, Noun};

use crate::ipc::message::MessageError;
use crate::ipc::newt::{Decoder, FrameError, write_frame};
use crate::ipc::serf::{Command, PROTOCOL, Reply};
use crate::machine::{FailureKind, Machine, Reclaim};
use crate::rock::{self, RockError};

/// How a serf is started: `PROGRAM serf PIER KEY WAG HAP LOOM EVE EPH TOSS PER`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SerfProcess {
    /// The runtime, 3.x, or one that speaks as it does.
    pub program: PathBuf,
    /// A folder for the serf's own state, which is not the pier whose log is replayed: it holds `.urb`, and rocks pass
    /// through it.
    pub folder: PathBuf,
    /// Memory in bits, 20 to 34.
    pub loom_bits: u32,
    /// Bytes that one frame from the serf may have.
    pub frame_bytes_max: u32,
}

impl SerfProcess {
    /// A serf with 2 GiB of memory, whose frames may have 256 MiB.
    pub fn new(program: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), folder: folder.into(), loom_bits: 31, frame_bytes_max: 1 << 28 }
    }

    /// Starts the process, from rock `rock` or, with 0, from its own state.
    fn start(&self, rock: u64) -> Result<Running, ClientError> {
        let mut program = Program::new(&self.program);
        program.arg("serf").arg(&self.folder).args(["0:0:0:0", "0", "0"]);
        program.args([self.loom_bits.to_string(), rock.to_string()]).args(["0", "0", "0"]);
        // What it prints is for people, and goes where ours goes; frames go nowhere but through the pipes.
        let spawned = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child =
            spawned.map_err(|source| ClientError::Start { program: self.program.clone(), source })?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = pipes.expect("both were asked for");
        let decoder = Decoder::new(self.frame_bytes_max);
        let mut running = Running {
            child,
            stdin: Some(stdin),
            stdout,
            decoder,
            event: 0,
            mug: 0,
            limit: self.frame_bytes_max,
        };
        match running.reply(&mut |_| {})? {
            Reply::Ripe { protocol: PROTOCOL, event, mug, .. } => {
                (running.event, running.mug) = (event, mug);
                Ok(running)
            }
            Reply::Ripe { protocol, .. } => Err(ClientError::Protocol { found: protocol }),
            reply => Err(unexpected("the start", &reply)),
        }
    }
}

/// Something that a serf says aside.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Slog {
    /// Its priority, 0 for most.
    pub priority: u64,
    /// A cord or a tank, as Hoon has it.
    pub text: Noun,
}

/// Drives a serf of protocol 1 as a machine: each event is a `%play` of one.
///
/// Snapshots are rocks, which the serf writes and reads in its folder. The last poke cannot be taken back.
pub struct SerfMachine {
    process: SerfProcess,
    running: Running,
    slog: Box<dyn FnMut(Slog)>,
}

impl SerfMachine {
    /// Starts the process, and waits until it is ripe.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn start(process: SerfProcess) -> Result<Self, ClientError> {
        let running = process.start(0)?;
        Ok(Self { process, running, slog: Box::new(|_| {}) })
    }

    /// Hands what the serf says aside to `slog`.
    pub fn with_slog(mut self, slog: impl FnMut(Slog) + 'static) -> Self {
        self.slog = Box::new(slog);
        self
    }

    /// The last event in its state.
    pub fn event(&self) -> u64 {
        self.running.event
    }

    fn play(&mut self, event: u64, list: Vec<Noun>) -> Result<(), ClientError> {
        let end = event + list.len() as u64 - 1;
        match self.ask(&Command::Play { event, list })? {
            Reply::PlayDone { mug } => {
                (self.running.event, self.running.mug) = (end, mug);
                Ok(())
            }
            Reply::PlayBail { event, mug, goof } => {
                (self.running.event, self.running.mug) = (event, mug);
                let mote = goof.as_pair().and_then(|(mote, _)| mote.to_cord()).unwrap_or_default();
                Err(ClientError::Bail { event, mote, goof: goof.to_string() })
            }
            reply => Err(unexpected("%play", &reply)),
        }
    }

    fn ask_live(&mut self, command: &Command) -> Result<(), ClientError> {
        match self.ask(command)? {
            Reply::Live => Ok(()),
            reply => Err(unexpected("%live", &reply)),
        }
    }

    fn ask(&mut self, command: &Command) -> Result<Reply, ClientError> {
        let stdin = self.running.stdin.as_mut().ok_or(ClientError::Ended)?;
        write_frame(stdin, &command.to_noun().jam())?;
        self.running.reply(&mut self.slog)
    }
}

impl Machine for SerfMachine {
    type Error = ClientError;

    fn boot(&mut self, payloads: &[Vec<u8>]) -> Result<(), ClientError> {
        if self.running.event != 0 {
            return Err(ClientError::NotNew { event: self.running.event });
        }
        let list: Result<Vec<Noun>, CueError> = payloads.iter().map(|payload| Noun::cue(payload)).collect();
        let list = list.map_err(|source| ClientError::Payload { source })?;
        if list.is_empty() { Ok(()) } else { self.play(1, list) }
    }

    fn poke(&mut self, number: u64, payload: &[u8]) -> Result<(), ClientError> {
        let event = Noun::cue(payload).map_err(|source| ClientError::Payload { source })?;
        self.play(number, vec![event])
    }

    fn mug(&mut self) -> u32 {
        self.running.mug
    }

    fn snapshot(&mut self) -> Result<Vec<u8>, ClientError> {
        let event = self.running.event;
        self.ask_live(&Command::Cram { event })?;
        Ok(rock::read(&self.process.folder, event)?)
    }

    fn restore(&mut self, number: u64, state: &[u8]) -> Result<(), ClientError> {
        rock::write(&self.process.folder, number, state)?;
        self.running.end();
        self.running = self.process.start(number)?;
        let found = self.running.event;
        if found == number { Ok(()) } else { Err(ClientError::WrongEvent { expected: number, found }) }
    }

    fn reclaim(&mut self, how: Reclaim) -> Result<(), ClientError> {
        self.ask_live(match how {
            Reclaim::Pack => &Command::Pack,
            Reclaim::Meld => &Command::Meld,
        })
    }

    fn failure_kind(error: &ClientError) -> FailureKind {
        match error {
            ClientError::Bail { mote, .. } => match mote.as_str() {
                "meme" => FailureKind::Memory,
                "intr" => FailureKind::Interrupt,
                "alrm" => FailureKind::Deadline,
                _ => FailureKind::Crash,
            },
            ClientError::Payload { .. } => FailureKind::Unreadable,
            _ => FailureKind::Lost,
        }
    }
}

impl fmt::Debug for SerfMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SerfMachine").field("process", &self.process).finish_non_exhaustive()
    }
}

/// A serf's process, and how far it is.
struct Running {
    child: Child,
    /// `None` once it was told to end.
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    decoder: Decoder,
    event: u64,
    mug: u32,
    limit: u32,
}

impl Running {
    /// The next reply that is no slog.
    fn reply(&mut self, slog: &mut dyn FnMut(Slog)) -> Result<Reply, ClientError> {
        loop {
            let jam = self.decoder.read_frame(&mut self.stdout)?.ok_or(ClientError::Ended)?;
            // What a frame may have, its noun may have a hundred times.
            let limits = CueLimits::new((self.limit as usize).saturating_mul(100));
            let noun = Noun::cue_within(&jam, &limits).map_err(MessageError::from)?;
            match Reply::from_noun(&noun)? {
                Reply::Slog { priority, tank } => slog(Slog { priority, text: tank }),
                Reply::Flog { cord } => slog(Slog { priority: 0, text: cord }),
                reply => return Ok(reply),
            }
        }
    }

    /// Tells the process to end, and waits for it. One that is lost already is no matter.
    fn end(&mut self) {
        if let Some(mut stdin) = self.stdin.take() {
            let _told = write_frame(&mut stdin, &Command::Exit { code: 0 }.to_noun().jam());
            drop(stdin);
            let _ended = self.child.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn unexpected(asked: &'static str, reply: &Reply) -> ClientError {
    let noun = reply.to_noun();
    let kind = noun.as_pair().and_then(|(tag, _)| tag.to_cord()).unwrap_or_default();
    ClientError::Unexpected { asked, found: kind }
}

/// Why a serf could not be driven on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The program cannot be started.
    #[error("{} cannot be started", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It speaks another protocol: a runtime 4.x replays by itself.
    #[error("the serf speaks protocol {found}, which does not replay; 1 is needed")]
    Protocol {
        /// The protocol.
        found: u64,
    },
    /// The process ended.
    #[error("the serf ended")]
    Ended,
    /// The stream from or to the process is broken.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// What came is no message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A reply answers another command than the one that was given.
    #[error("%{found} answers {asked}")]
    Unexpected {
        /// The command.
        asked: &'static str,
        /// The kind of reply.
        found: String,
    },
    /// An event failed. The state is that before it.
    #[error("bail %{mote} behind event {event}: {goof}")]
    Bail {
        /// The last good event.
        event: u64,
        /// The kind of failure.
        mote: String,
        /// Kind and trace as a noun, cut short.
        goof: String,
    },
    /// The jam of an event is damaged.
    #[error("the event is no noun")]
    Payload {
        /// How.
        source: CueError,
    },
    /// It has a state already, so that it cannot boot: give it an empty folder.
    #[error("the serf has a state already, of event {event}: give it an empty folder")]
    NotNew {
        /// The last event in it.
        event: u64,
    },
    /// It did not take the rock that it was given.
    #[error("the serf stands behind event {found}, expected {expected}")]
    WrongEvent {
        /// The event of the rock.
        expected: u64,
        /// Where it stands.
        found: u64,
    },
    /// A rock cannot be handed over.
    #[error(transparent)]
    Rock(#[from] RockError),
}
