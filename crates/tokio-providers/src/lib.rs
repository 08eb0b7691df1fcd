#![doc = include_str!("../README.md")]
//!
//! # What this crate does not do
//!
//! It is not deterministic: the order of tasks, the kernel's timing and the clock are real. It moves no task to
//! another thread, except the file operations themselves, which block and so run on tokio's blocking pool. It
//! cuts no power and injects no fault.

#![forbid(unsafe_code)]

mod network;
mod providers;
mod runner;
mod runtime;
mod storage;
mod task;
mod time;

pub use network::{TokioNetworkProvider, TokioTcpListener, TokioTcpStream, TokioUdpSocket};
pub use providers::TokioProviders;
pub use runner::{MemberOutcome, MemberReport, Phase, TokioReport, TokioRunner};
pub use runtime::TokioRuntime;
pub use storage::{TokioFile, TokioLock, TokioStorageProvider};
pub use task::{TokioJoinHandle, TokioTaskProvider};
pub use time::TokioTimeProvider;
