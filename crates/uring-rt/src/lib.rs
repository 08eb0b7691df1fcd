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
mod file_slots;
mod frames;
mod histogram;
mod http;
mod info;
mod latencies;
mod machine;
mod maps;
mod mesh;
mod metrics;
mod net;
mod op;
mod prometheus;
mod providers;
mod queues;
mod refusal;
mod residents;
mod runtime;
mod schedule;
mod service;
mod sharded;
mod shards;
mod shares;
mod slots;
mod spin;
mod stall;
mod stats;
mod storage;
pub mod sync;
#[expect(unsafe_code, reason = "memory shared with a kernel, and tasks in one allocation")]
mod sys;
mod task_list;
mod tasks;
#[cfg(test)]
mod tests;
mod time;
mod waiters;
mod waits;
mod wheel;

pub use channel::{ShardReceiver, ShardSender, shard_channel};
pub use dma::{ArenaInfo, HugePages, Registration};
pub use error::{ShutdownError, StartError};
pub use histogram::Histogram;
pub use info::{Choice, DeviceInfo, Driver, Feature, Polling, RuntimeInfo};
pub use latencies::{OperationKind, OperationLatency};
pub use machine::{CpuSet, Machine, NoCpuSet, Placement};
pub use mesh::{Mesh, MeshReceivers, MeshSendError, MeshSenders};
pub use metrics::{MetricsEndpoint, MetricsServer};
pub use net::{
    UringListener, UringNetwork, UringSocket, UringStream, UringUnixDatagram, UringUnixListener,
    UringUnixStream,
};
pub use prometheus::prometheus_page;
pub use providers::UringProviders;
pub use queues::QueueStats;
pub use runtime::{DriverChoice, PollChoice, Runtime, RuntimeBuilder, TaskRun};
pub use schedule::{DeviceProperties, IoClassStats, IoDeviceStats, IoProperties, PropertiesError};
pub use service::ServiceGroup;
pub use sharded::{AtHome, Sharded};
pub use shards::{CallError, Caller, Shard, ShardsError, Submitted, run_on_all, run_shards};
pub use shares::{BacklogController, DeadlineController, DeadlineWork, SharesController};
pub use stall::{StackFrame, StallDetection, StallReport};
pub use stats::{ShardStats, StatsReader};
pub use storage::{
    ImmutableFile, ImmutableWriter, Merging, ReadMany, ReadView, StreamReader, StreamWriter, Streaming,
    UringFile, UringLock, UringStorage,
};
pub use sys::DmaBuffer;
pub use sys::RingStats;
pub use task_list::{TaskInfo, TaskList};
pub use tasks::{Latency, Shares, TaskGroup, TaskQueue, UringJoinHandle, UringTasks};
pub use time::UringTime;
