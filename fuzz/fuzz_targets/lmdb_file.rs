//! A data file with overwritten bytes, or any bytes: read whole, checked whole, in a bounded number of steps.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use samestep_lmdb_replay::{DataFile, MetaChoice, structure};

/// 60 events, written by LMDB 0.9.24.
const WHOLE: &[u8] = include_bytes!("../../crates/lmdb-replay/tests/golden/lmdb-0.9.24.mdb");

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    if mode % 8 == 0 {
        read(data.to_vec());
        return;
    }
    let mut bytes = WHOLE.to_vec();
    // Two bytes of place and one of what is there now, over and over.
    for patch in data.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([patch[0], patch[1]]));
        let at = if mode % 8 == 1 { at * 2 } else { at } % bytes.len();
        bytes[at] = patch[2];
    }
    if mode % 8 == 2 {
        bytes.truncate(data.len() * 512);
    }
    read(bytes);
});

fn read(bytes: Vec<u8>) {
    let steps_max = bytes.len();
    for choice in [MetaChoice::Newest, MetaChoice::Surviving, MetaChoice::Only(0), MetaChoice::Only(1)] {
        let Ok(file) = DataFile::with_reader(Arc::new(bytes.clone()), choice) else { continue };
        let structure = structure::check(&file).expect("bytes in memory can be read");
        for (_, table) in file.tables().unwrap_or_default() {
            let Ok(mut events) = file.events(table) else {
                // Damage is an answer too.
                let _answer = file.pairs(table);
                continue;
            };
            let mut steps = 0;
            loop {
                match events.next_event() {
                    Ok(Some(event)) => assert!(event.value.len() <= steps_max),
                    Ok(None) => break,
                    Err(_) => {
                        assert!(!structure.damages.is_empty(), "what the reader finds, the check finds too");
                        break;
                    }
                }
                steps += 1;
                assert!(steps <= steps_max, "more events than bytes");
            }
        }
    }
}
