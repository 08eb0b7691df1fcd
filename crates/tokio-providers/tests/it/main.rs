//! What the providers must keep, and what the runner does, on real sockets and files.

mod contracts;
mod names;
mod network;
mod runner;
mod storage;
mod world;
