//! `emission/raft-*`: the outbox on a cluster of Raft nodes, whose log is our write-ahead log.

mod bus;
mod cluster;
mod drive;
mod killed;
pub(crate) mod node;

pub(crate) use killed::{LEADER_KILLED, V1_MULTI_REPLICA_3};
