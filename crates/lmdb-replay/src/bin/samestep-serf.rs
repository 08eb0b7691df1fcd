//! A serf of Urbit's protocol 1 on the reference Nock machine, for a king to drive:
//! `samestep-serf serf PIER KEY WAG HAP LOOM EVE EPH TOSS PER`.
//!
//! Frames come on the standard input and go to the standard output, text goes to the standard error. States are saved in
//! `PIER/.urb/samestep`, rocks in `PIER/.urb/roc`. KEY, WAG, HAP, EPH, TOSS and PER are read and without effect.
#![forbid(unsafe_code)]

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use samestep_lmdb_replay::Machine;
use samestep_lmdb_replay::ipc::{SerfHost, serve};
use samestep_lmdb_replay::machine::{Budget, NockMachine};
use samestep_lmdb_replay::rock;
use samestep_lmdb_replay::snapshot::{LogTag, Snapshot, SnapshotStore};
use samestep_noun::Watch;

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("samestep-serf: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<u8, Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, command, pier, _, _, _, loom, rock, ..] = &args[..] else { return Err(USAGE.into()) };
    if command != "serf" {
        return Err(USAGE.into());
    }
    let (loom, rock): (u32, u64) = (loom.parse()?, rock.parse()?);
    let memory = 1_usize.checked_shl(loom).ok_or("this machine has no such addresses")?;
    let pier = PathBuf::from(pier);
    let clock = Clock::start();
    let deadline = Rc::new(Cell::new(None));
    let watch = Rc::new({
        let deadline = Rc::clone(&deadline);
        move || match deadline.get() {
            Some(deadline) if clock.now() > deadline => Watch::Deadline,
            _ => Watch::Continue,
        }
    });
    let mut machine = NockMachine::new(Budget::default().with_memory_bytes_max(memory)).with_watch(watch);
    let store = SnapshotStore::new(pier.join(".urb/samestep"), LogTag(*b"samestep-serf..."));
    let mut event = rock;
    if rock > 0 {
        machine.restore(rock, &rock::read(&pier, rock)?)?;
    } else if let Some(saved) = store.load(u64::MAX)?.snapshot {
        machine.restore(saved.number, &saved.state)?;
        event = saved.number;
    }
    let mut host = Host { pier, store, deadline, clock };
    let code = serve(machine, event, &mut host, &mut io::stdin().lock(), &mut io::stdout().lock())?;
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

struct Host {
    pier: PathBuf,
    store: SnapshotStore,
    deadline: Rc<Cell<Option<Duration>>>,
    clock: Clock,
}

impl SerfHost for Host {
    fn limit(&mut self, mil: u64) {
        self.deadline.set((mil > 0).then(|| self.clock.now() + Duration::from_millis(mil)));
    }

    fn save(&mut self, event: u64, mug: u32, state: Vec<u8>) -> io::Result<()> {
        let saved = self.store.save(&Snapshot { number: event, mug, state });
        saved.map(drop).map_err(io::Error::other)
    }

    fn cram(&mut self, event: u64, state: Vec<u8>) -> io::Result<()> {
        rock::write(&self.pier, event, &state).map(drop).map_err(io::Error::other)
    }
}

/// The machine's clock, from when it was started.
#[derive(Clone, Copy)]
struct Clock(Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "a king gives real time to a command")]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn now(self) -> Duration {
        self.0.elapsed()
    }
}

#[expect(clippy::disallowed_types, reason = "a king gives real time to a command")]
type Instant = std::time::Instant;

const USAGE: &str = "usage: samestep-serf serf PIER KEY WAG HAP LOOM EVE EPH TOSS PER";
