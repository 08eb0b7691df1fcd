//! Reads, and what becomes of bytes while they lie on the medium.

use std::io;
use std::ops::Range;

use super::budget::Atlas;
use super::faults::DiskFault;
use super::place::Place;
use super::tree::InodeId;
use super::{Disk, FileId};
use crate::choice::ChoiceFamily;
use crate::fault::FaultFamily;
use crate::kernel::Kernel;

impl Disk {
    pub(super) fn read<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        atlas: &mut Atlas,
        file: FileId,
        offset: u64,
        bytes: usize,
        buffer: &mut Vec<u8>,
    ) -> io::Result<usize> {
        self.check_aligned(file, offset, bytes)?;
        let inode = self.inode_of(file);
        let len = self.tree.file(inode).contents.len();
        let there = usize::try_from(len.saturating_sub(offset)).map_or(bytes, |there| there.min(bytes));
        if there == 0 {
            return Ok(0);
        }
        let range = offset..offset + there as u64;
        self.decay(kernel, atlas, inode, &range);
        let fails = self.faults.read_error.acts(self.node, kernel.now, &mut kernel.choices);
        if fails || self.tree.file(inode).contents.is_bad(range.clone()) {
            self.told(kernel, FaultFamily::ReadError, inode, &range);
            return Err(io::Error::other(DiskFault::Read { offset, bytes: there as u64 }));
        }
        let unit = self.unit(file);
        let mut count = there;
        if there > unit && self.faults.short_read.acts(self.node, kernel.now, &mut kernel.choices) {
            count = self.shorter(kernel, Place::ShortRead, there, unit);
            self.told(kernel, FaultFamily::ShortIo, inode, &(offset + count as u64..range.end));
        }
        buffer.clear();
        buffer.resize(count, 0);
        self.tree.file(inode).contents.read(offset, buffer);
        if self.faults.misdirected_read.acts(self.node, kernel.now, &mut kernel.choices) {
            self.misdirect(kernel, inode, offset, buffer);
        }
        Ok(count)
    }

    /// Puts another place's bytes into a buffer that was read from `offset`, if they are others.
    fn misdirect<E>(&mut self, kernel: &mut Kernel<E>, inode: InodeId, offset: u64, buffer: &mut [u8]) {
        let (file, sector) = self.some_sector(kernel, Place::MisdirectedRead);
        let (Some(file), size) = (file, self.sector_bytes as u64) else { return };
        let from = sector * size + offset % size;
        let mut other = vec![0; buffer.len()];
        self.tree.file(file).contents.read(from, &mut other);
        if other != buffer {
            buffer.copy_from_slice(&other);
            let range = offset..offset + buffer.len() as u64;
            self.told(kernel, FaultFamily::MisdirectedRead, inode, &range);
        }
    }

    /// Durable bytes that went bad before a read of `range` of a file: of that range, or anywhere.
    fn decay<E>(&mut self, kernel: &mut Kernel<E>, atlas: &mut Atlas, inode: InodeId, range: &Range<u64>) {
        let place = Place::Read.of(self.node);
        if kernel.choices.happens(ChoiceFamily::Disk, place, self.faults.read_flip) {
            let bit = kernel.choices.within(ChoiceFamily::Disk, place, range.start * 8..range.end * 8);
            self.rot(kernel, atlas, inode, bit);
        }
        if self.faults.bit_rot.acts(self.node, kernel.now, &mut kernel.choices) {
            let (file, sector) = self.some_sector(kernel, Place::BitRot);
            let bits = self.sector_bytes as u64 * 8;
            let bit = kernel.choices.pick(ChoiceFamily::Disk, Place::BitRot.of(self.node), bits);
            if let Some(file) = file {
                self.rot(kernel, atlas, file, sector * bits + bit);
            }
        }
        if self.faults.latent_error.acts(self.node, kernel.now, &mut kernel.choices) {
            let (file, sector) = self.some_sector(kernel, Place::LatentError);
            if let Some(file) = file {
                self.spoil(kernel, atlas, file, sector);
            }
        }
    }

    fn rot<E>(&mut self, kernel: &mut Kernel<E>, atlas: &mut Atlas, inode: InodeId, bit: u64) {
        let range = bit / 8..bit / 8 + 1;
        if self.may_damage(atlas, inode, &range) && self.tree.file_mut(inode).contents.flip_durable(bit) {
            self.damaged(atlas, inode, &range);
            self.told(kernel, FaultFamily::BitRot, inode, &range);
        }
    }

    /// Makes a sector unreadable.
    pub(super) fn spoil<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        atlas: &mut Atlas,
        inode: InodeId,
        sector: u64,
    ) {
        let range = self.sector_range(sector);
        if self.may_damage(atlas, inode, &range) {
            self.tree.file_mut(inode).contents.spoil(sector);
            self.damaged(atlas, inode, &range);
            self.told(kernel, FaultFamily::LatentError, inode, &range);
        }
    }

    /// A file and a sector of its medium; no file if there is none with bytes on the medium.
    fn some_sector<E>(&self, kernel: &mut Kernel<E>, place: Place) -> (Option<InodeId>, u64) {
        let place = place.of(self.node);
        let stored = || self.tree.files().filter(|(_, file)| file.contents.media_sectors() > 0);
        let count = stored().count() as u64;
        let number = kernel.choices.pick(ChoiceFamily::Disk, place, count);
        let chosen = stored().zip(0..).find(|(_, at)| *at == number).map(|(file, _)| file);
        let Some((inode, file)) = chosen else { return (None, 0) };
        let sector = kernel.choices.pick(ChoiceFamily::Disk, place, file.contents.media_sectors());
        (Some(inode), sector)
    }
}
