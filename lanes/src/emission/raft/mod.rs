//! `emission/raft-*`: the outbox on a cluster of Raft nodes, whose log is our write-ahead log.

mod bus;
mod cluster;
mod drive;
mod killed;
mod matrix;
pub(crate) mod node;
mod one_transcript;
mod partition;
mod rot;
#[path = "../../../../examples/replicated-outbox/src/service/mod.rs"]
mod service;
mod simulated;
#[cfg(test)]
mod tests;
mod torn;

pub(crate) use killed::{LEADER_KILLED, V1_MULTI_REPLICA_3};
pub(crate) use matrix::CRASH_MATRIX;
pub(crate) use one_transcript::ONE_TRANSCRIPT;
pub(crate) use partition::{PARTITIONED_LEADER, SNAPSHOT_FAILOVER};
pub(crate) use rot::BIT_ROT;
pub(crate) use simulated::SIMULATED;
pub(crate) use torn::TORN_TAIL;

/// Three nodes, a network that delays, reorders and loses, and a short log.
const SETUP: cluster::Setup = cluster::Setup {
    nodes: 3,
    faults: bus::BusFaults { delay_ticks_max: 3, lost_one_in: 20 },
    snapshot_entries: 8,
    checks_quorum: true,
};
