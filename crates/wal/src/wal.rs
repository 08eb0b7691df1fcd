//! The blocking face.

use std::path::PathBuf;

use samestep_replay_traits::{Index, Record, ReplaySource};

use crate::cursor::Cursor;
use crate::disk::Disk;
use crate::error::{AppendError, Failure, OpenError, PruneError, ReadError, SyncError, TruncateError};
use crate::id::{LogId, SegmentId};
use crate::log::{Log, StageError};
use crate::lookup::Lookup;
use crate::op::{DiskError, FileName, Op};
use crate::opening::Opening;
use crate::options::{CommitPolicy, Options};
use crate::record::{Entry, EntryRef, Prepared};
use crate::report::RecoveryReport;
use crate::std_io::StdDisk;
use crate::view::{SegmentView, StateRecord};

mod reads;
mod replay;

pub use reads::Follower;
pub(crate) use reads::verify_whole;

/// An open log. One handle per directory at a time, in all processes: `LOCK` sees to it.
///
/// Dropping it closes nothing: what was not durable may be lost, as in a crash, and the next opening recovers.
/// [`Self::close`] makes everything durable and says whether that worked.
#[derive(Debug)]
pub struct Wal<D: Disk = StdDisk> {
    log: Log,
    disk: D,
    /// The last sealed segment that was read from by index.
    cached: Option<(SegmentId, SegmentView)>,
}

impl Wal {
    /// Opens the log in `dir`, or creates it if [`Options::log_id`] is given and there is none.
    ///
    /// When it returns, everything that it reports is durable. Holds the newest segment in memory while it works.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. Nothing is written before the log is found to be undamaged.
    pub fn open(dir: impl Into<PathBuf>, options: Options) -> Result<(Self, RecoveryReport), OpenError> {
        Self::open_on(StdDisk::new(dir), options)
    }
}

impl<D: Disk> Wal<D> {
    /// Opens the log on `disk`, else like [`Wal::open`].
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open_on(mut disk: D, options: Options) -> Result<(Self, RecoveryReport), OpenError> {
        let mut opening = Opening::new(options)?;
        while let Some(mut op) = opening.poll_op() {
            let outcome = disk.perform(&mut op);
            opening.handle_completion(op, outcome)?;
        }
        let (log, report) = opening.finish()?;
        let mut wal = Self { log, disk, cached: None };
        wal.drive()?;
        Ok((wal, report))
    }

    /// Appends one record and returns its index.
    ///
    /// Durable on return under [`CommitPolicy::StrictSync`], else after the next [`Self::sync`].
    ///
    /// # Errors
    ///
    /// See [`AppendError`]: the record is then not part of the log.
    pub fn append<'a>(&mut self, record: impl Into<Prepared<'a>>) -> Result<Index, AppendError> {
        self.append_batch(&[record.into()])
    }

    /// Appends `records` as one batch, of which a crash keeps all or nothing, and returns the index of the first.
    ///
    /// Durable on return under [`CommitPolicy::StrictSync`], else after the next [`Self::sync`].
    ///
    /// # Errors
    ///
    /// See [`AppendError`]: none of the records is then part of the log.
    pub fn append_batch(&mut self, records: &[Prepared<'_>]) -> Result<Index, AppendError> {
        let first = loop {
            match self.log.stage(records) {
                Ok(first) => break first,
                Err(StageError::Full) => self.drive()?,
                Err(StageError::Append(error)) => return Err(error),
            }
        };
        self.commit()?;
        Ok(first)
    }

    /// Puts `record` in `slot`, in the place of the one that is there. The last value of each slot survives every
    /// prune: it is carried into each new segment. At most 64 KiB of payload.
    ///
    /// Durable on return under [`CommitPolicy::StrictSync`], else after the next [`Self::sync`].
    ///
    /// # Errors
    ///
    /// See [`AppendError`]: the slot then keeps its old value.
    pub fn put_state(&mut self, slot: u16, record: &StateRecord) -> Result<(), AppendError> {
        loop {
            match self.log.stage_state(slot, record) {
                Ok(()) => break,
                Err(StageError::Full) => self.drive()?,
                Err(StageError::Append(error)) => return Err(error),
            }
        }
        self.commit()?;
        Ok(())
    }

    /// Removes the entries from `from` on, so that the next append gets index `from`. No entry there: nothing to do.
    ///
    /// Durable on return under [`CommitPolicy::StrictSync`], else after the next [`Self::sync`].
    ///
    /// # Errors
    ///
    /// See [`TruncateError`].
    pub fn truncate_suffix(&mut self, from: Index) -> Result<(), TruncateError> {
        while !self.log.stage_truncate(from)? {
            self.drive()?;
        }
        self.commit()?;
        Ok(())
    }

    /// Removes the entries up to `index`, or all if there are fewer, and frees the segments that hold nothing else.
    /// Durable on return, and so is everything appended before.
    ///
    /// # Errors
    ///
    /// See [`PruneError`].
    pub fn prune_through(&mut self, index: Index) -> Result<(), PruneError> {
        self.log.request_sync()?;
        self.drive()?;
        self.log.prune_through(index)?;
        self.drive()?;
        Ok(())
    }

    /// Makes everything appended durable.
    ///
    /// # Errors
    ///
    /// See [`SyncError`].
    pub fn sync(&mut self) -> Result<(), SyncError> {
        self.log.request_sync()?;
        self.drive()?;
        Ok(())
    }

    /// Hands everything appended to the system, so that it survives this process, though not a power cut.
    ///
    /// # Errors
    ///
    /// See [`SyncError`].
    pub fn flush(&mut self) -> Result<(), SyncError> {
        self.log.request_flush()?;
        self.drive()?;
        Ok(())
    }

    /// Makes everything appended durable and starts a new segment, unless the newest is still empty.
    ///
    /// # Errors
    ///
    /// See [`SyncError`].
    pub fn rotate(&mut self) -> Result<(), SyncError> {
        self.log.request_rotate()?;
        self.drive()?;
        Ok(())
    }

    /// Makes everything durable and closes the log. Equal calls on equal logs leave equal bytes.
    ///
    /// # Errors
    ///
    /// See [`SyncError`]. The log is closed in any case.
    pub fn close(mut self) -> Result<(), SyncError> {
        self.sync()?;
        self.log.stage_close()?;
        self.sync()?;
        self.log.finish_close();
        self.drive()?;
        for file in [FileName::Segment(self.log.active_segment()), FileName::Meta, FileName::Lock] {
            let mut op = Op::Close { file };
            let outcome = self.disk.perform(&mut op);
            outcome.map_err(|error| SyncError::Poisoned(DiskError::new(&op, error)))?;
        }
        Ok(())
    }

    /// Reads one entry and verifies it. What is only staged is written first, not synced.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn read(&mut self, index: Index) -> Result<Entry, ReadError> {
        if index < self.log.live_first() {
            return Err(ReadError::Pruned { first: self.log.live_first() });
        }
        if index >= self.log.next_index() {
            return Err(ReadError::NotWritten { next: self.log.next_index() });
        }
        self.flush_for_read()?;
        let (span, offset) = self.log.locate(index);
        let segment = span.segment.id;
        let view = self.cached.take_if(|(id, _)| *id == segment).map(|(_, view)| view);
        let mut lookup = Lookup::new(span, index, offset, view);
        let is_sealed = segment != self.log.active_segment();
        let result = drive_lookup(&mut lookup, &mut self.disk);
        if is_sealed {
            // One descriptor per segment that was ever read would be too many for a long log.
            let _closed = self.disk.perform(&mut Op::Close { file: FileName::Segment(segment) });
        }
        result?;
        let (entry, view) = lookup.into_result();
        if let Some(view) = view {
            self.cached = Some((segment, view));
        }
        Ok(entry)
    }

    /// A reader of the entries from `from` (or from the first that is not pruned) up to the newest of now.
    ///
    /// What is only staged is written first, not synced. The reader has files of its own, so the log can go on
    /// meanwhile: it lends what was live when it was made, and ends with [`ReadError::Disk`] if that is pruned
    /// under it.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn reader(&mut self, from: Index) -> Result<Reader<D>, ReadError> {
        self.flush_for_read()?;
        Ok(Reader { cursor: Cursor::new(self.log.spans(from)), disk: self.disk.reader() })
    }

    /// The last record put in `slot`.
    pub fn state(&self, slot: u16) -> Option<&StateRecord> {
        self.log.states().get(&slot)
    }

    /// All slots and their last records, by slot.
    pub fn states(&self) -> impl Iterator<Item = (u16, &StateRecord)> {
        self.log.states().iter().map(|(&slot, record)| (slot, record))
    }

    /// Index of the oldest entry, or `None` if there is none.
    pub fn first_index(&self) -> Option<Index> {
        Some(self.log.live_first()).filter(|&first| first < self.log.next_index())
    }

    /// Index of the newest entry, or `None` if there is none.
    pub fn last_index(&self) -> Option<Index> {
        self.log.next_index().previous().filter(|&last| last >= self.log.live_first())
    }

    /// Index of the newest entry that survives a crash, or `None` if there is none. Moves back only when
    /// [`Self::truncate_suffix`] removes entries.
    pub fn durable_index(&self) -> Option<Index> {
        self.log.durable_next().previous().filter(|&last| last >= self.log.live_first())
    }

    /// Index that the next append gets.
    pub fn next_index(&self) -> Index {
        self.log.next_index()
    }

    /// Whether anything appended would be lost in a crash now.
    pub fn has_unsynced(&self) -> bool {
        self.log.has_unsynced()
    }

    /// Number of segments, the newest included. At least 1.
    pub fn segment_count(&self) -> usize {
        self.log.segment_count()
    }

    /// Identity of the log.
    pub fn log_id(&self) -> LogId {
        self.log.log_id()
    }

    fn commit(&mut self) -> Result<(), Failure> {
        if self.log.options().commit == CommitPolicy::StrictSync {
            self.log.request_sync()?;
            self.drive()?;
        }
        Ok(())
    }

    /// Performs operations until there are none, and returns the first failure. Those behind it tidy up.
    fn drive(&mut self) -> Result<(), Failure> {
        let mut result = Ok(());
        while let Some(mut op) = self.log.poll_op() {
            let outcome = self.disk.perform(&mut op);
            let completed = self.log.handle_completion(op, outcome);
            result = result.and(completed);
        }
        result
    }

    fn flush_for_read(&mut self) -> Result<(), ReadError> {
        if self.log.has_unwritten() {
            self.log.request_flush()?;
            self.drive()?;
        }
        Ok(())
    }
}

fn drive_lookup(lookup: &mut Lookup, disk: &mut impl Disk) -> Result<(), ReadError> {
    while let Some(op) = lookup.poll_op()? {
        reads::perform(lookup.cursor_mut(), disk, op)?;
    }
    Ok(())
}

/// Lends the entries of a log, oldest first, each verified. Made by [`Wal::reader`].
///
/// Reads 1 MiB at a time and lends out of that buffer: no copy and no allocation per entry.
#[derive(Debug)]
pub struct Reader<D: Disk = StdDisk> {
    cursor: Cursor,
    disk: D,
}

impl<D: Disk> Reader<D> {
    /// Lends the next entry, or `None` behind the newest of when the reader was made.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]. Nothing behind a failed entry is lent: the same error comes again.
    #[inline]
    pub fn next_entry(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        while let Some(op) = self.cursor.seek()? {
            reads::perform(&mut self.cursor, &mut self.disk, op)?;
        }
        self.cursor.take()
    }

    /// The next entry to keep, or `None` behind the newest of when the reader was made. Its payload is a slice of
    /// the chunk of about 1 MiB that was read: no copy, and no allocation but the chunk's.
    ///
    /// # Errors
    ///
    /// As for [`Self::next_entry`].
    pub fn next_bytes(&mut self) -> Result<Option<Entry>, ReadError> {
        while let Some(op) = self.cursor.seek()? {
            reads::perform(&mut self.cursor, &mut self.disk, op)?;
        }
        self.cursor.take_owned()
    }
}

impl<D: Disk> ReplaySource for Reader<D> {
    type Error = ReadError;

    fn next_record(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        let entry = self.next_entry()?;
        Ok(entry.map(|entry| Record { index: entry.index, payload: entry.payload }))
    }
}
