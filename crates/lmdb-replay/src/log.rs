//! A log of several epochs, read as one.

use std::io;
use std::path::{Path, PathBuf};

use samestep_replay_traits::{Index, Record, ReplaySource};

use crate::data_file::{DataFile, Limits};
use crate::epochs::{EpochDir, Layout};
use crate::error::{OpenError, ReadError};
use crate::tree::{Event, Events};

/// A folder of epochs, read as one log.
///
/// Opening lists names; each data file is opened when a reader comes to it, and one at a time is open.
#[derive(Clone, Debug)]
pub struct EpochLog {
    layout: Layout,
    limits: Limits,
    epochs: Vec<EpochDir>,
}

impl EpochLog {
    /// Lists the epochs in `folder`.
    ///
    /// # Errors
    ///
    /// [`LogError::List`] if the folder cannot be read, [`LogError::SameEpoch`] if two folders mean one epoch.
    pub fn open(folder: &Path, layout: Layout) -> Result<Self, LogError> {
        let listed = layout.epochs_in(folder);
        Self::from_epochs(
            listed.map_err(|source| LogError::List { path: folder.to_owned(), source })?,
            layout,
        )
    }

    /// The log of `epochs`, oldest first.
    ///
    /// # Errors
    ///
    /// [`LogError::SameEpoch`] if two folders mean one epoch.
    pub fn from_epochs(epochs: Vec<EpochDir>, layout: Layout) -> Result<Self, LogError> {
        for pair in epochs.windows(2) {
            if pair[0].number == pair[1].number {
                let [path, other] = [&pair[0], &pair[1]].map(|epoch| epoch.path.clone());
                return Err(LogError::SameEpoch { number: pair[0].number, path, other });
            }
        }
        Ok(Self { layout, limits: Limits::default(), epochs })
    }

    /// With other limits than the default ones.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The epochs, oldest first.
    pub fn epochs(&self) -> &[EpochDir] {
        &self.epochs
    }

    /// Number of the first event that the log can hold, or `None` without an epoch.
    pub fn first(&self) -> Option<Index> {
        self.epochs.first().and_then(|epoch| Index::new(epoch.number).next())
    }

    /// The events of one epoch. Its table may not be there yet: then there are none.
    ///
    /// # Errors
    ///
    /// [`LogError::Open`] and [`LogError::Read`], with the file.
    pub fn epoch_events(&self, epoch: &EpochDir) -> Result<Option<Events>, LogError> {
        let path = epoch.path.join(self.layout.data_file);
        let opened = DataFile::open(&path);
        let file = opened.map_err(|source| LogError::Open { path: path.clone(), source })?;
        let file = file.with_limits(self.limits);
        let table = file.table(self.layout.events_table.as_bytes());
        let events = table.and_then(|table| table.map(|table| file.events(table)).transpose());
        events.map_err(|source| LogError::Read { path, source })
    }

    /// A reader that starts with event `from`, over all epochs that follow.
    ///
    /// # Errors
    ///
    /// [`LogError::BeforeFirst`] if the log starts later. That `from` is behind the end is no error: the reader
    /// then lends nothing.
    pub fn reader(&self, from: Index) -> Result<LogReader, LogError> {
        let first = self.first();
        if first.is_some_and(|first| from < first) {
            return Err(LogError::BeforeFirst { asked: from.get(), first: first.map_or(0, Index::get) });
        }
        let later = self.epochs.partition_point(|epoch| epoch.number < from.get());
        Ok(LogReader {
            expected: from.get(),
            next_epoch: later.saturating_sub(1),
            events: None,
            is_first: true,
            has_unlent: false,
            log: self.clone(),
        })
    }
}

/// Reads a log from epoch to epoch and checks that no event is missing.
#[derive(Debug)]
pub struct LogReader {
    log: EpochLog,
    /// The number that comes next.
    expected: u64,
    /// The epoch that is opened when the current one ends.
    next_epoch: usize,
    /// The events of the epoch before that one.
    events: Option<Events>,
    /// Whether no epoch was opened yet.
    is_first: bool,
    /// Whether `events` stands on an event that could not be lent.
    has_unlent: bool,
}

impl LogReader {
    /// Lends the next event, or `None` behind the last one.
    ///
    /// # Errors
    ///
    /// [`LogError`] on damage and on a gap between events or epochs. The reader stays where it is.
    #[inline]
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, LogError> {
        if !self.has_unlent && !self.advance()? {
            return Ok(None);
        }
        self.has_unlent = true;
        let Some(event) = self.events.as_ref().map(Events::event) else { return Ok(None) };
        if event.number != self.expected {
            return Err(self.gap(event.number));
        }
        self.has_unlent = false;
        // No event follows number `u64::MAX`, as keys ascend.
        self.expected = self.expected.saturating_add(1);
        Ok(Some(event))
    }

    /// Moves onto the next event of this epoch, or of the ones that follow.
    #[inline]
    fn advance(&mut self) -> Result<bool, LogError> {
        loop {
            if let Some(events) = &mut self.events {
                match events.advance() {
                    Ok(true) => return Ok(true),
                    Ok(false) => {}
                    Err(source) => return Err(LogError::Read { path: self.current_path(), source }),
                }
            }
            if !self.open_next()? {
                return Ok(false);
            }
        }
    }

    /// Opens the next epoch, which must start where the log stands. `false` behind the last one.
    fn open_next(&mut self) -> Result<bool, LogError> {
        let Some(epoch) = self.log.epochs.get(self.next_epoch) else { return Ok(false) };
        // The first one that is opened may start earlier than what was asked for.
        if !self.is_first && epoch.number.checked_add(1) != Some(self.expected) {
            let (number, path) = (epoch.number, epoch.path.clone());
            return Err(LogError::EpochStart { number, path, expected: self.expected - 1 });
        }
        let mut events = self.log.epoch_events(epoch)?;
        if let Some(events) = &mut events {
            events.seek(self.expected);
        }
        self.events = events;
        self.is_first = false;
        self.next_epoch += 1;
        Ok(true)
    }

    fn gap(&self, found: u64) -> LogError {
        LogError::Gap { path: self.current_path(), expected: self.expected, found }
    }

    fn current_path(&self) -> PathBuf {
        let epoch = &self.log.epochs[self.next_epoch - 1];
        epoch.path.join(self.log.layout.data_file)
    }
}

impl ReplaySource for LogReader {
    type Error = LogError;

    #[inline]
    fn next_record(&mut self) -> Result<Option<Record<'_>>, LogError> {
        let event = self.next_event()?;
        Ok(event.map(|event| Record { index: Index::new(event.number), payload: event.value }))
    }
}

/// Why a log of epochs could not be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The folder of epochs cannot be read.
    #[error("the epochs in {} cannot be listed", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Two folders mean one epoch, as `0i7` and `0i007` do: move one of them away.
    #[error("{} and {} are both epoch {number}: move one away", path.display(), other.display())]
    SameEpoch {
        /// The epoch.
        number: u64,
        /// One folder.
        path: PathBuf,
        /// The other one.
        other: PathBuf,
    },
    /// The log starts later: a state of the events before is needed to go on from there.
    #[error("event {asked} is not in the log, which starts with {first}")]
    BeforeFirst {
        /// The number that was asked for.
        asked: u64,
        /// The first one.
        first: u64,
    },
    /// A data file cannot be opened.
    #[error("{}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// A data file is damaged, or the device refused.
    #[error("{}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Where and how.
        source: ReadError,
    },
    /// Events are missing inside an epoch.
    #[error("{}: event {found} comes where {expected} should", path.display())]
    Gap {
        /// The file.
        path: PathBuf,
        /// The number that should come.
        expected: u64,
        /// The number that comes.
        found: u64,
    },
    /// An epoch does not start where the one before it ends.
    #[error("{} starts behind event {number}, but the epoch before it ends with {expected}", path.display())]
    EpochStart {
        /// The epoch.
        number: u64,
        /// Its folder.
        path: PathBuf,
        /// The last event before.
        expected: u64,
    },
}
