//! The nodes on the simulated network and disk, with the server and the client of `examples/replicated-outbox`.

use std::sync::PoisonError;

use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};
use samestep_sim::{Check, FaultFamily};

use super::service::simulation::{Mistake, Runs, define};
use crate::scenario::{Random, Scenario, tell_faults};

/// Three nodes, or five, that crash, stand still, are parted and have failing disks, and a client that loses its
/// connections.
pub(crate) const SIMULATED: Random = Random(Scenario {
    name: "emission/raft-simulated",
    about: "three or five nodes and a client in 10 simulated worlds, under crashes, partitions, pauses, lost connections and failing disks: one log, every event once",
    run: simulated,
});

fn simulated(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let runs = Runs::default();
    // A lane is repeated as a whole.
    let check = Check::new().seeds(SEEDS).master_seed(context.seed().get()).jobs(1).check_every(0);
    let check = check.shrink_runs_max(0).without_regressions().ignore_environment();
    let report = check.report(|test| define(test, Mistake::None, &runs));
    if !report.is_ok() {
        return Err(LaneError::failed(report.text().to_owned()));
    }
    let runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
    for (seed, run) in runs.iter() {
        let event =
            Event::new("run").field("seed", seed).field("nodes", run.nodes).field("events", run.events);
        let event = event.field("duplicates", run.duplicates).field("fenced", run.fenced);
        let event = event.field("connections", run.connections).field("boots", run.boots);
        let event = event.field("entries", run.entries).field("installed", run.installed);
        transcript.event(&event.field("lines", format_args!("{:016x}", run.lines)));
    }
    for hash in report.hashes() {
        transcript.event(&Event::new("world").field("hash", format_args!("{hash:016x}")));
    }
    tell_faults(transcript, FaultFamily::ALL.map(|family| (family, report.acted(family))));
    Ok(())
}

const SEEDS: usize = 10;

#[cfg(test)]
mod tests {
    use samestep_sim::Check;

    use super::{Mistake, Runs, define};

    /// The mistakes that the transcript could hide.
    #[test]
    fn a_missing_sync_is_found() {
        let runs = Runs::default();
        let check = Check::new().seeds(200).shrink_runs_max(0).stop_at_first_failure();
        let report = check
            .without_regressions()
            .ignore_environment()
            .report(|test| define(test, Mistake::Unsynced, &runs));
        assert!(!report.is_ok());
    }
}
