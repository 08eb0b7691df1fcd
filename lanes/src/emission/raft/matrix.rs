//! Every crash window crossed with every fault.

use std::collections::BTreeMap;

use samestep_replay_traits::{Event, LaneContext, LaneError, Seed, Transcript};

use super::SETUP;
use super::cluster::Cluster;
use super::drive::{Drive, Fault, Plan, Window};
use crate::emission::dice::Dice;
use crate::scenario::{Random, Scenario, tell_faults};

/// Each of the eighteen cells, three times.
pub(crate) const CRASH_MATRIX: Random = Random(Scenario {
    name: "emission/raft-crash-matrix",
    about: "six crash windows x restart, failover, partition: each hit, duplicates counted, nothing lost or doubled",
    run: crash_matrix,
});

fn crash_matrix(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let mut cells = BTreeMap::new();
    for number in 0..3 * CELLS {
        run_seed(context.seed().fork("matrix"), number, &mut cells)?;
    }
    for (cell, told) in &cells {
        transcript.event(&told.event(*cell));
    }
    let hits =
        |family| cells.iter().filter(|((_, fault), _)| *fault == family).map(|(_, told)| told.hits).sum();
    let families =
        [("restart", Fault::Restart), ("failover", Fault::Failover), ("partition", Fault::Partition)];
    tell_faults(transcript, families.map(|(name, family)| (name, hits(family))));
    Ok(())
}

type Cell = (Window, Fault);

/// What the runs of one cell came to.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    runs: u64,
    hits: u64,
    ticks: u64,
    deliveries: u64,
    duplicates: u64,
    fenced: u64,
}

impl Told {
    fn event(&self, (window, fault): Cell) -> Event {
        let event = Event::new("cell").field("window", format_args!("{window:?}"));
        let event = event.field("fault", format_args!("{fault:?}")).field("runs", self.runs);
        let event = event.field("hits", self.hits).field("ticks", self.ticks);
        let event = event.field("deliveries", self.deliveries).field("duplicates", self.duplicates);
        event.field("fenced", self.fenced)
    }
}

/// Runs one seed in the cell that its number has the turn of. Lost and doubled events fail it.
fn run_seed(seed: Seed, number: u64, cells: &mut BTreeMap<Cell, Told>) -> Result<(), LaneError> {
    let windows = [
        Window::BeforePropose,
        Window::AfterCommit,
        Window::BeforeSend,
        Window::AfterSend,
        Window::AfterAck,
        Window::BeforePurge,
    ];
    let faults = [Fault::Restart, Fault::Failover, Fault::Partition];
    let cell = usize::try_from(number % CELLS)?;
    let (window, fault) = (windows[cell / faults.len()], faults[cell % faults.len()]);
    let seed = seed.fork(&number.to_string());
    let mut dice = Dice::new(seed.fork("plan"));
    let plan = Plan::Window { window, fault, passes: dice.below(EVENTS / 2) };
    let mut drive = Drive::new(Cluster::new(SETUP, seed)?, seed, EVENTS, plan)?;
    drive.run(|_, _| {}).map_err(|error| {
        LaneError::failed(format!("seed {seed}, number {number}, {window:?} x {fault:?}: {error}"))
    })?;
    let told = cells.entry((window, fault)).or_default();
    told.runs += 1;
    told.hits += u64::from(drive.is_hit);
    told.ticks += drive.cluster.tick;
    told.deliveries += drive.client.deliveries;
    told.duplicates += drive.client.duplicates;
    told.fenced += drive.client.fenced;
    Ok(())
}

const EVENTS: u64 = 10;
const CELLS: u64 = 18;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use samestep_replay_traits::Seed;

    use super::{CELLS, EVENTS, run_seed};

    /// A thousand seeds over the cells. Each run checks that the client processed every event once and in order, and
    /// that all nodes agree; here it is checked that the faults came at all.
    #[test]
    fn a_thousand_seeds() {
        let mut cells = BTreeMap::new();
        for number in 0..1000 {
            if let Err(error) = run_seed(Seed::new(1), number, &mut cells) {
                panic!("{error}");
            }
        }
        let (mut deliveries, mut duplicates) = (0, 0);
        for (cell, told) in &cells {
            println!("{}", told.event(*cell));
            assert!(told.hits > 0, "{cell:?} was never hit in {} runs", told.runs);
            deliveries += told.deliveries;
            duplicates += told.duplicates;
        }
        println!(
            "events {}, deliveries {deliveries}, duplicates {duplicates}, lost 0, doubled 0",
            1000 * EVENTS
        );
        assert_eq!(cells.len() as u64, CELLS);
        assert!(duplicates > 0, "at-least-once delivery never delivered twice: nothing was tried");
    }
}
