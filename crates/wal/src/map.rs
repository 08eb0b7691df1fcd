//! Sealed segments as memory: the one module that is not safe by itself.
//!
//! A map shows whatever the file holds at the moment of the look. The compiler takes bytes behind a reference for
//! constant, and a page that is gone kills the process; neither can be ruled out from here. So mapping is asked for by
//! a call that is `unsafe`, and done only to what this crate itself never changes again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use memmap2::{Mmap, MmapOptions};

use crate::disk::Disk;
use crate::error::ReadError;
use crate::format::to_usize;
use crate::id::SegmentId;
use crate::op::{DiskError, FileName, Op};
use crate::wal::{Wal, verify_whole};

impl Wal {
    /// Maps the segments that are sealed by now, and returns how many are newly mapped. From then on readers,
    /// followers and look-ups of this handle use the maps; payloads from `next_bytes`, `entries` and `read` are slices
    /// of them and keep them alive, beyond a prune and beyond the handle.
    ///
    /// Each segment is first read and verified as a whole, the ordinary way, and its file made read-only (0444). The
    /// newest segment is never mapped; call again after rotations. Checksums are verified on each hand-out as always.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]. Segments before the failed one are mapped; the failed one and those behind are read as before.
    ///
    /// # Safety
    ///
    /// As long as a map lives, that is until this handle, its readers and every payload out of them are dropped:
    ///
    /// - No process may write to, truncate, or replace the contents of the files of sealed segments. This crate does
    ///   not; `LOCK` keeps its other handles out, and the mode stops accidents, but neither stops a stranger.
    /// - The files must stay readable: a failing medium or a network file system that goes away raises `SIGBUS` on the
    ///   next look, which kills the process where a read would have returned an error.
    pub unsafe fn map_sealed(&self) -> Result<usize, ReadError> {
        let (spans, disk) = self.sealed_spans();
        let mut count = 0;
        for span in spans {
            let (id, end) = (span.segment.id, to_usize(span.segment.end));
            if disk.in_memory(id).is_some() {
                continue;
            }
            verify_whole(span, &mut disk.reader())?;
            let path = disk.path(FileName::Segment(id));
            let map = || {
                fs::set_permissions(&path, fs::Permissions::from_mode(READ_ONLY))?;
                let file = File::open(&path)?;
                if file.metadata()?.len() < end as u64 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                // SAFETY: the segment is sealed, so this crate writes it no more, and trims it, if at all, to no less
                // than `end`, where the map ends. That nobody else changes the file is what the caller promises.
                unsafe { MmapOptions::new().len(end).map(&file) }
            };
            let op = Op::Open { file: FileName::Segment(id) };
            disk.maps().insert(id, map().map_err(|error| ReadError::Disk(DiskError::new(&op, error)))?);
            count += 1;
        }
        Ok(count)
    }
}

/// The mapped segments of one log. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Maps(Arc<Mutex<BTreeMap<SegmentId, Bytes>>>);

impl Maps {
    pub(crate) fn get(&self, segment: SegmentId) -> Option<Bytes> {
        self.lock().get(&segment).cloned()
    }

    /// Forgets a segment whose file is removed. Whoever has a share of the map keeps it.
    pub(crate) fn remove(&self, segment: SegmentId) {
        self.lock().remove(&segment);
    }

    fn insert(&self, segment: SegmentId, map: Mmap) {
        self.lock().insert(segment, Bytes::from_owner(map));
    }

    /// A map of maps is whole whenever its lock is free.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<SegmentId, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mode of a mapped file.
const READ_ONLY: u32 = 0o444;

#[cfg(test)]
mod tests;
