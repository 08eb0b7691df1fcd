//! Nodes, a client, and what travels between them, generic over `Providers`: on real sockets and files here, and in
//! simulated worlds here and in the lanes.

pub(crate) mod addresses;
pub(crate) mod client;
mod link;
mod oracle;
pub(crate) mod script;
pub(crate) mod server;
pub(crate) mod simulation;
pub(crate) mod stage;
mod wire;

use std::error::Error;

use super::node;

/// Fails with whatever went wrong, in words.
pub(crate) type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;
