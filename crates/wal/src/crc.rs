//! CRC-32/IEEE of payloads.

use std::sync::LazyLock;

use crc32fast::Hasher;

/// A checksum of nothing. Made once: making one asks what the machine can do, which costs as much as 64 bytes.
static FRESH: LazyLock<Hasher> = LazyLock::new(Hasher::new);

/// The checksum of `payload`.
#[inline]
pub(crate) fn payload_crc(payload: &[u8]) -> u32 {
    let mut hasher = FRESH.clone();
    hasher.update(payload);
    hasher.finalize()
}
