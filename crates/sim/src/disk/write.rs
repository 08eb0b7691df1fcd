//! Writes into the cache, and the room that they need.

use std::io::{self, ErrorKind};

use super::contents::Fate;
use super::faults::DiskFault;
use super::perform::check_length;
use super::place::Place;
use super::tree::InodeId;
use super::{Disk, FileId};
use crate::choice::ChoiceFamily;
use crate::fault::FaultFamily;
use crate::kernel::Kernel;

/// A write: to which file, where, and its number there.
pub(super) struct Write {
    pub(super) file: FileId,
    pub(super) offset: u64,
    pub(super) number: u64,
}

impl Disk {
    pub(super) fn write<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        write: &Write,
        bytes: &[u8],
    ) -> io::Result<usize> {
        let &Write { file, offset, number } = write;
        self.check_writable(file)?;
        self.check_aligned(file, offset, bytes.len())?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let end = check_length(offset, bytes.len() as u64)?;
        let (inode, unit) = (self.inode_of(file), self.unit(file));
        let fails = self.faults.write_error.acts(self.node, kernel.now, &mut kernel.choices);
        let mut count = bytes.len();
        if fails {
            let units = (bytes.len() / unit) as u64 + 1;
            let landed = kernel.choices.pick(ChoiceFamily::Disk, Place::WriteError.of(self.node), units);
            count = usize::try_from(landed).expect("at most a buffer") * unit;
        } else if count > unit && self.faults.short_write.acts(self.node, kernel.now, &mut kernel.choices) {
            count = self.shorter(kernel, Place::ShortWrite, count, unit);
            self.told(kernel, FaultFamily::ShortIo, inode, &(offset + count as u64..end));
        }
        let room = self.tree.file(inode).contents.room();
        if count > 0 && offset + count as u64 > room {
            let least = offset.max(room) + unit as u64;
            let end = match self.take_room(kernel, inode, least, offset + count as u64) {
                Ok(end) => end,
                // What lies before the room that there is needs none.
                Err(_) if offset < room => room,
                Err(error) => return Err(error),
            };
            let fits = usize::try_from(end - offset).expect("at most a buffer");
            count = count.min(fits - fits % unit);
            if count == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
        }
        let fate = self.fate(kernel, count);
        let contents = &mut self.tree.file_mut(inode).contents;
        if count > 0 {
            contents.write(offset, &bytes[..count], number, fate, &mut self.spare);
        }
        if fails {
            self.told(kernel, FaultFamily::WriteError, inode, &(offset..end));
            return Err(io::Error::other(DiskFault::Write { offset, bytes: bytes.len() as u64 }));
        }
        Ok(count)
    }

    /// What will become of the bytes of a write when they are synced.
    fn fate<E>(&mut self, kernel: &mut Kernel<E>, bytes: usize) -> Fate {
        let place = Place::Write.of(self.node);
        if self.faults.phantom_write.acts(self.node, kernel.now, &mut kernel.choices) {
            return Fate::Phantom;
        }
        if self.faults.misdirected_write.acts(self.node, kernel.now, &mut kernel.choices) {
            let place = Place::MisdirectedWrite.of(self.node);
            let sectors = kernel.choices.within(ChoiceFamily::Disk, place, 1..MISDIRECTED_SECTORS_MAX);
            return Fate::Misdirected { sectors };
        }
        if kernel.choices.happens(ChoiceFamily::Disk, place, self.faults.write_flip) {
            let bits = (bytes.min(self.sector_bytes) * 8) as u64;
            return Fate::Flipped { bit: kernel.choices.pick(ChoiceFamily::Disk, place, bits) };
        }
        Fate::Lands
    }

    /// Takes room on the device for the file up to `end`, or at least up to `least`, and tells how far there is.
    pub(super) fn take_room<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        inode: InodeId,
        least: u64,
        end: u64,
    ) -> io::Result<u64> {
        let room = self.tree.file(inode).contents.room();
        let is_full = self.faults.is_full(kernel);
        let available = self.capacity_bytes.saturating_sub(self.tree.used_bytes());
        let reach = if is_full { room } else { room.saturating_add(available).min(end) };
        if reach < end {
            self.told(kernel, FaultFamily::NoSpace, inode, &(reach..end));
        }
        if reach < least { Err(ErrorKind::StorageFull.into()) } else { Ok(reach) }
    }
}

/// A misdirected write lands less than this many sectors further.
const MISDIRECTED_SECTORS_MAX: u64 = 64;
