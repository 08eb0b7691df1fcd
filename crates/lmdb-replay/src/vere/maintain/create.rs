//! A new pier, as Vere makes it.

use std::path::Path;

use crate::epochs::Layout;
use crate::lock::ProcessIds;
use crate::vere::maintain::error::{MaintainError, Refusal};
use crate::vere::maintain::step::{Plan, Step, at, make_dir};
use crate::vere::meta::Identity;
use crate::vere::pier::{Access, DiskVersion, LOG_DIR, Pier, SNAPSHOT_DIR};
use crate::vere::survey::{EPOC_FILE, VERE_FILE};
use crate::writer::WriteOptions;

/// What a new pier is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PierSpec {
    /// Whose log it is.
    pub identity: Identity,
    /// How events are kept: [`DiskVersion::Epochs`], or [`DiskVersion::Flat`] as in runtimes up to 2.12.
    pub disk: DiskVersion,
    /// The format of its first epoch.
    pub format: EpochFormat,
    /// What stands in `vere.txt`, such as "3.0".
    pub runtime: String,
    /// What writing may cost.
    pub write: WriteOptions,
}

/// The version of an epoch's format: what its snapshot is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EpochFormat {
    /// Version 1, runtimes 3.x: `north.bin` and `south.bin`.
    NorthSouth,
    /// Version 2, runtimes 4.x: `image.bin`.
    Image,
}

impl EpochFormat {
    /// What stands in `epoc.txt`.
    pub fn text(self) -> &'static str {
        match self {
            Self::NorthSouth => "1",
            Self::Image => "2",
        }
    }
}

/// Makes a pier without events at `root`, and opens it for writing. Durable on return.
///
/// What a process that ended on the way left is removed. A folder that is there stays, without a log in it.
///
/// # Errors
///
/// [`Refusal::Exists`] if there is a log; [`MaintainError`] otherwise.
pub fn create_pier(root: &Path, spec: &PierSpec) -> Result<Pier, MaintainError> {
    let log_dir = root.join(LOG_DIR);
    if log_dir.exists() {
        return Err(Refusal::Exists { path: log_dir }.into());
    }
    at(root, std::fs::create_dir_all(root))?;
    for dir in [".urb", ".urb/put", ".urb/get", SNAPSHOT_DIR] {
        let path = root.join(dir);
        at(&path, make_dir(&path))?;
    }
    let building = root.join(".urb/.samestep-create");
    let epoch = building.join(Layout::VERE.epoch_name(0));
    let identity = spec.identity;
    let make_data =
        |dir: &Path, version| Step::MakeData { dir: dir.to_owned(), number: 0, version, identity };
    let mut steps = vec![Step::Remove(building.clone()), Step::MakeDir(building.clone())];
    if spec.disk == DiskVersion::Epochs {
        steps.extend([
            make_data(&building, 3),
            Step::MakeDir(epoch.clone()),
            make_data(&epoch, 3),
            Step::Text { dir: epoch.clone(), name: EPOC_FILE, text: spec.format.text().to_owned() },
            Step::Text { dir: epoch, name: VERE_FILE, text: spec.runtime.clone() },
        ]);
    } else {
        steps.push(make_data(&building, 1));
    }
    steps.push(Step::Rename { from: building, to: log_dir });
    let pier = Pier::lock_new(root, ProcessIds::Honour)?;
    Plan { steps, write: spec.write }.run(&pier, |_| {})?;
    drop(pier);
    Ok(Pier::open(root, Access::Write, ProcessIds::Honour)?)
}
