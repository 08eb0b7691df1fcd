//! The blocking face.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use samestep_replay_traits::{Index, Record, ReplaySource};

use crate::background::{Life, ReadSide};
use crate::commit::Core;
use crate::cursor::Cursor;
use crate::disk::Disk;
use crate::error::{AppendError, Failure, OpenError, PruneError, ReadError, SyncError, TruncateError};
use crate::format::to_u64;
use crate::id::LogId;
use crate::log::Log;
use crate::lookup::Lookup;
use crate::metrics::Metrics;
use crate::op::{DiskError, FileName, Op};
use crate::opening::Opening;
use crate::options::{CommitPolicy, Options};
use crate::record::{Entry, EntryRef, Prepared};
use crate::report::{OpenOutcome, RecoveryReport};
use crate::std_io::StdDisk;
use crate::sync::MutexGuard;
use crate::ticket::Ticket;
use crate::view::StateRecord;

mod reads;
mod replay;

pub use reads::Follower;
pub(crate) use reads::verify_whole;

/// A handle on an open log. Clones are handles on the same log, for any number of threads; one log per directory
/// at a time, in all processes: `LOCK` sees to it.
///
/// Calls of several threads share barriers: while one thread performs a write and its barrier, the others fill the
/// next group, and all of a group are woken at once. Under the lock a record is only given its place and copied: the
/// checksum of its payload is computed before.
///
/// Dropping the last handle closes nothing: what was not durable may be lost, as in a crash, and the next opening
/// recovers. [`Self::close`] makes everything durable and says whether that worked.
pub struct Wal<D: Disk = StdDisk> {
    life: Arc<Life<D>>,
}

impl<D: Disk> Clone for Wal<D> {
    fn clone(&self) -> Self {
        Self { life: Arc::clone(&self.life) }
    }
}

impl<D: Disk> fmt::Debug for Wal<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wal").field("log_id", &self.log_id()).finish_non_exhaustive()
    }
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

impl<D: Disk + Send + 'static> Wal<D> {
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
        let needs_thread = matches!(log.options().commit, CommitPolicy::Interval(_));
        let prepares_segments = log.prepares_segments();
        let recoveries = u64::from(report.outcome == OpenOutcome::Recovered);
        let life = Arc::new(Life::new(log, disk, recoveries));
        let (core, result) = life.shared.lead_all(life.shared.lock());
        drop(core);
        result?;
        let no_thread = |source| {
            OpenError::Disk(DiskError { op: "start a thread", file: None, source: Arc::new(source) })
        };
        if needs_thread {
            life.start_background().map_err(no_thread)?;
        }
        if prepares_segments {
            life.start_preparer().map_err(no_thread)?;
        }
        Ok((Self { life }, report))
    }
}

impl<D: Disk> Wal<D> {
    /// Appends one record and returns its index.
    ///
    /// When it is durable is a matter of [`CommitPolicy`].
    ///
    /// # Errors
    ///
    /// See [`AppendError`]: the record is then not part of the log.
    pub fn append<'a>(&self, record: impl Into<Prepared<'a>>) -> Result<Index, AppendError> {
        self.append_batch(&[record.into()])
    }

    /// Appends `records` as one batch, of which a crash keeps all or nothing, and returns the index of the first.
    ///
    /// When it is durable is a matter of [`CommitPolicy`].
    ///
    /// # Errors
    ///
    /// See [`AppendError`]: none of the records is then part of the log.
    pub fn append_batch(&self, records: &[Prepared<'_>]) -> Result<Index, AppendError> {
        let (core, first) = self.stage(records)?;
        self.life.shared.commit(core)?;
        Ok(first)
    }

    /// Appends one record under any policy without waiting for it, and returns a ticket to do so later.
    ///
    /// The record need not be written yet. It becomes so when a ticket of it or of a later record is waited for,
    /// with the next call that needs a barrier, or when enough is gathered.
    ///
    /// # Errors
    ///
    /// See [`AppendError`]: the record is then not part of the log.
    pub fn append_ticket<'a>(&self, record: impl Into<Prepared<'a>>) -> Result<Ticket<D>, AppendError> {
        self.append_batch_ticket(&[record.into()])
    }

    /// Appends `records` as one batch, else like [`Self::append_ticket`].
    ///
    /// # Errors
    ///
    /// See [`AppendError`]: none of the records is then part of the log.
    pub fn append_batch_ticket(&self, records: &[Prepared<'_>]) -> Result<Ticket<D>, AppendError> {
        let (mut core, first) = self.stage(records)?;
        let group = core.join(&self.life.shared.clock);
        Ok(Ticket::new(Arc::clone(&self.life), group, first))
    }

    /// Puts `record` in `slot`, in the place of the one that is there. The last value of each slot survives every
    /// prune: it is carried into each new segment. At most 64 KiB of payload.
    ///
    /// When it is durable is a matter of [`CommitPolicy`].
    ///
    /// # Errors
    ///
    /// See [`AppendError`]: the slot then keeps its old value.
    pub fn put_state(&self, slot: u16, record: &StateRecord) -> Result<(), AppendError> {
        let (core, ()) = self.life.shared.stage(|log| log.stage_state(slot, record))?;
        self.life.shared.commit(core)?;
        Ok(())
    }

    /// Removes the entries from `from` on, so that the next append gets index `from`. No entry there: nothing to do.
    /// Other threads append nothing meanwhile.
    ///
    /// When it is durable is a matter of [`CommitPolicy`].
    ///
    /// # Errors
    ///
    /// See [`TruncateError`].
    pub fn truncate_suffix(&self, from: Index) -> Result<(), TruncateError> {
        self.stage_alone(|log| log.stage_truncate(from))
    }

    /// Removes the entries up to `index`, or all if there are fewer, and frees the segments that hold nothing else.
    /// Durable on return, and so is everything appended before. Other threads append nothing meanwhile.
    ///
    /// # Errors
    ///
    /// See [`PruneError`].
    pub fn prune_through(&self, index: Index) -> Result<(), PruneError> {
        self.exclusively(Log::request_sync, |log| log.prune_through(index))?;
        Ok(())
    }

    /// Makes everything appended durable.
    ///
    /// # Errors
    ///
    /// See [`SyncError`].
    pub fn sync(&self) -> Result<(), SyncError> {
        self.life.shared.sync()?;
        Ok(())
    }

    /// Hands everything appended to the system, so that it survives this process, though not a power cut.
    ///
    /// # Errors
    ///
    /// See [`SyncError`].
    pub fn flush(&self) -> Result<(), SyncError> {
        self.life.shared.flush()?;
        Ok(())
    }

    /// Makes everything appended durable and starts a new segment, unless the newest is still empty.
    ///
    /// # Errors
    ///
    /// See [`SyncError`].
    pub fn rotate(&self) -> Result<(), SyncError> {
        self.exclusively(Log::request_rotate, |_| Ok(()))?;
        Ok(())
    }

    /// Makes everything durable and closes the log, for all handles: their calls fail from then on. Equal calls on
    /// equal logs leave equal bytes.
    ///
    /// # Errors
    ///
    /// See [`SyncError`]. The log is closed in any case.
    pub fn close(self) -> Result<(), SyncError> {
        self.life.stop_background();
        let shared = &self.life.shared;
        let (mut core, loss) = shared.seize_to_close()?;
        let mut result = Ok(());
        for request in [Log::request_sync, Log::stage_close, Log::request_sync, Log::finish_close] {
            if result.is_ok() {
                result = request(&mut core.log);
            }
            if result.is_ok() {
                (core, result) = shared.lead_all(core);
            }
        }
        let segment = core.log.active_segment();
        shared.finish_close(core);
        {
            let mut side = self.reads();
            let files = side.disk.reader();
            *side = ReadSide { disk: files, active: None, cached: None };
        }
        let mut disk = shared.disk();
        for file in [FileName::Segment(segment), FileName::Meta, FileName::Lock] {
            let mut op = Op::Close { file };
            let outcome = disk.perform(&mut op);
            let closed = outcome.map(drop).map_err(|error| Failure::Poisoned(DiskError::new(&op, error)));
            result = result.and(closed);
        }
        loss.and(result)?;
        Ok(())
    }

    /// Sleeps until the entry `index` is durable, whether it is appended already or not. If it is, this asks for a
    /// barrier as [`Ticket::wait`] does.
    ///
    /// # Errors
    ///
    /// See [`SyncError`]. If the entry is appended and removed again, this waits for the next one at that index.
    pub fn wait_durable(&self, index: Index) -> Result<(), SyncError> {
        self.life.shared.wait_durable(index)?;
        Ok(())
    }

    /// Reads one entry and verifies it. What is only staged is written first, not synced.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn read(&self, index: Index) -> Result<Entry, ReadError> {
        let core = self.written(|log| index >= log.written_next() && index < log.next_index())?;
        if index < core.log.live_first() {
            return Err(ReadError::Pruned { first: core.log.live_first() });
        }
        if index >= core.log.written_next() {
            return Err(ReadError::NotWritten { next: core.log.next_index() });
        }
        let (span, offset) = core.log.locate(index);
        let (segment, active) = (span.segment.id, core.log.active_segment());
        drop(core);
        let mut side = self.reads();
        side.follow(segment, active)?;
        let view = side.cached.take_if(|(id, _)| *id == segment).map(|(_, view)| view);
        let mut lookup = Lookup::new(span, index, offset, view);
        let result = drive_lookup(&mut lookup, &mut side.disk);
        if segment != active {
            // One descriptor per segment that was ever read would be too many for a long log.
            let _closed = side.disk.perform(&mut Op::Close { file: FileName::Segment(segment) });
        }
        result?;
        let (entry, view) = lookup.into_result();
        if let Some(view) = view {
            side.cached = Some((segment, view));
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
    pub fn reader(&self, from: Index) -> Result<Reader<D>, ReadError> {
        let core = self.written(Log::has_unwritten)?;
        let cursor = Cursor::new(core.log.spans(from));
        drop(core);
        Ok(Reader { cursor, disk: self.reads().disk.reader() })
    }

    /// The last record put in `slot`.
    pub fn state(&self, slot: u16) -> Option<StateRecord> {
        self.life.shared.lock().log.states().get(&slot).cloned()
    }

    /// All slots and their last records, by slot.
    pub fn states(&self) -> impl Iterator<Item = (u16, StateRecord)> + use<D> {
        self.life.shared.lock().log.states().clone().into_iter()
    }

    /// Index of the oldest entry, or `None` if there is none.
    pub fn first_index(&self) -> Option<Index> {
        self.life.shared.lock().log.first_index()
    }

    /// Index of the newest entry, or `None` if there is none.
    pub fn last_index(&self) -> Option<Index> {
        self.life.shared.lock().log.last_index()
    }

    /// Index of the newest entry that survives a crash, or `None` if there is none. Moves back only when
    /// [`Self::truncate_suffix`] removes entries. [`Self::wait_durable`] waits for it.
    pub fn durable_index(&self) -> Option<Index> {
        self.life.shared.lock().log.durable_index()
    }

    /// Index that the next append gets.
    pub fn next_index(&self) -> Index {
        self.life.shared.lock().log.next_index()
    }

    /// Whether anything appended would be lost in a crash now.
    pub fn has_unsynced(&self) -> bool {
        self.life.shared.lock().log.has_unsynced()
    }

    /// Number of segments, the newest included. At least 1.
    pub fn segment_count(&self) -> usize {
        self.life.shared.lock().log.segment_count()
    }

    /// Identity of the log.
    pub fn log_id(&self) -> LogId {
        self.life.shared.lock().log.log_id()
    }

    /// What the log did since it was opened.
    pub fn metrics(&self) -> Metrics {
        self.life.shared.lock().metrics.clone()
    }

    fn stage(&self, records: &[Prepared<'_>]) -> Result<(MutexGuard<'_, Core>, Index), AppendError> {
        let (mut core, first) = self.life.shared.stage(|log| log.stage(records))?;
        core.metrics.appended_records += to_u64(records.len());
        core.metrics.appended_bytes += records.iter().map(|record| to_u64(record.payload.len())).sum::<u64>();
        Ok((core, first))
    }

    /// Stages something by `stage`, which says whether there was room; nothing else is staged meanwhile.
    fn stage_alone<E: From<Failure>>(&self, stage: impl Fn(&mut Log) -> Result<bool, E>) -> Result<(), E> {
        let shared = &self.life.shared;
        let mut core = shared.seize()?;
        let result = loop {
            match stage(&mut core.log) {
                Ok(true) => break Ok(()),
                Ok(false) => {}
                Err(error) => break Err(error),
            }
            let (next, led) = shared.lead_all(core);
            core = next;
            if let Err(failure) = led {
                break Err(failure.into());
            }
        };
        shared.release(core);
        result?;
        shared.commit(shared.lock())?;
        Ok(())
    }

    /// Does `first` and then `second`, each with all operations that follow, and nothing else meanwhile.
    fn exclusively(
        &self,
        first: impl FnOnce(&mut Log) -> Result<(), Failure>,
        second: impl FnOnce(&mut Log) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let shared = &self.life.shared;
        let mut core = shared.seize()?;
        let mut result = first(&mut core.log);
        if result.is_ok() {
            (core, result) = shared.lead_all(core);
        }
        if result.is_ok() {
            result = second(&mut core.log);
        }
        if result.is_ok() {
            (core, result) = shared.lead_all(core);
        }
        shared.release(core);
        result
    }

    /// The core, after everything staged is written if `is_needed`.
    fn written(&self, is_needed: impl FnOnce(&Log) -> bool) -> Result<MutexGuard<'_, Core>, ReadError> {
        let shared = &self.life.shared;
        let mut core = shared.lock();
        if core.is_closed {
            return Err(ReadError::Closed);
        }
        if is_needed(&core.log) {
            drop(core);
            shared.flush()?;
            core = shared.lock();
        }
        Ok(core)
    }

    fn reads(&self) -> MutexGuard<'_, ReadSide<D>> {
        self.life.reads.lock().unwrap_or_else(PoisonError::into_inner)
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
