//! What a runtime shows of itself.

mod exposition;
mod latencies;
mod metrics;
mod placement;
mod stalls;
mod tasks;
