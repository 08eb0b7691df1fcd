//! What an event is: the noun in its jam.

use samestep_noun::{CueError, Noun};

/// An event after the boot sequence: `[now wire tag data]`, when it happened, to whom it goes and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// When: 128 bits, the high half seconds, the low half fractions of one. See [`Self::unix_seconds`].
    pub now: u128,
    /// To whom: a path.
    pub wire: Noun,
    /// What: the card, its tag first.
    pub card: Noun,
}

impl Job {
    /// Decodes the jam of an event after the boot sequence.
    ///
    /// # Errors
    ///
    /// [`JobError::Cue`] if the jam is none, [`JobError::Shape`] if the noun is no job.
    pub fn cue(jam: &[u8]) -> Result<Self, JobError> {
        Self::of(&Noun::cue(jam)?)
    }

    /// The job that `noun` is.
    ///
    /// # Errors
    ///
    /// [`JobError::Shape`].
    pub fn of(noun: &Noun) -> Result<Self, JobError> {
        let (now, ovum) = noun.as_pair().ok_or(JobError::Shape { what: "an atom, not [now wire card]" })?;
        let now = now.as_atom().and_then(samestep_noun::Atom::as_u128);
        let now = now.ok_or(JobError::Shape { what: "no date of at most 128 bits" })?;
        let (wire, card) =
            ovum.as_pair().ok_or(JobError::Shape { what: "a date without a wire and a card" })?;
        if !card.is_cell() {
            return Err(JobError::Shape { what: "a card without a tag" });
        }
        Ok(Self { now, wire: wire.clone(), card: card.clone() })
    }

    /// Whole seconds since the beginning of 1970.
    pub fn unix_seconds(&self) -> i64 {
        let seconds = u64::try_from(self.now >> 64).expect("the high half has 64 bits");
        seconds.wrapping_sub(UNIX_EPOCH).cast_signed()
    }

    /// The wire as a path, such as `/d/term/1`; an empty element is `//`, and what is no text is written as a number.
    pub fn wire_text(&self) -> String {
        let elements = self.wire.items().map(|knot| format!("/{}", text(knot)));
        let path: String = elements.collect();
        if path.is_empty() { "/".to_owned() } else { path }
    }

    /// The tag of the card, such as `belt`.
    pub fn tag_text(&self) -> String {
        self.card.as_pair().map_or_else(String::new, |(tag, _)| text(tag))
    }
}

/// A cord that can be shown, or the noun as it is written.
fn text(noun: &Noun) -> String {
    match noun.to_cord() {
        Some(cord) if !cord.chars().any(char::is_control) => cord,
        _ => noun.to_string(),
    }
}

/// Why an event is no job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The jam cannot be decoded.
    #[error("its jam is damaged: {0}")]
    Cue(#[from] CueError),
    /// The noun has another shape.
    #[error("it is no job: {what}")]
    Shape {
        /// What it is instead.
        what: &'static str,
    },
}

/// The beginning of 1970 in seconds, as Urbit counts them.
const UNIX_EPOCH: u64 = 0x8000_000c_ce9e_0d80;

#[cfg(test)]
mod tests;
