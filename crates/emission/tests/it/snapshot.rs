//! Snapshots: canonical, complete, refused when damaged.

use samestep_emission::{Change, DecodeError, Outbox, RestoreError, StallPolicy, Token};
use xxhash_rust::xxh64::xxh64;

use crate::log::Log;

/// A log that leaves something in every field.
pub(crate) fn rich() -> Log {
    let mut log = Log::new();
    let ids = [
        log.subscribe("a", 7),
        log.subscribe_as("b", 7, StallPolicy::Coalesce),
        log.subscribe_as("c", 8, StallPolicy::Evict),
    ];
    let gone = log.subscribe("d", 7);
    for at in 0..4 {
        log.publish(7, &format!("both {at}")).unwrap();
    }
    log.start_epoch(5);
    for at in 0..3 {
        log.emit(ids[2], &format!("third {at}"));
    }
    log.produce(ids[0], 9, 3).unwrap();
    log.compact(ids[1], 2, "a snapshot").unwrap();
    log.ack(ids[0], 1).unwrap();
    log.evict(ids[2], 2).unwrap();
    log.rebind(ids[2], "c", "new").unwrap();
    log.append(&Change::Unsubscribe { subscription: gone, token: crate::log::TOKEN }).unwrap();
    log
}

/// The bytes of the smallest snapshot, written down from the format's description.
#[test]
fn the_empty_outbox_by_hand() {
    let mut expected = b"samestep outbox\x01".to_vec();
    expected.extend([0, 0, 0, 0, 1]);
    // Limits: 2^20, 2^16, 2^24, 2^30, 2^16, 2^24, 2^20.
    expected.extend([0x80, 0x80, 0x40, 0x80, 0x80, 4, 0x80, 0x80, 0x80, 8, 0x80, 0x80, 0x80, 0x80, 4]);
    expected.extend([0x80, 0x80, 4, 0x80, 0x80, 0x80, 8, 0x80, 0x80, 0x40]);
    expected.extend([0, 0, 0]);
    let checksum = xxh64(&expected, 0);
    expected.extend(checksum.to_le_bytes());
    assert_eq!(Outbox::new().snapshot(), expected);
}

#[test]
fn restoring_gives_the_same_outbox_and_the_same_bytes() {
    let log = rich();
    let bytes = log.outbox.snapshot();
    let restored = Outbox::restore(&bytes).unwrap();
    assert_eq!(restored, log.outbox);
    assert_eq!(restored.snapshot(), bytes);
    assert_eq!(restored.pending_bytes(), log.outbox.pending_bytes());
    assert_eq!(restored.pending_entries(), log.outbox.pending_entries());
    for (id, subscription) in log.outbox.subscriptions() {
        let again = restored.subscription(id).unwrap();
        assert_eq!((again.floor(), again.emitted()), (subscription.floor(), subscription.emitted()));
        assert_eq!(restored.find(subscription.client(), subscription.fingerprint()), Some(id));
    }
}

/// An event that waits in many subscriptions is written once.
#[test]
fn shared_events_are_written_once() {
    let mut log = Log::new();
    for at in 0..50 {
        log.subscribe(&format!("c{at}"), 7);
    }
    let before = log.outbox.snapshot().len();
    let payload = "x".repeat(1000);
    log.publish(7, &payload).unwrap();
    let after = log.outbox.snapshot().len();
    assert!(after - before < 1200, "{} bytes for one event of 1000", after - before);
}

#[test]
fn damage_anywhere_is_found() {
    let bytes = rich().outbox.snapshot();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert!(Outbox::restore(&damaged).is_err(), "bit {bit} of byte {at}");
        }
        assert!(Outbox::restore(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert_eq!(Outbox::restore(b""), Err(RestoreError::Decode(DecodeError::Short)));
    assert_eq!(Outbox::restore(&[0; 40]), Err(RestoreError::Magic));
}

/// With the checksum put right, a damaged snapshot is refused, or is the snapshot of another outbox that keeps every
/// invariant: it writes itself as the same bytes.
#[test]
fn forged_snapshots_are_refused_or_sound() {
    let bytes = rich().outbox.snapshot();
    let mut sound = 0;
    for at in 0..bytes.len() - 8 {
        for value in [0, 1, 0x7f, 0x80, 0xff, bytes[at].wrapping_add(1), bytes[at] ^ 0x40] {
            let mut forged = bytes.clone();
            forged[at] = value;
            let end = forged.len() - 8;
            let checksum = xxh64(&forged[..end], 0);
            forged[end..].copy_from_slice(&checksum.to_le_bytes());
            if let Ok(outbox) = Outbox::restore(&forged) {
                assert_eq!(outbox.snapshot(), forged, "byte {at} = {value}");
                sound += 1;
            }
        }
    }
    // Payloads, tokens and names may be anything.
    assert!(sound > 100, "only {sound} were sound");
}

#[test]
fn a_restored_outbox_goes_on_with_the_log() {
    let mut log = rich();
    let restored = Outbox::restore(&log.outbox.snapshot()).unwrap();
    let id = log.subscribe("late", 9);
    log.emit(id, "x");
    log.publish(7, "y").unwrap();
    let from = log.entries.len() - 3;
    let mut other = restored;
    for (at, entry) in log.entries.iter().enumerate().skip(from) {
        other.apply_entry(samestep_emission::Index::new(at as u64 + 1), entry).unwrap().unwrap();
    }
    assert_eq!(other, log.outbox);
    assert_ne!(Token::new([0; 16]), crate::log::TOKEN);
}
