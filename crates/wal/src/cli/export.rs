//! `export`: a copy of a log, cut where it is durable, that opens like a log that was closed.
//!
//! Sealed segments are copied up to their ends, the newest up to a record that is known to be durable: in a log in
//! use, what later records or `wal.meta` prove; in any other, all that is valid. A log that moved under the copy in a
//! way that left it in pieces is copied again. The copy is made under another name and gets its own only when all of
//! it is on the medium, and was read back and found to be sound.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::survey::{Look, Motion, Seen, Source, Suspicions, look};
use super::{Failed, Outcome, look_at};
use crate::disk::Disk;
use crate::format::{BLOCK_BYTES, HeaderRead, Meta, SegmentHeader, to_u64, to_usize};
use crate::id::{Lsn, SegmentId};
use crate::op::{DiskError, FileName, Op};
use crate::options::TailModel;
use crate::std_io::StdDisk;
use crate::verify::{Depth, Finding, Severity, Verify};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The log's directory.
    dir: PathBuf,
    /// Where the copy goes. Must not exist; its parent must.
    dest: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failed> {
    let mut source = look_at(&args.dir)?;
    if args.dest.exists() {
        return Err(Failed::Refused(format!("{} exists already", args.dest.display())));
    }
    let mut partial = args.dest.clone().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    fs::create_dir(&partial).map_err(|source| Failed::Path { path: partial.clone(), source })?;
    let copied = match copy(&mut source, &mut StdDisk::new(&partial)) {
        Ok(copied) => copied,
        Err(failed) => {
            fs::remove_dir_all(&partial)?;
            return Err(failed);
        }
    };
    fs::rename(&partial, &args.dest)?;
    sync_dir(args.dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    let mut out = io::stdout().lock();
    let live = if copied.is_in_use { ", from a log in use" } else { "" };
    writeln!(out, "{} segments up to position {}{live}", copied.segments, copied.end)?;
    Ok(Outcome::Sound)
}

/// A copy that is sound.
#[derive(Debug)]
struct Copied {
    segments: usize,
    /// Position at which it ends.
    end: Lsn,
    is_in_use: bool,
}

/// Copies the log into `dest`, which is empty, as often as it takes.
fn copy(source: &mut impl Source, dest: &mut impl Disk) -> Result<Copied, Failed> {
    let mut suspicions = Suspicions::default();
    for _ in 0..ATTEMPTS {
        let (look, end) = copy_once(source, dest)?;
        let (segments, findings) = read_back(dest)?;
        let is_sound = !findings.iter().any(is_damage);
        match (look.motion, end) {
            (Motion::Still, _) if !is_sound || look.findings.iter().any(is_damage) => return Err(damaged()),
            (Motion::Still, end) => {
                return Ok(Copied { segments, end: end.unwrap_or_default(), is_in_use: false });
            }
            (Motion::Expected, Some(end)) if is_sound => {
                return Ok(Copied { segments, end, is_in_use: true });
            }
            (Motion::Expected, _) => suspicions.narrow(&findings),
            (Motion::Surprising, _) => {}
        }
        clear(dest)?;
    }
    if suspicions.lasting().iter().any(is_damage) {
        return Err(damaged());
    }
    Err(Failed::Refused(
        "the log moves faster than it can be copied: try again when less is appended".to_owned(),
    ))
}

fn is_damage(finding: &Finding) -> bool {
    finding.severity() == Severity::Damage
}

fn damaged() -> Failed {
    Failed::Refused("the log is damaged: run `verify`, then `repair` or restore it".to_owned())
}

/// Copies what is there into `dest`, which is empty. Without a position where it ends, the copy is of no use.
fn copy_once<S: Source>(source: &mut S, dest: &mut impl Disk) -> Result<(Look, Option<Lsn>), Failed> {
    let mut end = None;
    let look = look(source, Depth::Frames, |source, seen| {
        let (segment, summary) = (&seen.segment, seen.summary);
        let newest = summary.segments.iter().filter(|found| found.has_header).map(|found| found.id).max();
        if !segment.is_valid {
            return Ok(());
        }
        let highest = summary.meta.map(|meta| meta.highest);
        if seen.is_in_use && newest == Some(segment.id) && newest < highest {
            // The log rotated after its files were listed. What was durable then may be behind what is proven here.
            return Ok(());
        }
        if newest == Some(segment.id) {
            end = Some(copy_newest(dest, &seen)?);
        } else {
            let end = to_usize(segment.end).min(segment.bytes.len());
            put(dest, FileName::Segment(segment.id), &segment.bytes[..end])?;
            // A cache, worth copying and not worth failing for.
            if let Some(bytes) = read_whole(source, FileName::Sidecar(segment.id)) {
                put(dest, FileName::Sidecar(segment.id), &bytes)?;
            }
        }
        Ok(())
    })?;
    perform(dest, Op::SyncDir)?;
    Ok((look, end))
}

/// What is wrong with the copy in `dest`, and how many segments it has.
fn read_back(dest: &mut impl Disk) -> Result<(usize, Vec<Finding>), Failed> {
    let mut verify = Verify::new(Depth::Frames, TailModel::Sector);
    let mut findings = Vec::new();
    while let Some(mut op) = verify.poll_op() {
        let outcome = dest.perform(&mut op);
        verify.handle_completion(op, outcome)?;
        while let Some(finding) = verify.poll_finding() {
            findings.push(finding);
        }
    }
    Ok((verify.summary().segments.len(), findings))
}

fn clear(dest: &mut impl Disk) -> Result<(), Failed> {
    for file in files(dest)? {
        perform(dest, Op::Remove { file })?;
    }
    Ok(())
}

/// Copies the newest segment up to its durable end, and writes the `wal.meta` that says so.
fn copy_newest(dest: &mut impl Disk, seen: &Seen<'_>) -> Result<Lsn, Failed> {
    let (segment, summary) = (&seen.segment, seen.summary);
    let block = segment.bytes.get(..BLOCK_BYTES).unwrap_or_default();
    let HeaderRead::Valid(header) = SegmentHeader::decode(block) else {
        return Err(Failed::Refused("the newest segment lost its header while it was read".to_owned()));
    };
    let end = if seen.is_in_use { segment.proven.min(segment.end) } else { segment.end };
    let mut bytes = segment.bytes[..to_usize(end)].to_vec();
    bytes.resize(to_usize(header.capacity), 0);
    put(dest, FileName::Segment(segment.id), &bytes)?;
    let cut = Lsn::new(header.base_lsn.get() + end);
    let lowest = drop_pruned(dest, segment.id)?;
    let first = summary
        .segments
        .iter()
        .find(|found| found.id == lowest)
        .map_or(header.live_first, |it| it.first_index);
    let known = summary.meta.map_or(header.live_first, |meta| meta.live_first);
    let meta = Meta {
        log_id: header.log_id,
        sequence: 0,
        lowest,
        highest: segment.id,
        live_first: known.max(header.live_first).max(first),
        durable: cut,
    };
    let mut block = meta.encode();
    block.resize(2 * BLOCK_BYTES, 0);
    put(dest, FileName::Meta, &block)?;
    Ok(cut)
}

/// The oldest segment from which on all are copied. What is before a gap was pruned meanwhile, and its copy goes.
fn drop_pruned(dest: &mut impl Disk, newest: SegmentId) -> Result<SegmentId, Failed> {
    let files = files(dest)?;
    let copied = files.iter().filter_map(|file| match file {
        FileName::Segment(id) => Some(*id),
        _ => None,
    });
    let mut copied: Vec<SegmentId> = copied.collect();
    copied.sort_unstable_by(|a, b| b.cmp(a));
    let mut lowest = newest;
    for id in copied {
        if lowest.get() - id.get() <= 1 {
            lowest = id;
            continue;
        }
        for file in [FileName::Segment(id), FileName::Sidecar(id)] {
            if files.contains(&file) {
                perform(dest, Op::Remove { file })?;
            }
        }
    }
    Ok(lowest)
}

/// The log's files in `disk`.
fn files(disk: &mut impl Disk) -> Result<Vec<FileName>, Failed> {
    let Op::List { names } = perform(disk, Op::List { names: Vec::new() })? else {
        panic!("an operation is handed back")
    };
    Ok(names.iter().filter_map(|name| FileName::parse(name)).collect())
}

/// All of a file, or nothing if it cannot be read.
fn read_whole(disk: &mut impl Disk, file: FileName) -> Option<Vec<u8>> {
    let bytes = disk.perform(&mut Op::Open { file }).ok()?;
    let mut op = Op::ReadAt { file, offset: 0, buf: vec![0; to_usize(bytes)] };
    let outcome = disk.perform(&mut op);
    // Nothing was written through it.
    let _closed = disk.perform(&mut Op::Close { file });
    match (outcome, op) {
        (Ok(read), Op::ReadAt { buf, .. }) if read == bytes => Some(buf),
        _ => None,
    }
}

/// Writes a file and makes it durable.
fn put(disk: &mut impl Disk, file: FileName, bytes: &[u8]) -> Result<(), Failed> {
    perform(disk, Op::Create { file })?;
    perform(disk, Op::WriteAt { file, offset: 0, buf: bytes.to_vec() })?;
    perform(disk, Op::SyncData { file })?;
    perform(disk, Op::Close { file })?;
    Ok(())
}

fn perform(disk: &mut impl Disk, mut op: Op) -> Result<Op, Failed> {
    match disk.perform(&mut op) {
        Ok(_) => Ok(op),
        Err(error) => Err(DiskError::new(&op, error).into()),
    }
}

/// Writes a file and makes it durable.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Failed> {
    let write = || -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        debug_assert_eq!(file.metadata()?.len(), to_u64(bytes.len()), "all is written");
        file.sync_all()
    };
    write().map_err(|source| Failed::Path { path: path.to_owned(), source })
}

pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// How often a log that moves is read from its start.
const ATTEMPTS: u32 = 8;

#[cfg(test)]
mod tests;
