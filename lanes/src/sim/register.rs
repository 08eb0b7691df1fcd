//! A register on three nodes, under all that can go wrong with honest machines.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use samestep_provider_traits::{
    File, NetworkProvider, OpenOptions, RandomProvider, StorageProvider, TimeProvider, UdpSocket,
};
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};
use samestep_sim::oracle::{History, Register, RegisterOperation, RegisterOutcome};
use samestep_sim::{
    Chaos, Check, CheckReport, FaultFamily, SimContext, SimStorageProvider, SimUdpSocket, Test,
};

use crate::scenario::{Random, Scenario, tell_faults};

/// Attiya, Bar-Noy and Dolev's register ("Sharing memory robustly in message-passing systems", 1995), for several
/// writers: a majority is asked for the newest tag and then told the new one, by readers too.
pub(crate) const REGISTER: Random = Random(Scenario {
    name: "sim/register-on-three",
    about: "a register on three nodes under crashes, partitions, losses and pauses, 40 seeds: each history is linearizable",
    run: register_on_three,
});

fn register_on_three(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let report = check(40, context.seed().get(), Durability::Synced);
    if !report.is_ok() {
        return Err(LaneError::failed(report.text().to_owned()));
    }
    for hash in report.hashes() {
        transcript.event(&Event::new("run").field("hash", format_args!("{hash:016x}")));
    }
    tell_faults(transcript, FaultFamily::ALL.map(|family| (family, report.acted(family))));
    Ok(())
}

fn check(seeds: usize, master_seed: u64, durability: Durability) -> CheckReport {
    // On which thread a seed runs must not be seen.
    let check = Check::new().seeds(seeds).master_seed(master_seed).jobs(JOBS).stop_at_first_failure();
    check
        .shrink_runs_max(0)
        .without_regressions()
        .ignore_environment()
        .report(|test| define(test, durability))
}

/// Whether a replica makes durable what it acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    Synced,
    #[cfg(test)]
    Hoped,
}

fn define(test: &mut Test, durability: Durability) {
    let history = History::new(Register::new());
    test.linearizable("the register", &history);
    let _ = test.node("replica", REPLICAS, move |context| replica(context, durability));
    test.clients("client", 2, move |context| client(context, history.clone()));
    test.chaos(Chaos::swarm().for_secs(40));
}

const JOBS: usize = 4;
const REPLICAS: usize = 3;
const MAJORITY: usize = 2;
const PORT: u16 = 7;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A value, and how new it is: the number of its write, and the writer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Tagged {
    tag: u64,
    value: u64,
}

/// What a client asks, and what a replica answers: it takes a value that is newer than its own, and tells its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message {
    /// By the client, a new one for each question.
    number: u64,
    newest: Tagged,
}

impl Message {
    fn to_bytes(self) -> Vec<u8> {
        [self.number, self.newest.tag, self.newest.value].map(u64::to_le_bytes).concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let words = bytes.as_chunks::<8>().0;
        let &[number, tag, value] = words else { return None };
        let [number, tag, value] = [number, tag, value].map(u64::from_le_bytes);
        Some(Self { number, newest: Tagged { tag, value } })
    }
}

async fn replica(context: SimContext, durability: Durability) -> Outcome {
    let storage = *context.storage();
    let mut stored = load(storage).await?;
    let socket = context.network().bind_udp(SocketAddr::new(context.my_ip(), PORT)).await?;
    loop {
        let (Ok((_, sender)), bytes) = socket.recv_from(Vec::with_capacity(64)).await else { continue };
        let Some(question) = Message::from_bytes(&bytes) else { continue };
        if question.newest > stored {
            store(storage, question.newest, durability).await?;
            stored = question.newest;
        }
        let answer = Message { newest: stored, ..question };
        // One that cannot be sent is as good as one that is lost.
        let _ = socket.send_to(answer.to_bytes(), sender).await;
    }
}

async fn load(storage: SimStorageProvider) -> io::Result<Tagged> {
    let file = match storage.open(Path::new("register"), OpenOptions::read_only()).await {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Tagged::default()),
        Err(error) => return Err(error),
    };
    let (outcome, bytes) = file.read_exact_at(vec![0; 24], 0).await;
    outcome?;
    let message = Message::from_bytes(&bytes).ok_or(io::ErrorKind::InvalidData)?;
    Ok(message.newest)
}

/// Replaces the file as a whole, so that a crash leaves the old value or the new.
async fn store(storage: SimStorageProvider, newest: Tagged, durability: Durability) -> io::Result<()> {
    let file = storage.open(Path::new("register.new"), OpenOptions::read_write().create_empty()).await?;
    file.write_all_at(Message { number: 0, newest }.to_bytes(), 0).await.0?;
    file.sync_data().await?;
    storage.rename(Path::new("register.new"), Path::new("register")).await?;
    if durability == Durability::Synced {
        storage.sync_dir(Path::new("")).await?;
    }
    Ok(())
}

/// Reads and writes, one after the other.
async fn client(context: SimContext, history: History<Register<u64>>) -> Outcome {
    let socket = context.network().bind_udp(SocketAddr::new(context.my_ip(), 0)).await?;
    let mut asking = Asking { context: &context, socket, asked: 0 };
    let random = context.random().clone();
    for round in 1..=10 {
        let writer = context.number() as u64;
        if random.next_u64().is_multiple_of(2) {
            let value = round * 10 + writer;
            let call = history.invoke(context.name(), RegisterOperation::Write(Some(value)));
            let newest = asking.ask(Tagged::default()).await?;
            asking.ask(Tagged { tag: (newest.tag / WRITERS + 1) * WRITERS + writer, value }).await?;
            call.returned(RegisterOutcome::Done);
        } else {
            let call = history.invoke(context.name(), RegisterOperation::Read);
            let newest = asking.ask(Tagged::default()).await?;
            // A majority must have it before anybody is told.
            asking.ask(newest).await?;
            call.returned(RegisterOutcome::Value((newest.tag > 0).then_some(newest.value)));
        }
        context.sleep(Duration::from_millis(random.next_u64() % 10_000)).await;
    }
    Ok(())
}

/// Tags tell writers apart, of which there are fewer than this.
const WRITERS: u64 = 16;

struct Asking<'a> {
    context: &'a SimContext,
    socket: SimUdpSocket,
    asked: u64,
}

impl Asking<'_> {
    /// Tells all replicas of a value until a majority has answered, and gives the newest of the answers.
    async fn ask(&mut self, newest: Tagged) -> io::Result<Tagged> {
        self.asked += 1;
        let question = Message { number: self.asked, newest };
        let mut answers: Vec<(SocketAddr, Tagged)> = Vec::new();
        loop {
            for replica in self.context.servers() {
                let address = SocketAddr::new(replica.ip, PORT);
                if answers.iter().all(|(from, _)| *from != address) {
                    let _ = self.socket.send_to(question.to_bytes(), address).await;
                }
            }
            let time = *self.context.time();
            let listening = time.timeout(Duration::from_millis(200), async {
                while answers.len() < MAJORITY {
                    let (received, bytes) = self.socket.recv_from(Vec::with_capacity(64)).await;
                    let ((_, from), Some(answer)) = (received?, Message::from_bytes(&bytes)) else {
                        continue;
                    };
                    let is_new = answers.iter().all(|(other, _)| *other != from);
                    if answer.number == question.number && is_new {
                        answers.push((from, answer.newest));
                    }
                }
                io::Result::Ok(())
            });
            if let Ok(outcome) = listening.await {
                outcome?;
                return Ok(answers.iter().map(|(_, newest)| *newest).max().expect("a majority answered"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Durability, check};
    use crate::sim::seed_count;

    #[test]
    fn each_history_is_linearizable() {
        let seeds = usize::try_from(seed_count(60)).unwrap();
        let report = check(seeds, 1, Durability::Synced);
        assert!(report.is_ok(), "{}", report.text());
        assert_eq!(report.runs(), seeds);
    }

    /// Without the sync of the folder a crash takes back what was acknowledged, and a later read shows it.
    #[test]
    fn an_acknowledged_write_that_is_not_durable_is_found() {
        let report = check(60, 1, Durability::Hoped);
        assert!(!report.is_ok(), "not found in {} runs", report.runs());
    }
}
