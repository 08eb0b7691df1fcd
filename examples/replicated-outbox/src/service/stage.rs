//! A script performed in a simulated world: its nodes lose power, and what was not synced with it.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use samestep_sim::{Down, NetworkFaults, NodeId, PartitionStrategy, SimWorld, WeakSimWorld, WorldConfig};

use super::Result;
use super::node::Elections;
use super::script::{Script, Stage, Told, perform};
use super::server::{self, Settings};

/// How nodes behave that a script directs.
pub(crate) fn directed() -> Settings {
    // A short log, so that nodes that were away are given snapshots; and resends soon, so that some come twice.
    Settings { snapshot_entries: 8, resend_ticks: 4, elections: Elections::OnDemand, ..Settings::default() }
}

/// Performs `script` in the world that `config` makes.
///
/// # Errors
///
/// What went wrong, in words.
pub(crate) fn perform_simulated(config: WorldConfig, script: &Script) -> Result<Told> {
    let world = SimWorld::with_config(config);
    let node = |number: u64| world.add_node(&format!("node {number}"), ip(number));
    let nodes: Vec<NodeId> = (1..=NODES).map(node).collect();
    let client = world.add_node("client", ip(NODES + 1));
    let mut stage = SimStage { world: world.downgrade(), nodes, failed: Rc::default() };
    for number in 1..=NODES {
        stage.spawn(&world, number);
    }
    let (providers, script, failed) = (world.providers(client), script.clone(), Rc::clone(&stage.failed));
    let mut running = world.spawn(Some(client), "director", async move {
        perform(&providers, &mut stage, &script).await.map_err(|error| error.to_string())
    });
    let ended = world.block_on(&mut running);
    if let Some(error) = failed.borrow().first() {
        return Err(error.clone().into());
    }
    Ok(ended.ok_or("the world stands still")???)
}

/// A world whose network stands still, closes connections, and parts nodes.
pub(crate) fn troubled(seed: u64) -> WorldConfig {
    WorldConfig::new(seed).network_faults(NetworkFaults {
        partitions_per_second: 1.0,
        partition_strategies: vec![PartitionStrategy::Random],
        clogs_per_second: 5.0,
        closes_per_second: 3.0,
        half_opens_per_second: 0.5,
        ..NetworkFaults::default()
    })
}

struct SimStage {
    /// The stage lives in a task of it.
    world: WeakSimWorld,
    nodes: Vec<NodeId>,
    /// What nodes ended with.
    failed: Rc<RefCell<Vec<String>>>,
}

impl SimStage {
    fn spawn(&self, world: &SimWorld, number: u64) {
        let (node, failed, addresses) = (self.node(number), Rc::clone(&self.failed), self.addresses());
        let providers = world.providers(node);
        drop(world.spawn(Some(node), "node", async move {
            if let Err(error) = server::serve(providers, number, addresses, directed()).await {
                failed.borrow_mut().push(format!("node {number}: {error}"));
            }
        }));
    }

    fn node(&self, number: u64) -> NodeId {
        self.nodes[usize::try_from(number - 1).expect("nodes are few")]
    }
}

impl Stage for SimStage {
    fn kill(&mut self, node: u64) -> Result<()> {
        self.world.upgrade()?.kill(self.node(node), Down::Crash);
        Ok(())
    }

    fn start(&mut self, node: u64) -> Result<()> {
        let world = self.world.upgrade()?;
        world.boot(self.node(node));
        self.spawn(&world, node);
        Ok(())
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        (1..=NODES).map(|number| SocketAddr::new(ip(number), PORT)).collect()
    }
}

fn ip(number: u64) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, u8::try_from(number).expect("nodes are few")).into()
}

const NODES: u64 = 3;
const PORT: u16 = 7;
