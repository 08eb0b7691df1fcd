//! Which faults a run has: given by the test, or drawn for each seed.

use std::time::Duration;

use crate::chaos::Buggify;
use crate::choice::{Chance, ChoiceFamily, Choices};
use crate::clock::ClockConfiguration;
use crate::disk::{CrashConfiguration, DiskFaultRates, StorageConfiguration};
use crate::fault::FaultFamily;
use crate::net::{
    ChaosConfiguration, ConnectFailureMode, NetworkConfiguration, NetworkFaults, PartitionStrategy,
};
use crate::runner::attrition::Attrition;
use crate::world::{SchedulePolicy, WorldConfig};

/// What goes wrong while a test runs, and for how long.
///
/// ```
/// use samestep_sim::Chaos;
///
/// // In each seed about half of all that can go wrong in a system whose machines are honest, for 30 s.
/// let chaos = Chaos::swarm().for_secs(30);
/// # let _ = chaos;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Chaos {
    duration: Duration,
    kind: ChaosKind,
    has_bad_disks: bool,
    has_corruption: bool,
    attrition: Option<Attrition>,
    storage: Option<StorageConfiguration>,
    network: Option<(NetworkConfiguration, NetworkFaults)>,
    clocks: Option<ClockConfiguration>,
    buggify: Option<(Chance, Chance)>,
    without: Vec<FaultFamily>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChaosKind {
    /// What the test names, and no more.
    Given,
    /// A part of all, another in each seed.
    Swarm,
}

impl Chaos {
    /// In each seed another part of all faults, each with another strength: a fault that is always on hides bugs that
    /// show without it (Groce and others, "Swarm testing", 2012). For 30 s of simulated time.
    ///
    /// The faults are those that a program must survive on honest machines: crashes that lose what was not synced,
    /// shutdowns and pauses; connections that fail, close, stand still, tear their reads and writes, or are parted;
    /// datagrams that are lost, doubled and reordered; wall clocks that stand off, drift and jump; sleeps that are
    /// late; disks that are slow, and move fewer bytes than asked for. [`Self::with_bad_disks`] and
    /// [`Self::with_corruption`] add the others.
    pub fn swarm() -> Self {
        Self { kind: ChaosKind::Swarm, attrition: Some(Attrition::default()), ..Self::none() }
    }

    /// Nothing, but what is added by name. For 30 s of simulated time.
    pub fn none() -> Self {
        Self {
            duration: Duration::from_secs(30),
            kind: ChaosKind::Given,
            has_bad_disks: false,
            has_corruption: false,
            attrition: None,
            storage: None,
            network: None,
            clocks: None,
            buggify: Some((Chance::one_in(1, 4), Chance::one_in(1, 4))),
            without: Vec::new(),
        }
    }

    /// Nothing at all, `buggify` included.
    pub(crate) fn quiet() -> Self {
        Self { buggify: None, ..Self::none() }
    }

    /// For so many seconds of simulated time; then all is healed.
    pub fn for_secs(self, seconds: u64) -> Self {
        self.for_duration(Duration::from_secs(seconds))
    }

    /// For so much simulated time; then all is healed.
    pub fn for_duration(self, duration: Duration) -> Self {
        Self { duration, ..self }
    }

    /// Disks also fail reads, writes and syncs, fill up, and lose sectors in a crash. Counted as `read-error`,
    /// `write-error`, `sync-failure`, `no-space` and `latent-error`.
    pub fn with_bad_disks(self) -> Self {
        Self { has_bad_disks: true, ..self }
    }

    /// Bits turn over on the network and on disks, and disks put bytes in wrong places: what only checksums of the
    /// program's own find. Counted as `bit-flip`, `bit-rot`, `misdirected-read`, `misdirected-write`, `phantom-write`
    /// and `crash-garbage`.
    pub fn with_corruption(self) -> Self {
        Self { has_corruption: true, ..self }
    }

    /// How servers are killed, told to end and stopped.
    pub fn attrition(self, attrition: Attrition) -> Self {
        Self { attrition: Some(attrition), ..self }
    }

    /// The network's latencies and faults, in place of those drawn.
    pub fn network(self, configuration: NetworkConfiguration, faults: NetworkFaults) -> Self {
        Self { network: Some((configuration, faults)), ..self }
    }

    /// The disks' speed and faults, in place of those drawn.
    pub fn storage(self, configuration: StorageConfiguration) -> Self {
        Self { storage: Some(configuration), ..self }
    }

    /// The wall clocks' faults, in place of those drawn.
    pub fn clocks(self, configuration: ClockConfiguration) -> Self {
        Self { clocks: Some(configuration), ..self }
    }

    /// With which chances a `buggify` place is active, and an active one fires; a quarter each unless told. From 0.0 to
    /// 1.0.
    pub fn buggify(self, activation_probability: f64, firing_probability: f64) -> Self {
        let chance = Chance::from_probability;
        Self { buggify: Some((chance(activation_probability), chance(firing_probability))), ..self }
    }

    /// Without faults of this family, in no seed.
    pub fn without(mut self, family: FaultFamily) -> Self {
        self.without.push(family);
        self
    }

    /// How long faults act.
    pub(crate) fn duration(&self) -> Duration {
        self.duration
    }

    /// Decides what a run has.
    pub(crate) fn resolve(&self, choices: &mut Choices) -> Faults {
        let mut draw = Draw { choices, without: &self.without, on: Vec::new() };
        let is_swarm = self.kind == ChaosKind::Swarm;
        let schedule = if is_swarm { draw.schedule() } else { SchedulePolicy::default() };
        let mut network = (NetworkConfiguration::without_faults(), NetworkFaults::default());
        let mut storage = StorageConfiguration::default();
        let mut clocks = ClockConfiguration::default();
        let mut attrition = self.attrition.clone();
        if is_swarm {
            draw.network(&mut network.0, &mut network.1, self.has_corruption);
            draw.storage(&mut storage, self.has_bad_disks, self.has_corruption);
            clocks = draw.clocks();
            attrition = attrition.map(|attrition| draw.attrition(attrition));
        }
        if let Some(given) = &self.network {
            network = given.clone();
        }
        if let Some(given) = &self.storage {
            storage = given.clone();
        }
        if let Some(given) = &self.clocks {
            clocks = given.clone();
        }
        let on = draw.on;
        let buggify =
            self.buggify.map_or_else(Buggify::default, |(active, firing)| Buggify::on(active, firing));
        Faults { schedule, network: network.0, arrivals: network.1, storage, clocks, attrition, buggify, on }
    }
}

/// What one run has.
#[derive(Debug)]
pub(crate) struct Faults {
    pub(crate) schedule: SchedulePolicy,
    pub(crate) network: NetworkConfiguration,
    pub(crate) arrivals: NetworkFaults,
    pub(crate) storage: StorageConfiguration,
    pub(crate) clocks: ClockConfiguration,
    pub(crate) attrition: Option<Attrition>,
    pub(crate) buggify: Buggify,
    /// The families that were switched on.
    pub(crate) on: Vec<FaultFamily>,
}

impl Faults {
    /// The families that may act.
    pub(crate) fn families(&self) -> Vec<FaultFamily> {
        let mut families = self.on.clone();
        if let Some(attrition) = &self.attrition {
            let kinds = [
                (FaultFamily::Crash, attrition.crash),
                (FaultFamily::CrashAndWipe, attrition.crash_and_wipe),
                (FaultFamily::GracefulReboot, attrition.graceful),
                (FaultFamily::Pause, attrition.pause),
            ];
            families.extend(kinds.into_iter().filter(|(_, weight)| *weight > 0).map(|(family, _)| family));
        }
        families.sort_unstable();
        families.dedup();
        families
    }

    /// Puts all that a world is made with into its configuration.
    pub(crate) fn configure(&self, config: WorldConfig) -> WorldConfig {
        config
            .schedule(self.schedule.clone())
            .network(self.network.clone())
            .network_faults(self.arrivals.clone())
            .storage(self.storage.clone())
            .clocks(self.clocks.clone())
    }
}

/// Draws what a seed has.
struct Draw<'a> {
    choices: &'a mut Choices,
    without: &'a [FaultFamily],
    on: Vec<FaultFamily>,
}

impl Draw<'_> {
    /// Whether a family is on: in half of all seeds.
    fn is_on(&mut self, family: FaultFamily) -> bool {
        if self.without.contains(&family) {
            return false;
        }
        let is_on = self.choices.happens(ChoiceFamily::Setup, family as u32, Chance::one_in(1, 2));
        if is_on {
            self.on.push(family);
        }
        is_on
    }

    /// One of `1..=max`, decided for this family; 1 is plain.
    fn strength(&mut self, family: FaultFamily, max: u64) -> f64 {
        let strength = 1 + self.choices.pick(ChoiceFamily::Setup, STRENGTHS + family as u32, max);
        f64::from(u32::try_from(strength).unwrap_or(u32::MAX))
    }

    /// A rate or probability of `unit` to `max` times `unit` if the family is on, else 0.
    fn rate(&mut self, family: FaultFamily, unit: f64, max: u64) -> f64 {
        if self.is_on(family) { unit * self.strength(family, max) } else { 0.0 }
    }

    fn schedule(&mut self) -> SchedulePolicy {
        match self.choices.pick(ChoiceFamily::Setup, SCHEDULE, 4) {
            0 => SchedulePolicy::Random,
            1 => SchedulePolicy::Fifo,
            depth => SchedulePolicy::Pct { depth: u32::try_from(depth).unwrap_or(2) },
        }
    }

    fn network(
        &mut self,
        configuration: &mut NetworkConfiguration,
        faults: &mut NetworkFaults,
        has_corruption: bool,
    ) {
        let chaos: &mut ChaosConfiguration = &mut configuration.chaos;
        faults.partitions_per_second = self.rate(FaultFamily::Partition, 0.05, 20);
        faults.partition_strategies = PartitionStrategy::ALL.to_vec();
        if self.is_on(FaultFamily::Clog) {
            faults.clogs_per_second = 0.1 * self.strength(FaultFamily::Clog, 20);
            faults.cuts_per_second = 0.05 * self.strength(FaultFamily::Clog, 20);
            faults.swizzles_per_second = 0.02 * self.strength(FaultFamily::Clog, 5);
        }
        faults.closes_per_second = self.rate(FaultFamily::RandomClose, 0.1, 20);
        faults.half_opens_per_second = self.rate(FaultFamily::HalfOpen, 0.02, 10);
        chaos.partial_write_probability = self.rate(FaultFamily::PartialWrite, 0.05, 10);
        chaos.partial_read_probability = self.rate(FaultFamily::PartialRead, 0.05, 10);
        chaos.partial_write_max_bytes = 16;
        chaos.partial_read_max_bytes = 16;
        chaos.packet_loss_probability = self.rate(FaultFamily::DatagramLoss, 0.01, 20);
        chaos.packet_duplicate_probability = self.rate(FaultFamily::DatagramDuplicate, 0.01, 10);
        chaos.packet_reorder_probability = self.rate(FaultFamily::DatagramReorder, 0.02, 10);
        chaos.lookup_failure_probability = self.rate(FaultFamily::LookupFailure, 0.02, 10);
        if self.is_on(FaultFamily::ConnectRefused) {
            chaos.connect_failure_mode = ConnectFailureMode::Probabilistic;
            chaos.connect_failure_probability = 0.02 * self.strength(FaultFamily::ConnectRefused, 15);
        }
        if self.is_on(FaultFamily::BuggifiedDelay) {
            chaos.buggified_delay_enabled = true;
            chaos.buggified_delay_probability = 0.05 * self.strength(FaultFamily::BuggifiedDelay, 6);
        }
        if has_corruption {
            chaos.bit_flip_probability = self.rate(FaultFamily::BitFlip, 1e-3, 20);
        }
    }

    fn storage(&mut self, disk: &mut StorageConfiguration, has_bad_disks: bool, has_corruption: bool) {
        let mut rates = DiskFaultRates::default();
        if self.is_on(FaultFamily::ShortIo) {
            rates.short_reads_per_second = 0.1 * self.strength(FaultFamily::ShortIo, 20);
            rates.short_writes_per_second = 0.1 * self.strength(FaultFamily::ShortIo, 20);
        }
        rates.stalls_per_second = self.rate(FaultFamily::DiskStall, 0.05, 10);
        rates.throttles_per_second = self.rate(FaultFamily::DiskThrottle, 0.02, 10);
        if has_bad_disks {
            rates.read_errors_per_second = self.rate(FaultFamily::ReadError, 0.02, 10);
            rates.write_errors_per_second = self.rate(FaultFamily::WriteError, 0.02, 10);
            rates.sync_failures_per_second = self.rate(FaultFamily::SyncFailure, 0.02, 10);
            rates.full_disks_per_second = self.rate(FaultFamily::NoSpace, 0.02, 10);
            rates.latent_errors_per_second = self.rate(FaultFamily::LatentError, 0.02, 10);
        }
        if has_corruption {
            rates.misdirected_reads_per_second = self.rate(FaultFamily::MisdirectedRead, 0.02, 10);
            rates.misdirected_writes_per_second = self.rate(FaultFamily::MisdirectedWrite, 0.02, 10);
            rates.phantom_writes_per_second = self.rate(FaultFamily::PhantomWrite, 0.02, 10);
            rates.bit_rots_per_second = self.rate(FaultFamily::BitRot, 0.02, 10);
            disk.crash_fault_probability = self.rate(FaultFamily::CrashGarbage, 0.01, 10);
        }
        disk.rates = rates;
        disk.crash = CrashConfiguration { clean_probability: 0.1, ..CrashConfiguration::default() };
    }

    fn clocks(&mut self) -> ClockConfiguration {
        let mut clocks = ClockConfiguration::default();
        if self.is_on(FaultFamily::ClockDrift) {
            clocks.offset_max =
                Duration::from_millis(100).mul_f64(self.strength(FaultFamily::ClockDrift, 10));
            clocks.drift_ppm_max = 10_000;
        }
        if self.is_on(FaultFamily::ClockStep) {
            clocks.steps_per_second = 0.1;
            clocks.step_max = Duration::from_secs(1).mul_f64(self.strength(FaultFamily::ClockStep, 10));
        }
        clocks
    }

    /// Which ways to go down a seed has, and how often.
    fn attrition(&mut self, mut attrition: Attrition) -> Attrition {
        let kinds = [
            (FaultFamily::Crash, &mut attrition.crash),
            (FaultFamily::GracefulReboot, &mut attrition.graceful),
            (FaultFamily::Pause, &mut attrition.pause),
            (FaultFamily::CrashAndWipe, &mut attrition.crash_and_wipe),
        ];
        for (family, weight) in kinds {
            if *weight > 0 && !self.is_on(family) {
                *weight = 0;
            }
        }
        attrition
    }
}

/// Places of the decisions: those of strengths lie behind those of families.
const STRENGTHS: u32 = 1_000;
const SCHEDULE: u32 = 2_000;
