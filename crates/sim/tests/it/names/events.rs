//! Events that a test puts in for connections, and what they do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use samestep_provider_traits::{IoBuf, JoinHandle, TcpListener, TcpStream};
use samestep_sim::{
    ChaosConfiguration, ConnectFailureMode, ConnectionStateChange, Event, FaultFamily, NetworkConfiguration,
    NetworkOperation, NetworkProvider, NodeId, Partition, SimJoinHandle, SimTcpListener, SimTcpStream,
    SimWorld, WorldConfig,
};

const MS: Duration = Duration::from_millis(1);
const FAR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 80);

/// Two nodes whose messages take 30 ms, and the ends of a stream between them.
struct Link {
    world: SimWorld,
    nodes: [NodeId; 2],
    near: SimTcpStream,
    far: SimTcpStream,
    listener: SimTcpListener,
}

fn two_nodes(config: WorldConfig) -> (SimWorld, [NodeId; 2], SimTcpListener) {
    let world = SimWorld::with_config(config);
    let nodes = [1, 2].map(|last| world.add_node(&format!("node-{last}"), [10, 0, 0, last].into()));
    let far = world.providers(nodes[1]);
    let mut bind = world.spawn(Some(nodes[1]), "bind", async move { far.network().bind(FAR).await.unwrap() });
    let listener = world.block_on(&mut bind).unwrap().unwrap();
    (world, nodes, listener)
}

fn connect(world: &SimWorld, node: NodeId) -> SimJoinHandle<SimTcpStream> {
    let near = world.providers(node);
    world.spawn(Some(node), "connect", async move { near.network().connect(FAR).await.unwrap() })
}

fn link() -> Link {
    let (world, nodes, listener) = two_nodes(WorldConfig::new(1));
    let accept = listener.accept();
    let mut accepting = world.spawn(Some(nodes[1]), "accept", async move { accept.await.unwrap().0 });
    let near = world.block_on(&mut connect(&world, nodes[0])).unwrap().unwrap();
    let far = world.block_on(&mut accepting).unwrap().unwrap();
    world.run_until_empty();
    for (from, to) in [(0, 1), (1, 0)] {
        world.network().set_latency(nodes[from], nodes[to], &(30 * MS..30 * MS));
    }
    Link { world, nodes, near, far, listener }
}

impl Link {
    fn write(&self, bytes: impl IoBuf) {
        let near = self.near.clone();
        let mut writing =
            self.world.spawn(Some(self.nodes[0]), "write", async move { near.write_all(bytes).await.0 });
        self.world.run_until(self.world.time());
        self.world.block_on(&mut writing).unwrap().unwrap().unwrap();
    }

    /// What the other end gets next, and how long after it began to wait.
    fn read(&self, count: usize) -> (Vec<u8>, Duration) {
        let (far, started) = (self.far.clone(), self.world.now());
        let mut reading = self.world.spawn(Some(self.nodes[1]), "read", async move {
            let (outcome, bytes) = far.read_exact(vec![0; count]).await;
            outcome.map(|()| bytes)
        });
        let bytes = self.world.block_on(&mut reading).unwrap().unwrap().unwrap();
        (bytes, self.world.now() - started)
    }

    fn put(&self, operation: NetworkOperation, delay: Duration) {
        let connection_id = self.near.connection().unwrap();
        self.world.schedule_event(Event::Network { connection_id, operation }, delay);
    }

    fn change(&self, state: ConnectionStateChange, delay: Duration) {
        let id = self.near.connection().unwrap();
        self.world.schedule_event(Event::Connection { id, state }, delay);
    }
}

#[test]
fn both_ends_of_a_connection_have_its_number_until_it_is_gone() {
    let Link { world, near, far, listener, .. } = link();
    assert_eq!((near.connection(), far.connection()), (Some(0), Some(0)));
    drop((listener, world));
    assert_eq!(near.connection(), None);
}

#[test]
fn bytes_that_are_put_in_come_behind_those_that_were_written() {
    let link = link();
    link.write("written, ");
    link.put(NetworkOperation::DataDelivery { data: b"put in".to_vec() }, 5 * MS);
    assert_eq!(link.read(15), (b"written, put in".to_vec(), 35 * MS));
    assert!(matches!(
        link.world.last_processed_event(),
        Some(Event::Network { connection_id: 0, operation: NetworkOperation::DataDelivery { .. } })
    ));
}

#[test]
fn what_is_put_in_for_a_connection_that_is_gone_does_nothing() {
    let Link { world, near, far, listener, .. } = link();
    drop((near, far, listener));
    world.run_until_empty();
    let operation = NetworkOperation::DataDelivery { data: b"too late".to_vec() };
    world.schedule_event(Event::Network { connection_id: 0, operation }, MS);
    for state in [
        ConnectionStateChange::BindComplete,
        ConnectionStateChange::ConnectionReady,
        ConnectionStateChange::ClogClear,
        ConnectionStateChange::PartitionRestore,
    ] {
        world.schedule_event(Event::Connection { id: 0, state }, MS);
    }
    let before = world.now();
    world.run_until_empty();
    assert_eq!((world.now() - before, world.network().messages()), (MS, Vec::new()));
}

#[test]
fn a_send_buffer_that_is_processed_comes_now() {
    let link = link();
    link.write("first");
    link.put(NetworkOperation::ProcessSendBuffer, 5 * MS);
    assert_eq!(link.read(5), (b"first".to_vec(), 5 * MS));
    link.write("second");
    assert_eq!(link.read(6), (b"second".to_vec(), 30 * MS));
}

#[test]
fn a_clog_that_is_cleared_lets_a_connection_go_on() {
    let link = link();
    let cut = |link: &Link| link.world.network().cut_connection(&link.near, 900 * MS);
    cut(&link);
    link.write("late");
    assert_eq!(link.read(4), (b"late".to_vec(), 900 * MS));
    assert_eq!(link.world.faults().count(FaultFamily::Clog), 1);
    cut(&link);
    link.write("soon");
    link.change(ConnectionStateChange::ClogClear, 200 * MS);
    assert_eq!(link.read(4), (b"soon".to_vec(), 200 * MS));
    // So does whoever heals all.
    cut(&link);
    link.write("heal");
    link.world.run_until(link.world.time().after(100 * MS));
    link.world.network().heal_all();
    assert_eq!(link.read(4), (b"heal".to_vec(), Duration::ZERO));
}

#[test]
fn a_partition_that_is_restored_lets_bytes_pass() {
    let link = link();
    let partition = Partition::Pair(link.nodes[0], link.nodes[1]);
    link.world.network().partition(&partition);
    link.write("parted");
    link.change(ConnectionStateChange::PartitionRestore, 500 * MS);
    assert!(link.world.network().is_partitioned(link.nodes[0], link.nodes[1]));
    // It was stopped after 30 ms, and sets out anew.
    assert_eq!(link.read(6), (b"parted".to_vec(), 530 * MS));
    assert!(!link.world.network().is_partitioned(link.nodes[0], link.nodes[1]));
}

/// An attempt that a fault would have hang for ever is there once it is said to be ready.
#[test]
fn a_connection_that_is_ready_hangs_no_more() {
    let chaos = ChaosConfiguration {
        connect_failure_mode: ConnectFailureMode::Probabilistic,
        connect_failure_probability: 1.0,
        ..ChaosConfiguration::disabled()
    };
    let network = NetworkConfiguration { chaos, ..NetworkConfiguration::default() };
    let hung = |seed| {
        let (world, nodes, listener) = two_nodes(WorldConfig::new(seed).network(network.clone()));
        let attempt = connect(&world, nodes[0]);
        world.run_until(world.time().after(MS));
        (world.faults().count(FaultFamily::ConnectHang) == 1).then_some((world, attempt, listener))
    };
    let (world, mut attempt, listener) = (0..64).find_map(hung).unwrap();
    world.run_until(world.time().after(600_000 * MS));
    assert!(!attempt.is_finished());
    let ready = Event::Connection { id: 0, state: ConnectionStateChange::ConnectionReady };
    world.schedule_event(ready, MS);
    let stream = world.block_on(&mut attempt).unwrap().unwrap();
    assert_eq!(stream.connection(), Some(0));
    drop(listener);
}

/// A connection takes a while until it can be accepted, unless the socket is said to listen.
#[test]
fn a_bind_that_is_complete_accepts_at_once() {
    let accepted_at = |completes: bool| {
        let mut network = NetworkConfiguration::without_faults();
        network.accept_latency = 500 * MS..500 * MS;
        let (world, nodes, listener) = two_nodes(WorldConfig::new(1).network(network));
        let id = listener.number();
        let accept = listener.accept();
        let mut accepting = world.spawn(Some(nodes[1]), "accept", async move { accept.await.is_ok() });
        let near = world.block_on(&mut connect(&world, nodes[0])).unwrap().unwrap();
        let connected = world.now();
        if completes {
            let state = ConnectionStateChange::BindComplete;
            world.schedule_event(Event::Connection { id, state }, 20 * MS);
        }
        assert_eq!(world.block_on(&mut accepting), Some(Ok(true)));
        drop(near);
        world.now() - connected
    };
    assert!(accepted_at(false) > 400 * MS);
    assert_eq!(accepted_at(true), 20 * MS);
}
