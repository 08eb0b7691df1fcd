//! The asynchronous face, over a [`StorageProvider`].

use std::fmt;
use std::path::Path;
use std::time::Duration;

use samestep_provider_traits::StorageProvider;
use samestep_replay_traits::Index;

use crate::cursor::Cursor;
use crate::error::{AppendError, Failure, OpenError, PruneError, ReadError, SyncError, TruncateError};
use crate::id::{LogId, SegmentId};
use crate::log::{Log, StageError};
use crate::lookup::Lookup;
use crate::op::{DiskError, FileName, Op};
use crate::opening::Opening;
use crate::options::Options;
use crate::provider_io::ProviderDisk;
use crate::record::{Entry, EntryRef, Prepared};
use crate::report::RecoveryReport;
use crate::view::{SegmentView, StateRecord};

mod reads;

pub use reads::AsyncFollower;

/// An open log on a provider's storage: [`Wal`](crate::Wal) with `await`, on the same core and the same bytes.
///
/// A future that is dropped before it is over leaves an operation of which nothing is known. The log is poisoned
/// by it: the next call that needs the disk says so, and opening again recovers.
pub struct AsyncWal<S: StorageProvider> {
    log: Log,
    disk: ProviderDisk<S>,
    /// The last sealed segment that was read from by index.
    cached: Option<(SegmentId, SegmentView)>,
}

impl<S: StorageProvider> fmt::Debug for AsyncWal<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncWal").field("log", &self.log).finish_non_exhaustive()
    }
}

impl<S: StorageProvider> AsyncWal<S> {
    /// Opens the log in the folder `dir` of `storage`, or creates it if [`Options::log_id`] is given and there is
    /// none. `dir` is relative to the provider's root and not the root itself.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. Nothing is written before the log is found to be undamaged.
    pub async fn open(
        storage: S,
        dir: impl AsRef<Path>,
        options: Options,
    ) -> Result<(Self, RecoveryReport), OpenError> {
        let mut disk = ProviderDisk::new(storage, dir.as_ref().to_path_buf());
        let mut opening = Opening::new(options)?;
        while let Some(op) = opening.poll_op() {
            let (op, outcome) = disk.perform(op).await;
            opening.handle_completion(op, outcome)?;
        }
        let (log, report) = opening.finish()?;
        let mut wal = Self { log, disk, cached: None };
        wal.drive().await?;
        Ok((wal, report))
    }

    /// Appends one record and returns its index.
    ///
    /// When it is durable is a matter of [`CommitPolicy`](crate::CommitPolicy).
    ///
    /// # Errors
    ///
    /// See [`AppendError`]: the record is then not part of the log.
    pub async fn append<'a>(&mut self, record: impl Into<Prepared<'a>>) -> Result<Index, AppendError> {
        self.append_batch(&[record.into()]).await
    }

    /// Appends `records` as one batch, of which a crash keeps all or nothing, and returns the index of the first.
    ///
    /// When it is durable is a matter of [`CommitPolicy`](crate::CommitPolicy).
    ///
    /// # Errors
    ///
    /// See [`AppendError`]: none of the records is then part of the log.
    pub async fn append_batch(&mut self, records: &[Prepared<'_>]) -> Result<Index, AppendError> {
        let first = loop {
            match self.log.stage(records) {
                Ok(first) => break first,
                Err(StageError::Full) => self.drive().await?,
                Err(StageError::Append(error)) => return Err(error),
            }
        };
        self.commit().await?;
        Ok(first)
    }

    /// Puts `record` in `slot`, in the place of the one that is there. The last value of each slot survives every
    /// prune: it is carried into each new segment. At most 64 KiB of payload.
    ///
    /// When it is durable is a matter of [`CommitPolicy`](crate::CommitPolicy).
    ///
    /// # Errors
    ///
    /// See [`AppendError`]: the slot then keeps its old value.
    pub async fn put_state(&mut self, slot: u16, record: &StateRecord) -> Result<(), AppendError> {
        loop {
            match self.log.stage_state(slot, record) {
                Ok(()) => break,
                Err(StageError::Full) => self.drive().await?,
                Err(StageError::Append(error)) => return Err(error),
            }
        }
        self.commit().await?;
        Ok(())
    }

    /// Removes the entries from `from` on, so that the next append gets index `from`. No entry there: nothing to do.
    ///
    /// When it is durable is a matter of [`CommitPolicy`](crate::CommitPolicy).
    ///
    /// # Errors
    ///
    /// See [`TruncateError`].
    pub async fn truncate_suffix(&mut self, from: Index) -> Result<(), TruncateError> {
        while !self.log.stage_truncate(from)? {
            self.drive().await?;
        }
        self.commit().await?;
        Ok(())
    }

    /// Removes the entries up to `index`, or all if there are fewer, and frees the segments that hold nothing else.
    /// Durable on return, and so is everything appended before.
    ///
    /// # Errors
    ///
    /// See [`PruneError`].
    pub async fn prune_through(&mut self, index: Index) -> Result<(), PruneError> {
        self.log.request_sync()?;
        self.drive().await?;
        self.log.prune_through(index)?;
        self.drive().await?;
        Ok(())
    }

    /// Makes everything appended durable.
    ///
    /// # Errors
    ///
    /// See [`SyncError`].
    pub async fn sync(&mut self) -> Result<(), SyncError> {
        self.log.request_sync()?;
        self.drive().await?;
        Ok(())
    }

    /// Under [`CommitPolicy::Interval`](crate::CommitPolicy::Interval): makes everything appended durable if it has
    /// waited for the interval, and says at which time to call again; `None` if nothing waits. `now` is any clock
    /// that never goes back. Under other policies it does nothing.
    ///
    /// # Errors
    ///
    /// See [`SyncError`].
    pub async fn tick(&mut self, now: Duration) -> Result<Option<Duration>, SyncError> {
        let deadline = self.log.handle_tick(now)?;
        if deadline.is_none() && self.log.wants_work() {
            self.drive().await?;
        }
        Ok(deadline)
    }

    /// Hands everything appended to the system, so that it survives this process, though not a power cut.
    ///
    /// # Errors
    ///
    /// See [`SyncError`].
    pub async fn flush(&mut self) -> Result<(), SyncError> {
        self.log.request_flush()?;
        self.drive().await?;
        Ok(())
    }

    /// Makes everything appended durable and starts a new segment, unless the newest is still empty.
    ///
    /// # Errors
    ///
    /// See [`SyncError`].
    pub async fn rotate(&mut self) -> Result<(), SyncError> {
        self.log.request_rotate()?;
        self.drive().await?;
        Ok(())
    }

    /// Makes everything durable and closes the log. Equal calls on equal logs leave equal bytes, those of
    /// [`Wal::close`](crate::Wal::close) too.
    ///
    /// # Errors
    ///
    /// See [`SyncError`]. The log is closed in any case.
    pub async fn close(mut self) -> Result<(), SyncError> {
        self.sync().await?;
        self.log.stage_close()?;
        self.sync().await?;
        self.log.finish_close()?;
        self.drive().await?;
        for file in [FileName::Segment(self.log.active_segment()), FileName::Meta, FileName::Lock] {
            let (op, outcome) = self.disk.perform(Op::Close { file }).await;
            outcome.map_err(|error| SyncError::Poisoned(DiskError::new(&op, error)))?;
        }
        Ok(())
    }

    /// Reads one entry and verifies it. What is only staged is written first, not synced.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub async fn read(&mut self, index: Index) -> Result<Entry, ReadError> {
        if index < self.log.live_first() {
            return Err(ReadError::Pruned { first: self.log.live_first() });
        }
        if index >= self.log.next_index() {
            return Err(ReadError::NotWritten { next: self.log.next_index() });
        }
        self.flush_for_read().await?;
        let (span, offset) = self.log.locate(index);
        let segment = span.segment.id;
        let view = self.cached.take_if(|(id, _)| *id == segment).map(|(_, view)| view);
        let mut lookup = Lookup::new(span, index, offset, view);
        let is_sealed = segment != self.log.active_segment();
        let result = drive_lookup(&mut lookup, &mut self.disk).await;
        if is_sealed {
            // One descriptor per segment that was ever read would be too many for a long log.
            let _closed = self.disk.perform(Op::Close { file: FileName::Segment(segment) }).await;
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
    pub async fn reader(&mut self, from: Index) -> Result<AsyncReader<S>, ReadError> {
        self.flush_for_read().await?;
        Ok(AsyncReader { cursor: Cursor::new(self.log.spans(from)), disk: self.disk.reader() })
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
        self.log.first_index()
    }

    /// Index of the newest entry, or `None` if there is none.
    pub fn last_index(&self) -> Option<Index> {
        self.log.last_index()
    }

    /// Index of the newest entry that survives a crash, or `None` if there is none. Moves back only when
    /// [`Self::truncate_suffix`] removes entries.
    pub fn durable_index(&self) -> Option<Index> {
        self.log.durable_index()
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

    async fn commit(&mut self) -> Result<(), Failure> {
        if self.log.options().commit.is_durable_on_return() {
            self.log.request_sync()?;
            self.drive().await?;
        }
        Ok(())
    }

    /// Performs operations until there are none, and returns the first failure. Those behind it tidy up.
    async fn drive(&mut self) -> Result<(), Failure> {
        self.log.abandon_op()?;
        let mut result = Ok(());
        while let Some(op) = self.log.poll_op() {
            let (op, outcome) = self.disk.perform(op).await;
            let completed = self.log.handle_completion(op, outcome);
            result = result.and(completed);
        }
        result
    }

    async fn flush_for_read(&mut self) -> Result<(), ReadError> {
        if self.log.has_unwritten() {
            self.log.request_flush()?;
            self.drive().await?;
        }
        Ok(())
    }
}

async fn drive_lookup<S: StorageProvider>(
    lookup: &mut Lookup,
    disk: &mut ProviderDisk<S>,
) -> Result<(), ReadError> {
    while let Some(op) = lookup.poll_op()? {
        let (op, outcome) = disk.perform(op).await;
        lookup.handle_completion(op, outcome)?;
    }
    Ok(())
}

/// Lends the entries of a log, oldest first, each verified. Made by [`AsyncWal::reader`].
pub struct AsyncReader<S: StorageProvider> {
    cursor: Cursor,
    disk: ProviderDisk<S>,
}

impl<S: StorageProvider> fmt::Debug for AsyncReader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncReader").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl<S: StorageProvider> AsyncReader<S> {
    /// Lends the next entry, or `None` behind the newest of when the reader was made.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]. Nothing behind a failed entry is lent: the same error comes again.
    pub async fn next_entry(&mut self) -> Result<Option<EntryRef<'_>>, ReadError> {
        while let Some(op) = self.cursor.seek()? {
            let (op, outcome) = self.disk.perform(op).await;
            self.cursor.handle_completion(op, outcome)?;
        }
        self.cursor.take()
    }
    /// The next entry to keep, or `None` behind the newest of when the reader was made. Its payload is a slice of
    /// the chunk of about 1 MiB that was read.
    ///
    /// # Errors
    ///
    /// As for [`Self::next_entry`].
    pub async fn next_bytes(&mut self) -> Result<Option<Entry>, ReadError> {
        while let Some(op) = self.cursor.seek()? {
            let (op, outcome) = self.disk.perform(op).await;
            self.cursor.handle_completion(op, outcome)?;
        }
        self.cursor.take_owned()
    }
}
