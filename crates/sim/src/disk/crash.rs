//! What a power cut leaves of what was not synced.

use std::ops::Range;

use super::Disk;
use super::budget::Atlas;
use super::contents::{Cached, Fate, Ranges};
use super::operation::{Operation, Request};
use super::place::Place;
use super::tree::InodeId;
use crate::choice::ChoiceFamily;
use crate::fault::FaultFamily;
use crate::kernel::Kernel;

/// What a crash does to that which was not synced. Which it is, is decided once a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CrashKind {
    /// Nothing: the kernel lives, and its cache with it.
    Clean,
    /// All of it is lost.
    LosesAll,
    /// Each part is decided by itself.
    Mixed,
}

/// What a crash left of a file.
struct Left {
    len: u64,
    is_cut_lost: bool,
    /// Sectors that are not as they were on the medium.
    sectors: Vec<(u64, Box<[u8]>)>,
    /// Bytes that are not as the program saw them.
    changed: Ranges,
    noisy: Vec<u64>,
    bad: Vec<u64>,
}

impl Disk {
    /// The power fails while `operation` is under way: it may have been done, in part or not at all.
    pub(super) fn interrupt<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        atlas: &mut Atlas,
        operation: &mut Operation,
    ) {
        let changes = operation.request.changes_file() || operation.request.changes_names();
        let creates = matches!(operation.request, Request::Open { .. });
        if !changes && !creates {
            return;
        }
        let place = Place::CrashUnderWay.of(self.node);
        match kernel.choices.pick(ChoiceFamily::Disk, place, 3) {
            0 => drop(self.perform(kernel, atlas, operation)),
            1 => {}
            _ => {
                let bytes = operation.buffer.len() as u64;
                let landed = kernel.choices.pick(ChoiceFamily::Disk, place, bytes);
                if matches!(operation.request, Request::Write { .. }) && landed > 0 {
                    let landed = landed - landed % self.sector_bytes as u64;
                    operation.buffer.truncate(usize::try_from(landed).expect("at most a buffer"));
                    drop(self.perform(kernel, atlas, operation));
                }
            }
        }
    }

    /// The power has failed: decides what is left, and tells what of it is not what the program saw.
    pub(super) fn crash<E>(&mut self, kernel: &mut Kernel<E>, atlas: &mut Atlas) {
        let kind = self.crash_kind(kernel);
        if kind == CrashKind::Clean {
            self.tree.release_all();
            return;
        }
        let (node, place) = (self.node, Place::CrashNames.of(self.node));
        let choices = &mut kernel.choices;
        let lost =
            self.tree.crash(|| kind == CrashKind::Mixed && choices.pick(ChoiceFamily::Disk, place, 2) == 0);
        for path in lost {
            kernel.fault(FaultFamily::LostName, Some(node), || path.display().to_string());
        }
        let files: Vec<InodeId> = self.tree.files().map(|(inode, _)| inode).collect();
        for inode in files {
            self.crash_file(kernel, atlas, inode, kind);
        }
    }

    fn crash_kind<E>(&self, kernel: &mut Kernel<E>) -> CrashKind {
        let place = Place::CrashKind.of(self.node);
        if !kernel.choices.happens(ChoiceFamily::Disk, place, self.faults.crash.loses) {
            CrashKind::Clean
        } else if kernel.choices.happens(ChoiceFamily::Disk, place, self.faults.crash.mixes) {
            CrashKind::Mixed
        } else {
            CrashKind::LosesAll
        }
    }

    fn crash_file<E>(&mut self, kernel: &mut Kernel<E>, atlas: &mut Atlas, inode: InodeId, kind: CrashKind) {
        let before = self.tree.file(inode).contents.len();
        let left = self.crash_contents(kernel, atlas, inode, kind);
        let contents = &mut self.tree.file_mut(inode).contents;
        // Where the file was cut and grew again, the bytes from before the cut may be back.
        let regrown = contents.crash_parts().len_least..left.len.min(before);
        let seen_there = left.is_cut_lost.then(|| contents.bytes(&regrown));
        contents.after_crash(left.len, left.is_cut_lost, left.sectors);
        if seen_there.is_some_and(|seen| seen != contents.bytes(&regrown)) {
            self.told(kernel, FaultFamily::TornWrite, inode, &regrown);
        }
        for range in &left.changed.0 {
            self.told(kernel, FaultFamily::TornWrite, inode, range);
        }
        if left.len != before {
            let range = left.len.min(before)..left.len.max(before);
            self.told(kernel, FaultFamily::TornWrite, inode, &range);
        }
        for (sectors, family) in
            [(left.noisy, FaultFamily::CrashGarbage), (left.bad, FaultFamily::LatentError)]
        {
            for sector in sectors {
                if family == FaultFamily::LatentError {
                    self.spoil(kernel, atlas, inode, sector);
                } else {
                    let range = self.sector_range(sector);
                    self.damaged(atlas, inode, &range);
                    self.told(kernel, family, inode, &range);
                }
            }
        }
    }

    fn crash_contents<E>(
        &self,
        kernel: &mut Kernel<E>,
        atlas: &Atlas,
        inode: InodeId,
        kind: CrashKind,
    ) -> Left {
        let contents = &self.tree.file(inode).contents;
        let parts = contents.crash_parts();
        let is_cut = parts.len_least < parts.durable_len;
        let place = Place::CrashLengths.of(self.node);
        let mut pick = |bound| kernel.choices.pick(ChoiceFamily::Disk, place, bound);
        let is_cut_lost = is_cut && (kind == CrashKind::LosesAll || pick(2) == 1);
        let len = if is_cut_lost || kind == CrashKind::LosesAll {
            parts.durable_len
        } else if parts.len_least == parts.len {
            parts.len
        } else {
            match pick(3) {
                0 => parts.len,
                1 => parts.len_least,
                _ => parts.len_least + pick(parts.len - parts.len_least),
            }
        };
        let mut left = Left {
            len,
            is_cut_lost,
            sectors: Vec::new(),
            changed: Ranges::default(),
            noisy: Vec::new(),
            bad: Vec::new(),
        };
        for (cached, fate) in parts.cached.iter().zip(self.sector_fates(kernel, parts.cached, kind)) {
            let range = self.sector_range(cached.sector);
            let old = contents.on_medium(cached.sector);
            let is_there = range.start < len;
            let bytes = match fate {
                SectorFate::New => cached.bytes.clone(),
                SectorFate::Old => old,
                SectorFate::Torn { bytes, is_front_new } => torn(&old, &cached.bytes, bytes, is_front_new),
            };
            let mut bytes = bytes;
            if bytes != cached.bytes {
                left.changed.add(range.clone());
            }
            let chances = &self.faults.crash;
            let place = Place::CrashSectors.of(self.node);
            let may_be_hit = is_there && kind == CrashKind::Mixed && cached.fate != Fate::Lost;
            if may_be_hit
                && kernel.choices.happens(ChoiceFamily::Disk, place, chances.noise)
                && self.may_damage(atlas, inode, &range)
            {
                fill_with_noise(kernel, place, &mut bytes);
                left.noisy.push(cached.sector);
            } else if may_be_hit && kernel.choices.happens(ChoiceFamily::Disk, place, chances.latent_error) {
                left.bad.push(cached.sector);
            }
            left.sectors.push((cached.sector, bytes));
        }
        left
    }

    /// What becomes of each cached sector. Those that one write made are decided upon together first.
    fn sector_fates<E>(&self, kernel: &mut Kernel<E>, cached: &[Cached], kind: CrashKind) -> Vec<SectorFate> {
        let place = Place::CrashSectors.of(self.node);
        let mut pick = |bound| kernel.choices.pick(ChoiceFamily::Disk, place, bound);
        let mut runs: Vec<(u64, u64)> = Vec::new();
        let atoms = (self.sector_bytes / self.faults.crash.atomic_bytes) as u64;
        let mut fate = |sector: &Cached| {
            let is_stuck = matches!(sector.fate, Fate::Lost | Fate::Phantom | Fate::Misdirected { .. });
            if kind == CrashKind::LosesAll || is_stuck {
                return SectorFate::Old;
            }
            let run = sector.last_write;
            let known = runs.iter().find(|(number, _)| *number == run).map(|(_, outcome)| *outcome);
            let of_run = known.unwrap_or_else(|| {
                let outcome = pick(3);
                runs.push((run, outcome));
                outcome
            });
            match of_run {
                0 => SectorFate::New,
                1 => SectorFate::Old,
                _ => match pick(if atoms > 1 { 3 } else { 2 }) {
                    0 => SectorFate::New,
                    1 => SectorFate::Old,
                    _ => SectorFate::Torn {
                        bytes: (1 + usize::try_from(pick(atoms - 1)).expect("within a sector"))
                            * self.faults.crash.atomic_bytes,
                        is_front_new: pick(2) == 0,
                    },
                },
            }
        };
        cached.iter().map(&mut fate).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SectorFate {
    New,
    Old,
    /// So many bytes at its front are new and the others old, or the other way round.
    Torn {
        bytes: usize,
        is_front_new: bool,
    },
}

fn torn(old: &[u8], new: &[u8], bytes: usize, is_front_new: bool) -> Box<[u8]> {
    let (front, back) = if is_front_new { (new, old) } else { (old, new) };
    [&front[..bytes], &back[bytes..]].concat().into()
}

fn fill_with_noise<E>(kernel: &mut Kernel<E>, place: u32, bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(8) {
        let noise = kernel.choices.seeded(ChoiceFamily::Disk, place, WORD).to_le_bytes();
        chunk.copy_from_slice(&noise[..chunk.len()]);
    }
}

/// All numbers but one, which noise can do without.
const WORD: Range<u64> = 0..u64::MAX;
