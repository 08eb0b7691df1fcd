//! How lines of a subscription begin: up to the number, which alone changes from line to line.

use super::LineVersion;
use super::buffer::LineBuffer;
use super::decimal::{DIGITS_MAX, put_decimal};
use crate::fingerprint::Fingerprint;
use crate::id::{Epoch, SubscriptionId};

/// Whose lines begin so.
type Stream = (Fingerprint, SubscriptionId, Epoch);

/// The beginnings of the last lines of a few subscriptions.
#[derive(Clone, Debug)]
pub(super) struct Prefixes {
    version: LineVersion,
    slots: Vec<Prefix>,
    scratch: LineBuffer,
}

#[derive(Clone, Debug)]
pub(super) struct Prefix {
    of: Stream,
    bytes: [u8; BYTES_MAX],
    /// 0 before it is made.
    len: usize,
}

impl Prefixes {
    pub(super) fn new(version: LineVersion) -> Self {
        let empty = Prefix {
            of: (Fingerprint::default(), SubscriptionId::new(0), Epoch::new(0)),
            bytes: [0; BYTES_MAX],
            len: 0,
        };
        Self { version, slots: (0..SLOTS).map(|_| empty.clone()).collect(), scratch: LineBuffer::default() }
    }

    /// Appends the beginning of a line of `stream`, its last bar included: at most [`BYTES_MAX`] bytes.
    #[inline]
    pub(super) fn put(&mut self, line: &mut LineBuffer, stream: Stream) {
        let slot = usize::try_from(stream.1.get() % SLOTS).expect("they are few");
        let prefix = &mut self.slots[slot];
        if prefix.of != stream || prefix.len == 0 {
            make(prefix, &mut self.scratch, self.version, stream);
        }
        match prefix.bytes.first_chunk::<SHORT_BYTES>() {
            Some(bytes) if prefix.len <= SHORT_BYTES => line.put_first(bytes, prefix.len),
            _ => line.put_first(&prefix.bytes, prefix.len),
        }
    }
}

#[cold]
fn make(prefix: &mut Prefix, scratch: &mut LineBuffer, version: LineVersion, stream: Stream) {
    let (fingerprint, subscription, epoch) = stream;
    scratch.clear();
    scratch.begin(BYTES_MAX);
    let numbers = [fingerprint.get(), subscription.get(), epoch.get()];
    let told = match version {
        LineVersion::V1 => &numbers[..1],
        LineVersion::V2 => {
            scratch.put(b"v2|");
            &numbers[..]
        }
    };
    for &number in told {
        put_decimal(scratch, number);
        scratch.put_byte(b'|');
    }
    let made = scratch.as_bytes();
    prefix.bytes[..made.len()].copy_from_slice(made);
    (prefix.of, prefix.len) = (stream, made.len());
}

/// How long a beginning is at most.
pub(super) const BYTES_MAX: usize = 3 + 3 * (DIGITS_MAX + 1);
/// Most are no longer.
const SHORT_BYTES: usize = 32;
/// How many subscriptions may take turns.
const SLOTS: u64 = 16;
