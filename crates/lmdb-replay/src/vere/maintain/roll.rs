//! `roll`: a new epoch that starts from the live snapshot.

use crate::epochs::Layout;
use crate::vere::maintain::create::EpochFormat;
use crate::vere::maintain::error::{MaintainError, Refusal};
use crate::vere::maintain::step::{Plan, Step, at};
use crate::vere::meta::Identity;
use crate::vere::pier::{DiskVersion, Pier};
use crate::vere::survey::{DataSurvey, EPOC_FILE, SnapshotFiles, Survey, VERE_FILE};
use crate::vere::verify::OWN_TEMPORARY;
use crate::writer::WriteOptions;

/// How to roll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RollOptions {
    /// What the caller knows of the live snapshot.
    pub snapshot: SnapshotClaim,
    /// What writing may cost.
    pub write: WriteOptions,
}

/// What the caller knows of the live snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotClaim {
    /// Nothing: which event it is of must stand in it.
    InFile,
    /// It is of this event, for layouts that are not known. Where the file tells, the file is right.
    OfEvent(u64),
}

/// Plans a new epoch behind the last event, which starts from the live snapshot. Right also if the newest epoch has
/// one event only. Nothing is planned if the newest epoch has none.
///
/// # Errors
///
/// [`Refusal`] if the live snapshot is not whole or not of the last event, or if the newest epoch is damaged.
pub fn plan_roll(pier: &Pier, options: RollOptions) -> Result<Plan, MaintainError> {
    if pier.disk_version() != DiskVersion::Epochs {
        return Err(Refusal::NotEpochs.into());
    }
    let log_dir = pier.log_dir();
    let survey = at(&log_dir, Survey::of(pier))?;
    let temporary = log_dir.join(format!("{OWN_TEMPORARY}roll"));
    let mut plan = Plan { steps: Vec::new(), write: options.write };
    if temporary.exists() {
        plan.steps.push(Step::Remove(temporary.clone()));
    }
    let newest = survey.epochs.last().ok_or(Refusal::NoEpoch)?;
    let damaged = |why: String| Refusal::Damaged { path: newest.path.clone(), why };
    let data = newest.data.as_ref().map_err(|error| damaged(error.to_string()))?;
    let Some((_, last)) = data.bounds else { return Ok(plan) };
    let identity = identity_of(data)?;
    let format = check_snapshot(&survey.snapshot, options.snapshot, last)?;
    let chk = pier.snapshot_dir();
    plan.steps.push(Step::MakeDir(temporary.clone()));
    for (name, _) in &survey.snapshot.files {
        plan.steps.push(Step::Copy { from: chk.join(name), to: temporary.join(name) });
    }
    let runtime = newest.vere.text().unwrap_or_default().to_owned();
    plan.steps.extend([
        Step::MakeData { dir: temporary.clone(), number: last, version: 3, identity },
        Step::Text { dir: temporary.clone(), name: EPOC_FILE, text: format.text().to_owned() },
        Step::Text { dir: temporary.clone(), name: VERE_FILE, text: runtime },
        Step::Check { dir: temporary.clone(), identity },
        Step::Rename { from: temporary, to: log_dir.join(Layout::VERE.epoch_name(last)) },
    ]);
    Ok(plan)
}

/// Whose log a data file is of.
pub(super) fn identity_of(data: &DataSurvey) -> Result<Identity, Refusal> {
    data.meta.identity().ok_or_else(|| {
        let why: Vec<String> = data.meta.issues.iter().map(ToString::to_string).collect();
        Refusal::NoIdentity { why: why.join(", ") }
    })
}

/// Fails unless the live snapshot is whole and of event `last`.
pub(super) fn check_snapshot(
    snapshot: &SnapshotFiles,
    claim: SnapshotClaim,
    last: u64,
) -> Result<EpochFormat, Refusal> {
    if !snapshot.is_whole() {
        return Err(Refusal::NoSnapshot);
    }
    if snapshot.has_patch() {
        return Err(Refusal::SnapshotPatch);
    }
    let event = match (snapshot.event, claim) {
        (Some(event), _) | (None, SnapshotClaim::OfEvent(event)) => event,
        (None, SnapshotClaim::InFile) => return Err(Refusal::SnapshotUnknown { last }),
    };
    if event != last {
        return Err(Refusal::SnapshotStale { snapshot: event, last });
    }
    let is_image = snapshot.files.iter().any(|(name, _)| name == "image.bin");
    Ok(if is_image { EpochFormat::Image } else { EpochFormat::NorthSouth })
}
