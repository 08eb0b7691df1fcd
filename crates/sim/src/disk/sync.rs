//! Syncs: what is written becomes durable, or is lost.

use std::io;

use super::budget::Atlas;
use super::contents::{Fate, Flushed};
use super::faults::DiskFault;
use super::place::Place;
use super::tree::InodeId;
use super::{Disk, FileId};
use crate::choice::ChoiceFamily;
use crate::fault::FaultFamily;
use crate::kernel::Kernel;

impl Disk {
    pub(super) fn sync<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        atlas: &mut Atlas,
        file: FileId,
        write: u64,
    ) -> io::Result<()> {
        let inode = self.inode_of(file);
        let handle = self.handle_mut(file).expect("it is kept while it is used");
        if handle.is_poisoned {
            return Err(io::Error::other(DiskFault::Poisoned));
        }
        if let Some(error) = handle.dropped_error.take() {
            return Err(error);
        }
        if self.faults.sync_failure.acts(self.node, kernel.now, &mut kernel.choices) {
            self.fail_sync(kernel, inode, write);
            return Err(io::Error::other(DiskFault::Sync));
        }
        let mut flushed = std::mem::take(&mut self.flushed);
        self.tree.file_mut(inode).contents.flush(write, &mut flushed);
        for sector in flushed.drain(..) {
            self.flush(kernel, atlas, inode, &sector);
            self.spare.give(sector.bytes);
        }
        self.flushed = flushed;
        Ok(())
    }

    fn fail_sync<E>(&mut self, kernel: &mut Kernel<E>, inode: InodeId, write: u64) {
        let lost = self.tree.file_mut(inode).contents.lose(write);
        for handle in self.handles.iter_mut().flatten().filter(|handle| handle.inode == inode) {
            handle.is_poisoned = true;
        }
        for range in &lost {
            self.told(kernel, FaultFamily::SyncFailure, inode, range);
        }
        if lost.is_empty() {
            self.told(kernel, FaultFamily::SyncFailure, inode, &(0..0));
        }
        if kernel.choices.pick(ChoiceFamily::Disk, Place::SyncFailure.of(self.node), 2) == 1 {
            self.tree.file_mut(inode).contents.forget_lost(&mut self.spare);
        }
    }

    /// Puts one sector on the medium, or does to it what its fate is.
    fn flush<E>(&mut self, kernel: &mut Kernel<E>, atlas: &mut Atlas, inode: InodeId, flushed: &Flushed) {
        let (sector, size) = (flushed.sector, self.sector_bytes as u64);
        let range = self.sector_range(sector);
        let contents = &self.tree.file(inode).contents;
        let sectors = contents.media_sectors().max(contents.len().div_ceil(size)).max(1);
        let (family, target) = match flushed.fate {
            Fate::Phantom => (FaultFamily::PhantomWrite, None),
            Fate::Misdirected { sectors: further } => {
                (FaultFamily::MisdirectedWrite, Some((sector + further) % sectors))
            }
            Fate::Flipped { .. } => (FaultFamily::BitRot, Some(sector)),
            Fate::Lands | Fate::Lost => return self.land(atlas, inode, sector, &flushed.bytes),
        };
        let reaches = target.unwrap_or(sector);
        let both = range.start.min(reaches * size)..range.end.max((reaches + 1) * size);
        let is_moved = target.is_some_and(|target| target != sector);
        let is_seen = match flushed.fate {
            Fate::Flipped { .. } => true,
            Fate::Misdirected { .. } if !is_moved => false,
            _ => *self.tree.file(inode).contents.on_medium(sector) != *flushed.bytes,
        };
        if !is_seen || !self.may_damage(atlas, inode, &both) {
            return self.land(atlas, inode, sector, &flushed.bytes);
        }
        match (flushed.fate, target) {
            (Fate::Flipped { bit }, _) => {
                let mut bytes = flushed.bytes.clone();
                bytes[usize::try_from(bit / 8).expect("within a sector")] ^= 1 << (bit % 8);
                self.land(atlas, inode, sector, &bytes);
            }
            (_, Some(target)) => {
                self.land(atlas, inode, target, &flushed.bytes);
                let range = self.sector_range(target);
                self.damaged(atlas, inode, &range);
                self.told(kernel, family, inode, &range);
            }
            (_, None) => {}
        }
        self.damaged(atlas, inode, &range);
        self.told(kernel, family, inode, &range);
    }

    fn land(&mut self, atlas: &mut Atlas, inode: InodeId, sector: u64, bytes: &[u8]) {
        self.tree.file_mut(inode).contents.land(sector, bytes);
        if atlas.has_damage() {
            atlas.repaired(self.node, &self.tree.path_of(inode), &self.sector_range(sector));
        }
    }
}
