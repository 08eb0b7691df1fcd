//! The configuration as the model uses it: integers, resolved once.

use super::config::{
    ChaosConfiguration, ConnectFailureMode, NetworkConfiguration, NetworkFaults, NetworkLimits,
    PartitionStrategy,
};
use super::latency::{Nanos, Shape, duration_nanos};
use crate::choice::Chance;

/// What the network is like.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) bind: Nanos,
    pub(crate) accept: Nanos,
    pub(crate) connect: Nanos,
    /// The way of bytes from their writer to where their reader sees them: both latencies, drawn as one.
    pub(crate) way: Nanos,
    pub(crate) shape: Shape,
    pub(crate) pair_latency: Nanos,
    pub(crate) chaos: Chaos,
    pub(crate) rates: Rates,
    pub(crate) limits: Limits,
}

/// Faults per operation.
#[derive(Debug)]
pub(crate) struct Chaos {
    /// Whether any fault can come of a read, a write, or the delivery of a piece: the one branch of those without.
    pub(crate) is_on: bool,
    pub(crate) clog: Chance,
    pub(crate) clog_time: Nanos,
    pub(crate) partition: Chance,
    pub(crate) partition_time: Nanos,
    pub(crate) partition_strategy: PartitionStrategy,
    pub(crate) bit_flip: Chance,
    pub(crate) bit_flip_min: u32,
    pub(crate) bit_flip_max: u32,
    pub(crate) bit_flip_pause: u64,
    pub(crate) partial_write: Chance,
    pub(crate) partial_write_max: u64,
    pub(crate) partial_read: Chance,
    pub(crate) partial_read_max: u64,
    pub(crate) random_close: Chance,
    pub(crate) random_close_pause: u64,
    pub(crate) random_close_explicit: Chance,
    pub(crate) loss: Chance,
    pub(crate) duplicate: Chance,
    pub(crate) reorder: Chance,
    pub(crate) lookup_failure: Chance,
    pub(crate) connect_failure: Chance,
    pub(crate) connect_failure_mode: ConnectFailureMode,
}

/// Faults per simulated second, by the mean gap between two in nanoseconds; 0 is never.
#[derive(Debug)]
pub(crate) struct Rates {
    /// In the order of [`Arrival::ALL`](super::arrivals::Arrival::ALL).
    pub(crate) gaps: [u64; 7],
    pub(crate) partition_time: Nanos,
    pub(crate) partition_pause: Nanos,
    pub(crate) partition_strategies: Vec<PartitionStrategy>,
    pub(crate) clog_time: Nanos,
    pub(crate) slow_link_delay: Nanos,
    pub(crate) slow_link_time: Nanos,
}

/// Bounds.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) window: usize,
    pub(crate) backlog: usize,
    pub(crate) mailbox: usize,
    pub(crate) datagram_bytes_max: usize,
    pub(crate) connect: u64,
    pub(crate) retransmission: u64,
    pub(crate) keep_alive: u64,
    pub(crate) silent_crash: Chance,
}

impl Settings {
    /// What these three say.
    pub(crate) fn new(
        configuration: &NetworkConfiguration,
        faults: &NetworkFaults,
        limits: &NetworkLimits,
    ) -> Self {
        let chaos = &configuration.chaos;
        Self {
            bind: Nanos::new(&configuration.bind_latency),
            accept: Nanos::new(&configuration.accept_latency),
            connect: Nanos::new(&configuration.connect_latency),
            way: Nanos::new(&configuration.write_latency).then(Nanos::new(&configuration.read_latency)),
            shape: Shape {
                distribution: chaos.latency_distribution,
                slow: Chance::from_probability(chaos.slow_latency_probability),
                slow_permille: permille_of(chaos.slow_latency_multiplier),
            },
            pair_latency: Nanos { start: 0, end: duration_nanos(chaos.max_pair_latency) },
            chaos: Chaos::new(chaos),
            rates: Rates::new(faults),
            limits: Limits::new(limits),
        }
    }

    /// The same network from now on without faults that come by themselves.
    pub(crate) fn end_faults(&mut self) {
        self.chaos = Chaos::new(&ChaosConfiguration::disabled());
        self.rates = Rates::new(&NetworkFaults::default());
        self.limits.silent_crash = Chance::NEVER;
    }
}

impl Chaos {
    fn new(chaos: &ChaosConfiguration) -> Self {
        let chance = Chance::from_probability;
        let bytes = |count: usize| u64::try_from(count).unwrap_or(u64::MAX).max(1);
        let connect_failure = match chaos.connect_failure_mode {
            ConnectFailureMode::Disabled => Chance::NEVER,
            ConnectFailureMode::AlwaysFail => Chance::ALWAYS,
            ConnectFailureMode::Probabilistic => chance(chaos.connect_failure_probability),
        };
        let per_operation = [
            chaos.clog_probability,
            chaos.partition_probability,
            chaos.bit_flip_probability,
            chaos.partial_write_probability,
            chaos.partial_read_probability,
            chaos.random_close_probability,
        ];
        Self {
            is_on: per_operation.into_iter().any(|probability| !chance(probability).is_never()),
            clog: chance(chaos.clog_probability),
            clog_time: Nanos::new(&chaos.clog_duration),
            partition: chance(chaos.partition_probability),
            partition_time: Nanos::new(&chaos.partition_duration),
            partition_strategy: chaos.partition_strategy,
            bit_flip: chance(chaos.bit_flip_probability),
            bit_flip_min: chaos.bit_flip_min_bits.max(1),
            bit_flip_max: chaos.bit_flip_max_bits.max(chaos.bit_flip_min_bits).max(1),
            bit_flip_pause: duration_nanos(chaos.bit_flip_cooldown),
            partial_write: chance(chaos.partial_write_probability),
            partial_write_max: bytes(chaos.partial_write_max_bytes),
            partial_read: chance(chaos.partial_read_probability),
            partial_read_max: bytes(chaos.partial_read_max_bytes),
            random_close: chance(chaos.random_close_probability),
            random_close_pause: duration_nanos(chaos.random_close_cooldown),
            random_close_explicit: chance(chaos.random_close_explicit_ratio),
            loss: chance(chaos.packet_loss_probability),
            duplicate: chance(chaos.packet_duplicate_probability),
            reorder: chance(chaos.packet_reorder_probability),
            lookup_failure: chance(chaos.lookup_failure_probability),
            connect_failure,
            connect_failure_mode: chaos.connect_failure_mode,
        }
    }
}

impl Rates {
    fn new(faults: &NetworkFaults) -> Self {
        let mut strategies = faults.partition_strategies.clone();
        if strategies.is_empty() {
            strategies.push(PartitionStrategy::default());
        }
        Self {
            gaps: [
                gap_of(faults.partitions_per_second),
                gap_of(faults.clogs_per_second),
                gap_of(faults.cuts_per_second),
                gap_of(faults.swizzles_per_second),
                gap_of(faults.closes_per_second),
                gap_of(faults.half_opens_per_second),
                gap_of(faults.slow_links_per_second),
            ],
            partition_time: Nanos::new(&faults.partition_duration),
            partition_pause: Nanos::new(&faults.partition_pause),
            partition_strategies: strategies,
            clog_time: Nanos::new(&faults.clog_duration),
            slow_link_delay: Nanos::new(&faults.slow_link_delay),
            slow_link_time: Nanos::new(&faults.slow_link_duration),
        }
    }
}

impl Limits {
    fn new(limits: &NetworkLimits) -> Self {
        Self {
            window: limits.window_bytes.clamp(1, WINDOW_BYTES_MAX),
            backlog: limits.backlog.max(1),
            mailbox: limits.mailbox.max(1),
            datagram_bytes_max: limits.datagram_bytes_max.min(WINDOW_BYTES_MAX),
            connect: duration_nanos(limits.connect_timeout),
            retransmission: duration_nanos(limits.retransmission_timeout),
            keep_alive: duration_nanos(limits.keep_alive_timeout),
            silent_crash: Chance::from_probability(limits.silent_crash_probability),
        }
    }
}

/// The mean gap in nanoseconds between two of `rate` a second; 0 if there are none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of floats saturate; done once, when a run is set up"
)]
fn gap_of(rate: f64) -> u64 {
    if rate > 0.0 { ((1e9 / rate).round() as u64).max(1) } else { 0 }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts of floats saturate; done once, when a run is set up"
)]
fn permille_of(factor: f64) -> u64 {
    (factor.max(0.0) * 1000.0).round() as u64
}

/// Lengths of pieces are recorded in 24 bits.
const WINDOW_BYTES_MAX: usize = (1 << 24) - 1;
