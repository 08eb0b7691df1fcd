//! Streams stay intact, or are reset with an error, whatever happens to the network; and each bit that is turned
//! over is in the fault log.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{NetworkProvider, TcpStream, TimeProvider};
use samestep_sim::{
    ChaosConfiguration, FaultFamily, NetworkConfiguration, NetworkFaults, NetworkLimits, NodeId,
    SimTcpStream, SimWorld, Traced, WorldConfig,
};

use super::{address, seeds, serve, world_of};

/// Streams of tagged bytes in both directions, three nodes, all faults of the network but flipped bits.
#[test]
fn streams_are_intact_or_reset() {
    let mut total = Outcome::default();
    for seed in seeds(300) {
        let (world, outcome) = run(config(seed, 0.0));
        assert_eq!(outcome.damaged, [], "seed {seed}");
        assert_eq!(outcome.cut_short, 0, "seed {seed}: a stream ended before its end, without an error");
        total.intact += outcome.intact;
        total.reset += outcome.reset;
        for family in STREAM_FAMILIES {
            *total.acted.entry(family).or_default() += world.faults().count(family);
        }
    }
    // The test would show nothing if the faults left all streams alone, or ended all of them.
    assert!(total.intact * 4 > total.reset, "{total:?}");
    assert!(total.reset * 20 > total.intact, "{total:?}");
    for family in STREAM_FAMILIES {
        assert!(total.acted[&family] > 0, "{family} never acted: {total:?}");
    }
}

/// As before, with flipped bits: what arrives differs from what was sent in exactly the bits that the log has.
#[test]
fn each_flipped_bit_is_in_the_fault_log() {
    let (mut flips, mut whole) = (0, 0);
    for seed in seeds(150) {
        let (world, outcome) = run(config(seed, 0.05).keep_trace());
        let logged = logged_flips(&world);
        for flip in &outcome.damaged {
            assert!(logged.contains(flip), "seed {seed}: {flip:?} is not in the log");
        }
        for flip in &logged {
            let end = outcome.read_until.get(&(flip.connection, flip.to)).copied().unwrap_or(0);
            let was_read = flip.byte < end;
            assert_eq!(outcome.damaged.contains(flip), was_read, "seed {seed}: {flip:?} of {end} bytes read");
        }
        flips += outcome.damaged.len();
        whole += outcome.intact;
    }
    assert!(flips > 500, "{flips}");
    assert!(whole > 50, "{whole}");
}

fn config(seed: u64, bit_flip_probability: f64) -> WorldConfig {
    let chaos = ChaosConfiguration {
        bit_flip_probability,
        bit_flip_max_bits: 4,
        random_close_probability: 2e-3,
        random_close_cooldown: Duration::from_millis(500),
        clog_probability: 0.01,
        partition_probability: 0.005,
        connect_failure_mode: samestep_sim::ConnectFailureMode::Disabled,
        ..ChaosConfiguration::default()
    };
    let network = NetworkConfiguration { chaos, ..NetworkConfiguration::default() };
    let faults = NetworkFaults {
        partitions_per_second: 4.0,
        clogs_per_second: 4.0,
        cuts_per_second: 2.0,
        swizzles_per_second: 0.5,
        closes_per_second: 2.0,
        half_opens_per_second: 1.0,
        slow_links_per_second: 2.0,
        ..NetworkFaults::default()
    };
    let limits = NetworkLimits {
        window_bytes: 4 * 1024,
        connect_timeout: Duration::from_secs(3),
        retransmission_timeout: Duration::from_millis(1500),
        keep_alive_timeout: Duration::from_secs(4),
        ..NetworkLimits::default()
    };
    WorldConfig::new(seed).network(network).network_faults(faults).network_limits(limits)
}

const STREAM_FAMILIES: [FaultFamily; 7] = [
    FaultFamily::RandomClose,
    FaultFamily::PartialWrite,
    FaultFamily::PartialRead,
    FaultFamily::Clog,
    FaultFamily::Partition,
    FaultFamily::HalfOpen,
    FaultFamily::SlowLink,
];

/// A bit that arrived other than it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Flip {
    connection: u64,
    to: NodeId,
    byte: u64,
    bit: u8,
}

#[derive(Debug, Default)]
struct Outcome {
    /// Directions that were read to their end, and those that ended with an error.
    intact: u64,
    reset: u64,
    /// Directions that ended before their end, without an error.
    cut_short: u64,
    damaged: Vec<Flip>,
    /// How far each direction of a connection was read.
    read_until: BTreeMap<(u64, NodeId), u64>,
    acted: BTreeMap<FaultFamily, u64>,
}

/// Two clients, each with some connections to a server, one after the other; both ends send and check tags.
fn run(config: WorldConfig) -> (SimWorld, Outcome) {
    let (world, nodes) = world_of(config, 3);
    let outcome = Rc::new(RefCell::new(Outcome::default()));
    let server = nodes[0];
    serve(&world, server, {
        let outcome = Rc::clone(&outcome);
        move |stream| {
            let outcome = Rc::clone(&outcome);
            let tag = Tag::of(&stream);
            async move { exchange(&stream, tag.back(), tag, &outcome, server).await }
        }
    });
    let mut clients: Vec<_> = (1..3_u8)
        .map(|number| {
            let node = nodes[usize::from(number)];
            let (providers, outcome) = (world.providers(node), Rc::clone(&outcome));
            world.spawn(Some(node), "client", async move {
                // The server binds first.
                providers.time().sleep(Duration::from_millis(1)).await;
                for _ in 0..CONNECTIONS {
                    let Ok(stream) = providers.network().connect(address(0, 80)).await else { continue };
                    let tag = Tag::of(&stream);
                    exchange(&stream, tag, tag.back(), &outcome, node).await;
                }
            })
        })
        .collect();
    for client in &mut clients {
        world.block_on(client).expect("clients end").unwrap();
    }
    // What the server still has comes to its end by the limits.
    world.run_until_empty();
    let numbers = connection_numbers(&world);
    let mut outcome = outcome.take();
    for flip in &mut outcome.damaged {
        flip.connection = numbers.get(&flip.connection).copied().unwrap_or(flip.connection);
    }
    outcome.read_until = std::mem::take(&mut outcome.read_until)
        .into_iter()
        .map(|((tag, node), end)| ((numbers.get(&tag).copied().unwrap_or(tag), node), end))
        .collect();
    (world, outcome)
}

/// Sends one direction, and reads and checks the other.
async fn exchange(stream: &SimTcpStream, sends: Tag, reads: Tag, outcome: &RefCell<Outcome>, me: NodeId) {
    let writing = async {
        let bytes: Vec<u8> = (0..sends.len()).map(|offset| sends.byte(offset)).collect();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let chunk = rest.len().min(1 + usize::from(rest[0]) * 10);
            let (written, _) = stream.write_all(rest[..chunk].to_vec()).await;
            if written.is_err() {
                return;
            }
            rest = &rest[chunk..];
        }
        // It fails only if the connection does, which the reader sees.
        let _ = stream.shutdown().await;
    };
    let reading = async {
        let mut offset = 0;
        loop {
            let room = 1 + usize::from(reads.byte(offset)) * 8;
            let (count, buf) = stream.read(Vec::with_capacity(room)).await;
            let mut outcome = outcome.borrow_mut();
            outcome.read_until.insert((reads.key, me), offset);
            match count {
                Ok(0) if offset == reads.len() => outcome.intact += 1,
                Ok(0) => outcome.cut_short += 1,
                Err(_) => outcome.reset += 1,
                Ok(_) => {
                    for byte in buf {
                        let differing = byte ^ reads.byte(offset);
                        let bits = (0..8).filter(|bit| differing & (1 << bit) != 0);
                        let flip = |bit| Flip { connection: reads.key, to: me, byte: offset, bit };
                        outcome.damaged.extend(bits.map(flip));
                        offset += 1;
                    }
                    continue;
                }
            }
            return;
        }
    };
    both(writing, reading).await;
}

/// Polls both until both are over.
async fn both(one: impl Future<Output = ()>, two: impl Future<Output = ()>) {
    let (mut one, mut two) = (Box::pin(one), Box::pin(two));
    let (mut one_is_over, mut two_is_over) = (false, false);
    std::future::poll_fn(|cx| {
        one_is_over = one_is_over || one.as_mut().poll(cx).is_ready();
        two_is_over = two_is_over || two.as_mut().poll(cx).is_ready();
        if one_is_over && two_is_over { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// What one direction of a connection carries, known to both ends by the client's address.
#[derive(Clone, Copy)]
struct Tag {
    key: u64,
    way: u64,
}

impl Tag {
    /// The way from the client.
    fn of(stream: &SimTcpStream) -> Self {
        let (local, peer) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        let client = if local.port() == 80 { peer } else { local };
        let std::net::IpAddr::V4(ip) = client.ip() else { unreachable!("nodes have addresses of version 4") };
        Self { key: (u64::from(ip.octets()[3]) << 16) | u64::from(client.port()), way: 0 }
    }

    fn back(self) -> Self {
        Self { way: 1, ..self }
    }

    fn len(self) -> u64 {
        self.mix(u64::MAX) % 12_000
    }

    fn byte(self, offset: u64) -> u8 {
        self.mix(offset).to_le_bytes()[3]
    }

    fn mix(self, value: u64) -> u64 {
        let key = (self.key << 1 | self.way).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let value = (key ^ value.wrapping_mul(0xff51_afd7_ed55_8ccd)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        value ^ (value >> 29)
    }
}

/// The number of each connection by its tag's key: ports are given in turn, from 49152 on, at each node.
fn connection_numbers(world: &SimWorld) -> BTreeMap<u64, u64> {
    let mut made: BTreeMap<NodeId, u64> = BTreeMap::new();
    let mut numbers = BTreeMap::new();
    let nodes = world.nodes();
    for event in world.trace() {
        if let (Traced::Connecting { connection, .. }, Some(node)) = (&event.what, event.node) {
            let count = made.entry(node).or_default();
            let place = nodes.iter().position(|other| *other == node).unwrap() as u64;
            numbers.insert(((place + 1) << 16) | (49_152 + *count), *connection);
            *count += 1;
        }
    }
    numbers
}

/// The flips that the fault log has.
fn logged_flips(world: &SimWorld) -> Vec<Flip> {
    let nodes = world.nodes();
    let faults = world.faults();
    let flips = faults.events().iter().filter(|event| event.family == FaultFamily::BitFlip);
    flips
        .map(|event| {
            let numbers: Vec<u64> = event
                .detail
                .split(|letter: char| !letter.is_ascii_digit())
                .filter_map(|part| part.parse().ok())
                .collect();
            let [connection, _, to, byte, bit] = numbers[..] else { panic!("{}", event.detail) };
            let to = nodes[usize::try_from(to).unwrap()];
            assert_eq!(event.node, Some(to));
            Flip { connection, to, byte, bit: u8::try_from(bit).unwrap() }
        })
        .collect()
}

const CONNECTIONS: u32 = 4;
