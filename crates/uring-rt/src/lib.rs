#![doc = include_str!("../README.md")]
#![cfg(target_os = "linux")]
#![deny(unsafe_code)]

mod attention;
mod blocking;
mod blocks;
mod channel;
#[cfg(feature = "cli")]
pub mod cli;
mod clock;
mod core;
mod dma;
mod error;
mod info;
mod mesh;
mod net;
mod op;
mod providers;
mod queues;
mod random;
mod refusal;
mod residents;
mod runtime;
mod schedule;
mod service;
mod sharded;
mod shards;
mod slots;
mod spin;
mod stats;
mod storage;
pub mod sync;
#[expect(unsafe_code, reason = "memory shared with a kernel, and tasks in one allocation")]
mod sys;
mod tasks;
#[cfg(test)]
mod tests;
mod time;
mod waiters;
mod wheel;

pub use channel::{ShardReceiver, ShardSender, shard_channel};
pub use dma::{ArenaInfo, HugePages, Registration};
pub use error::{ShutdownError, StartError};
pub use info::{Choice, DeviceInfo, Driver, Feature, Polling, RuntimeInfo};
pub use mesh::{Mesh, MeshReceivers, MeshSendError, MeshSenders};
pub use net::{UringListener, UringNetwork, UringSocket, UringStream, UringUnixListener, UringUnixStream};
pub use providers::UringProviders;
pub use queues::QueueStats;
pub use random::UringRandom;
pub use runtime::{DriverChoice, PollChoice, Runtime, RuntimeBuilder, TaskRun};
pub use schedule::{DeviceProperties, IoClassStats, IoDeviceStats, IoProperties, PropertiesError};
pub use service::ServiceGroup;
pub use sharded::{AtHome, Sharded};
pub use shards::{CallError, Caller, Shard, ShardsError, Submitted, run_shards};
pub use stats::{ShardStats, StatsReader, TaskInfo};
pub use storage::{
    Merging, ReadMany, ReadView, StreamReader, StreamWriter, Streaming, UringFile, UringLock, UringStorage,
};
pub use sys::DmaBuffer;
pub use tasks::{Latency, Shares, TaskGroup, TaskQueue, UringJoinHandle, UringTasks};
pub use time::UringTime;
