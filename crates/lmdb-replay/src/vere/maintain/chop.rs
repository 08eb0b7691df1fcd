//! `chop`: removes the oldest epochs.

use std::fs;

use crate::vere::finding::Severity;
use crate::vere::maintain::error::{MaintainError, Refusal};
use crate::vere::maintain::step::{Plan, Step, at};
use crate::vere::pier::{DiskVersion, Pier};
use crate::vere::verify::{Depth, OWN_TEMPORARY, verify};
use crate::writer::WriteOptions;

/// How to chop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChopOptions {
    /// How many of the newest epochs stay, at least 1. Vere keeps 2.
    pub keep: usize,
}

/// Plans to remove all but the newest epochs.
///
/// The oldest one that stays must start from a whole snapshot of its own, and all that stay must be sound: every
/// page and event of them is read.
///
/// # Errors
///
/// [`Refusal`] if what would stay could not stand alone.
pub fn plan_chop(pier: &Pier, options: ChopOptions) -> Result<Plan, MaintainError> {
    if pier.disk_version() != DiskVersion::Epochs {
        return Err(Refusal::NotEpochs.into());
    }
    if options.keep == 0 {
        return Err(Refusal::KeepNone.into());
    }
    let log_dir = pier.log_dir();
    let mut plan = Plan { steps: Vec::new(), write: WriteOptions::default() };
    // What an interrupted chop had taken out of the log already.
    let prefix = format!("{OWN_TEMPORARY}chop-");
    for entry in at(&log_dir, fs::read_dir(&log_dir))? {
        let entry = at(&log_dir, entry)?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            plan.steps.push(Step::Remove(entry.path()));
        }
    }
    plan.steps.sort_by_key(ToString::to_string);
    let verified = at(&log_dir, verify(pier, Depth::Events, |_, _| {}))?;
    let epochs = &verified.survey.epochs;
    let Some(surplus) = epochs.len().checked_sub(options.keep).filter(|surplus| *surplus > 0) else {
        return Ok(plan);
    };
    let (old, kept) = epochs.split_at(surplus);
    let start = &kept[0];
    let is_of_its_event = start.snapshot.event.is_none_or(|event| event == start.number);
    if !start.snapshot.is_whole() || !is_of_its_event {
        return Err(Refusal::StartNeeded { epoch: start.number }.into());
    }
    let is_kept = |path: &std::path::Path| !old.iter().any(|epoch| path.starts_with(&epoch.path));
    for finding in &verified.findings {
        if finding.severity() > Severity::Note && is_kept(&finding.path) {
            let (path, why) = (finding.path.clone(), finding.problem.to_string());
            return Err(Refusal::Damaged { path, why }.into());
        }
    }
    // The oldest first, so that what is there is one log at any time.
    for epoch in old {
        let aside = log_dir.join(format!("{prefix}{}", epoch.name));
        plan.steps.push(Step::Rename { from: epoch.path.clone(), to: aside.clone() });
        plan.steps.push(Step::Remove(aside));
    }
    Ok(plan)
}
