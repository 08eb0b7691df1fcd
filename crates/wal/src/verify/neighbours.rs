//! Whether headers and `wal.meta` fit together: nothing missing, nothing foreign, nothing out of order.

use std::collections::BTreeMap;

use crate::error::{Damage, DamageKind};
use crate::format::{FLAG_RECOVERY, HeaderRead, SegmentHeader};
use crate::id::{LogId, Lsn, SegmentId};
use crate::op::FileName;
use crate::verify::{MetaSummary, Problem, SegmentSummary, Verify};

impl Verify {
    /// Judges what the headers and `wal.meta` say of each other, once all are read, and lists what to walk.
    pub(super) fn judge_headers(&mut self) {
        self.log_id = self.agreed_log_id();
        if !self.has_meta_file && !self.found.is_empty() {
            self.note(FileName::Meta, Problem::Meta { is_lost: true });
        }
        self.summarize();
        self.unwalked = self.found.keys().copied().collect();
        self.check_ids();
        self.check_leftovers();
        self.check_neighbours();
    }

    /// The log that `wal.meta`, or else most of the headers, are of.
    fn agreed_log_id(&self) -> Option<LogId> {
        let mut votes: BTreeMap<LogId, usize> = BTreeMap::new();
        for found in self.found.values() {
            if let HeaderRead::Valid(header) = &found.header {
                *votes.entry(header.log_id).or_default() += 1;
            }
        }
        let most = votes.iter().max_by_key(|(_, votes)| **votes).map(|(id, _)| *id);
        most.or(self.meta.best.map(|meta| meta.log_id))
    }

    fn summarize(&mut self) {
        let headers = self.found.iter().map(|(&id, found)| (id, found.bytes, valid(&found.header)));
        let mut segments: Vec<SegmentSummary> = headers
            .map(|(id, bytes, header)| SegmentSummary {
                id,
                bytes,
                has_header: header.is_some(),
                base_lsn: header.map_or(Lsn::default(), |header| header.base_lsn),
                first_index: header.map_or(ZERO, |header| header.first_index),
                live_first: header.map_or(ZERO, |header| header.live_first),
                end: None,
                is_recovery: header.is_some_and(|header| header.flags & FLAG_RECOVERY != 0),
            })
            .collect();
        for segment in &mut segments {
            let next = self.found.get(&SegmentId::new(segment.id.get().saturating_add(1)));
            segment.end = next.and_then(|next| valid(&next.header)).map(|header| header.prev_end);
        }
        self.summary.log_id = self.log_id;
        self.summary.bytes = segments.iter().map(|segment| segment.bytes).sum();
        self.summary.segments = segments;
        self.summary.meta = self.meta.best.map(|meta| MetaSummary {
            sequence: meta.sequence,
            lowest: meta.lowest,
            highest: meta.highest,
            live_first: meta.live_first,
            durable: meta.durable,
            is_intact: self.meta.intact,
        });
    }

    fn check_ids(&mut self) {
        let Some(expected) = self.log_id else { return };
        if let Some(meta) = self.meta.best.filter(|meta| meta.log_id != expected) {
            self.note(FileName::Meta, Problem::WrongLog { expected, found: meta.log_id });
            self.meta.best = None;
        }
        let mut problems = Vec::new();
        for (&id, found) in &self.found {
            match &found.header {
                HeaderRead::Valid(header) if header.log_id != expected => {
                    problems.push((id, Problem::WrongLog { expected, found: header.log_id }));
                }
                HeaderRead::Newer { min_reader } => {
                    problems.push((id, Problem::Version { min_reader: *min_reader }));
                }
                HeaderRead::Valid(header) if header.id != id => {
                    problems.push((id, Problem::Damage(Damage::new(id, DamageKind::Order))));
                }
                HeaderRead::Valid(_) | HeaderRead::Zero | HeaderRead::Bad => {}
            }
        }
        for (id, problem) in problems {
            self.misfits.insert(id);
            self.note(FileName::Segment(id), problem);
        }
    }

    /// Files of pruned segments, and a newest file without a header; whether that one was ever in use shows only
    /// when it is read.
    fn check_leftovers(&mut self) {
        let meta = self.meta.best;
        let lowest = meta.map_or(SegmentId::new(0), |meta| meta.lowest);
        let pruned: Vec<SegmentId> = self.found.range(..lowest).map(|(&id, _)| id).collect();
        for id in pruned {
            self.misfits.insert(id);
            self.note(FileName::Segment(id), Problem::Pruned);
        }
        let has_header = |id: &&SegmentId| valid(&self.found[*id].header).is_some();
        self.newest = self.found.keys().rev().find(has_header).copied().filter(|id| *id >= lowest);
        if let Some(meta) = meta.filter(|_| !self.is_in_use) {
            self.newest = self.newest.max(Some(meta.highest));
        }
    }

    fn check_neighbours(&mut self) {
        let Some(newest) = self.newest else { return };
        let lowest_found = self.found.keys().find(|id| !self.misfits.contains(id)).copied();
        let meta = self.meta.best.filter(|_| self.meta.intact && !self.is_in_use);
        let lowest = meta.map(|meta| meta.lowest).or(lowest_found).unwrap_or(newest);
        // A bound that is off by far would make one finding for each of very many files.
        let absent =
            (lowest.get()..=newest.get()).map(SegmentId::new).filter(|id| !self.found.contains_key(id));
        let absent: Vec<SegmentId> = absent.take(MISSING_MAX).collect();
        for id in absent {
            self.damage(Damage::new(id, DamageKind::Missing));
        }
        // Bounds that contradict each other are possible in a file that was made so.
        let ids: Vec<SegmentId> =
            self.found.keys().copied().filter(|id| (lowest..=newest).contains(id)).collect();
        let mut damages = Vec::new();
        for id in ids {
            if self.misfits.contains(&id) {
                continue;
            }
            let found = &self.found[&id];
            let Some(header) = valid(&found.header) else {
                damages.push(Damage::new(id, DamageKind::SegmentHeader));
                continue;
            };
            let previous = id.get().checked_sub(1).and_then(|before| self.found.get(&SegmentId::new(before)));
            if let Some(old) = previous.and_then(|old| valid(&old.header))
                && !follows(old, header)
            {
                damages.push(Damage::new(id, DamageKind::Order));
            }
            if id == SegmentId::FIRST && (header.prev_end, header.base_lsn.get()) != (0, 0) {
                damages.push(Damage::new(id, DamageKind::Order));
            }
            let next = self
                .found
                .get(&SegmentId::new(id.get().saturating_add(1)))
                .filter(|_| id < newest)
                .and_then(|next| valid(&next.header));
            let is_short = match next {
                Some(next) => found.bytes < next.prev_end,
                None => id == newest && !self.is_in_use && found.bytes != header.capacity,
            };
            if is_short {
                damages.push(Damage { offset: found.bytes, ..Damage::new(id, DamageKind::Length) });
            }
        }
        for damage in damages {
            self.misfits.extend((damage.kind != DamageKind::Length).then_some(damage.segment));
            self.damage(damage);
        }
    }

    pub(super) fn damage(&mut self, damage: Damage) {
        self.note(FileName::Segment(damage.segment), Problem::Damage(damage));
    }
}

fn follows(old: &SegmentHeader, new: &SegmentHeader) -> bool {
    old.base_lsn.get().checked_add(new.prev_end) == Some(new.base_lsn.get())
        && (old.head_end..=old.capacity).contains(&new.prev_end)
}

pub(super) fn valid(header: &HeaderRead) -> Option<&SegmentHeader> {
    match header {
        HeaderRead::Valid(header) => Some(header),
        _ => None,
    }
}

const ZERO: samestep_replay_traits::Index = samestep_replay_traits::Index::new(0);

const MISSING_MAX: usize = 64;
