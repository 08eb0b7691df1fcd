//! What messages have in common.

use samestep_noun::{CueError, Noun};

/// Why a noun is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The frame holds no jam.
    #[error("the frame holds no noun")]
    Cue(#[from] CueError),
    /// No message of this direction looks like this.
    #[error("no message: {noun}")]
    Unknown {
        /// The noun as text, cut short.
        noun: String,
    },
}

/// The error for a noun that is no message.
pub(super) fn unknown(noun: &Noun) -> MessageError {
    let text = noun.to_string();
    let cut = text.char_indices().nth(TEXT_MAX).map_or(text.len(), |(at, _)| at);
    MessageError::Unknown { noun: text[..cut].to_owned() }
}

/// A 31-bit mug, or another number of 32 bits.
pub(super) fn word(noun: &Noun) -> Option<u32> {
    noun.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// The items of a proper list.
pub(super) fn list(noun: &Noun) -> Option<Vec<Noun>> {
    let mut items = noun.items();
    let list = items.by_ref().cloned().collect();
    items.is_proper().then_some(list)
}

const TEXT_MAX: usize = 120;
