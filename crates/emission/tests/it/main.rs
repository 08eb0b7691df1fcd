//! Public behaviour of the outbox, its notifier and its receivers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bounds;
mod defects;
mod log;
mod notifier;
mod outbox;
mod parity;
mod properties;
mod public;
mod reconnect;
mod snapshot;
