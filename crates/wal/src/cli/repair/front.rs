//! A cut at the front: the segments up to the last damaged one go, as if they were pruned.
//!
//! Each segment starts with the states and the snapshot mark that held before it, and its header says where it
//! starts, so what is left needs nothing of what goes.

use std::fs;
use std::path::Path;

use samestep_replay_traits::Index;

use super::super::{Failed, Survey};
use super::plan::{Cut, Damages, Found, Plan};
use super::{files_of, old_meta, write_meta};
use crate::format::{BLOCK_END, Meta, SegmentHeader};
use crate::id::{Lsn, SegmentId};
use crate::op::FileName;
use crate::verify::FrameKind;

/// What would be lost if the log began behind the last damage; nothing if that is in the newest segment, or if what
/// follows is not all whole.
pub(super) fn plan(survey: &Survey, found: &Found, damages: &Damages) -> Option<Plan> {
    let first = damages.last?.next();
    if damages.ambiguous.is_some() {
        return None;
    }
    let headers: Vec<&SegmentHeader> = headers_from(found, first).collect();
    let (oldest, newest) = (headers.first()?, headers.last()?);
    let is_whole = oldest.id == first && newest.id.get() - first.get() == headers.len() as u64 - 1;
    let highest = survey.summary.meta.map_or(newest.id, |meta| meta.highest);
    if !is_whole || newest.id < highest {
        return None;
    }
    let going = found.ends.range(..first);
    let bytes = going.clone().map(|(_, ends)| ends.end.saturating_sub(BLOCK_END)).sum::<u64>();
    // Of files that are gone, the header behind them and positions tell how long they were.
    let known = going.clone().find_map(|(id, ends)| Some((*id, ends.header.as_ref()?.base_lsn)));
    let of_positions = known.map_or(0, |(id, start)| {
        let blocks = BLOCK_END.saturating_mul(first.get() - id.get());
        oldest.base_lsn.get().saturating_sub(start.get()).saturating_sub(blocks)
    });
    let of_last = oldest.prev_end.saturating_sub(BLOCK_END);
    let is_entry = |frame: &&(u64, u64, FrameKind, Index, bool)| frame.2 == FrameKind::Entry;
    let entries = going.map(|(_, ends)| ends.frames.iter().filter(is_entry).count()).sum();
    let cut = Cut::Front { first, index: first_index(survey, &headers) };
    Some(Plan { cut, bytes: bytes.max(of_positions).max(of_last), entries })
}

pub(super) fn refused() -> Failed {
    let what =
        "behind the last damage is no sound segment to keep; keep what is before it, or restore the files";
    Failed::Refused(what.to_owned())
}

/// Writes down that the log begins with `first`, and then removes what is before it. A crash in between leaves files
/// that the next opening removes.
pub(super) fn cut(dir: &Path, found: &Found, first: SegmentId, index: Index) -> Result<(), Failed> {
    let newest = headers_from(found, first).last().expect("the plan saw it");
    let old = old_meta(dir);
    let durable = Lsn::new(newest.base_lsn.get() + newest.head_end);
    let meta = Meta {
        log_id: newest.log_id,
        sequence: old.map_or(0, |old| (old.sequence + 2) & !1),
        lowest: first,
        highest: newest.id,
        live_first: index,
        durable: old.map_or(durable, |old| old.durable.max(durable)),
    };
    write_meta(dir, &meta)?;
    for (name, file) in files_of(dir, &..first)? {
        if file != FileName::Meta {
            fs::remove_file(dir.join(name))?;
        }
    }
    super::sync_dir(dir)?;
    Ok(())
}

fn headers_from(found: &Found, first: SegmentId) -> impl Iterator<Item = &SegmentHeader> {
    found.ends.range(first..).filter_map(|(_, ends)| ends.header.as_ref())
}

/// A later segment may start below the first that stays: then what both hold from there on is in the later one.
fn first_index(survey: &Survey, headers: &[&SegmentHeader]) -> Index {
    let starts = headers.iter().map(|header| header.first_index).min();
    let live = headers.iter().map(|header| header.live_first).max();
    let of_meta = survey.summary.meta.map(|meta| meta.live_first);
    starts.max(live).max(of_meta).unwrap_or(Index::new(0))
}
