//! `verify`: every problem, with its place, its cost and its cure.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Failed, Outcome, PierArgs, of_pier, print_json, progress_bar, text_of};
use crate::vere::{Access, Depth, Finding, PierError, Problem, Severity, verify};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pier: PierArgs,
    /// Check pages and the ends of epochs, and read no event.
    #[arg(long)]
    quick: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failed> {
    let pier = match args.pier.open(Access::Read) {
        Ok(pier) => pier,
        Err(Failed::Pier(error)) if of_pier(&error) == Outcome::Findings => return damaged(args, &error),
        Err(failed) => return Err(failed),
    };
    let depth = if args.quick { Depth::Pages } else { Depth::Events };
    let bar = progress_bar(0);
    let verified = verify(&pier, depth, |number, last| {
        if number.is_multiple_of(1024) {
            bar.set_length(last);
            bar.set_position(number);
        }
    })?;
    bar.finish_and_clear();
    pier.check_still_alone()?;
    let is_unreadable = |finding: &Finding| matches!(finding.problem, Problem::Unreadable { .. });
    let outcome = if verified.findings.iter().any(is_unreadable) {
        Outcome::Disk
    } else if verified.is_sound() {
        Outcome::Sound
    } else {
        Outcome::Findings
    };
    if args.pier.json {
        print_json(&json!({
            "is_sound": verified.is_sound(),
            "events": verified.events,
            "epochs": verified.survey.epochs.len(),
            "findings": verified.findings.iter().map(finding_json).collect::<Vec<_>>(),
        }))?;
        return Ok(outcome);
    }
    let mut out = io::stdout().lock();
    for finding in &verified.findings {
        writeln!(out, "{:7} {finding}", finding.severity())?;
        writeln!(out, "        lost: {}", finding.problem.loss())?;
        writeln!(out, "        do:   {}", finding.problem.advice())?;
    }
    let count = |severity| verified.findings.iter().filter(|finding| finding.severity() == severity).count();
    let verdict = if verified.is_sound() {
        "sound".to_owned()
    } else {
        format!("{} damages, {} warnings", count(Severity::Damage), count(Severity::Warning))
    };
    writeln!(out, "{verdict}: {} epochs, {} events read", verified.survey.epochs.len(), verified.events)?;
    Ok(outcome)
}

/// A pier of which not even the disk version can be told.
fn damaged(args: &Args, error: &PierError) -> Result<Outcome, Failed> {
    let mut why = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        why = format!("{why}: {source}");
    }
    if args.pier.json {
        let finding = json!({ "severity": "damage", "invariant": 1, "what": why, "lost": "what the file holds",
            "advice": "restore the file from a copy, or `salvage` what is readable into a new pier" });
        print_json(&json!({ "is_sound": false, "events": 0, "epochs": 0, "findings": [finding] }))?;
    } else {
        println!("damage  {why}");
    }
    Ok(Outcome::Findings)
}

fn finding_json(finding: &Finding) -> Value {
    json!({
        "severity": finding.severity().to_string(),
        "invariant": finding.problem.invariant(),
        "path": text_of(&finding.path),
        "what": finding.problem.to_string(),
        "lost": finding.problem.loss(),
        "advice": finding.problem.advice(),
    })
}
