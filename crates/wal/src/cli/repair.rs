//! `repair`: cuts a log where it is still whole.
//!
//! Nothing is mended in place that cannot be: what is behind the first damage goes, the rest stays byte for byte.
//! Everything that is cut or rewritten is first copied to `quarantine/<n>/` and made durable there. A repair that was
//! interrupted leaves a log that is refused as damaged, and can be repeated.
//!
//! Two things of the part that goes are kept, as losing them is worse than losing entries: the newest readable value
//! of each state slot (a vote must not be forgotten), and truncations (an entry that was taken back must not return). A
//! snapshot mark that goes is forgotten: without it more is replayed than need be, with a wrong one less.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use samestep_replay_traits::Index;

use super::export::{sync_dir, write_synced};
use super::{Failed, Outcome, Survey, look_at, survey};
use crate::disk::Disk;
use crate::error::OpenError;
use crate::format::{BLOCK_BYTES, BLOCK_END, HeaderRead, Meta, SegmentHeader, nonzero_len, to_u64, to_usize};
use crate::id::{Lsn, SegmentId};
use crate::op::{FileName, Op};
use crate::options::{Options, TailModel};
use crate::std_io::StdDisk;
use crate::verify::{Depth, FrameKind, Problem, QUARANTINE, SegmentImage, Severity};
use crate::view::StateRecord;
use crate::wal::Wal;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The log's directory.
    dir: PathBuf,
    /// Most bytes of records that may be dropped.
    #[arg(long, value_name = "BYTES")]
    loss_budget: u64,
    /// Also drop what is proven, or may well have been, acknowledged.
    #[arg(long)]
    accept_damage: bool,
    /// Do it. Without this, only show what would be done.
    #[arg(long, conflicts_with = "dry_run")]
    apply: bool,
    /// Show what would be done, and do nothing. The default.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failed> {
    let mut found = Found::default();
    let survey = survey(&mut look_at(&args.dir)?, Depth::Frames, |segment, _| {
        found.take(&segment);
        Ok(())
    })?;
    if survey.is_in_use || survey.looks > 1 {
        // What an earlier look found may be no more.
        return Err(Failed::InUse);
    }
    let plan = Plan::new(&survey, &found)?;
    let mut out = io::stdout().lock();
    plan.print(&mut out)?;
    if plan.bytes > args.loss_budget {
        let (bytes, budget) = (plan.bytes, args.loss_budget);
        return Err(Failed::Refused(format!(
            "{bytes} bytes would be dropped, and the loss budget is {budget}"
        )));
    }
    let is_damage = matches!(plan.cut, Cut::At { .. });
    if is_damage && !args.accept_damage {
        let what = "records that were or may have been acknowledged would be dropped; \
                    restore the files, or add --accept-damage";
        return Err(Failed::Refused(what.to_owned()));
    }
    if plan.cut == Cut::Nothing {
        return Ok(Outcome::Sound);
    }
    if !args.apply {
        writeln!(out, "nothing was done; add --apply to do it")?;
        return Ok(Outcome::Findings);
    }
    let quarantine = apply(&args.dir, &plan, &found)?;
    writeln!(out, "done; copies are in {}", quarantine.display())?;
    Ok(Outcome::Sound)
}

/// What the segments hold, as far as a repair needs it.
#[derive(Debug, Default)]
struct Found {
    ends: BTreeMap<SegmentId, Ends>,
    states: BTreeMap<u16, StateRecord>,
}

#[derive(Debug)]
struct Ends {
    header: Option<SegmentHeader>,
    frames: Vec<(u64, u64, FrameKind, Index, bool)>,
    /// End of the bytes that mean something.
    end: u64,
}

impl Found {
    fn take(&mut self, segment: &SegmentImage) {
        let block = segment.bytes.get(..BLOCK_BYTES).unwrap_or_default();
        let header = match SegmentHeader::decode(block) {
            HeaderRead::Valid(header) if segment.is_valid => Some(header),
            _ => None,
        };
        for frame in segment.frames.iter().filter(|frame| frame.is_whole && frame.kind == FrameKind::State) {
            let payload = segment.payload(frame).to_vec();
            let record = StateRecord { index: frame.index, aux: frame.aux, payload };
            self.states.insert(frame.slot, record);
        }
        let frames = segment.frames.iter().map(|frame| {
            let end = frame.offset + crate::frame::frame_bytes(frame.payload_bytes);
            (frame.offset, end, frame.kind, frame.index, frame.has_more)
        });
        let nonzero = to_u64(nonzero_len(&segment.bytes));
        let end =
            if segment.end > BLOCK_END { nonzero.min(segment.end.max(segment.proven)) } else { nonzero };
        self.ends.insert(segment.id, Ends { header, frames: frames.collect(), end: end.max(BLOCK_END) });
    }
}

impl Ends {
    /// End of the last complete batch that ends at or before `limit`.
    fn whole_until(&self, limit: u64) -> u64 {
        let whole = self.frames.iter().filter(|(_, end, _, _, has_more)| *end <= limit && !has_more);
        whole.map(|(_, end, ..)| *end).max().unwrap_or(BLOCK_END)
    }
}

/// What a repair would do.
#[derive(Debug)]
struct Plan {
    cut: Cut,
    /// Bytes of records that go.
    bytes: u64,
    /// Whole entries that go.
    entries: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Nothing,
    /// The tail of the newest segment, by an opening that drops whatever is not proven.
    Tail {
        segment: SegmentId,
    },
    /// Everything from this byte on.
    At {
        segment: SegmentId,
        offset: u64,
    },
}

impl Plan {
    fn new(survey: &Survey, found: &Found) -> Result<Self, Failed> {
        let damages = survey.findings.iter().filter(|finding| finding.severity() == Severity::Damage);
        let mut first: Option<(SegmentId, u64)> = None;
        let mut ambiguous = None;
        for finding in damages {
            match (&finding.problem, finding.file) {
                (Problem::Damage(damage), Some(FileName::Segment(id))) => {
                    let place = (id, damage.offset);
                    first = Some(first.map_or(place, |first| first.min(place)));
                }
                (Problem::Ambiguous { bytes, .. }, Some(FileName::Segment(id))) => {
                    ambiguous = Some((id, *bytes));
                }
                _ => return Err(Failed::Refused(format!("cannot be repaired by cutting: {finding}"))),
            }
        }
        let Some((segment, offset)) = first else {
            let cut = ambiguous.map_or(Cut::Nothing, |(segment, _)| Cut::Tail { segment });
            return Ok(Self { cut, bytes: ambiguous.map_or(0, |(_, bytes)| bytes), entries: 0 });
        };
        let (segment, offset) = whole_before(found, segment, offset)?;
        let (mut bytes, mut entries) = (0, 0);
        for (&id, ends) in found.ends.range(segment..) {
            let from = if id == segment { offset } else { BLOCK_END };
            bytes += ends.end.saturating_sub(from);
            let is_entry =
                |frame: &&(u64, u64, FrameKind, Index, bool)| frame.0 >= from && frame.2 == FrameKind::Entry;
            entries += ends.frames.iter().filter(is_entry).count();
        }
        // What is gone with its file cannot be read, but `wal.meta` may tell how far the log once was durable.
        let position =
            found.ends[&segment].header.as_ref().map_or(0, |header| header.base_lsn.get() + offset);
        let promised = survey.summary.meta.map_or(0, |meta| meta.durable.get());
        let bytes = bytes.max(promised.saturating_sub(position));
        Ok(Self { cut: Cut::At { segment, offset }, bytes, entries })
    }

    fn print(&self, mut out: impl Write) -> io::Result<()> {
        match self.cut {
            Cut::Nothing => writeln!(out, "nothing to repair"),
            Cut::Tail { segment } => {
                writeln!(out, "segment {segment}: {} unproven bytes at its end would be dropped", self.bytes)
            }
            Cut::At { segment, offset } => {
                writeln!(out, "the log would end in segment {segment} at byte {offset}")?;
                let (bytes, entries) = (self.bytes, self.entries);
                writeln!(out, "lost: {bytes} bytes of records, {entries} readable entries among them")
            }
        }
    }
}

/// The last place at or before the damage up to which everything is whole.
fn whole_before(found: &Found, segment: SegmentId, offset: u64) -> Result<(SegmentId, u64), Failed> {
    if offset >= BLOCK_END
        && let Some(ends) = found.ends.get(&segment).filter(|ends| ends.header.is_some())
    {
        return Ok((segment, ends.whole_until(offset)));
    }
    // The header is gone, or the file: the log ends with the segment before.
    let before = segment.get().checked_sub(1).map(SegmentId::new);
    let before =
        before.and_then(|id| found.ends.get(&id).filter(|ends| ends.header.is_some()).map(|ends| (id, ends)));
    let Some((id, ends)) = before else {
        let what =
            format!("nothing before segment {segment} is left; restore the log from a backup or a replica");
        return Err(Failed::Refused(what));
    };
    Ok((id, ends.whole_until(u64::MAX)))
}

/// Does it, and returns where the copies are.
fn apply(dir: &Path, plan: &Plan, found: &Found) -> Result<PathBuf, Failed> {
    let mut lock = StdDisk::new(dir);
    lock.perform(&mut Op::Lock).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Failed::InUse,
        _ => Failed::Io(error),
    })?;
    let first = match plan.cut {
        Cut::Nothing => SegmentId::FIRST,
        Cut::Tail { segment } | Cut::At { segment, .. } => segment,
    };
    let quarantine = copy_to_quarantine(dir, first)?;
    let mut first_gone = None;
    if let Cut::At { segment, offset } = plan.cut {
        cut(dir, found, segment, offset)?;
        first_gone = first_truncated(found, segment, offset);
    }
    drop(lock);
    let options = Options { tail: TailModel::Evidence, ..Options::default() };
    let (wal, _) = Wal::open(dir, options).map_err(refused)?;
    if let Some(from) = first_gone.filter(|from| *from < wal.next_index()) {
        let first = wal.first_index().unwrap_or(from);
        wal.truncate_suffix(from.max(first)).map_err(|error| Failed::Refused(error.to_string()))?;
    }
    for (&slot, record) in &found.states {
        if wal.state(slot).as_ref() != Some(record) {
            wal.put_state(slot, record).map_err(|error| Failed::Refused(error.to_string()))?;
        }
    }
    wal.close().map_err(|error| Failed::Refused(error.to_string()))?;
    Ok(quarantine)
}

fn refused(error: OpenError) -> Failed {
    if matches!(error, OpenError::Locked) { Failed::InUse } else { Failed::Damaged(error) }
}

/// Lowest index that the part which goes takes back: a header's first index, or a truncation.
fn first_truncated(found: &Found, segment: SegmentId, offset: u64) -> Option<Index> {
    let mut lowest: Option<Index> = None;
    for (&id, ends) in found.ends.range(segment..) {
        let of_header = ends.header.as_ref().filter(|_| id > segment).map(|header| header.first_index);
        let is_gone = |at: u64| id > segment || at >= offset;
        let of_frames = ends
            .frames
            .iter()
            .filter(|frame| frame.2 == FrameKind::Truncate && is_gone(frame.0))
            .map(|frame| frame.3);
        lowest = lowest.into_iter().chain(of_header).chain(of_frames).min();
    }
    lowest
}

/// Copies `wal.meta` and all files of the segments from `first` on.
fn copy_to_quarantine(dir: &Path, first: SegmentId) -> Result<PathBuf, Failed> {
    let root = dir.join(QUARANTINE);
    fs::create_dir_all(&root)?;
    let number = (1..u32::MAX).find(|number| !root.join(number.to_string()).exists()).unwrap_or(u32::MAX);
    let quarantine = root.join(number.to_string());
    fs::create_dir(&quarantine)?;
    for (name, _) in files_from(dir, first)? {
        let bytes = fs::read(dir.join(&name))?;
        write_synced(&quarantine.join(&name), &bytes)?;
    }
    for synced in [&quarantine, &root, dir] {
        sync_dir(synced)?;
    }
    Ok(quarantine)
}

/// The names of `wal.meta` and of all files of the segments from `first` on.
fn files_from(dir: &Path, first: SegmentId) -> Result<Vec<(String, FileName)>, Failed> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        match FileName::parse(&name) {
            Some(file @ FileName::Meta) => files.push((name, file)),
            Some(file @ (FileName::Segment(id) | FileName::Sidecar(id))) if id >= first => {
                files.push((name, file));
            }
            _ => {}
        }
    }
    files.sort();
    Ok(files)
}

/// Makes `segment`, cut at `offset`, the newest one.
fn cut(dir: &Path, found: &Found, segment: SegmentId, offset: u64) -> Result<(), Failed> {
    let path = dir.join(FileName::Segment(segment).to_string());
    let mut bytes = fs::read(&path)?;
    let header = found.ends[&segment].header.clone().expect("the plan chose a segment with a header");
    bytes.truncate(to_usize(offset));
    let capacity = header.capacity.max(offset);
    bytes.resize(to_usize(capacity), 0);
    let header = SegmentHeader { capacity, head_end: header.head_end.min(offset), ..header };
    bytes[..BLOCK_BYTES].copy_from_slice(&header.encode());
    let made = dir.join("repair.tmp");
    write_synced(&made, &bytes)?;
    fs::rename(&made, &path)?;
    for (name, file) in files_from(dir, segment)? {
        if file != FileName::Meta && file != FileName::Segment(segment) {
            fs::remove_file(dir.join(name))?;
        }
    }
    sync_dir(dir)?;
    let old = fs::read(dir.join(FileName::Meta.to_string())).unwrap_or_default();
    let old = Meta::decode_best(old.get(..2 * BLOCK_BYTES).unwrap_or(&old)).best;
    let durable = Lsn::new(header.base_lsn.get() + offset);
    let lowest = found.ends.keys().next().copied().unwrap_or(segment);
    let meta = Meta {
        log_id: header.log_id,
        sequence: old.map_or(0, |old| (old.sequence + 2) & !1),
        lowest: old.map_or(lowest, |old| old.lowest),
        highest: segment,
        live_first: old.map_or(header.live_first, |old| old.live_first).max(header.live_first),
        durable,
    };
    // Both slots, so that nothing of the old bounds is left.
    let second = Meta { sequence: meta.sequence + 1, ..meta };
    let both = [meta.encode(), second.encode()].concat();
    write_synced(&dir.join(FileName::Meta.to_string()), &both)?;
    sync_dir(dir)?;
    Ok(())
}
