// The program in the readme uses the feature, and is a test.
#![cfg_attr(feature = "tokio-io", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "tokio-io"), doc = "Faces of the traits for other ecosystems, a feature each.")]
//!
//! # What this crate does not do
//!
//! It runs nothing: no runtime, no protocol, no task but those hyper asks for. It gives no faces in the other
//! direction, so a foreign stream does not become a `TcpStream` of the traits.

#![forbid(unsafe_code)]

#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio-io"))]
mod operation;
#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio-io"))]
mod stream;
#[cfg(feature = "tokio-io")]
mod tokio_io;

#[cfg(feature = "hyper")]
pub use hyper::{HyperExecutor, HyperTimer};
#[cfg(any(feature = "futures-io", feature = "hyper", feature = "tokio-io"))]
pub use stream::PollStream;
