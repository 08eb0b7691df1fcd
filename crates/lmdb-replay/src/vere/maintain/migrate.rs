//! `migrate`: from one flat log to epochs.

use crate::epochs::Layout;
use crate::lock::held::Inode;
use crate::vere::maintain::error::{MaintainError, Refusal};
use crate::vere::maintain::roll::{RollOptions, check_snapshot, identity_of};
use crate::vere::maintain::step::{Plan, Step, at};
use crate::vere::pier::{DiskVersion, Pier};
use crate::vere::survey::{EPOC_FILE, Survey, VERE_FILE};
use crate::vere::verify::OWN_TEMPORARY;

/// Plans to make epochs of a flat log, and a first epoch behind them that starts from the live snapshot; or to
/// finish that where it was begun, by Vere or by this crate. Nothing is planned if the log has epochs.
///
/// The flat file itself becomes that of epoch 0, by a second name, so that no event is copied. The log becomes one
/// of epochs by one rename, of a META file over the flat log's first name.
///
/// # Errors
///
/// [`Refusal`] if the live snapshot is not whole or not of the last event, or if the log is damaged.
pub fn plan_migrate(pier: &Pier, options: RollOptions) -> Result<Plan, MaintainError> {
    let mut plan = Plan { steps: Vec::new(), write: options.write };
    let log_dir = pier.log_dir();
    let [first, top, newest] =
        ["epoch", "top", "roll"].map(|name| log_dir.join(format!("{OWN_TEMPORARY}{name}")));
    for temporary in [&first, &top, &newest] {
        if temporary.exists() {
            plan.steps.push(Step::Remove(temporary.clone()));
        }
    }
    if pier.disk_version() == DiskVersion::Epochs {
        return Ok(plan);
    }
    let survey = at(&log_dir, Survey::of(pier))?;
    let flat = log_dir.join(Layout::VERE.data_file);
    let damaged = |why: String| Refusal::Damaged { path: flat.clone(), why };
    let data = survey.top.as_ref().map_err(|error| damaged(error.to_string()))?;
    let identity = identity_of(data)?;
    let (_, last) = data.bounds.ok_or_else(|| damaged("it holds no event".to_owned()))?;
    let format = check_snapshot(&survey.snapshot, options.snapshot, last)?;

    // What Vere left of one.
    if log_dir.join("tmp").exists() {
        plan.steps.push(Step::Remove(log_dir.join("tmp")));
    }
    if pier.disk_version() == DiskVersion::Flat {
        plan.steps.push(Step::SetVersion { dir: log_dir.clone(), version: 2 });
    }
    let texts = |dir: &std::path::Path| {
        [(EPOC_FILE, format.text()), (VERE_FILE, "2.12")].map(|(name, text)| Step::Text {
            dir: dir.to_owned(),
            name,
            text: text.to_owned(),
        })
    };
    let epoch = log_dir.join(Layout::VERE.epoch_name(0));
    if epoch.exists() {
        // Of an interrupted migration: it holds the flat log itself, or nothing yet.
        let linked = epoch.join(Layout::VERE.data_file);
        let [is_of, here] = [&linked, &flat].map(|path| at(path, Inode::of_path(path)));
        match (is_of?, here?) {
            (None, _) => plan.steps.push(Step::Link { from: flat.clone(), to: linked }),
            (linked, flat) if linked == flat => {}
            _ => return Err(Refusal::InTheWay { path: epoch }.into()),
        }
        plan.steps.extend(texts(&epoch));
    } else {
        plan.steps.push(Step::MakeDir(first.clone()));
        plan.steps.push(Step::Link { from: flat.clone(), to: first.join(Layout::VERE.data_file) });
        plan.steps.extend(texts(&first));
        plan.steps.push(Step::Rename { from: first, to: epoch.clone() });
    }
    plan.steps.extend([
        Step::Check { dir: epoch, identity },
        Step::MakeDir(top.clone()),
        Step::MakeData { dir: top.clone(), number: 0, version: 3, identity },
        Step::Check { dir: top.clone(), identity },
        Step::Rename { from: top.join(Layout::VERE.data_file), to: flat },
        Step::Remove(top),
    ]);
    Ok(plan)
}
