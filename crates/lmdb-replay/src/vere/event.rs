//! What the value of an event is.

/// An event as Vere stores it: 4 bytes of mug, then the jam of its noun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredEvent<'a> {
    /// The 31-bit mug of the whole kernel after this event, or 0 if it was not recorded. Not that of the event.
    pub mug: u32,
    /// The jam: little-endian, no zero byte at the end.
    pub jam: &'a [u8],
}

impl<'a> StoredEvent<'a> {
    /// Splits the value of an event: `mug u32 little-endian | jam`.
    ///
    /// # Errors
    ///
    /// [`EventError::Short`] without a byte of jam, [`EventError::Mug`] if the mug has more than 31 bits.
    pub fn decode(value: &'a [u8]) -> Result<Self, EventError> {
        let Some((mug, jam)) = value.split_first_chunk::<4>().filter(|(_, jam)| !jam.is_empty()) else {
            return Err(EventError::Short { bytes: value.len() });
        };
        let mug = u32::from_le_bytes(*mug);
        if mug >> 31 == 0 { Ok(Self { mug, jam }) } else { Err(EventError::Mug { found: mug }) }
    }

    /// The value, for a writer.
    pub fn encode(&self) -> Vec<u8> {
        [&self.mug.to_le_bytes(), self.jam].concat()
    }
}

/// Why a value is not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// An event has 4 bytes of mug and at least one of jam.
    #[error("a value of {bytes} bytes, where 4 of mug and at least one of jam are needed")]
    Short {
        /// What it has.
        bytes: usize,
    },
    /// A mug has 31 bits.
    #[error("mug {found:#010x} has more than 31 bits")]
    Mug {
        /// The word in its place.
        found: u32,
    },
}
