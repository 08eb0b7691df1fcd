//! What the runtime shows from outside, on the kernel's ring and on threads.
#![cfg(target_os = "linux")]

mod arena;
mod cancel;
#[cfg(feature = "cli")]
mod cli;
mod contract;
mod cross_shard;
mod files;
mod killed;
mod machine;
mod preempt;
mod scheduled;
mod shards;
mod unix;
mod visible;
