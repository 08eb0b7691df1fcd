//! Other simulators at the work that ours is measured at: a row and a size, and out come operations and nanoseconds.

#[path = "../../src/draws.rs"]
mod draws;
mod moonpool;
mod turmoils;

use std::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (row, size) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let size = size.parse().expect("a size");
    let start = Instant::now();
    let operations = match row.as_str() {
        "moonpool-requests" => moonpool::requests(size),
        "moonpool-built-requests" => moonpool::built_requests(size),
        "moonpool-timers" => moonpool::timers(size),
        "turmoil-requests" => turmoils::requests(size),
        "turmoil-timers" => turmoils::timers(size),
        _ => panic!("no row {row:?}"),
    };
    println!("{operations} {}", start.elapsed().as_nanos());
}
