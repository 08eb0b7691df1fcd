//! A small key-value store, the same for whoever is measured: its messages, and how much is asked of it.

use std::collections::BTreeMap;
use std::time::Duration;

/// Nodes that store, and clients that ask each of them in each round to put a value and to get it.
pub(crate) const SERVERS: u64 = 5;
pub(crate) const CLIENTS: u64 = 2;
pub(crate) const ROUNDS: u64 = 20;
/// Requests of a run in which nothing fails.
pub(crate) const REQUESTS: u64 = SERVERS * CLIENTS * ROUNDS * 2;
/// Between rounds.
pub(crate) const PAUSE: Duration = Duration::from_millis(400);
/// For a connection, a put and a get.
pub(crate) const LIMIT: Duration = Duration::from_millis(500);

/// How long a client waits before its first round, so that no two are at one server at a time.
pub(crate) const fn start_of(client: u64) -> Duration {
    Duration::from_millis(10 + 200 * client)
}

/// The keys of a client are its own.
pub(crate) const fn key_of(client: u64, server: u64) -> u64 {
    client * SERVERS + server
}

/// The requests, in order: to put, and to get.
pub(crate) const OPERATIONS: [u8; 2] = [PUT, 1];
const PUT: u8 = 0;

/// A request: what to do, the key, and the value.
pub(crate) fn request(operation: u8, key: u64, value: u64) -> [u8; 17] {
    let mut message = [0; 17];
    message[0] = operation;
    message[1..9].copy_from_slice(&key.to_le_bytes());
    message[9..].copy_from_slice(&value.to_le_bytes());
    message
}

/// What one node stores.
#[derive(Debug, Default)]
pub(crate) struct Store(BTreeMap<u64, u64>);

impl Store {
    /// The answer to a request: the value that the key has now.
    pub(crate) fn answer(&mut self, message: &[u8; 17]) -> [u8; 8] {
        let word =
            |at: usize| message[at..].first_chunk().map_or(0, |bytes: &[u8; 8]| u64::from_le_bytes(*bytes));
        if message[0] == PUT {
            self.0.insert(word(1), word(9));
        }
        self.0.get(&word(1)).copied().unwrap_or(0).to_le_bytes()
    }
}
