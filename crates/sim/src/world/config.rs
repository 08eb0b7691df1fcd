//! What a world is made from.

use crate::ambient::Ambient;
use crate::choice::{ChoiceFamily, Choices, Tape};
use crate::clock::{ClockConfiguration, Clocks};
use crate::disk::{Disks, StorageConfiguration};
use crate::draws::Stream;
use crate::fault::FaultLog;
use crate::kernel::Kernel;
use crate::net::{Network, NetworkConfiguration, NetworkFaults, NetworkLimits};
use crate::trace::{Keep, Trace};
use crate::world::Core;
use crate::world::nodes::Nodes;
use crate::world::schedule::{Schedule, SchedulePolicy};
use crate::world::tasks::Tasks;
use crate::world::timers::TimeChaos;

/// What a world is made from: its seed, and what is kept of its run.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    pub(crate) seed: u64,
    pub(crate) schedule: SchedulePolicy,
    pub(crate) tape: TapeMode,
    /// Families whose decisions are all plain.
    pub(crate) plain: &'static [ChoiceFamily],
    pub(crate) keep: Keep,
    pub(crate) polls_per_instant_max: u64,
    pub(crate) time_chaos: TimeChaos,
    pub(crate) network: NetworkConfiguration,
    pub(crate) network_faults: NetworkFaults,
    pub(crate) network_limits: NetworkLimits,
    pub(crate) clocks: ClockConfiguration,
    pub(crate) storage: StorageConfiguration,
}

/// Where decisions come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum TapeMode {
    /// The seed.
    #[default]
    Drawn,
    /// The seed; those that are not plain are kept.
    Recorded,
    /// This tape.
    Taped(Tape),
}

impl WorldConfig {
    /// A world of this seed: tasks in [random](SchedulePolicy::Random) order, no faults, nothing kept but the hash.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            schedule: SchedulePolicy::default(),
            tape: TapeMode::Drawn,
            plain: &[],
            keep: Keep::Hash,
            polls_per_instant_max: POLLS_PER_INSTANT_MAX,
            time_chaos: TimeChaos::none(),
            network: NetworkConfiguration::without_faults(),
            network_faults: NetworkFaults::default(),
            network_limits: NetworkLimits::default(),
            clocks: ClockConfiguration::default(),
            storage: StorageConfiguration::default(),
        }
    }

    /// Picks tasks by `policy`.
    pub fn schedule(self, policy: SchedulePolicy) -> Self {
        Self { schedule: policy, ..self }
    }

    /// Keeps each event and fault, not only their hash and counts.
    pub fn keep_trace(self) -> Self {
        self.keep(Keep::All)
    }

    pub(crate) fn keep(self, keep: Keep) -> Self {
        Self { keep, ..self }
    }

    /// Keeps the decisions that were not plain.
    pub fn keep_tape(self) -> Self {
        Self { tape: TapeMode::Recorded, ..self }
    }

    /// Takes decisions from `tape`, and is plain where it has none.
    pub fn replay(self, tape: Tape) -> Self {
        Self { tape: TapeMode::Taped(tape), ..self }
    }

    /// Takes tasks that wake each other for ever at one instant to be stuck after `polls` polls; a million unless
    /// said otherwise.
    pub fn polls_per_instant_max(self, polls: u64) -> Self {
        Self { polls_per_instant_max: polls, ..self }
    }

    /// The network's latencies, and its faults per operation; those of sleeps and of the clock that drifts are part
    /// of them. Without: the default's latencies and no faults.
    pub fn network(self, network: NetworkConfiguration) -> Self {
        Self { time_chaos: TimeChaos::of(&network.chaos), network, ..self }
    }

    /// Faults of the network that come by themselves; none unless said otherwise.
    pub fn network_faults(self, network_faults: NetworkFaults) -> Self {
        Self { network_faults, ..self }
    }

    /// Bounds of the network.
    pub fn network_limits(self, network_limits: NetworkLimits) -> Self {
        Self { network_limits, ..self }
    }

    /// Gives each node that is added a wall clock that may be wrong in these ways.
    pub fn clocks(self, clocks: ClockConfiguration) -> Self {
        Self { clocks, ..self }
    }

    /// Gives each node that is added a disk of this kind.
    pub fn storage(self, storage: StorageConfiguration) -> Self {
        Self { storage, ..self }
    }

    pub(super) fn into_core(self) -> Core {
        let mut choices = match self.tape {
            TapeMode::Drawn => Choices::drawn(self.seed),
            TapeMode::Recorded => Choices::recorded(self.seed),
            TapeMode::Taped(tape) => Choices::taped(self.seed, tape),
        }
        .with_plain(self.plain);
        let keeps_all = self.keep == Keep::All;
        let trace = Trace::new(&self.keep);
        let faults = if keeps_all { FaultLog::keeping() } else { FaultLog::counting() };
        let random = Stream::from_seed(self.seed).fork("test");
        let schedule = Schedule::new(self.schedule, &mut choices);
        let mut kernel = Kernel::new(choices, trace, faults);
        let mut network = Network::new(&self.network, &self.network_faults, &self.network_limits);
        network.start_faults(&mut kernel);
        Core {
            seed: self.seed,
            kernel,
            network,
            nodes: Nodes::default(),
            tasks: Tasks::default(),
            time_chaos: self.time_chaos,
            clocks: Clocks::new(self.clocks),
            disks: Disks::new(self.storage),
            panics: Vec::new(),
            failures: Vec::new(),
            foreign_wakes: Vec::new(),
            polls_per_instant_max: self.polls_per_instant_max,
            is_spinning: false,
            polls: 0,
            polls_before_instant: 0,
            schedule,
            polled: keeps_all.then(Vec::new),
            random,
            ambient: Ambient::of_part(self.seed, random),
            last_event: None,
            #[cfg(all(feature = "intercept", target_os = "linux"))]
            intercepted: crate::intercept::Calls::new(self.seed, crate::determinism::salt()),
        }
    }
}

const POLLS_PER_INSTANT_MAX: u64 = 1_000_000;
