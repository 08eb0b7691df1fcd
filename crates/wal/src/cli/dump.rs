//! `dump`: records as they stand in the files, one a line.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use serde_json::json;

use super::{Failed, Outcome, look_at, survey};
use crate::verify::{Depth, FrameInfo, FrameKind, SegmentImage};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The log's directory.
    dir: PathBuf,
    /// Only entries from this index on.
    #[arg(long, value_name = "INDEX")]
    from: Option<u64>,
    /// Only entries up to this index.
    #[arg(long, value_name = "INDEX")]
    to: Option<u64>,
    /// Only records of this kind.
    #[arg(long)]
    kind: Option<Kind>,
    /// One JSON object a line, with the whole payload in hex.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Entry,
    State,
    Truncate,
    Snapshot,
    Mark,
    Pad,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failed> {
    let mut out = BufWriter::new(io::stdout().lock());
    // A log in use is read again if it moved: what was printed is not printed twice.
    let mut printed = None;
    let survey = survey(&mut look_at(&args.dir)?, Depth::Frames, |segment, _| {
        for frame in segment.frames.iter().filter(|frame| args.wants(frame)) {
            let place = (segment.id, frame.offset);
            if printed.is_some_and(|last| place <= last) {
                continue;
            }
            printed = Some(place);
            print_frame(&mut out, args, &segment, frame)?;
        }
        Ok(())
    })?;
    out.flush()?;
    if survey.is_in_use {
        eprintln!("samestep-wal: the log is in use; its newest records may be missing here");
    }
    for finding in &survey.findings {
        eprintln!("samestep-wal: {}: {finding}", finding.severity());
    }
    Ok(survey.outcome())
}

impl Args {
    fn wants(&self, frame: &FrameInfo) -> bool {
        let kind = match frame.kind {
            FrameKind::Entry => Kind::Entry,
            FrameKind::State => Kind::State,
            FrameKind::Truncate => Kind::Truncate,
            FrameKind::Snapshot => Kind::Snapshot,
            FrameKind::Mark => Kind::Mark,
            FrameKind::Pad => Kind::Pad,
        };
        let has_range = self.from.is_some() || self.to.is_some();
        let is_in_range = self.from.is_none_or(|from| frame.index.get() >= from)
            && self.to.is_none_or(|to| frame.index.get() <= to);
        self.kind.is_none_or(|wanted| wanted == kind)
            && (!has_range || frame.kind == FrameKind::Entry && is_in_range)
    }
}

fn print_frame(
    mut out: impl Write,
    args: &Args,
    segment: &SegmentImage,
    frame: &FrameInfo,
) -> Result<(), Failed> {
    let payload = segment.payload(frame);
    let is_past_end = frame.offset >= segment.end;
    if args.json {
        let hex = payload.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let value = json!({
            "segment": segment.id.get(),
            "offset": frame.offset,
            "kind": frame.kind.name(),
            "index": frame.index.get(),
            "aux": frame.aux,
            "slot": frame.slot,
            "bytes": frame.payload_bytes,
            "crc": format!("{:08x}", frame.payload_crc),
            "is_whole": frame.is_whole,
            "is_past_end": is_past_end,
            "has_more": frame.has_more,
            "is_carried": frame.is_carried,
            "payload_hex": hex,
        });
        writeln!(out, "{value}")?;
        return Ok(());
    }
    let (id, offset, kind, index) = (segment.id, frame.offset, frame.kind.name(), frame.index);
    write!(out, "{id:6} {offset:10}  {kind:8} {index:8}  aux {} slot {}", frame.aux, frame.slot)?;
    write!(out, "  {} bytes crc {:08x}", frame.payload_bytes, frame.payload_crc)?;
    let shown = &payload[..payload.len().min(PAYLOAD_SHOWN)];
    if !shown.is_empty() {
        let rest = if payload.len() > shown.len() { ".." } else { "" };
        write!(out, "  \"{}\"{rest}", shown.escape_ascii())?;
    }
    let marks = [
        (!frame.is_whole, "  DAMAGED"),
        (is_past_end, "  not part of the log"),
        (frame.has_more, "  batch goes on"),
        (frame.is_carried, "  carried over"),
    ];
    for (_, mark) in marks.iter().filter(|(is_set, _)| *is_set) {
        out.write_all(mark.as_bytes())?;
    }
    writeln!(out)?;
    Ok(())
}

/// How much of a payload a line of text shows.
const PAYLOAD_SHOWN: usize = 32;
