//! The steps that commands are made of. Each is durable on return, and can be repeated.

use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::data_file::DataFile;
use crate::durable::{replace, sync_dir};
use crate::epochs::Layout;
use crate::structure;
use crate::vere::maintain::error::MaintainError;
use crate::vere::meta::{Identity, MetaRecord, TABLE};
use crate::vere::pier::Pier;
use crate::writer::{EpochWriter, WriteOptions};

/// What a command will do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) write: WriteOptions,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Makes an empty folder.
    MakeDir(PathBuf),
    /// Copies a file, or replaces an older copy.
    Copy {
        /// The file.
        from: PathBuf,
        /// The copy.
        to: PathBuf,
    },
    /// Gives a file another name more.
    Link {
        /// The file.
        from: PathBuf,
        /// The other name.
        to: PathBuf,
    },
    /// Writes a text file.
    Text {
        /// Its folder.
        dir: PathBuf,
        /// Its name.
        name: &'static str,
        /// What it holds.
        text: String,
    },
    /// Makes a data file without events.
    MakeData {
        /// Its folder.
        dir: PathBuf,
        /// The epoch's number.
        number: u64,
        /// The disk version in META.
        version: u8,
        /// Whose log it is.
        identity: Identity,
    },
    /// Sets the disk version in META.
    SetVersion {
        /// The data file's folder.
        dir: PathBuf,
        /// The new version.
        version: u8,
    },
    /// Fails unless a new data file is whole and says whose log it is.
    Check {
        /// Its folder.
        dir: PathBuf,
        /// Whose log it is.
        identity: Identity,
    },
    /// Puts something in its place.
    Rename {
        /// Its name until now.
        from: PathBuf,
        /// Its place, where nothing is, or a file that it replaces.
        to: PathBuf,
    },
    /// Removes a folder and all in it, or a file.
    Remove(PathBuf),
}

impl Plan {
    /// The steps. None if there is nothing to do.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Does the steps. `begin` is told of each one before it is done.
    ///
    /// # Errors
    ///
    /// [`MaintainError`] of the step that failed. Those before it are durable, and a plan made again does the rest.
    pub fn run(&self, pier: &Pier, mut begin: impl FnMut(&Step)) -> Result<(), MaintainError> {
        for step in &self.steps {
            begin(step);
            step.run(pier, self.write)?;
        }
        Ok(())
    }
}

impl Step {
    fn run(&self, pier: &Pier, write: WriteOptions) -> Result<(), MaintainError> {
        match self {
            Self::MakeDir(path) => at(path, make_dir(path)),
            Self::Copy { from, to } => at(from, copy(from, to)),
            Self::Link { from, to } => at(to, link(from, to)),
            Self::Text { dir, name, text } => at(&dir.join(name), replace(dir, name, text.as_bytes())),
            Self::MakeData { dir, number, version, identity } => {
                let mut writer = EpochWriter::create(dir, *number, Layout::VERE, write, pier.write_guard())?;
                let pairs = identity.pairs(*version);
                let pairs = pairs.each_ref().map(|(key, value)| (*key, value.as_slice()));
                Ok(writer.put_pairs(TABLE, &pairs)?)
            }
            Self::SetVersion { dir, version } => {
                let mut writer = EpochWriter::open(dir, 0, Layout::VERE, write, pier.write_guard())?;
                Ok(writer.put_pairs(TABLE, &[("version", &[*version])])?)
            }
            Self::Check { dir, identity } => check(&dir.join(Layout::VERE.data_file), *identity),
            Self::Rename { from, to } => at(to, rename(from, to)),
            Self::Remove(path) => at(path, remove(path)),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeDir(path) => write!(f, "make the folder {}", path.display()),
            Self::Copy { from, to } => write!(f, "copy {} to {}", from.display(), to.display()),
            Self::Link { from, to } => write!(f, "link {} as {}", from.display(), to.display()),
            Self::Text { dir, name, text } => write!(f, "write {text:?} to {}", dir.join(name).display()),
            Self::MakeData { dir, version, .. } => {
                write!(f, "make a data file of version {version} without events in {}", dir.display())
            }
            Self::SetVersion { dir, version } => {
                write!(f, "set the disk version in {} to {version}", dir.display())
            }
            Self::Check { dir, .. } => write!(f, "check every page in {}", dir.display()),
            Self::Rename { from, to } => write!(f, "rename {} to {}", from.display(), to.display()),
            Self::Remove(path) => write!(f, "remove {}", path.display()),
        }
    }
}

pub(super) fn at<T>(path: &Path, outcome: io::Result<T>) -> Result<T, MaintainError> {
    outcome.map_err(|source| MaintainError::Io { path: path.to_owned(), source })
}

fn parent(path: &Path) -> &Path {
    path.parent().expect("what a step makes is in a pier")
}

pub(super) fn make_dir(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made?,
    }
    sync_dir(parent(path))
}

/// Copies the bytes, makes them durable, and compares their number.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let copied = fs::copy(from, to)?;
    File::open(to)?.sync_all()?;
    sync_dir(parent(to))?;
    if fs::metadata(from)?.len() == copied && fs::metadata(to)?.len() == copied {
        Ok(())
    } else {
        Err(io::Error::other("the file changed while it was copied"))
    }
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        linked => linked?,
    }
    sync_dir(parent(to))
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_dir(parent(to))?;
    if parent(from) == parent(to) { Ok(()) } else { sync_dir(parent(from)) }
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    sync_dir(parent(path))
}

fn check(path: &Path, identity: Identity) -> Result<(), MaintainError> {
    let bad = |why: String| MaintainError::BadCopy { path: path.to_owned(), why };
    let file = DataFile::open(path).map_err(|error| bad(error.to_string()))?;
    let structure = structure::check(&file).map_err(|error| bad(error.to_string()))?;
    if let Some(damage) = structure.damages.first() {
        return Err(bad(format!("page {}: {}", damage.page, damage.problem)));
    }
    let meta = MetaRecord::read(&file).map_err(|error| bad(error.to_string()))?;
    if meta.identity() == Some(identity) { Ok(()) } else { Err(bad("META says another thing".to_owned())) }
}
