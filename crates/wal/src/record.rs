//! Records on their way into the log and out of it.

use bytes::Bytes;
use samestep_replay_traits::Index;

use crate::crc::payload_crc;

/// A record ready to be appended: its checksum is computed, so that appending does only what needs the log.
///
/// ```
/// use samestep_wal::{Index, Prepared};
///
/// let record = Prepared::new(b"set a 1").with_aux(3).with_index(Index::new(7));
/// assert_eq!(record.payload_crc(), 0x39fa_e79f);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) payload_crc: u32,
    pub(crate) aux: u64,
    pub(crate) slot: u16,
    pub(crate) index: Option<Index>,
}

impl<'a> Prepared<'a> {
    /// Computes the checksum of `payload`. The record takes the next index, and `aux` and slot are 0.
    pub fn new(payload: &'a [u8]) -> Self {
        Self { payload, payload_crc: payload_crc(payload), aux: 0, slot: 0, index: None }
    }

    /// With the caller's number `aux`, for instance the term. Kept, not interpreted.
    pub fn with_aux(mut self, aux: u64) -> Self {
        self.aux = aux;
        self
    }

    /// With the caller's small number `slot`, for instance a kind. Kept, not interpreted.
    pub fn with_slot(mut self, slot: u16) -> Self {
        self.slot = slot;
        self
    }

    /// Fails to append unless the record gets exactly `index`.
    pub fn with_index(mut self, index: Index) -> Self {
        self.index = Some(index);
        self
    }

    /// CRC-32/IEEE of the payload.
    pub fn payload_crc(&self) -> u32 {
        self.payload_crc
    }
}

impl<'a> From<&'a [u8]> for Prepared<'a> {
    fn from(payload: &'a [u8]) -> Self {
        Self::new(payload)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Prepared<'a> {
    fn from(payload: &'a [u8; N]) -> Self {
        Self::new(payload)
    }
}

impl<'a> From<&'a Vec<u8>> for Prepared<'a> {
    fn from(payload: &'a Vec<u8>) -> Self {
        Self::new(payload)
    }
}

impl<'a> From<&'a str> for Prepared<'a> {
    fn from(payload: &'a str) -> Self {
        Self::new(payload.as_bytes())
    }
}

/// An entry as it was read. Cheap to clone: the payload is a share of the memory that it was read into.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its number.
    pub index: Index,
    /// The caller's number, for instance the term.
    pub aux: u64,
    /// The caller's small number.
    pub slot: u16,
    /// CRC-32/IEEE of the payload, verified.
    pub payload_crc: u32,
    /// The bytes that were appended. From a reader, a slice of the chunk of about 1 MiB that was read, which stays in
    /// memory as long as any slice of it: copy what is small and kept for long.
    pub payload: Bytes,
}

/// An entry lent by a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryRef<'a> {
    /// Its number.
    pub index: Index,
    /// The caller's number, for instance the term.
    pub aux: u64,
    /// The caller's small number.
    pub slot: u16,
    /// CRC-32/IEEE of the payload, verified.
    pub payload_crc: u32,
    /// The bytes that were appended.
    pub payload: &'a [u8],
}
