//! The determinism suite of Samestep: every lane of every crate, in one table.
//!
//! A module per crate, named after it, with its lanes; [`LANES`] lists them all. The golden digests stand in
//! `determinism.lock` at the root of the workspace.
//!
//! # What this crate does not do
//!
//! It runs nothing by itself and compares nothing: lane-runner does. The canary is lane-runner's, too.

#![forbid(unsafe_code)]

mod emission;
mod lmdb;
mod replay;
mod scenario;
mod sim;
#[cfg_attr(not(target_os = "linux"), path = "uring/elsewhere.rs")]
mod uring;
mod wal;

use samestep_replay_traits::Lane;

/// All lanes, by crate.
pub const LANES: &[&dyn Lane] = &[
    &emission::BACK_PRESSURE_EVICTED,
    &emission::BACK_PRESSURE_FULL,
    &emission::BIT_ROT,
    &emission::COMPACTION_BOUNDARY,
    &emission::CRASH_MATRIX,
    &emission::CRASH_POINTS,
    &emission::LEADER_KILLED,
    &emission::LOST_ACK,
    &emission::MANY_CLIENTS,
    &emission::NOT_FOUND,
    &emission::ONE_TRANSCRIPT,
    &emission::PARTITIONED_LEADER,
    &emission::RANDOM_WORKLOADS,
    &emission::SIMULATED,
    &emission::SNAPSHOT_FAILOVER,
    &emission::SNAPSHOT_INSTALL,
    &emission::TORN_TAIL,
    &emission::UNKNOWN_FUTURE,
    &emission::V1_CRASH_AFTER_SEND_BEFORE_ACK,
    &emission::V1_CRASH_BEFORE_SEND,
    &emission::V1_MULTI_REPLICA_3,
    &emission::V1_RECONNECT_INVALID,
    &emission::V1_RECONNECT_OK,
    &emission::V1_RECONNECT_STALE,
    &emission::V1_SINGLE_NODE,
    &lmdb::DAMAGE,
    &lmdb::FROM_EVERY_STATE,
    &lmdb::INTERRUPTED,
    &lmdb::IPC,
    &lmdb::MAINTENANCE,
    &lmdb::REPLAY,
    &lmdb::SOURCE,
    &replay::TranscriptVectors,
    &sim::REGISTER,
    &sim::TRACE_HASH,
    &sim::WAL_UNDER_FAULTS,
    &uring::ECHO,
    &uring::WAL_FACE,
    &wal::BIT_FLIPS,
    &wal::CONFLICT_TRUNCATION,
    &wal::FACES,
    &wal::FOLDER_BYTES,
    &wal::FSYNC_ERRORS,
    &wal::FSYNC_ERROR_FILE,
    &wal::FULL_DISK,
    &wal::HARD_STATE_ACROSS_PRUNE,
    &wal::NO_APP_CRC,
    &wal::PROCESS_DEATH,
    &wal::PRUNE,
    &wal::PRUNE_REOPEN_APPEND,
    &wal::REOPEN_CONTINUE,
    &wal::ROLLOVER,
    &wal::SEGMENT_COUNTS,
    &wal::SIDECAR_DAMAGE,
    &wal::SNAPSHOT_MARKS,
    &wal::TORN_TAIL_FILE,
    &wal::TORN_TAIL_IMAGES,
    &wal::WRITERS_64,
];
