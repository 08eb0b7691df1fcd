//! What a runtime shows of itself.

mod exposition;
mod latencies;
mod metrics;
mod stalls;
mod tasks;
