//! Any bytes as the entries of a log: applied, handed out, kept as a snapshot and restored, they never panic, a record
//! has one form only, and no sum is wrong.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samestep_emission::{Change, Index, Notifier, NotifierOptions, Outbox, Position, Receiver, Tick};

fuzz_target!(|data: &[u8]| {
    let mut outbox = Outbox::new();
    let mut rest = data;
    let mut index = 0;
    // Each entry is as long as the byte before it says.
    while let Some((&len, behind)) = rest.split_first() {
        let (entry, behind) = behind.split_at(usize::from(len).min(behind.len()));
        rest = behind;
        index += 1;
        if let Ok(change) = Change::decode(entry) {
            let mut again = Vec::new();
            change.encode(&mut again).expect("what was decoded can be encoded");
            assert_eq!(again, entry);
        }
        let _answer = outbox.apply_entry(Index::new(index), entry).expect("indices ascend");
    }
    let bytes = outbox.snapshot();
    let restored = Outbox::restore(&bytes).expect("a snapshot can be restored");
    assert_eq!(restored.snapshot(), bytes);
    assert_eq!(restored.pending_bytes(), outbox.pending_bytes());
    assert_eq!(restored.pending_entries(), outbox.pending_entries());

    let mut notifier =
        Notifier::new(outbox.reign().term, NotifierOptions::default()).expect("they are in range");
    let clients: Vec<_> = outbox.subscriptions().map(|(id, found)| (id, found.client().clone())).collect();
    for (id, client) in clients {
        let receiver = Receiver::new(id, client, Position::START);
        let _answer =
            notifier.handle_reconnect(&outbox, &receiver.request(), Tick::new(0)).expect("it leads");
    }
    let pending = outbox.pending_entries() + outbox.subscriptions().len() as u64;
    let mut outputs = 0;
    while notifier.poll(&mut outbox, Tick::new(1)).is_some() {
        outputs += 1;
        assert!(outputs <= pending, "more is handed out than waits");
    }
});
