//! The simulated network: its configuration, its faults, and what a test does to it.

pub use crate::net::{
    ChaosConfiguration, ConnectFailureMode, LatencyDistribution, Message, NetworkConfiguration,
    NetworkFaults, NetworkLimits, Partition, PartitionId, PartitionStrategy, SimNetwork, Verdict,
    sample_duration,
};
pub use crate::providers::{SimNetworkProvider, SimTcpListener, SimTcpStream, SimUdpSocket};
