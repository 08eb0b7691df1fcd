//! One measurement, in this process.

use std::fs;
use std::path::Path;

use crate::Result;
use crate::cross::Answering;
use crate::figures::Figures;
use crate::files::{self, Direction, Syncing};
use crate::peers::{self, Ours, Peer, Setup, fio};
#[cfg(feature = "peers")]
use crate::peers::{Compio, Glommio, Monoio, Tokio, TokioUring};
use crate::rows::{Row, Who, Work};
use crate::{cross, machine, net, raw, tasks};

/// Does a row's work, and tells what it took.
pub(crate) fn measure(row: &Row, who: Who, size: u64, folder: &Path) -> Result<Figures> {
    let zeros = folder.join("zeros");
    if let Work::Append { .. } = row.work {
        files::prepare_zeros(&zeros, size)?;
    }
    if matches!(row.work, Work::Echo { .. } | Work::Accept) {
        machine::pin(0);
    }
    let data = folder.join(DATA);
    let figures = match (who, row.work) {
        (Who::Limit, work) => raw::run(work, size, folder)?,
        (Who::Fio, work) => fio::run(work, size, folder)?,
        (Who::Ours, Work::Stream { direction, chunk_kib }) => {
            Ours::run(Setup::Plain, |ours| peers::ours::stream(ours, data, direction, chunk_kib * 1024))
        }
        (Who::Ours, Work::Call(waiting)) => cross::calls_of_ours(waiting, size),
        (Who::Ours, work) => run::<Ours>(work, size, folder, Syncing::Linked),
        (Who::OursOtherwise, work) => run::<Ours>(work, size, folder, Syncing::Shared),
        #[cfg(feature = "peers")]
        (Who::Glommio, Work::Stream { direction, chunk_kib }) => Glommio::run(Setup::Plain, |glommio| {
            peers::glommio::stream(glommio, data, direction, chunk_kib * 1024)
        }),
        #[cfg(feature = "peers")]
        (Who::Glommio, work) => run::<Glommio>(work, size, folder, Syncing::Linked),
        #[cfg(feature = "peers")]
        (Who::Monoio, work) => run::<Monoio>(work, size, folder, Syncing::Linked),
        #[cfg(feature = "peers")]
        (Who::Compio, work) => run::<Compio>(work, size, folder, Syncing::Linked),
        #[cfg(feature = "peers")]
        (Who::TokioUring, work) => run::<TokioUring>(work, size, folder, Syncing::Linked),
        #[cfg(feature = "peers")]
        (Who::Tokio, Work::Call(_)) => cross::calls_of_tokio(size),
        #[cfg(feature = "peers")]
        (Who::Tokio, work) => run::<Tokio>(work, size, folder, Syncing::Linked),
    };
    match row.work {
        Work::Append { .. } => {
            if who != Who::Fio {
                files::check(&zeros, size)?;
            }
            fs::remove_file(zeros)?;
        }
        Work::Stream { direction: Direction::Write, .. } if who != Who::Fio => {
            let data = folder.join(DATA);
            files::check(&data, files::blocks_of(&data))?;
        }
        _ => {}
    }
    Ok(figures)
}

fn run<P: Peer>(work: Work, size: u64, folder: &Path, syncing: Syncing) -> Figures {
    let (data, zeros) = (folder.join(DATA), folder.join("zeros"));
    match work {
        Work::RoundTrip => P::run(Setup::Plain, |peer| tasks::round_trips(peer, size)),
        Work::Yield { tasks } => P::run(Setup::Plain, |peer| tasks::yields(peer, tasks, size)),
        Work::SpawnJoin { batch } => P::run(Setup::Plain, |peer| tasks::spawns(peer, batch, size)),
        Work::TimersFire => P::run(Setup::Timers, |peer| tasks::timers_fired(peer, size)),
        Work::TimersCancel => P::run(Setup::Timers, |peer| tasks::timers_cancelled(peer, size)),
        Work::Reads { depth } => P::run(Setup::Plain, |peer| files::reads(peer, data, depth, size)),
        Work::Append { writers } => {
            P::run(Setup::Plain, |peer| files::appends(peer, zeros, writers, size, syncing))
        }
        Work::Stream { direction, chunk_kib } => {
            P::run(Setup::Plain, |peer| files::stream(peer, data, direction, chunk_kib * 1024))
        }
        Work::Echo { connections } => P::run(Setup::Plain, |peer| net::echoes(peer, connections, size)),
        Work::Accept => P::run(Setup::Plain, |peer| net::accepts(peer, size)),
        Work::PingPong(waiting) => cross::ping_pong::<P>(waiting, Answering::AtOnce, size),
        Work::Call(waiting) => cross::ping_pong::<P>(waiting, Answering::ByTask, size),
        Work::Idle => P::run(Setup::Timers, |peer| tasks::idle(peer, size)),
        Work::MemoryConnections => P::run(Setup::Timers, |peer| net::idle_connections(peer, size)),
        Work::MemoryTasks => P::run(Setup::Plain, |peer| tasks::idle_tasks(peer, size)),
    }
}

/// The file that is read, and that streams write over with the same.
pub(crate) const DATA: &str = "data";
