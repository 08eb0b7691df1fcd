//! What is written, and whether it came back.
//!
//! A payload is its number (from 1, per writer), its writer, and filler that follows from the writer: eight bytes
//! change from record to record, so making one costs nothing beside writing it, and none equals another.

use crate::Result;

/// Makes the payloads of one writer, in order.
#[derive(Debug)]
pub(crate) struct Payloads {
    bytes: Vec<u8>,
    number: u64,
}

impl Payloads {
    pub(crate) fn new(writer: usize, payload_bytes: usize) -> Self {
        Self { bytes: template(writer as u64, payload_bytes), number: 0 }
    }

    /// The next payload.
    pub(crate) fn next(&mut self) -> &[u8] {
        self.number += 1;
        self.bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        &self.bytes
    }
}

/// How closely records are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Length, writer and number: what a timed replay can afford.
    Order,
    /// Every byte.
    All,
}

/// Takes the records that were read back.
#[derive(Debug)]
pub(crate) struct Checker {
    look: Look,
    payload_bytes: usize,
    /// Per writer, the number of the last record and what it should look like.
    seen: Vec<(u64, Vec<u8>)>,
}

impl Checker {
    pub(crate) fn new(writers: usize, payload_bytes: usize, look: Look) -> Self {
        let seen = (0..writers).map(|writer| (0, template(writer as u64, payload_bytes))).collect();
        Self { look, payload_bytes, seen }
    }

    /// Fails unless `payload` is the next record of its writer.
    pub(crate) fn take(&mut self, payload: &[u8]) -> Result<()> {
        if payload.len() != self.payload_bytes {
            return Err(format!("a record of {} bytes came back", payload.len()).into());
        }
        let (number, writer) = (number_of(payload), writer_of(payload));
        let slot = usize::try_from(writer).ok().and_then(|writer| self.seen.get_mut(writer));
        let (last, expected) = slot.ok_or("a record of an unknown writer came back")?;
        *last += 1;
        if number != *last {
            return Err(format!("writer {writer}: record {number} came back where {last} was due").into());
        }
        if self.look == Look::All && payload[8..] != expected[8..] {
            return Err(format!("writer {writer}: record {number} came back changed").into());
        }
        Ok(())
    }

    /// How many records came back, of all writers.
    pub(crate) fn records(&self) -> u64 {
        self.seen.iter().map(|(last, _)| last).sum()
    }
}

/// The number in `payload`, from 1.
pub(crate) fn number_of(payload: &[u8]) -> u64 {
    u64::from_le_bytes(payload[..8].try_into().expect("payloads have at least 16 bytes"))
}

/// The writer in `payload`, from 0.
pub(crate) fn writer_of(payload: &[u8]) -> u64 {
    u64::from_le_bytes(payload[8..16].try_into().expect("payloads have at least 16 bytes"))
}

fn template(writer: u64, payload_bytes: usize) -> Vec<u8> {
    assert!(payload_bytes >= 16, "a payload holds its number and its writer");
    let mut bytes = vec![0; payload_bytes];
    bytes[8..16].copy_from_slice(&writer.to_le_bytes());
    // xorshift64, so that nothing can be compressed and no run of zeros is mistaken for a hole.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ (writer + 1);
    for chunk in bytes[16..].chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
    bytes
}
