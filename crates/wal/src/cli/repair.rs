//! `repair`: cuts a log where it is still whole.
//!
//! Nothing is mended in place that cannot be: what is behind the first damage goes, or, if that is asked for, all
//! segments up to the last damaged one; the rest stays byte for byte. Everything that is cut or rewritten is first copied to `quarantine/<n>/` and made durable there. A repair that was
//! interrupted leaves a log that is refused as damaged, and can be repeated.
//!
//! Two things of the part that goes are kept, as losing them is worse than losing entries: the newest readable value
//! of each state slot (a vote must not be forgotten), and truncations (an entry that was taken back must not return). A
//! snapshot mark that goes is forgotten: without it more is replayed than need be, with a wrong one less.

use std::fs;
use std::io::{self, Write};
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};

use samestep_replay_traits::Index;

use super::export::{sync_dir, write_synced};
use super::survey::Source;
use super::{Failed, Outcome, look_at, survey};
use crate::disk::Disk;
use crate::error::OpenError;
use crate::format::{BLOCK_BYTES, Meta, SegmentHeader, to_usize};
use crate::id::{Lsn, SegmentId};
use crate::op::{FileName, Op};
use crate::options::{Options, TailModel};
use crate::read_only::ReadOnlyDisk;
use crate::std_io::StdDisk;
use crate::verify::{Depth, FrameKind, QUARANTINE, SegmentImage, Summary};
use crate::wal::Wal;

mod front;
mod plan;

use plan::{Cut, Damages, Found, Plan};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The log's directory.
    dir: PathBuf,
    /// Most bytes of records that may be dropped.
    #[arg(long, value_name = "BYTES")]
    loss_budget: u64,
    /// Which side of the damage stays.
    #[arg(long, value_enum, default_value_t = Keep::Oldest)]
    keep: Keep,
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

/// Which side of the damage stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Keep {
    /// What is before the first damage: the log ends there.
    Oldest,
    /// The segments behind the last damaged one: the log begins there, as if all before it were pruned.
    Newest,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failed> {
    let mut disk = look_at(&args.dir)?;
    // What is done is what was decided on, as nobody else comes in between.
    let lock = if args.apply { Some(lock(&args.dir)?) } else { None };
    let mut found = Found::default();
    let take = |segment: SegmentImage, _: &Summary| {
        found.take(&segment);
        Ok(())
    };
    let survey = match &lock {
        Some(_) => survey(&mut Held(disk), Depth::Frames, take)?,
        None => survey(&mut disk, Depth::Frames, take)?,
    };
    if survey.is_in_use || survey.looks > 1 {
        // What an earlier look found may be no more.
        return Err(Failed::InUse);
    }
    let damages = Damages::of(&survey)?;
    let newest = front::plan(&survey, &found, &damages);
    let plan = match args.keep {
        Keep::Newest if damages.first.is_some() => newest.clone().ok_or_else(front::refused)?,
        Keep::Oldest | Keep::Newest => Plan::new(&survey, &found, &damages, newest.as_ref())?,
    };
    let mut out = io::stdout().lock();
    plan.print(&mut out)?;
    if let (Keep::Oldest, Some(newest)) = (args.keep, &newest) {
        let (bytes, entries) = (newest.bytes, newest.entries);
        writeln!(out, "with --keep newest instead: {bytes} bytes of records, {entries} readable entries")?;
    }
    if plan.bytes > args.loss_budget {
        let (bytes, budget) = (plan.bytes, args.loss_budget);
        return Err(Failed::Refused(format!(
            "{bytes} bytes would be dropped, and the loss budget is {budget}"
        )));
    }
    let is_damage = matches!(plan.cut, Cut::At { .. } | Cut::Front { .. });
    if is_damage && !args.accept_damage {
        let what = "records that were or may have been acknowledged would be dropped; \
                    restore the files, or add --accept-damage";
        return Err(Failed::Refused(what.to_owned()));
    }
    if plan.cut == Cut::Nothing {
        return Ok(Outcome::Sound);
    }
    let Some(lock) = lock else {
        writeln!(out, "nothing was done; add --apply to do it")?;
        return Ok(Outcome::Findings);
    };
    let quarantine = apply(&args.dir, lock, &plan, &found)?;
    writeln!(out, "done; copies are in {}", quarantine.display())?;
    Ok(Outcome::Sound)
}

/// A directory that this process has locked itself.
#[derive(Debug)]
struct Held(ReadOnlyDisk);

impl Disk for Held {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        self.0.perform(op)
    }

    fn reader(&self) -> Self {
        Self(self.0.reader())
    }
}

impl Source for Held {
    fn is_in_use(&mut self) -> io::Result<bool> {
        Ok(false)
    }
}

/// Keeps everybody else out until it is dropped.
fn lock(dir: &Path) -> Result<StdDisk, Failed> {
    let mut lock = StdDisk::new(dir);
    lock.perform(&mut Op::Lock).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Failed::InUse,
        _ => Failed::Io(error),
    })?;
    Ok(lock)
}

/// Does it, and returns where the copies are.
fn apply(dir: &Path, lock: StdDisk, plan: &Plan, found: &Found) -> Result<PathBuf, Failed> {
    let segments = match plan.cut {
        Cut::Nothing => SegmentId::FIRST..,
        Cut::Tail { segment } | Cut::At { segment, .. } => segment..,
        Cut::Front { first, index } => {
            let quarantine = copy_to_quarantine(dir, ..first)?;
            front::cut(dir, found, first, index)?;
            drop(lock);
            let (wal, _) = Wal::open(dir, Options::default()).map_err(refused)?;
            wal.close().map_err(|error| Failed::Refused(error.to_string()))?;
            return Ok(quarantine);
        }
    };
    let quarantine = copy_to_quarantine(dir, segments)?;
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

/// Copies `wal.meta` and all files of `segments`.
fn copy_to_quarantine(dir: &Path, segments: impl RangeBounds<SegmentId>) -> Result<PathBuf, Failed> {
    let root = dir.join(QUARANTINE);
    fs::create_dir_all(&root)?;
    let number = (1..u32::MAX).find(|number| !root.join(number.to_string()).exists()).unwrap_or(u32::MAX);
    let quarantine = root.join(number.to_string());
    fs::create_dir(&quarantine)?;
    for (name, _) in files_of(dir, &segments)? {
        let bytes = fs::read(dir.join(&name))?;
        write_synced(&quarantine.join(&name), &bytes)?;
    }
    for synced in [&quarantine, &root, dir] {
        sync_dir(synced)?;
    }
    Ok(quarantine)
}

/// The names of `wal.meta` and of all files of `segments`, oldest first.
fn files_of(dir: &Path, segments: &impl RangeBounds<SegmentId>) -> Result<Vec<(String, FileName)>, Failed> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        match FileName::parse(&name) {
            Some(file @ FileName::Meta) => files.push((name, file)),
            Some(file @ (FileName::Segment(id) | FileName::Sidecar(id))) if segments.contains(&id) => {
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
    for (name, file) in files_of(dir, &(segment..))? {
        if file != FileName::Meta && file != FileName::Segment(segment) {
            fs::remove_file(dir.join(name))?;
        }
    }
    sync_dir(dir)?;
    let old = old_meta(dir);
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
    write_meta(dir, &meta)
}

fn old_meta(dir: &Path) -> Option<Meta> {
    let bytes = fs::read(dir.join(FileName::Meta.to_string())).unwrap_or_default();
    Meta::decode_best(bytes.get(..2 * BLOCK_BYTES).unwrap_or(&bytes)).best
}

/// Writes `meta`, whose sequence is even, into both slots, so that nothing of the old bounds is left. Durable on
/// return, and so are all changes of names before it.
fn write_meta(dir: &Path, meta: &Meta) -> Result<(), Failed> {
    let second = Meta { sequence: meta.sequence + 1, ..*meta };
    let both = [meta.encode(), second.encode()].concat();
    write_synced(&dir.join(FileName::Meta.to_string()), &both)?;
    sync_dir(dir)?;
    Ok(())
}
