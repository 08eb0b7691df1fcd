//! Reading and snapshot marks, on the asynchronous face.

use std::fmt;
use std::ops::Range;

use samestep_provider_traits::StorageProvider;
use samestep_replay_traits::Index;

use crate::async_wal::AsyncWal;
use crate::entries::Entries;
use crate::error::{FollowError, ReadError, SnapshotError};
use crate::follow::Follow;
use crate::provider_io::ProviderDisk;
use crate::record::{Entry, EntryRef};
use crate::view::SnapshotMark;

impl<S: StorageProvider> AsyncWal<S> {
    /// Reads the entries of `range`, in order, each verified: as many as have payloads of at most `bytes_max` bytes
    /// together, but at least one unless the range is empty. What is only staged is written first, not synced.
    ///
    /// Payloads are slices of the chunks that were read.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]: nothing is returned if the range is not wholly in the log, or one of its entries is damaged.
    pub async fn entries(&mut self, range: Range<Index>, bytes_max: u64) -> Result<Vec<Entry>, ReadError> {
        self.flush_for_read().await?;
        let mut entries = Entries::new(&self.log, range, bytes_max)?;
        let mut disk = self.disk.reader();
        loop {
            while let Some(op) = entries.cursor.seek()? {
                let (op, outcome) = disk.perform(op).await;
                entries.cursor.handle_completion(op, outcome)?;
            }
            if !entries.take()? {
                return Ok(entries.into_found());
            }
        }
    }

    /// A follower of the entries from `from` on (or from the first that is not pruned): it goes on as the log grows.
    ///
    /// It lends what is written, durable or not: compare with [`Self::durable_index`] where that matters.
    pub fn follow(&self, from: Index) -> AsyncFollower<S> {
        AsyncFollower { follow: Follow::new(&self.log, from), disk: self.disk.reader() }
    }

    /// Says that the caller has a snapshot that stands for all entries up to `index`, which must be in the log.
    /// Else like [`Wal::mark_snapshot`](crate::Wal::mark_snapshot).
    ///
    /// # Errors
    ///
    /// See [`SnapshotError`].
    pub async fn mark_snapshot(&mut self, index: Index, aux: u64, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mark = SnapshotMark { index, aux, payload: bytes.to_vec() };
        while !self.log.stage_snapshot(&mark)? {
            self.drive().await?;
        }
        self.commit().await?;
        Ok(())
    }

    /// The last mark that was set, unless a truncation took it back.
    pub fn snapshot(&self) -> Option<&SnapshotMark> {
        self.log.snapshot()
    }
}

/// Lends the entries of a log as they come. Made by [`AsyncWal::follow`].
///
/// A future that is dropped before it is over loses the place in the file: follow anew from
/// [`Self::next_index`].
pub struct AsyncFollower<S: StorageProvider> {
    follow: Follow,
    disk: ProviderDisk<S>,
}

impl<S: StorageProvider> fmt::Debug for AsyncFollower<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFollower").field("follow", &self.follow).finish_non_exhaustive()
    }
}

impl<S: StorageProvider> AsyncFollower<S> {
    /// Lends the next entry of `wal`, the log that the follower was made by, or `None` behind the newest that is
    /// written; there may be more later.
    ///
    /// # Errors
    ///
    /// See [`FollowError`].
    pub async fn next_entry(&mut self, wal: &AsyncWal<S>) -> Result<Option<EntryRef<'_>>, FollowError> {
        self.seek(wal).await?;
        self.follow.take()
    }

    /// The same entry to keep: its payload is a slice of the chunk that was read.
    ///
    /// # Errors
    ///
    /// See [`FollowError`].
    pub async fn next_bytes(&mut self, wal: &AsyncWal<S>) -> Result<Option<Entry>, FollowError> {
        self.seek(wal).await?;
        self.follow.take_owned()
    }

    /// Index of the entry that is lent next, once it is there.
    pub fn next_index(&self) -> Index {
        self.follow.next_index()
    }

    async fn seek(&mut self, wal: &AsyncWal<S>) -> Result<(), FollowError> {
        while let Some(op) = self.follow.seek(&wal.log)? {
            let (op, outcome) = self.disk.perform(op).await;
            self.follow.handle_completion(op, outcome)?;
        }
        Ok(())
    }
}
