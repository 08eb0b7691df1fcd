//! What the spikes show: both keep the contract, and the contract notices three ways of breaking it.

mod deferred;
#[cfg(target_os = "linux")]
mod ring;
