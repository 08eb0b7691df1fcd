//! `emission/*`: the outbox on a log, its leader killed and its clients cut off, and what reaches them all the same.

mod boundary;
mod bounds;
mod client;
mod crash;
mod dice;
mod log;
mod many;
mod raft;
mod reconnect;
mod sevendb;
mod snapshot;
mod workload;

pub(crate) use boundary::COMPACTION_BOUNDARY;
pub(crate) use bounds::{BACK_PRESSURE_EVICTED, BACK_PRESSURE_FULL};
pub(crate) use crash::CRASH_POINTS;
pub(crate) use many::MANY_CLIENTS;
pub(crate) use raft::{
    BIT_ROT, CRASH_MATRIX, LEADER_KILLED, ONE_TRANSCRIPT, PARTITIONED_LEADER, SIMULATED, SNAPSHOT_FAILOVER,
    TORN_TAIL, V1_MULTI_REPLICA_3,
};
pub(crate) use reconnect::{LOST_ACK, NOT_FOUND, UNKNOWN_FUTURE};
pub(crate) use sevendb::{
    V1_CRASH_AFTER_SEND_BEFORE_ACK, V1_CRASH_BEFORE_SEND, V1_RECONNECT_INVALID, V1_RECONNECT_OK,
    V1_RECONNECT_STALE, V1_SINGLE_NODE,
};
pub(crate) use snapshot::SNAPSHOT_INSTALL;
pub(crate) use workload::RANDOM_WORKLOADS;

use samestep_emission::{Answer, Restart, Token};
use samestep_replay_traits::{Event, LaneError, Transcript};

/// What every client here shows.
const TOKEN: Token = Token::new(*b"samestep lanes 1");

/// Writes what became of a request to reconnect.
fn tell_answer(transcript: &mut Transcript, answer: Answer) {
    let event = Event::new("reconnect");
    let restart = |restart| match restart {
        Restart::Snapshot => "snapshot",
        Restart::Beginning => "beginning",
        Restart::Wanted { .. } => "wanted",
    };
    transcript.event(&match answer {
        Answer::Ok { next } => event.field("status", "ok").field("next", next),
        Answer::Stale { next, restart: from } => {
            event.field("status", "stale").field("next", next).field("from", restart(from))
        }
        Answer::Invalid { next, restart: from } => {
            event.field("status", "invalid").field("next", next).field("from", restart(from))
        }
        Answer::NotFound => event.field("status", "not_found"),
    });
}

/// Fails the lane unless the two are equal.
fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), LaneError> {
    if found == expected {
        return Ok(());
    }
    Err(LaneError::failed(format!("{what}: {found:?}, not {expected:?}")))
}
