//! The driver over a [`StorageProvider`]: a ring, tokio, or a simulated disk.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use samestep_provider_traits::{File, IoBufMut, OpenOptions, StorageProvider};

use crate::op::{FileName, Op};

/// One folder of a provider's storage.
pub(crate) struct ProviderDisk<S: StorageProvider> {
    storage: S,
    dir: PathBuf,
    files: BTreeMap<FileName, S::File>,
    lock: Option<S::Lock>,
}

impl<S: StorageProvider> ProviderDisk<S> {
    pub(crate) fn new(storage: S, dir: PathBuf) -> Self {
        Self { storage, dir, files: BTreeMap::new(), lock: None }
    }

    /// The same folder, with no file open and without the lock.
    pub(crate) fn reader(&self) -> Self {
        Self::new(self.storage.clone(), self.dir.clone())
    }

    /// Performs `op` and gives it back with its outcome.
    pub(crate) async fn perform(&mut self, op: Op) -> (Op, io::Result<u64>) {
        match op {
            Op::ReadAt { file, offset, buf } => {
                let (buf, outcome) = self.read_at(file, offset, buf).await;
                (Op::ReadAt { file, offset, buf }, outcome)
            }
            Op::WriteAt { file, offset, buf } => {
                let Some(handle) = self.files.get(&file) else {
                    return (Op::WriteAt { file, offset, buf }, Err(not_open(file)));
                };
                let (outcome, buf) = handle.write_all_at(buf, offset).await;
                let outcome = outcome.map(|()| buf.len() as u64);
                (Op::WriteAt { file, offset, buf }, outcome)
            }
            Op::List { .. } => match self.storage.list(&self.dir).await {
                Ok(found) => {
                    let names = found.iter().map(|entry| entry.name.to_string_lossy().into_owned()).collect();
                    (Op::List { names }, Ok(0))
                }
                Err(error) => (Op::List { names: Vec::new() }, Err(error)),
            },
            op => {
                let outcome = self.perform_without_buffer(&op).await;
                (op, outcome)
            }
        }
    }

    async fn perform_without_buffer(&mut self, op: &Op) -> io::Result<u64> {
        match op {
            Op::CreateDir => self.storage.create_dir_all(&self.dir).await.map(|()| 0),
            Op::SyncParent => {
                // Any folder on the way may have been created with this one.
                for above in self.dir.ancestors().skip(1) {
                    self.storage.sync_dir(above).await?;
                }
                Ok(0)
            }
            Op::SyncDir => self.storage.sync_dir(&self.dir).await.map(|()| 0),
            Op::Lock => {
                self.lock = Some(self.storage.lock(&self.path(FileName::Lock)).await?);
                Ok(0)
            }
            Op::Open { file } => {
                let path = self.path(*file);
                let handle = match self.storage.open(&path, OpenOptions::read_write()).await {
                    // Segments that were mapped are read-only.
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                        self.storage.open(&path, OpenOptions::read_only()).await?
                    }
                    outcome => outcome?,
                };
                let len = handle.metadata().await?.len;
                self.files.insert(*file, handle);
                Ok(len)
            }
            Op::Create { file } => {
                let options = OpenOptions::read_write().create_empty();
                let handle = self.storage.open(&self.path(*file), options).await?;
                self.files.insert(*file, handle);
                Ok(0)
            }
            Op::WriteZeros { file, len, may_be_hole: true } => {
                self.file(*file)?.set_len(*len).await.map(|()| 0)
            }
            Op::WriteZeros { file, len, may_be_hole: false } => self.write_zeros(*file, *len).await,
            Op::SyncData { file } => self.file(*file)?.sync_data().await.map(|()| 0),
            Op::SetLen { file, len } => self.file(*file)?.set_len(*len).await.map(|()| 0),
            Op::Remove { file } => {
                self.files.remove(file);
                self.storage.remove(&self.path(*file)).await.map(|()| 0)
            }
            Op::Close { file: FileName::Lock } => {
                self.lock = None;
                Ok(0)
            }
            Op::Close { file } => match self.files.remove(file) {
                Some(handle) => handle.close().await.map(|()| 0),
                None => Ok(0),
            },
            Op::ReadAt { .. } | Op::WriteAt { .. } | Op::List { .. } => panic!("it has a buffer"),
        }
    }

    async fn read_at(&self, file: FileName, offset: u64, buf: Vec<u8>) -> (Vec<u8>, io::Result<u64>) {
        let Some(handle) = self.files.get(&file) else { return (buf, Err(not_open(file))) };
        let wanted = buf.len();
        let mut read = 0;
        let mut rest = buf.slice_mut(0..wanted);
        let outcome = loop {
            if read == wanted {
                break Ok(read as u64);
            }
            let outcome;
            (outcome, rest) = handle.read_at(rest, offset + read as u64).await;
            match outcome {
                Ok(0) => break Ok(read as u64),
                Ok(bytes) => {
                    read += bytes;
                    rest = rest.advance(bytes);
                }
                Err(error) => break Err(error),
            }
        };
        let mut buf = rest.into_inner();
        // A vector is left as long as what was read; the core tells a short read by the outcome alone.
        buf.resize(wanted, 0);
        (buf, outcome)
    }

    /// Writes zeros rather than allocating: only bytes that were written cost a later write no metadata.
    async fn write_zeros(&self, file: FileName, len: u64) -> io::Result<u64> {
        let handle = self.file(file)?;
        let mut zeros = vec![0; usize::try_from(len.min(ZEROS_BYTES)).map_err(io::Error::other)?];
        let mut offset = 0;
        while offset < len {
            zeros.truncate(usize::try_from(len - offset).unwrap_or(usize::MAX));
            let outcome;
            (outcome, zeros) = handle.write_all_at(zeros, offset).await;
            outcome?;
            offset += zeros.len() as u64;
        }
        Ok(len)
    }

    fn file(&self, file: FileName) -> io::Result<&S::File> {
        self.files.get(&file).ok_or_else(|| not_open(file))
    }

    fn path(&self, file: FileName) -> PathBuf {
        self.dir.join(file.to_string())
    }
}

fn not_open(file: FileName) -> io::Error {
    io::Error::other(format!("{file} is not open"))
}

/// How much is zeroed by one call.
const ZEROS_BYTES: u64 = 1 << 20;
