//! Urbit's inter-process protocol: a king that has the log, and a serf that has the kernel.
//!
//! Each side writes frames of jams ([`newt`]). In protocol 1 (runtimes 3.x, [`serf`]) the king sends commands, and the
//! serf answers each with one reply, in order, with slogs at any time; [`SerfMachine`] drives a serf as a
//! [`Machine`](crate::Machine), and [`serve`] lets a king drive a kernel here. In protocol 2 (runtimes 4.x, [`mars`])
//! the process with the kernel has the log too, and no message replays: its messages are read and written, no more.
//!
//! Frames go to the pipes that are handed in and to nothing else; what answers a command wrongly is an error.

mod client;
pub mod mars;
mod message;
pub mod newt;
pub mod serf;
mod server;

pub use client::{ClientError, SerfMachine, SerfProcess, Slog};
pub use message::MessageError;
pub use server::{Kernel, SerfHost, ServeError, serve};
