//! `export`: a copy of a log, cut where it is durable, that opens like a log that was closed.
//!
//! Sealed segments are copied up to their ends, the newest up to a record that is known to be durable: in a log in
//! use, what later records or `wal.meta` prove; in any other, all that is valid. The copy is made under another name
//! and gets its own only when all of it is on the medium.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Failed, Outcome, Survey, require_log, survey_once};
use crate::format::{BLOCK_BYTES, HeaderRead, Meta, SegmentHeader, to_u64, to_usize};
use crate::id::{Lsn, SegmentId};
use crate::op::FileName;
use crate::read_only::is_in_use;
use crate::verify::{Depth, SegmentImage, Severity, Summary};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The log's directory.
    dir: PathBuf,
    /// Where the copy goes. Must not exist; its parent must.
    dest: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failed> {
    require_log(&args.dir)?;
    if args.dest.exists() {
        return Err(Failed::Refused(format!("{} exists already", args.dest.display())));
    }
    let mut partial = args.dest.clone().into_os_string();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    fs::create_dir(&partial).map_err(|source| Failed::Path { path: partial.clone(), source })?;
    let copied = copy(&args.dir, &partial).and_then(|(survey, cut)| match survey.outcome() {
        Outcome::Sound => Ok((survey, cut)),
        _ if survey.count(Severity::Damage) == 0 => Ok((survey, cut)),
        _ => Err(Failed::Refused("the log is damaged: run `verify`, then `repair` or restore it".to_owned())),
    });
    let (survey, cut) = match copied {
        Ok(copied) => copied,
        Err(failed) => {
            fs::remove_dir_all(&partial)?;
            return Err(failed);
        }
    };
    fs::rename(&partial, &args.dest)?;
    sync_dir(args.dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    let mut out = io::stdout().lock();
    let live = if survey.is_in_use { ", from a log in use" } else { "" };
    writeln!(out, "{} segments up to position {cut}{live}", survey.summary.segments.len())?;
    Ok(Outcome::Sound)
}

/// Copies the log. One that moves may have pruned or trimmed its newest segment between the listing and the look at
/// it; then there is nowhere to cut, and it is read again.
fn copy(dir: &Path, dest: &Path) -> Result<(Survey, Lsn), Failed> {
    require_log(dir)?;
    for attempts_left in (0..ATTEMPTS).rev() {
        let (survey, cut) = copy_once(dir, dest)?;
        let is_settled = !survey.is_in_use || survey.outcome() == Outcome::Sound || attempts_left == 0;
        match cut {
            Some(cut) if is_settled => return Ok((survey, cut)),
            None if !survey.is_in_use => return Ok((survey, Lsn::default())),
            _ => clear(dest)?,
        }
    }
    Err(Failed::Refused(
        "the log moves faster than it can be copied: try again when less is appended".to_owned(),
    ))
}

/// Copies what is there into `dest`, which is empty. Without a cut, the position where it ends, it is of no use.
fn copy_once(dir: &Path, dest: &Path) -> Result<(Survey, Option<Lsn>), Failed> {
    let mut cut = None;
    let is_in_use = is_in_use(dir)?;
    let (summary, findings) = survey_once(dir, Depth::Frames, is_in_use, &mut |segment, summary| {
        let is_newest = summary.segments.iter().rev().find(|found| found.has_header).map(|found| found.id)
            == Some(segment.id);
        if !segment.is_valid {
            return Ok(());
        }
        if is_newest {
            cut = Some(copy_newest(dir, dest, &segment, summary)?);
        } else {
            let end = to_usize(segment.end).min(segment.bytes.len());
            write_synced(&dest.join(FileName::Segment(segment.id).to_string()), &segment.bytes[..end])?;
            copy_sidecar(dir, dest, FileName::Sidecar(segment.id))?;
        }
        Ok(())
    })?;
    sync_dir(dest)?;
    Ok((Survey { summary, findings, is_in_use }, cut))
}

fn clear(dest: &Path) -> Result<(), Failed> {
    for entry in fs::read_dir(dest)? {
        fs::remove_file(entry?.path())?;
    }
    Ok(())
}

/// Copies the newest segment up to its durable end, and writes the `wal.meta` that says so.
fn copy_newest(dir: &Path, dest: &Path, segment: &SegmentImage, summary: &Summary) -> Result<Lsn, Failed> {
    let block = segment.bytes.get(..BLOCK_BYTES).unwrap_or_default();
    let HeaderRead::Valid(header) = SegmentHeader::decode(block) else {
        return Err(Failed::Refused("the newest segment lost its header while it was read".to_owned()));
    };
    let end = if is_in_use(dir)? { segment.proven.min(segment.end) } else { segment.end };
    let mut bytes = segment.bytes[..to_usize(end)].to_vec();
    bytes.resize(to_usize(header.capacity), 0);
    write_synced(&dest.join(FileName::Segment(segment.id).to_string()), &bytes)?;
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
    write_synced(&dest.join(FileName::Meta.to_string()), &block)?;
    Ok(cut)
}

/// The oldest segment from which on all are copied. What is before a gap was pruned meanwhile, and its copy goes.
fn drop_pruned(dest: &Path, newest: SegmentId) -> Result<SegmentId, Failed> {
    let mut copied: Vec<SegmentId> = Vec::new();
    for entry in fs::read_dir(dest)? {
        if let Some(FileName::Segment(id)) = FileName::parse(&entry?.file_name().to_string_lossy()) {
            copied.push(id);
        }
    }
    copied.sort_unstable_by(|a, b| b.cmp(a));
    let mut lowest = newest;
    for id in copied {
        if lowest.get() - id.get() <= 1 {
            lowest = id;
            continue;
        }
        for file in [FileName::Segment(id), FileName::Sidecar(id)] {
            let path = dest.join(file.to_string());
            if path.exists() {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(lowest)
}

/// A cache, worth copying and not worth failing for.
fn copy_sidecar(dir: &Path, dest: &Path, file: FileName) -> Result<(), Failed> {
    match fs::read(dir.join(file.to_string())) {
        Ok(bytes) => write_synced(&dest.join(file.to_string()), &bytes),
        Err(_) => Ok(()),
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
