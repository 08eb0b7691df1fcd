//! `verify`: every problem, with its place, its cost and its cure.

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::json;

use super::{Failed, Outcome, finding_json, look_at, survey};
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
    let survey = survey(&mut look_at(&args.dir)?, Depth::Frames, |_, _| Ok(()))?;
    let outcome = survey.outcome();
    let (segments, frames) = (survey.summary.segments.len(), survey.summary.frames);
    let bytes = survey.summary.bytes;
    let mut out = io::stdout().lock();
    if args.json {
        let value = json!({
            "is_sound": outcome == Outcome::Sound,
            "is_in_use": survey.is_in_use,
            "segments": segments,
            "frames": frames,
            "bytes": bytes,
            "findings": survey.findings.iter().map(finding_json).collect::<Vec<_>>(),
        });
        writeln!(out, "{value:#}")?;
        return Ok(outcome);
    }
    if survey.is_in_use {
        writeln!(out, "in use: another process has the log open; its newest records may still be in motion")?;
    }
    for finding in &survey.findings {
        writeln!(out, "{:7} {finding}", finding.severity())?;
        writeln!(out, "        lost: {}", finding.loss())?;
        writeln!(out, "        do:   {}", finding.advice())?;
    }
    let verdict = match outcome {
        Outcome::Sound => "sound".to_owned(),
        _ => format!(
            "{} damages, {} warnings",
            survey.count(Severity::Damage),
            survey.count(Severity::Warning)
        ),
    };
    writeln!(out, "{verdict}: {segments} segments, {frames} frames, {bytes} bytes")?;
    Ok(outcome)
}
