//! The limit: `std`'s heap of (time, number, task), and nothing else.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::draws::{Draws, TASKS};

/// 1000 deadlines, each replaced by a later one until it was `each` times.
pub(crate) fn timers(each: u64) -> u64 {
    let mut tasks: Vec<(Draws, u64)> = (0..TASKS).map(|task| (Draws::new(task), 0)).collect();
    let mut heap = BinaryHeap::new();
    let mut number = 0;
    for (task, (draws, _)) in tasks.iter_mut().enumerate() {
        heap.push(Reverse((draws.next_micros() * 1000, number, task)));
        number += 1;
    }
    let mut fired = 0;
    while let Some(Reverse((time, _, task))) = heap.pop() {
        fired += 1;
        let (draws, done) = &mut tasks[task];
        *done += 1;
        if *done < each {
            heap.push(Reverse((time + draws.next_micros() * 1000, number, task)));
            number += 1;
        }
    }
    assert_eq!(fired, TASKS * each, "each deadline came");
    fired
}

/// Two events and a copy of 64 bytes a request, of four clients.
pub(crate) fn requests(each: u64) -> u64 {
    let mut draws = Draws::new(0);
    let mut heap: BinaryHeap<_> = (0..4_u64).map(|client| Reverse((client, client, client))).collect();
    let (mut number, mut events) = (4, 0_u64);
    let (mut bytes, mut sum) = ([7_u8; 64], 0_u64);
    while let Some(Reverse((time, _, client))) = heap.pop() {
        events += 1;
        bytes[..8].copy_from_slice(&events.to_le_bytes());
        let copy = std::hint::black_box(bytes);
        sum += u64::from(copy[0]);
        if events + 4 <= 8 * each {
            heap.push(Reverse((time + draws.next_micros(), number, client)));
            number += 1;
        }
    }
    std::hint::black_box(sum);
    events / 2
}
