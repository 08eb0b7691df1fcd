//! The folder of a log as an image in memory, to be copied, damaged and opened.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use samestep_wal::{Disk, FileName, Op};

type Files = BTreeMap<FileName, Vec<u8>>;

/// Files of one folder. Handles made by [`Disk::reader`] see the same files; clones do not.
#[derive(Debug, Default)]
pub(super) struct Image {
    files: Arc<Mutex<Files>>,
}

impl Image {
    /// A copy of the files as they are now.
    pub(super) fn snapshot(&self) -> Self {
        Self { files: Arc::new(Mutex::new(self.files().clone())) }
    }

    /// Another handle to the same files.
    pub(super) fn handle(&self) -> Self {
        Self { files: Arc::clone(&self.files) }
    }

    /// The newest segment.
    pub(super) fn newest_segment(&self) -> Option<FileName> {
        let files = self.files();
        files.keys().filter(|name| matches!(name, FileName::Segment(_))).max().copied()
    }

    /// The bytes of `file`.
    pub(super) fn bytes(&self, file: FileName) -> Vec<u8> {
        self.files().get(&file).cloned().unwrap_or_default()
    }

    /// Zeroes `file` from `offset` on, as a write that never reached a zero-filled medium.
    pub(super) fn zero_from(&self, file: FileName, offset: usize) {
        if let Some(bytes) = self.files().get_mut(&file) {
            bytes[offset..].fill(0);
        }
    }

    /// The names of all files.
    pub(super) fn names(&self) -> Vec<FileName> {
        self.files().keys().copied().collect()
    }

    /// Flips `bits` of the byte at `offset` of `file`.
    pub(super) fn flip(&self, file: FileName, offset: usize, bits: u8) {
        if let Some(contents) = self.files().get_mut(&file) {
            contents[offset] ^= bits;
        }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, file: FileName, operate: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        self.files().get_mut(&file).map(operate).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for Image {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        match op {
            Op::List { names } => {
                *names = self.files().keys().map(FileName::to_string).collect();
                Ok(0)
            }
            Op::Open { file } => self.with(*file, |bytes| bytes.len() as u64),
            Op::Create { file } => {
                self.files().insert(*file, Vec::new());
                Ok(0)
            }
            Op::Lock => {
                self.files().entry(FileName::Lock).or_default();
                Ok(0)
            }
            Op::ReadAt { file, offset, buf } => self.with(*file, |bytes| read(bytes, *offset, buf)),
            Op::WriteAt { file, offset, buf } => self.with(*file, |bytes| write(bytes, *offset, buf)),
            Op::WriteZeros { file, len, .. } => self.with(*file, |bytes| resize(bytes, *len)),
            Op::SetLen { file, len } => self.with(*file, |bytes| resize(bytes, *len)),
            Op::Remove { file } => {
                self.files().remove(file);
                Ok(0)
            }
            // Nothing here is ever lost: images are damaged by hand.
            Op::CreateDir | Op::SyncParent | Op::SyncDir | Op::SyncData { .. } | Op::Close { .. } => Ok(0),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn reader(&self) -> Self {
        self.handle()
    }
}

fn read(bytes: &[u8], offset: u64, buf: &mut [u8]) -> u64 {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    let count = buf.len().min(bytes.len() - start);
    buf[..count].copy_from_slice(&bytes[start..start + count]);
    count as u64
}

fn write(bytes: &mut Vec<u8>, offset: u64, buf: &[u8]) -> u64 {
    let start = usize::try_from(offset).expect("images are small");
    if bytes.len() < start + buf.len() {
        bytes.resize(start + buf.len(), 0);
    }
    bytes[start..start + buf.len()].copy_from_slice(buf);
    buf.len() as u64
}

fn resize(bytes: &mut Vec<u8>, len: u64) -> u64 {
    bytes.resize(usize::try_from(len).expect("images are small"), 0);
    len
}
