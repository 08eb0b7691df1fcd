//! Public behaviour of the log, on real directories and on a model of a disk.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod any_bytes;
mod any_files;
mod crash;
mod damage;
mod disk;
mod faces;
mod faults;
mod follow;
mod golden;
mod lost_pages;
mod model;
mod patched;
mod public;
mod random;
mod random_async;
mod reads;
mod recorder;
mod replay;
mod sample;
mod snapshot;
mod threads;
mod tickets;
