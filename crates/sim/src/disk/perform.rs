//! What an operation does when its time has come.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::Path;

use samestep_provider_traits::{Access, Creation, OpenOptions, Space};
use xxhash_rust::xxh3::xxh3_64;

use super::budget::Atlas;
use super::faults::DiskFault;
use super::operation::{Answer, Operation, Request};
use super::place::Place;
use super::tree::InodeId;
use super::write::Write;
use super::{Disk, FileId, LockId};
use crate::choice::ChoiceFamily;
use crate::fault::FaultFamily;
use crate::kernel::Kernel;
use crate::trace::Traced;

impl Disk {
    /// Does the operation, records it, and lets go of its file.
    pub(super) fn perform<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        atlas: &mut Atlas,
        operation: &mut Operation,
    ) -> io::Result<Answer> {
        let outcome = self.operate(kernel, atlas, operation);
        record(kernel, operation, &outcome);
        if let Some(file) = operation.request.file() {
            self.release(file.handle);
        }
        outcome
    }

    fn operate<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        atlas: &mut Atlas,
        operation: &mut Operation,
    ) -> io::Result<Answer> {
        match &operation.request {
            Request::Open { path, options } => {
                let inode = self.find_to_open(path, *options)?;
                self.tree.use_file(inode)?;
                let file = self.add_handle(inode, options.access(), options.is_direct());
                return Ok(Answer::File(file));
            }
            Request::Lock { path } => {
                let inode = self.find_to_open(path, OpenOptions::read_write().create())?;
                let file = self.tree.use_file(inode)?;
                if std::mem::replace(&mut file.is_locked, true) {
                    self.tree.unuse_file(inode);
                    return Err(ErrorKind::WouldBlock.into());
                }
                return Ok(Answer::Lock(LockId { node: self.node, boot: self.boot, inode }));
            }
            Request::CreateDirAll { path } => self.tree.create_dir_all(path)?,
            Request::Rename { from, to } => self.tree.rename(from, to)?,
            Request::Remove { path } => self.tree.remove(path)?,
            Request::List { path } => return self.tree.list(path).map(Answer::List),
            Request::Metadata { path } => {
                let inode = self.tree.find(path)?;
                return Ok(Answer::Metadata(self.tree.metadata(inode)));
            }
            Request::SyncDir { path } => {
                self.tree.find(path)?;
                if self.faults.sync_failure.acts(self.node, kernel.now, &mut kernel.choices) {
                    let path = path.clone();
                    kernel.fault(FaultFamily::SyncFailure, Some(self.node), || {
                        format!("names of folder {}", path.display())
                    });
                    return Err(io::Error::other(DiskFault::Sync));
                }
                self.tree.sync_dir(path)?;
            }
            Request::Space => {
                let total = self.capacity_bytes;
                return Ok(Answer::Space(Space::new(total, total.saturating_sub(self.tree.used_bytes()))));
            }
            Request::Read { file, offset, bytes } => {
                let (file, offset, bytes) = (*file, *offset, *bytes);
                return self
                    .read(kernel, atlas, file, offset, bytes, &mut operation.buffer)
                    .map(Answer::Count);
            }
            Request::Write { file, offset } => {
                let write = Write { file: *file, offset: *offset, number: operation.write_number };
                return self.write(kernel, &write, &operation.buffer).map(Answer::Count);
            }
            Request::Sync { file } => self.sync(kernel, atlas, *file, operation.write_number)?,
            Request::Allocate { file, length } => {
                self.check_writable(*file)?;
                let inode = self.inode_of(*file);
                if *length > self.tree.file(inode).contents.room() {
                    self.take_room(kernel, inode, *length, *length)?;
                }
                let number = operation.write_number;
                let contents = &mut self.tree.file_mut(inode).contents;
                if *length > contents.len() {
                    contents.set_len(*length, number, &mut self.spare);
                }
                contents.reserve(*length);
            }
            Request::SetLen { file, length } => {
                self.check_writable(*file)?;
                check_length(*length, 0)?;
                let inode = self.inode_of(*file);
                let contents = &mut self.tree.file_mut(inode).contents;
                contents.set_len(*length, operation.write_number, &mut self.spare);
            }
            Request::FileMetadata { file } => {
                return Ok(Answer::Metadata(self.tree.metadata(self.inode_of(*file))));
            }
            Request::Close { file } => {
                let handle = self.handle_mut(*file).expect("it is kept while it is used");
                handle.is_closed = true;
                if let Some(error) = handle.dropped_error.take() {
                    return Err(error);
                }
            }
        }
        Ok(Answer::Done)
    }

    fn find_to_open(&mut self, path: &Path, options: OpenOptions) -> io::Result<InodeId> {
        match (self.tree.find(path), options.creation()) {
            (Ok(_), Creation::New) => Err(ErrorKind::AlreadyExists.into()),
            (Ok(inode), Creation::Never | Creation::IfMissing) => Ok(inode),
            (Ok(inode), Creation::Empty) => {
                let file = self.tree.use_file(inode)?;
                file.write_count += 1;
                file.contents.set_len(0, file.write_count, &mut self.spare);
                self.tree.unuse_file(inode);
                Ok(inode)
            }
            (Err(error), Creation::IfMissing | Creation::New | Creation::Empty)
                if error.kind() == ErrorKind::NotFound =>
            {
                self.tree.create(path)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// A length of at least one unit, and less than `count`.
    pub(super) fn shorter<E>(
        &self,
        kernel: &mut Kernel<E>,
        place: Place,
        count: usize,
        unit: usize,
    ) -> usize {
        let units = (count.div_ceil(unit) - 1) as u64;
        let fewer = kernel.choices.pick(ChoiceFamily::Disk, place.of(self.node), units);
        usize::try_from(units - fewer).expect("at most a buffer") * unit
    }

    pub(super) fn check_writable(&mut self, file: FileId) -> io::Result<()> {
        match self.handle_mut(file).expect("it is kept while it is used").access {
            Access::ReadWrite => Ok(()),
            Access::Read => Err(ErrorKind::PermissionDenied.into()),
        }
    }

    pub(super) fn check_aligned(&self, file: FileId, offset: u64, bytes: usize) -> io::Result<()> {
        let unit = self.unit(file);
        if offset.is_multiple_of(unit as u64) && bytes.is_multiple_of(unit) {
            return Ok(());
        }
        let message = format!("{bytes} bytes at {offset} of a direct file: both must be multiples of {unit}");
        Err(io::Error::new(ErrorKind::InvalidInput, message))
    }

    /// What lengths and offsets are multiples of.
    pub(super) fn unit(&self, file: FileId) -> usize {
        let handle = self.handles[file.handle as usize].as_ref().expect("it is kept while it is used");
        if handle.is_direct { self.sector_bytes } else { 1 }
    }

    pub(super) fn may_damage(&self, atlas: &Atlas, inode: InodeId, range: &Range<u64>) -> bool {
        !atlas.is_limited() || atlas.allows(self.node, &self.tree.path_of(inode), range)
    }

    pub(super) fn damaged(&self, atlas: &mut Atlas, inode: InodeId, range: &Range<u64>) {
        if atlas.is_limited() {
            atlas.damaged(self.node, &self.tree.path_of(inode), range);
        }
    }

    /// Tells of a fault that acted on bytes of a file.
    pub(super) fn told<E>(
        &self,
        kernel: &mut Kernel<E>,
        family: FaultFamily,
        inode: InodeId,
        range: &Range<u64>,
    ) {
        let tree = &self.tree;
        kernel.fault(family, Some(self.node), || {
            let path = tree.path_of(inode);
            format!("{}, offset {}, {} bytes", path.display(), range.start, range.end - range.start)
        });
    }

    pub(super) fn sector_range(&self, sector: u64) -> Range<u64> {
        super::contents::sector_range(sector, self.sector_bytes)
    }
}

fn record<E>(kernel: &mut Kernel<E>, operation: &Operation, outcome: &io::Result<Answer>) {
    let (mut offset, mut bytes) = (0, 0);
    let digest = match &operation.request {
        Request::Read { offset: at, .. } | Request::Write { offset: at, .. } => {
            offset = *at;
            digest_of_moved(&operation.buffer, outcome, &mut bytes)
        }
        Request::Allocate { length, .. } | Request::SetLen { length, .. } => {
            offset = *length;
            0
        }
        Request::Rename { from, to } => digest_of_path(from) ^ digest_of_path(to).rotate_left(1),
        Request::Open { path, .. }
        | Request::SyncDir { path }
        | Request::Remove { path }
        | Request::CreateDirAll { path }
        | Request::List { path }
        | Request::Metadata { path }
        | Request::Lock { path } => digest_of_path(path),
        Request::Sync { .. } | Request::Space | Request::FileMetadata { .. } | Request::Close { .. } => 0,
    };
    let kind = operation.request.kind();
    let file = operation.inode.map_or(u64::MAX, u64::from);
    let ok = outcome.is_ok();
    let word = u64::from(b'd') | u64::from(ok) << 8 | (kind as u64) << 16 | bytes << 24;
    kernel.record([word, file, offset, digest], || Traced::Disk {
        operation: kind,
        file,
        offset,
        bytes,
        digest,
        ok,
    });
}

/// The digest of the bytes of `buffer` that moved, and how many they are.
fn digest_of_moved(buffer: &[u8], outcome: &io::Result<Answer>, bytes: &mut u64) -> u64 {
    let Ok(Answer::Count(count)) = outcome else { return 0 };
    *bytes = *count as u64;
    xxh3_64(&buffer[..*count])
}

fn digest_of_path(path: &Path) -> u64 {
    xxh3_64(path.as_os_str().as_encoded_bytes())
}

/// Where `bytes` from `offset` end, if a file may be so long.
pub(super) fn check_length(offset: u64, bytes: u64) -> io::Result<u64> {
    offset
        .checked_add(bytes)
        .filter(|end| *end <= FILE_BYTES_MAX)
        .ok_or_else(|| ErrorKind::FileTooLarge.into())
}

/// As long as a file may be on ext4.
const FILE_BYTES_MAX: u64 = 16 << 40;
