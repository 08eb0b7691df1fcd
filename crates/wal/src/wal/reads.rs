//! Reading and snapshot marks, on the blocking face.

use std::ops::Range;

use samestep_replay_traits::Index;

use crate::chunk::Chunk;
use crate::cursor::Cursor;
use crate::disk::Disk;
use crate::entries::Entries;
use crate::error::{FollowError, ReadError, SnapshotError};
use crate::follow::Follow;
use crate::log::{Log, Span};
use crate::op::{DiskError, FileName, Op};
use crate::record::{Entry, EntryRef};
use crate::scan::{CHUNK_BYTES, Part, Peek, Scan};
use crate::std_io::StdDisk;
use crate::view::SnapshotMark;
use crate::wal::Wal;

impl Wal {
    /// The segments that can be mapped, and a handle on where they are.
    pub(crate) fn sealed_spans(&self) -> (Vec<Span>, StdDisk) {
        let mut spans = {
            let core = self.life.shared.lock();
            core.log.spans(core.log.live_first())
        };
        spans.retain(|span| !span.is_active);
        (spans, self.reads().disk.reader())
    }
}

impl<D: Disk> Wal<D> {
    /// Reads the entries of `range`, in order, each verified: as many as have payloads of at most `bytes_max` bytes
    /// together, but at least one unless the range is empty. What is only staged is written first, not synced.
    ///
    /// Payloads are slices of the chunks that were read.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]: nothing is returned if the range is not wholly in the log, or one of its entries is damaged.
    pub fn entries(&self, range: Range<Index>, bytes_max: u64) -> Result<Vec<Entry>, ReadError> {
        let mut entries = {
            let core = self.written(Log::has_unwritten)?;
            Entries::new(&core.log, range, bytes_max)?
        };
        let mut disk = self.reads().disk.reader();
        loop {
            while let Some(op) = entries.cursor.seek()? {
                perform(&mut entries.cursor, &mut disk, op)?;
            }
            if !entries.take()? {
                return Ok(entries.into_found());
            }
        }
    }

    /// A follower of the entries from `from` on (or from the first that is not pruned): it goes on as the log grows.
    ///
    /// It lends what is written, durable or not: compare with [`Self::durable_index`] where that matters.
    pub fn follow(&self, from: Index) -> Follower<D> {
        let follow = Follow::new(&self.life.shared.lock().log, from);
        Follower { follow, disk: self.reads().disk.reader() }
    }

    /// Says that the caller has a snapshot that stands for all entries up to `index`, which must be in the log.
    ///
    /// `aux` and `bytes` (at most 64 KiB) are the caller's: the term of that entry, say, and where the snapshot is.
    /// The last mark survives every rotation and prune; a truncation from `index` or below takes it back. Marking
    /// removes nothing: [`Self::prune_through`] does.
    ///
    /// When it is durable is a matter of [`CommitPolicy`](crate::CommitPolicy).
    ///
    /// # Errors
    ///
    /// See [`SnapshotError`].
    pub fn mark_snapshot(&self, index: Index, aux: u64, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mark = SnapshotMark { index, aux, payload: bytes.to_vec() };
        self.stage_alone(|log| log.stage_snapshot(&mark))
    }

    /// The last mark that was set, unless a truncation took it back.
    pub fn snapshot(&self) -> Option<SnapshotMark> {
        self.life.shared.lock().log.snapshot().cloned()
    }
}

/// Lends the entries of a log as they come. Made by [`Wal::follow`].
///
/// It looks at the log only to learn what there is, and has files of its own; so it survives rotations, and says in
/// a typed error when a truncation or a prune reaches it.
#[derive(Debug)]
pub struct Follower<D: Disk = StdDisk> {
    follow: Follow,
    disk: D,
}

impl<D: Disk> Follower<D> {
    /// Lends the next entry of `wal`, the log that the follower was made by, or `None` behind the newest that is
    /// written; there may be more later.
    ///
    /// # Errors
    ///
    /// See [`FollowError`].
    pub fn next_entry(&mut self, wal: &Wal<D>) -> Result<Option<EntryRef<'_>>, FollowError> {
        self.seek(wal)?;
        self.follow.take()
    }

    /// The same entry to keep: its payload is a slice of the chunk that was read.
    ///
    /// # Errors
    ///
    /// See [`FollowError`].
    pub fn next_bytes(&mut self, wal: &Wal<D>) -> Result<Option<Entry>, FollowError> {
        self.seek(wal)?;
        self.follow.take_owned()
    }

    /// Index of the entry that is lent next, once it is there.
    pub fn next_index(&self) -> Index {
        self.follow.next_index()
    }

    fn seek(&mut self, wal: &Wal<D>) -> Result<(), FollowError> {
        loop {
            let sought = self.follow.seek(&wal.life.shared.lock().log)?;
            let Some(mut op) = sought else { break };
            if let Some(file) = in_memory(&self.disk, &op) {
                self.follow.handle_memory(&op, file)?;
                continue;
            }
            let outcome = self.disk.perform(&mut op);
            self.follow.handle_completion(op, outcome)?;
        }
        Ok(())
    }
}

/// Performs what a cursor asks for.
pub(crate) fn perform(cursor: &mut Cursor, disk: &mut impl Disk, mut op: Op) -> Result<(), ReadError> {
    if let Some(file) = in_memory(disk, &op) {
        return cursor.handle_memory(&op, file);
    }
    let outcome = disk.perform(&mut op);
    cursor.handle_completion(op, outcome)
}

/// Reads and verifies every frame of a segment, dead ones and states too.
pub(crate) fn verify_whole(span: Span, disk: &mut impl Disk) -> Result<(), ReadError> {
    let file = FileName::Segment(span.segment.id);
    let mut carry_out = |mut op: Op| {
        let outcome = disk.perform(&mut op);
        match outcome {
            Ok(bytes) => Ok((op, bytes)),
            Err(error) => Err(ReadError::Disk(DiskError::new(&op, error))),
        }
    };
    carry_out(Op::Open { file })?;
    let mut walk = Scan::new(span, Chunk::default(), CHUNK_BYTES);
    loop {
        match walk.peek(Part::Whole)? {
            Peek::Read => {
                let (op, bytes) = carry_out(walk.read())?;
                walk.handle_read(op, bytes)?;
            }
            Peek::Frame => {
                walk.payload()?;
                walk.advance();
            }
            Peek::End => break,
        }
    }
    carry_out(Op::Close { file })?;
    Ok(())
}

/// The file that `op` opens, if it need not be opened.
fn in_memory(disk: &impl Disk, op: &Op) -> Option<bytes::Bytes> {
    match op {
        Op::Open { file: FileName::Segment(id) } => disk.in_memory(*id),
        _ => None,
    }
}
