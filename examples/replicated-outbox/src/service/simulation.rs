//! The same nodes and the same client in simulated worlds, in which everything goes wrong that honest machines and
//! networks do: nodes crash and lose what was not synced, stand still and come back, are parted, lose connections; and
//! disks fail reads, writes and syncs and fill up, whereupon the node ends and is started again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use samestep_emission::{Canonicalizer, LineVersion, Numbering};
use samestep_provider_traits::TaskProvider;
use samestep_sim::{Chaos, FaultFamily, SimContext, Test, current_sim_seed};

use super::Result;
use super::client::{self, Conduct, Duplicates, Progress};
use super::node::{Durability, Elections};
use super::oracle::Oracle;
use super::server::{self, Settings};

/// What is wrong with the program, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    None,
    /// Messages leave before what they speak of is durable.
    Unsynced,
    /// The client processes what it has processed.
    Doubled,
}

/// What came of each run, by its seed.
pub(crate) type Runs = Arc<Mutex<BTreeMap<u64, Run>>>;

/// What came of a run in which all was right.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    pub(crate) nodes: u64,
    /// Events that were published, and processed once and in order.
    pub(crate) events: u64,
    pub(crate) duplicates: u64,
    /// Deliveries of leaders that were deposed.
    pub(crate) fenced: u64,
    /// How often the client was connected to a leader.
    pub(crate) connections: u64,
    /// How often nodes began, the first time included.
    pub(crate) boots: u64,
    /// Entries of the log.
    pub(crate) entries: u64,
    /// How often a node took a leader's snapshot.
    pub(crate) installed: u64,
    /// Digest of what was processed, as canonical lines of version 2.
    pub(crate) lines: u64,
}

/// Three nodes, or five, and a client that publishes for as long as things go wrong.
///
/// Nothing acknowledged is lost, nothing is processed twice, all logs agree, all states after the same entry are equal,
/// and when all is healed every node comes to have everything.
pub(crate) fn define(test: &mut Test, mistake: Mistake, runs: &Runs) {
    let (oracle, progress) = (Oracle::default(), Rc::new(RefCell::new(Progress::default())));
    let lines = Rc::new(RefCell::new(Canonicalizer::new(LineVersion::V2, Numbering::Own)));

    let watching = oracle.clone();
    let nodes = if test.pick(2) == 0 { 3 } else { 5 };
    let servers = test.node("node", nodes, move |context| {
        let settings = Settings {
            snapshot_entries: 20,
            resend_ticks: 4,
            elections: Elections::ByTime,
            durability: if mistake == Mistake::Unsynced { Durability::Hoped } else { Durability::Synced },
            watch: watching.replica(context.name()),
        };
        let id = context.number() as u64 + 1;
        async move {
            let served = server::serve(context.providers(), id, addresses(&context), settings).await;
            // It is started again, so this is the only place where its end is told.
            if let Err(error) = &served {
                context.note("a node ended", with_causes(error.as_ref()));
            }
            served
        }
    });
    let _servers = servers.restarts(RESTART);

    let (seen, told) = (Rc::clone(&progress), Rc::clone(&lines));
    test.client("shop", move |context| shop(context, mistake, Rc::clone(&seen), Rc::clone(&told)));

    let audited = oracle.clone();
    test.finally("every node has everything", move |context| async move {
        let nodes: Vec<String> = context.servers().map(|node| node.name.clone()).collect();
        for _ in 0..CATCH_UP_SECS {
            if audited.all_have_everything(&nodes) {
                return Ok(());
            }
            context.sleep(Duration::from_secs(1)).await;
        }
        Err(format!("after {CATCH_UP_SECS} s without faults a node still lacks entries").into())
    });

    let runs = Arc::clone(runs);
    test.at_end("nothing is lost or doubled", move |_| {
        let progress = progress.borrow();
        oracle.events_in_order(progress.published)?;
        if !progress.is_done() {
            return Err(format!("not everything was processed: {progress:?}"));
        }
        let run = Run {
            nodes: nodes as u64,
            events: progress.processed,
            duplicates: progress.duplicates,
            fenced: progress.fenced,
            connections: progress.connections,
            boots: oracle.boots(),
            entries: oracle.entries(),
            installed: oracle.installed(),
            lines: lines.borrow().digest(),
        };
        runs.lock().unwrap_or_else(PoisonError::into_inner).insert(current_sim_seed(), run);
        Ok(())
    });
    let mut chaos = Chaos::swarm().with_bad_disks().for_secs(FAULT_SECS);
    for family in UNUSED {
        chaos = chaos.without(family);
    }
    test.chaos(chaos);
}

/// An error and what caused it, from the outside in.
fn with_causes(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

async fn shop(
    context: SimContext,
    mistake: Mistake,
    progress: Rc<RefCell<Progress>>,
    lines: Rc<RefCell<Canonicalizer>>,
) -> Result<()> {
    let ending = (Rc::clone(&progress), context.clone());
    drop(context.task().spawn("closing time", async move {
        ending.1.sleep(Duration::from_secs(FAULT_SECS)).await;
        ending.0.borrow_mut().is_ending = true;
    }));
    let conduct = Conduct {
        gap: GAP,
        duplicates: if mistake == Mistake::Doubled { Duplicates::Processed } else { Duplicates::Dropped },
        watch: Rc::new(move |delivery| {
            lines.borrow_mut().delivery(delivery);
        }),
    };
    client::run(context.providers(), addresses(&context), conduct, progress).await
}

fn addresses(context: &SimContext) -> Vec<SocketAddr> {
    context.servers().map(|node| SocketAddr::new(node.ip, PORT)).collect()
}

const PORT: u16 = 7;
/// What nothing here can meet, there being no datagrams, names or wall clocks; and what cannot be survived by opening the
/// log again: sectors that were durable and are lost. What a node makes of those is for the lanes of its log.
const UNUSED: [FaultFamily; 7] = [
    FaultFamily::LatentError,
    FaultFamily::DatagramLoss,
    FaultFamily::DatagramDuplicate,
    FaultFamily::DatagramReorder,
    FaultFamily::LookupFailure,
    FaultFamily::ClockDrift,
    FaultFamily::ClockStep,
];
/// After how long a node is started again that ended because its disk failed.
const RESTART: Duration = Duration::from_millis(500);
/// How long things go wrong, in simulated seconds.
const FAULT_SECS: u64 = 20;
/// How long the last node may take until it has everything.
const CATCH_UP_SECS: u64 = 60;
/// Between two events, so that faults come between them.
const GAP: Duration = Duration::from_millis(100);
