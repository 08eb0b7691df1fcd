//! How lines of a subscription begin: up to the number, which alone changes from line to line.

use super::LineVersion;
use super::head::{DIGITS_MAX, HEAD_BYTES, Head, put_chunk, put_decimal};
use crate::fingerprint::Fingerprint;
use crate::id::{Epoch, SubscriptionId};

/// Whose lines begin so.
pub(super) type Stream = (Fingerprint, SubscriptionId, Epoch);

/// The beginnings of the last lines of a few subscriptions.
#[derive(Clone, Debug)]
pub(super) struct Prefixes {
    version: LineVersion,
    slots: Vec<Prefix>,
}

#[derive(Clone, Debug)]
struct Prefix {
    of: Stream,
    bytes: [u8; ROOM_BYTES],
    /// 0 before it is made.
    len: usize,
}

impl Prefixes {
    pub(super) fn new(version: LineVersion) -> Self {
        let of = (Fingerprint::default(), SubscriptionId::new(0), Epoch::new(0));
        let empty = Prefix { of, bytes: [0; ROOM_BYTES], len: 0 };
        Self { version, slots: (0..SLOTS).map(|_| empty.clone()).collect() }
    }

    /// Writes the beginning of a line of `stream`, its last bar included, and returns where it ends.
    #[inline]
    pub(super) fn put(&mut self, head: &mut Head, stream: Stream) -> usize {
        let slot = usize::try_from(stream.1.get() % SLOTS).expect("they are few");
        let prefix = &mut self.slots[slot];
        if prefix.of != stream || prefix.len == 0 {
            *prefix = make(self.version, stream);
        }
        let (chunks, _) = prefix.bytes.as_chunks::<CHUNK_BYTES>();
        put_chunk(head, 0, &chunks[0]);
        if prefix.len > CHUNK_BYTES {
            put_chunk(head, CHUNK_BYTES, &chunks[1]);
            put_chunk(head, 2 * CHUNK_BYTES, &chunks[2]);
        }
        prefix.len
    }
}

#[cold]
fn make(version: LineVersion, stream: Stream) -> Prefix {
    let (fingerprint, subscription, epoch) = stream;
    let mut head = [0; HEAD_BYTES];
    let numbers = [fingerprint.get(), subscription.get(), epoch.get()];
    let (mut len, told) = match version {
        LineVersion::V1 => (0, &numbers[..1]),
        LineVersion::V2 => {
            put_chunk(&mut head, 0, b"v2|");
            (3, &numbers[..])
        }
    };
    for &number in told {
        len = put_decimal(&mut head, len, number);
        put_chunk(&mut head, len, b"|");
        len += 1;
    }
    let mut bytes = [0; ROOM_BYTES];
    bytes.copy_from_slice(&head[..ROOM_BYTES]);
    Prefix { of: stream, bytes, len }
}

/// How long a beginning is at most.
const BYTES_MAX: usize = 3 + 3 * (DIGITS_MAX + 1);
const ROOM_BYTES: usize = 3 * CHUNK_BYTES;
const _: () = assert!(BYTES_MAX <= ROOM_BYTES);
/// Most are no longer.
const CHUNK_BYTES: usize = 32;
/// How many subscriptions may take turns.
const SLOTS: u64 = 16;
