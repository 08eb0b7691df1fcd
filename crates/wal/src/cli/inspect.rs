//! `inspect`: what a log is, and what an opening would do.

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Failed, Opened, Outcome, Survey, dry_open, finding_json, look_at, survey};
use crate::error::OpenError;
use crate::options::TailModel;
use crate::report::{OpenOutcome, RecoveryReport, TailFound};
use crate::verify::{Depth, Severity};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The log's directory.
    dir: PathBuf,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failed> {
    let mut disk = look_at(&args.dir)?;
    let survey = survey(&mut disk, Depth::Headers, |_, _| Ok(()))?;
    let opening = dry_open(&mut disk, TailModel::Sector)?;
    let out = io::stdout().lock();
    if args.json {
        print_json(out, &survey, &opening)?;
    } else {
        print_text(out, &survey, &opening)?;
    }
    Ok(match opening {
        Opened::Succeeds(_) | Opened::IsUnknown => survey.outcome(),
        Opened::IsRefused(OpenError::Disk(_)) => Outcome::Disk,
        Opened::IsRefused(_) => Outcome::Findings,
    })
}

fn print_text(mut out: impl Write, survey: &Survey, opening: &Opened) -> io::Result<()> {
    let summary = &survey.summary;
    if let Some(log_id) = summary.log_id {
        writeln!(out, "log       {log_id}")?;
    }
    if survey.is_in_use {
        writeln!(out, "in use    yes: another process has it open, so it may change while it is read")?;
    }
    match opening {
        Opened::Succeeds(opened) => {
            let (log, report) = &**opened;
            writeln!(out, "entries   {}", entries_of(report))?;
            writeln!(out, "durable   proven up to position {}", log.durable_watermark())?;
            for (slot, state) in log.states() {
                let bytes = state.payload.len();
                writeln!(
                    out,
                    "state     slot {slot}: index {}, aux {}, {bytes} bytes",
                    state.index, state.aux
                )?;
            }
            if let Some(mark) = log.snapshot() {
                let bytes = mark.payload.len();
                writeln!(out, "snapshot  up to index {}, aux {}, {bytes} bytes", mark.index, mark.aux)?;
            }
            writeln!(out, "opening   {}", plan_of(report))?;
        }
        Opened::IsRefused(error) => {
            writeln!(out, "opening   is refused: {}", Failed::Damaged(error.clone()).chain())?;
        }
        Opened::IsUnknown => writeln!(out, "opening   {UNKNOWN}")?,
    }
    match summary.meta {
        Some(meta) => writeln!(
            out,
            "wal.meta  written {} times; segments {}..={}, first index {}, durable up to position {}",
            meta.sequence + 1,
            meta.lowest,
            meta.highest,
            meta.live_first,
            meta.durable
        )?,
        None => writeln!(out, "wal.meta  missing or damaged")?,
    }
    writeln!(out, "\nsegment       bytes   position  first index  end in file")?;
    for segment in &summary.segments {
        if !segment.has_header {
            writeln!(out, "{:7}  {:10}  without a valid header", segment.id, segment.bytes)?;
            continue;
        }
        let end = segment.end.map_or("newest".to_owned(), |end| end.to_string());
        let origin = if segment.is_recovery { "  started by a recovery" } else { "" };
        let (id, bytes, lsn, first) = (segment.id, segment.bytes, segment.base_lsn, segment.first_index);
        writeln!(out, "{id:7}  {bytes:10}  {lsn:9}  {first:11}  {end:>11}{origin}")?;
    }
    for finding in survey.findings.iter().filter(|finding| finding.severity() > Severity::Note) {
        writeln!(out, "\n{}: {finding}", finding.severity())?;
    }
    Ok(())
}

fn entries_of(report: &RecoveryReport) -> String {
    match report.next_index.previous() {
        Some(last) if last >= report.first_index => format!("{}..={last}", report.first_index),
        _ => format!("none; the next one gets index {}", report.next_index),
    }
}

/// What an opening would do, in one sentence.
fn plan_of(report: &RecoveryReport) -> String {
    let mut steps = vec![match report.outcome {
        OpenOutcome::Created => "would create a log".to_owned(),
        OpenOutcome::Clean => "would go on where the log ended".to_owned(),
        OpenOutcome::Recovered => "would recover: the log was not closed".to_owned(),
    }];
    if report.rehomed_entries > 0 {
        steps.push(format!("{} entries copied to a new segment", report.rehomed_entries));
    }
    if report.tail == TailFound::Torn {
        steps.push(format!("{} bytes of a torn write dropped", report.dropped_bytes));
    }
    if report.is_meta_rebuilt {
        steps.push("wal.meta written anew".to_owned());
    }
    if let Some(id) = report.discarded_segment {
        steps.push(format!("segment {id} removed, which was never in use"));
    }
    if report.removed_segments > 0 {
        steps.push(format!("{} pruned segments removed", report.removed_segments));
    }
    steps.join(", ")
}

fn print_json(mut out: impl Write, survey: &Survey, opening: &Opened) -> io::Result<()> {
    let summary = &survey.summary;
    let segments = summary.segments.iter().map(|segment| {
        json!({
            "id": segment.id.get(),
            "bytes": segment.bytes,
            "has_header": segment.has_header,
            "position": segment.base_lsn.get(),
            "first_index": segment.first_index.get(),
            "end": segment.end,
            "is_recovery": segment.is_recovery,
        })
    });
    let meta = summary.meta.map(|meta| {
        json!({
            "sequence": meta.sequence,
            "lowest": meta.lowest.get(),
            "highest": meta.highest.get(),
            "live_first": meta.live_first.get(),
            "durable": meta.durable.get(),
            "is_intact": meta.is_intact,
        })
    });
    let value = json!({
        "log_id": summary.log_id.map(|id| id.to_string()),
        "is_in_use": survey.is_in_use,
        "bytes": summary.bytes,
        "segments": segments.collect::<Vec<_>>(),
        "meta": meta,
        "opening": opening_json(opening),
        "findings": survey.findings.iter().map(finding_json).collect::<Vec<_>>(),
    });
    writeln!(out, "{value:#}")
}

fn opening_json(opening: &Opened) -> Value {
    match opening {
        Opened::Succeeds(opened) => {
            let (log, report) = &**opened;
            let states = log.states().iter().map(|(slot, state)| {
                json!({
                    "slot": slot,
                    "index": state.index.get(),
                    "aux": state.aux,
                    "bytes": state.payload.len(),
                })
            });
            let snapshot = log.snapshot().map(
                |mark| json!({ "index": mark.index.get(), "aux": mark.aux, "bytes": mark.payload.len() }),
            );
            json!({
                "is_refused": false,
                "plan": plan_of(report),
                "first_index": report.first_index.get(),
                "next_index": report.next_index.get(),
                "rehomed_entries": report.rehomed_entries,
                "dropped_bytes": report.dropped_bytes,
                "durable": log.durable_watermark().get(),
                "states": states.collect::<Vec<_>>(),
                "snapshot": snapshot,
            })
        }
        Opened::IsRefused(error) => {
            json!({ "is_refused": true, "plan": Failed::Damaged(error.clone()).chain() })
        }
        Opened::IsUnknown => json!({ "is_refused": null, "plan": UNKNOWN }),
    }
}

/// What an opening would do to a log that does not hold still.
const UNKNOWN: &str = "cannot be told: the log moves faster than it can be read";
