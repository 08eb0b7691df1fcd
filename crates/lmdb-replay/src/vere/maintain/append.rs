//! Appending events to a pier.

use crate::epochs::Layout;
use crate::vere::event::StoredEvent;
use crate::vere::maintain::error::{MaintainError, Refusal};
use crate::vere::pier::Pier;
use crate::writer::{EpochWriter, WriteOptions};

/// Appends events to the newest epoch of a pier. One at a time in a process.
#[derive(Debug)]
pub struct Appender<'p> {
    writer: EpochWriter<'p>,
}

impl<'p> Appender<'p> {
    /// Opens the newest epoch of `pier`, which was opened for writing, after a check of all its pages.
    ///
    /// # Errors
    ///
    /// [`Refusal::NoEpoch`], or [`MaintainError`].
    pub fn open(pier: &'p Pier, options: WriteOptions) -> Result<Self, MaintainError> {
        // Two folders that mean one epoch are refused before one of them is chosen.
        let newest = pier.log()?.epochs().last().cloned().ok_or(Refusal::NoEpoch)?;
        let guard = pier.write_guard();
        let writer = EpochWriter::open(&newest.path, newest.number, Layout::VERE, options, guard)?;
        Ok(Self { writer })
    }

    /// Appends `events` in one transaction, durable on return, and returns the number of the last one.
    ///
    /// Vere puts the whole boot sequence into one, and at most 100 live events.
    ///
    /// # Errors
    ///
    /// [`Refusal::BadEvent`] if one is such that Vere would not have written it, and LMDB's. Nothing was appended then.
    pub fn append(&mut self, events: &[StoredEvent<'_>]) -> Result<u64, MaintainError> {
        for (number, event) in (self.writer.last() + 1..).zip(events) {
            let what = match event {
                StoredEvent { jam: [], .. } => "no jam",
                StoredEvent { jam: [.., 0], .. } => "a jam with a zero byte at its end",
                StoredEvent { mug, .. } if mug >> 31 != 0 => "a mug of more than 31 bits",
                _ => continue,
            };
            return Err(Refusal::BadEvent { number, what }.into());
        }
        self.writer.append(events.iter().map(StoredEvent::encode))?;
        Ok(self.writer.last())
    }

    /// Number of the last event.
    pub fn last(&self) -> u64 {
        self.writer.last()
    }
}
