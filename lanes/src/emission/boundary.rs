//! Compaction at every boundary of a long sequence of events of all sizes.

use samestep_emission::{Answer, Outbox, StallPolicy, Tick};
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};

use super::client::{Client, hand_out};
use super::dice::Dice;
use super::expect;
use super::log::Log;
use crate::scenario::{Random, Scenario};

/// 200 events of 0 to 3,000 bytes, compacted again and again, and a client that comes from everywhere.
pub(crate) const COMPACTION_BOUNDARY: Random = Random(Scenario {
    name: "emission/compaction-boundary",
    about: "200 events of 0 to 3,000 bytes, compacted in steps, each time snapshot and restore, and a client from everywhere",
    run: compaction_boundary,
});

const EVENTS: u64 = 200;

fn compaction_boundary(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let mut dice = Dice::new(context.seed().fork("compaction-boundary"));
    let mut log = Log::in_memory();
    log.start_epoch(1)?;
    let id = log.subscribe("c", 8, StallPolicy::Suspend)?;
    let mut events = Vec::new();
    for _ in 0..EVENTS {
        let max = [0, 1, 16, 127, 128, 300, 3000][usize::try_from(dice.below(7))?];
        events.push(dice.bytes(max));
        log.emit(id, &events[events.len() - 1])?;
    }
    let mut floor = 0;
    while floor < EVENTS {
        floor = (floor + 1 + dice.below(37)).min(EVENTS);
        let snapshot = dice.bytes(500);
        log.compact(id, floor, &snapshot)?;
        // A replica that begins with the snapshot of the outbox answers and sends the same.
        let bytes = log.outbox.snapshot();
        let mut restored = Outbox::restore(&bytes)?;
        expect("restored", &(restored == log.outbox), &true)?;
        let position = if dice.one_in(2) { floor } else { dice.below(EVENTS + 1) };
        let mut client = Client::new(id, "c")?.claiming(u64::from(position > 0), position);
        let mut notifier = log.notifier()?;
        let (answer, _) = client.connect(&mut notifier, &restored, Tick::new(0))?;
        hand_out(&mut notifier, &mut restored, Tick::new(0), |delivery| {
            client.receive(delivery);
        })?;
        let is_stale = position < floor;
        expect("STALE", &matches!(answer, Answer::Stale { .. }), &is_stale)?;
        let mut expected: Vec<(u64, Vec<u8>)> = Vec::new();
        if is_stale {
            expected.push((floor, snapshot));
        }
        let from = position.max(floor);
        let rest = events.iter().zip(1..).filter(|(_, seq)| *seq > from);
        expected.extend(rest.map(|(payload, seq)| (seq, payload.clone())));
        expect("processed", &(client.processed == expected), &true)?;
        let event = Event::new("boundary").field("floor", floor).field("from", position);
        transcript.event(&event.field("sent", expected.len()).field("snapshot_bytes", bytes.len()));
    }
    Ok(())
}
