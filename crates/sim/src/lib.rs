#![doc = include_str!("../README.md")]
//!
//! # What this crate does not do
//!
//! A world opens no socket and no file, and reads no clock: the same seed gives the same run, on every machine.
//! Around runs, `check` reads the environment variables that it names, and keeps failures in a file.

mod ambient;
mod arrivals;
pub mod chaos;
mod choice;
mod clock;
mod determinism;
mod disk;
mod draws;
mod error;
mod fault;
#[cfg(all(feature = "intercept", target_os = "linux"))]
mod intercept;
mod kernel;
mod marks;
mod net;
pub mod network;
pub mod oracle;
pub mod providers;
mod queue;
pub mod report;
pub mod runner;
pub mod sim;
pub mod storage;
mod time;
mod trace;
mod wire;
mod world;

pub use chaos::{
    AssertionStats, BuggifySite, CheckFailure, ContractViolation, FaultEvent, FaultFamily, FaultLog,
    Invariant, InvariantCheck, InvariantView, StateRegistry, buggify_init, buggify_reset, buggify_sites,
    get_assertion_results, invariant_fn, panic_on_assertion_violations, reset_assertion_results,
    validate_assertion_contracts,
};
pub use error::{SimulationError, SimulationResult};
pub use network::{
    ChaosConfiguration, ConnectFailureMode, LatencyDistribution, Message, NetworkConfiguration,
    NetworkFaults, NetworkLimits, Partition, PartitionId, PartitionStrategy, SimNetwork, Verdict,
    sample_duration,
};
pub use providers::{
    SimFile, SimLock, SimNetworkProvider, SimProviders, SimRandomProvider, SimStorageProvider,
    SimTaskProvider, SimTcpListener, SimTcpStream, SimTimeProvider, SimUdpSocket,
};
pub use runner::{
    Attrition, AttritionScope, Chaos, Check, CheckReport, Count, Divergence, Failure, FaultContext,
    FaultInjector, Holds, IntoOutcome, IterationControl, LocalityConfig, LocalityInfo, Node, Peer, Process,
    ProcessFuture, RebootKind, Replay, ReplayParseError, SimContext, SimulationBuilder, SimulationMetrics,
    SimulationReport, TaskState, Test, WorkloadRunner, WorkloadTopology, check, replay, timeline,
};
#[doc(no_inline)]
pub use samestep_provider_traits::{
    NetworkProvider, RandomProvider, TaskProvider, TcpListener as TcpListenerTrait, TimeProvider,
};
pub use sim::{
    Chance, ChoiceFamily, ChoiceKey, ClockConfiguration, ConnectionStateChange, DiskOperation, Down, Event,
    EventQueue, NetworkOperation, NodeId, SchedulePolicy, ScheduledEvent, SimJoinHandle, SimTime, SimWorld,
    SleepFuture, Tape, TaskId, TaskPanic, TraceEvent, Traced, WeakSimWorld, WorldConfig, current_sim_seed,
    get_current_sim_seed, reset_sim_rng, set_sim_seed, sim_random, sim_random_range,
    sim_random_range_or_default,
};
#[cfg(all(feature = "intercept", target_os = "linux"))]
pub use sim::{Intercepted, InterceptedCalls};
pub use storage::{
    CrashConfiguration, DamageExtent, DiskFault, DiskFaultRates, FaultBudget, StorageConfiguration,
};
pub use wire::{
    CodecError, Endpoint, JsonCodec, MESSAGE_BYTES_MAX, MessageCodec, NetworkAddress,
    NetworkAddressParseError, UID, WELL_KNOWN_RESERVED_COUNT, WellKnownToken, flags,
};
