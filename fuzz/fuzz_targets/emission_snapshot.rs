//! Any bytes as a snapshot, with their checksum put right: refused, or an outbox that keeps its invariants.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samestep_emission::Outbox;
use xxhash_rust::xxh64::xxh64;

fuzz_target!(|data: &[u8]| {
    let mut forged = b"samestep outbox\x01".to_vec();
    forged.extend_from_slice(data);
    let checksum = xxh64(&forged, 0);
    forged.extend_from_slice(&checksum.to_le_bytes());
    if let Ok(outbox) = Outbox::restore(&forged) {
        assert_eq!(outbox.snapshot(), forged);
        for (id, found) in outbox.subscriptions() {
            assert_eq!(outbox.find(found.client(), found.fingerprint()), Some(id));
            assert!(found.acked() <= found.floor() && found.floor() <= found.emitted());
        }
    }
});
