//! What the network is like: latencies, faults per operation, faults per simulated second, and limits.

use std::ops::Range;
use std::time::Duration;

use super::latency::duration_nanos;
use crate::ambient::{sim_random_range, sim_random_range_or_default};

/// Latencies of the network and its faults per operation.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkConfiguration {
    /// How long it takes to open a listening socket or one for datagrams.
    pub bind_latency: Range<Duration>,
    /// How long a connection that is there waits before it can be accepted.
    pub accept_latency: Range<Duration>,
    /// How long it takes to connect: the handshake's way there and back.
    pub connect_latency: Range<Duration>,
    /// How long bytes that came take to be seen by the reader. Part of their way, which is drawn as a whole.
    pub read_latency: Range<Duration>,
    /// How long bytes are on their way to the other node.
    pub write_latency: Range<Duration>,
    /// Faults per operation.
    pub chaos: ChaosConfiguration,
}

/// Bind 50 to 150 µs, accept 1 to 6 ms, connect 1 to 11 ms, read 10 to 60 µs, write 100 to 600 µs, and the
/// default faults, with which half of all attempts to connect fail.
impl Default for NetworkConfiguration {
    fn default() -> Self {
        Self {
            bind_latency: micros(50, 150),
            accept_latency: micros(1_000, 6_000),
            connect_latency: micros(1_000, 11_000),
            read_latency: micros(10, 60),
            write_latency: micros(100, 600),
            chaos: ChaosConfiguration::default(),
        }
    }
}

impl NetworkConfiguration {
    /// A near and faultless network: bind, read and write 1 µs, accept and connect 10 µs, always.
    pub fn fast_local() -> Self {
        Self {
            bind_latency: micros(1, 1),
            accept_latency: micros(10, 10),
            connect_latency: micros(10, 10),
            read_latency: micros(1, 1),
            write_latency: micros(1, 1),
            chaos: ChaosConfiguration::disabled(),
        }
    }

    /// The default latencies without any fault.
    pub fn without_faults() -> Self {
        Self { chaos: ChaosConfiguration::disabled(), ..Self::default() }
    }

    /// Latencies and faults drawn from the current stream, see [`set_sim_seed`](crate::set_sim_seed): a seed has one
    /// configuration.
    pub fn random_for_seed() -> Self {
        Self::random_by(&mut |bound| sim_random_range(0..bound))
    }

    /// Latencies and faults drawn by `draw`, which gives one of `0..bound`; see
    /// [`ChaosConfiguration::random_by`]. Latencies start between half and twice the default's start, and are as
    /// wide as between a half and twice the default's width.
    pub(crate) fn random_by(draw: &mut dyn FnMut(u64) -> u64) -> Self {
        let plain = Self::default();
        let mut vary = |range: &Range<Duration>| {
            let mut scaled = |part: Duration| {
                let percent = u32::try_from(50 + draw(151)).expect("at most 200");
                part * percent / 100
            };
            let start = scaled(range.start);
            start..start + scaled(range.end - range.start)
        };
        let bind_latency = vary(&plain.bind_latency);
        let accept_latency = vary(&plain.accept_latency);
        let connect_latency = vary(&plain.connect_latency);
        let read_latency = vary(&plain.read_latency);
        let write_latency = vary(&plain.write_latency);
        let chaos = ChaosConfiguration::random_by(draw);
        Self { bind_latency, accept_latency, connect_latency, read_latency, write_latency, chaos }
    }
}

/// Faults per operation. Each probability is that of one operation, which its documentation names.
///
/// The names and defaults are those of the simulator that this one succeeds. Faults that come at a rate of
/// simulated time are in [`NetworkFaults`].
#[derive(Clone, Debug, PartialEq)]
pub struct ChaosConfiguration {
    /// That a read or a write makes its direction of the connection stand still. Counted as `clog`.
    pub clog_probability: f64,
    /// For how long.
    pub clog_duration: Range<Duration>,
    /// That a write or an attempt to connect is followed by a partition. Counted as `partition`.
    pub partition_probability: f64,
    /// For how long.
    pub partition_duration: Range<Duration>,
    /// Which nodes it parts.
    pub partition_strategy: PartitionStrategy,
    /// That bits of a piece of a stream are turned over when it is delivered. Counted as `bit-flip`.
    pub bit_flip_probability: f64,
    /// At least so many: 1 in half of all cases, 2 in a quarter, and so on.
    pub bit_flip_min_bits: u32,
    /// At most so many.
    pub bit_flip_max_bits: u32,
    /// For how long no other piece is changed then.
    pub bit_flip_cooldown: Duration,
    /// That a write takes fewer bytes than it could. Counted as `partial-write`.
    pub partial_write_probability: f64,
    /// At most so many bytes, and at least 1.
    pub partial_write_max_bytes: usize,
    /// That a read gives fewer bytes than it could. Counted as `partial-read`.
    pub partial_read_probability: f64,
    /// At most so many bytes, and at least 1.
    pub partial_read_max_bytes: usize,
    /// That a read or a write closes the direction that its end writes: a third each at the peer, at this end, and
    /// at both. The end that is not told finds out by its limits, see [`NetworkLimits`]. Counted as `random-close`.
    pub random_close_probability: f64,
    /// For how long no other connection is closed then.
    pub random_close_cooldown: Duration,
    /// The share of those of which the operation itself is told at once.
    pub random_close_explicit_ratio: f64,
    /// That a datagram is lost. Streams lose nothing: TCP sends again. Counted as `datagram-loss`.
    pub packet_loss_probability: f64,
    /// That a datagram comes twice. Counted as `datagram-duplicate`.
    pub packet_duplicate_probability: f64,
    /// That a datagram is delayed, and may so be overtaken. Counted as `datagram-reorder` if it was.
    pub packet_reorder_probability: f64,
    /// That a name cannot be looked up. Counted as `lookup-failure`.
    pub lookup_failure_probability: f64,
    /// Whether the drifting timer runs ahead of the time.
    pub clock_drift_enabled: bool,
    /// By how much at most.
    pub clock_drift_max: Duration,
    /// Whether sleeps may take longer.
    pub buggified_delay_enabled: bool,
    /// By how much at most.
    pub buggified_delay_max: Duration,
    /// Which share of them.
    pub buggified_delay_probability: f64,
    /// How attempts to connect fail. Counted as `connect-refused` and `connect-hang`.
    pub connect_failure_mode: ConnectFailureMode,
    /// That an attempt fails, in the mode [`ConnectFailureMode::Probabilistic`].
    pub connect_failure_probability: f64,
    /// Each pair of nodes has an additional latency of its own, each way, of at most this. It stays.
    pub max_pair_latency: Duration,
    /// How latencies are spread over their ranges.
    pub latency_distribution: LatencyDistribution,
    /// The share of slow ones, of [`LatencyDistribution::Bimodal`].
    pub slow_latency_probability: f64,
    /// How many times as long those take.
    pub slow_latency_multiplier: f64,
}

impl Default for ChaosConfiguration {
    fn default() -> Self {
        Self {
            clog_probability: 0.0,
            clog_duration: millis(100, 300),
            partition_probability: 0.0,
            partition_duration: millis(200, 2_000),
            partition_strategy: PartitionStrategy::Random,
            bit_flip_probability: 1e-4,
            bit_flip_min_bits: 1,
            bit_flip_max_bits: 32,
            bit_flip_cooldown: Duration::ZERO,
            partial_write_probability: 0.25,
            partial_write_max_bytes: 1_000,
            partial_read_probability: 0.25,
            partial_read_max_bytes: 1_000,
            random_close_probability: 1e-5,
            random_close_cooldown: Duration::from_secs(5),
            random_close_explicit_ratio: 0.3,
            packet_loss_probability: 0.0,
            packet_duplicate_probability: 0.0,
            packet_reorder_probability: 0.0,
            lookup_failure_probability: 0.0,
            clock_drift_enabled: true,
            clock_drift_max: Duration::from_millis(100),
            buggified_delay_enabled: true,
            buggified_delay_max: Duration::from_millis(100),
            buggified_delay_probability: 0.25,
            connect_failure_mode: ConnectFailureMode::Probabilistic,
            connect_failure_probability: 0.5,
            max_pair_latency: Duration::ZERO,
            latency_distribution: LatencyDistribution::Uniform,
            slow_latency_probability: 0.001,
            slow_latency_multiplier: 10.0,
        }
    }
}

impl ChaosConfiguration {
    /// No faults.
    pub fn disabled() -> Self {
        Self {
            clog_probability: 0.0,
            partition_probability: 0.0,
            bit_flip_probability: 0.0,
            partial_write_probability: 0.0,
            partial_read_probability: 0.0,
            random_close_probability: 0.0,
            packet_loss_probability: 0.0,
            packet_duplicate_probability: 0.0,
            packet_reorder_probability: 0.0,
            lookup_failure_probability: 0.0,
            clock_drift_enabled: false,
            buggified_delay_enabled: false,
            connect_failure_mode: ConnectFailureMode::Disabled,
            ..Self::default()
        }
    }

    /// Faults drawn from the current stream, see [`set_sim_seed`](crate::set_sim_seed): a seed has one
    /// configuration. Each is switched on or off, and as strong, as in the simulator that this one succeeds.
    pub fn random_for_seed() -> Self {
        Self::random_by(&mut |bound| sim_random_range(0..bound))
    }

    /// Faults drawn by `draw`, which gives one of `0..bound`.
    ///
    /// Clogs 0 to 19 % for 50 to 300 up to 100 to 500 ms, partitions 0 to 14 % for 0.1 to 1 s up to 0.5 to 3 s of
    /// any strategy, bit flips 1e-5 to 2e-4 with 0 to 100 ms of pause, parts of 100 to 2000 bytes, closes 1e-6 to
    /// 1e-4 with 1 to 10 s of pause and 20 to 40 % told, lost datagrams 0 to 5 %, drift of 50 to 150 ms, delays of
    /// 50 to 150 ms in 20 to 30 %, any mode of failing to connect with 40 to 60 %, 0 to 100 ms between pairs.
    pub(crate) fn random_by(draw: &mut dyn FnMut(u64) -> u64) -> Self {
        let mut percent = |low: u64, high: u64| {
            let value = low + draw(high - low + 1);
            f64::from(u32::try_from(value).unwrap_or(u32::MAX)) / 100.0
        };
        let clog_probability = percent(0, 19);
        let partition_probability = percent(0, 14);
        let packet_loss_probability = percent(0, 5);
        let packet_duplicate_probability = percent(0, 5);
        let packet_reorder_probability = percent(0, 5);
        let random_close_explicit_ratio = percent(20, 40);
        let buggified_delay_probability = percent(20, 30);
        let connect_failure_probability = percent(40, 60);
        let bit_flip_probability = percent(1, 20) * 1e-3;
        let random_close_probability = percent(1, 100) * 1e-4;
        let mut between = |low: u64, high: u64| low + draw(high - low + 1);
        let clog_duration = millis(between(50, 300), between(301, 500));
        let partition_duration = millis(between(100, 1_000), between(1_001, 3_000));
        let partition_strategy = match between(0, 2) {
            0 => PartitionStrategy::Random,
            1 => PartitionStrategy::UniformSize,
            _ => PartitionStrategy::IsolateSingle,
        };
        let connect_failure_mode = match between(0, 2) {
            0 => ConnectFailureMode::Disabled,
            1 => ConnectFailureMode::AlwaysFail,
            _ => ConnectFailureMode::Probabilistic,
        };
        let latency_distribution = match between(0, 2) {
            0 => LatencyDistribution::Uniform,
            1 => LatencyDistribution::Exponential,
            _ => LatencyDistribution::Bimodal,
        };
        let mut bytes = |low: u64, high: u64| usize::try_from(between(low, high)).unwrap_or(usize::MAX);
        let partial_write_max_bytes = bytes(100, 2_000);
        let partial_read_max_bytes = bytes(100, 2_000);
        let mut time = |low: u64, high: u64| Duration::from_millis(between(low, high));
        Self {
            clog_probability,
            clog_duration,
            partition_probability,
            partition_duration,
            partition_strategy,
            bit_flip_probability,
            bit_flip_cooldown: time(0, 100),
            partial_write_max_bytes,
            partial_read_max_bytes,
            random_close_probability,
            random_close_cooldown: time(1_000, 10_000),
            random_close_explicit_ratio,
            packet_loss_probability,
            packet_duplicate_probability,
            packet_reorder_probability,
            clock_drift_max: time(50, 150),
            buggified_delay_max: time(50, 150),
            buggified_delay_probability,
            connect_failure_mode,
            connect_failure_probability,
            max_pair_latency: time(0, 100),
            latency_distribution,
            ..Self::default()
        }
    }
}

/// A duration from `range`, evenly, of the current stream, see [`set_sim_seed`](crate::set_sim_seed); its start if it
/// is empty.
pub fn sample_duration(range: &Range<Duration>) -> Duration {
    let width = duration_nanos(range.end.saturating_sub(range.start));
    range.start + Duration::from_nanos(sim_random_range_or_default(0..width))
}

/// How attempts to connect fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectFailureMode {
    /// They do not.
    #[default]
    Disabled,
    /// All are refused.
    AlwaysFail,
    /// [`ChaosConfiguration::connect_failure_probability`] of them fail: half are refused, and half never end.
    Probabilistic,
}

/// How latencies are spread over their ranges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LatencyDistribution {
    /// Evenly.
    #[default]
    Uniform,
    /// From the range's start on, with the range's middle as their mean, and no end.
    Exponential,
    /// Evenly; but [`ChaosConfiguration::slow_latency_probability`] of them take
    /// [`ChaosConfiguration::slow_latency_multiplier`] times as long.
    Bimodal,
}

/// Which nodes a partition that comes by itself parts from each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PartitionStrategy {
    /// Each node is on either side by a toss.
    #[default]
    Random,
    /// A side of 1 to n-1 nodes, each size as often as any other.
    UniformSize,
    /// One node alone.
    IsolateSingle,
    /// Two halves that do not see each other, and a node that sees both.
    Bridge,
    /// Each node sees its neighbours in a ring alone.
    Ring,
    /// Each node still sees a majority, no two of them the same one.
    MajorityRing,
    /// A minority, as large as may be, on its own.
    MajorityMinority,
    /// One pair of nodes.
    Pair,
    /// One pair of nodes, one way.
    OneWay,
    /// Nodes of one group, as given by tags or places, from all others; one node alone if there are no groups.
    Group,
}

impl PartitionStrategy {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Random,
        Self::UniformSize,
        Self::IsolateSingle,
        Self::Bridge,
        Self::Ring,
        Self::MajorityRing,
        Self::MajorityMinority,
        Self::Pair,
        Self::OneWay,
        Self::Group,
    ];
}

/// Faults that come by themselves, each at a rate of simulated time for the whole network. None by default.
///
/// Gaps between two are exponential with the rate's mean. Whether one that came acts is a choice, so that a
/// shrinker can take it away alone.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkFaults {
    /// Partitions. Counted as `partition`, for each stream that one stops and each datagram that one swallows.
    pub partitions_per_second: f64,
    /// How long one lasts.
    pub partition_duration: Range<Duration>,
    /// For how long there is none after one.
    pub partition_pause: Range<Duration>,
    /// Which there are; each as often as any other.
    pub partition_strategies: Vec<PartitionStrategy>,
    /// Connections that stand still, one direction. Counted as `clog`.
    pub clogs_per_second: f64,
    /// Connections cut for a time, both directions. Counted as `clog`.
    pub cuts_per_second: f64,
    /// Swizzles: some nodes are cut off one after the other, and let go in another order. Counted as `clog`.
    pub swizzles_per_second: f64,
    /// How long clogs and cuts last, and each step of a swizzle.
    pub clog_duration: Range<Duration>,
    /// Connections closed, as [`ChaosConfiguration::random_close_probability`] has it. Counted as `random-close`.
    pub closes_per_second: f64,
    /// Connections of which one end goes silently. Counted as `half-open`.
    pub half_opens_per_second: f64,
    /// Links that are slow, one way. Counted as `slow-link`, for each piece and datagram.
    pub slow_links_per_second: f64,
    /// How much longer they take.
    pub slow_link_delay: Range<Duration>,
    /// For how long.
    pub slow_link_duration: Range<Duration>,
}

impl Default for NetworkFaults {
    fn default() -> Self {
        Self {
            partitions_per_second: 0.0,
            partition_duration: millis(200, 2_000),
            partition_pause: millis(100, 1_000),
            partition_strategies: PartitionStrategy::ALL.to_vec(),
            clogs_per_second: 0.0,
            cuts_per_second: 0.0,
            swizzles_per_second: 0.0,
            clog_duration: millis(100, 300),
            closes_per_second: 0.0,
            half_opens_per_second: 0.0,
            slow_links_per_second: 0.0,
            slow_link_delay: millis(1, 100),
            slow_link_duration: millis(100, 1_000),
        }
    }
}

/// Sizes and times that bound the network.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkLimits {
    /// How many bytes of one direction of a connection may be sent and not yet read. At least 1, at most 16 MiB - 1.
    pub window_bytes: usize,
    /// How many connections may wait to be accepted at one listener; a further one is refused. At least 1.
    pub backlog: usize,
    /// How many datagrams may wait at one socket; a further one is lost. At least 1.
    pub mailbox: usize,
    /// How long a datagram may be, in bytes.
    pub datagram_bytes_max: usize,
    /// When an attempt to connect ends that nobody answers, by a time-out.
    pub connect_timeout: Duration,
    /// When a connection is reset whose bytes are not acknowledged.
    pub retransmission_timeout: Duration,
    /// When a connection is reset of whose other end nothing can be heard.
    pub keep_alive_timeout: Duration,
    /// That a crash of a node leaves its connections half open, as a power cut does, and not closed by its
    /// operating system.
    pub silent_crash_probability: f64,
}

/// 64 KiB, 128 connections, 1024 datagrams of at most 65,507 bytes, 30 s, 20 s, 60 s, and a half.
impl Default for NetworkLimits {
    fn default() -> Self {
        Self {
            window_bytes: 64 * 1024,
            backlog: 128,
            mailbox: 1024,
            datagram_bytes_max: 65_507,
            connect_timeout: Duration::from_secs(30),
            retransmission_timeout: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(60),
            silent_crash_probability: 0.5,
        }
    }
}

const fn micros(start: u64, end: u64) -> Range<Duration> {
    Duration::from_micros(start)..Duration::from_micros(end)
}

const fn millis(start: u64, end: u64) -> Range<Duration> {
    Duration::from_millis(start)..Duration::from_millis(end)
}

#[cfg(test)]
mod tests {
    use super::{ChaosConfiguration, NetworkConfiguration};
    use crate::draws::{Stream, scale};

    #[test]
    fn drawn_configurations_are_within_their_ranges() {
        let mut random = Stream::from_seed(9);
        let mut draw = |bound: u64| scale(random.next_u64(), bound);
        for _ in 0..500 {
            let chaos: ChaosConfiguration = NetworkConfiguration::random_by(&mut draw).chaos;
            assert!((0.0..=0.19).contains(&chaos.clog_probability));
            assert!((0.0..=0.14).contains(&chaos.partition_probability));
            assert!((0.99e-5..=2.01e-4).contains(&chaos.bit_flip_probability));
            assert!((0.99e-6..=1.01e-4).contains(&chaos.random_close_probability));
            assert!((100..=2_000).contains(&chaos.partial_write_max_bytes));
            assert!((0.4..=0.6).contains(&chaos.connect_failure_probability));
            assert!(chaos.clog_duration.start < chaos.clog_duration.end);
            assert!(chaos.partition_duration.start < chaos.partition_duration.end);
        }
    }
}
