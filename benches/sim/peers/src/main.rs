//! Other simulators at the work that ours is measured at: a row and a size, and out come operations and nanoseconds.

#[path = "../../src/draws.rs"]
mod draws;
#[path = "../../src/measure.rs"]
mod measure;
mod moonpool;
#[path = "../../src/store.rs"]
mod store;
mod turmoils;

use turmoils::Latency;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (row, size) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let size = size.parse().expect("a size");
    measure::measure(|| match row.as_str() {
        "moonpool-requests" => moonpool::requests(size),
        "moonpool-built-requests" => moonpool::built_requests(size),
        "moonpool-timers" => moonpool::timers(size),
        "moonpool-kv" => moonpool::kv(size),
        "turmoil-requests" => turmoils::requests(size, Latency::Least),
        "turmoil-default-requests" => turmoils::requests(size, Latency::Default),
        "turmoil-timers" => turmoils::timers(size),
        "turmoil-kv" => turmoils::kv(size),
        _ => panic!("no row {row:?}"),
    });
}
