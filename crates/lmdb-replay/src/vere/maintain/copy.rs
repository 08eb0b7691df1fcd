//! `export` and `import`: a pier's log, snapshots and rocks, copied such that the copy is one state.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::data_file::{DataFile, MetaChoice};
use crate::durable::sync_dir;
use crate::epochs::Layout;
use crate::lock::ProcessIds;
use crate::structure;
use crate::vere::Pier;
use crate::vere::finding::Severity;
use crate::vere::maintain::error::{MaintainError, Refusal};
use crate::vere::maintain::step::{at, copy, make_dir, remove, rename};
use crate::vere::pier::{Access, ENVIRONMENT_LOCK_FILE, PierError};
use crate::vere::verify::{Depth, OWN_TEMPORARY, verify};

/// Whether a log that somebody has may be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// It may not.
    Refuse,
    /// It may: a data file is copied again until both its meta pages are the same before and after.
    Allow,
}

/// What a copy is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Copied {
    /// The files, as they are named below the pier.
    pub files: Vec<PathBuf>,
    /// Bytes in them.
    pub bytes: u64,
    /// How often a file of a live log had to be copied again.
    pub retries: u64,
}

/// Copies the log, the snapshots and the rocks of the pier at `from` to `to`, where nothing is. Lock files and the
/// folders put and get are not copied. `begin` is told of each file, with a name below the pier.
///
/// The copy gets its name when all of it is durable and every page of it was checked.
///
/// Done already, nothing is copied.
///
/// # Errors
///
/// [`Refusal::Exists`] if `to` is there and no such copy; [`MaintainError::Pier`] if somebody has the pier and `live` does not allow
/// it; [`MaintainError::BadCopy`] if a data file does not stand still or is damaged.
pub fn export(
    from: &Path,
    to: &Path,
    live: Live,
    mut begin: impl FnMut(&Path),
) -> Result<Copied, MaintainError> {
    if at(to, fs::exists(to))? {
        return if is_copy(from, to)? { Ok(Copied::default()) } else { Err(exists(to)) };
    }
    let opened = Pier::open(from, Access::Read, ProcessIds::Honour);
    // Held while it is copied, or not held at all.
    let _pier = match opened {
        Err(PierError::Lock(_) | PierError::EnvironmentInUse { .. }) if live == Live::Allow => None,
        opened => Some(opened?),
    };
    let temporary = beside(to);
    at(&temporary, remove_if_there(&temporary))?;
    at(&temporary, make_dir(&temporary))?;
    let copied = copy_all(from, &temporary, &mut begin)?;
    at(to, rename(&temporary, to))?;
    Ok(copied)
}

/// Copies an exported pier, or any that nobody has, into the folder `to`, which may be there but has no `.urb`.
///
/// Every page and event of `from` is checked first. The log gets its name when all of it is durable. Done already,
/// nothing is copied.
///
/// # Errors
///
/// [`Refusal::Exists`] if there is a `.urb` and it is no such copy, [`Refusal::Damaged`] with the first finding; [`MaintainError`] otherwise.
pub fn import(from: &Path, to: &Path, mut begin: impl FnMut(&Path)) -> Result<Copied, MaintainError> {
    let urb = to.join(".urb");
    let temporary = to.join(format!("{OWN_TEMPORARY}import"));
    if at(&urb, fs::exists(&urb))? {
        let _lock = Pier::lock_new(to, ProcessIds::Honour)?;
        // A call that was interrupted behind its rename has done all but this.
        at(&temporary, remove_if_there(&temporary))?;
        return if is_copy(from, to)? { Ok(Copied::default()) } else { Err(exists(&urb)) };
    }
    let pier = Pier::open(from, Access::Read, ProcessIds::Honour)?;
    let verified = at(from, verify(&pier, Depth::Events, |_, _| {}))?;
    if let Some(finding) = verified.findings.iter().find(|finding| finding.severity() == Severity::Damage) {
        let (path, why) = (finding.path.clone(), finding.problem.to_string());
        return Err(Refusal::Damaged { path, why }.into());
    }
    at(to, fs::create_dir_all(to))?;
    let _lock = Pier::lock_new(to, ProcessIds::Honour)?;
    at(&temporary, remove_if_there(&temporary))?;
    at(&temporary, make_dir(&temporary))?;
    let copied = copy_all(from, &temporary, &mut begin)?;
    at(&urb, rename(&temporary.join(".urb"), &urb))?;
    at(&temporary, remove(&temporary))?;
    Ok(copied)
}

fn exists(path: &Path) -> MaintainError {
    Refusal::Exists { path: path.to_owned() }.into()
}

/// Whether `to` has the files that a copy of `from` has, byte by byte, so that there is nothing to do.
fn is_copy(from: &Path, to: &Path) -> Result<bool, MaintainError> {
    let files = at(from, files_to_copy(from))?;
    if files.is_empty() || at(to, files_to_copy(to))? != files {
        return Ok(false);
    }
    for name in files {
        let (source, target) = (from.join(&name), to.join(&name));
        if !at(&target, has_same_bytes(&source, &target))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn has_same_bytes(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (BufReader::new(File::open(a)?), BufReader::new(File::open(b)?));
    loop {
        let (here, there) = (a.fill_buf()?, b.fill_buf()?);
        let len = here.len().min(there.len());
        if len == 0 {
            return Ok(here.len() == there.len());
        }
        if here[..len] != there[..len] {
            return Ok(false);
        }
        a.consume(len);
        b.consume(len);
    }
}

/// The files that a copy of the pier at `root` has, named below it.
pub fn files_to_copy(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for dir in COPIED_DIRS {
        let dir = PathBuf::from(dir);
        if root.join(&dir).is_dir() {
            list(root, &dir, &mut files)?;
        }
    }
    files.sort();
    Ok(files)
}

fn list(root: &Path, dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(dir))? {
        let entry = entry?;
        let name = entry.file_name();
        let (path, text) = (dir.join(&name), name.to_string_lossy());
        let kind = entry.file_type()?;
        if kind.is_dir() && text != "tmp" && !text.starts_with(OWN_TEMPORARY) {
            list(root, &path, files)?;
        } else if kind.is_file() && text != ENVIRONMENT_LOCK_FILE {
            files.push(path);
        }
    }
    Ok(())
}

fn copy_all(from: &Path, to: &Path, begin: &mut dyn FnMut(&Path)) -> Result<Copied, MaintainError> {
    for dir in [".urb", ".urb/put", ".urb/get", ".urb/log", ".urb/chk"] {
        let path = to.join(dir);
        at(&path, make_dir(&path))?;
    }
    let mut copied = Copied { files: at(from, files_to_copy(from))?, ..Copied::default() };
    for name in &copied.files {
        begin(name);
        let (source, target) = (from.join(name), to.join(name));
        let dir = target.parent().expect("a file of a pier is in a folder");
        at(dir, fs::create_dir_all(dir))?;
        if name.file_name() == Some(Layout::VERE.data_file.as_ref()) {
            copied.retries += copy_data(&source, &target, |from, to| fs::copy(from, to))?;
        } else {
            copied.retries += copy_still(&source, &target)?;
        }
        copied.bytes += at(&target, fs::metadata(&target))?.len();
        // Each folder of the copy is durable when its last file is.
        for dir in dir.ancestors().take_while(|dir| dir.starts_with(to)) {
            at(dir, sync_dir(dir))?;
        }
    }
    if at(from, files_to_copy(from))? == copied.files {
        return Ok(copied);
    }
    Err(MaintainError::BadCopy { path: from.to_owned(), why: "files came or went; try again".to_owned() })
}

/// Copies a data file until both meta pages are the same before and after, and checks every page of the copy.
/// Returns how often it was copied again.
fn copy_data(
    from: &Path,
    to: &Path,
    mut copy: impl FnMut(&Path, &Path) -> io::Result<u64>,
) -> Result<u64, MaintainError> {
    let mut why = String::new();
    for retries in 0..ATTEMPTS {
        let reader = Arc::new(at(from, File::open(from))?);
        let before = match DataFile::with_reader(reader, MetaChoice::Newest) {
            Ok(file) => file,
            Err(error) => {
                why = error.to_string();
                continue;
            }
        };
        at(from, copy(from, to))?;
        if before.reread_metas().ok() != Some(before.metas()) {
            "transactions were committed while it was copied".clone_into(&mut why);
            continue;
        }
        at(to, File::open(to).and_then(|file| file.sync_all()))?;
        let checked = DataFile::open(to).map_err(|error| error.to_string()).and_then(|file| {
            let structure = structure::check(&file).map_err(|error| error.to_string())?;
            Ok((*file.meta(), structure))
        });
        match checked {
            Ok((meta, structure)) if structure.damages.is_empty() && meta == *before.meta() => {
                return Ok(retries);
            }
            Ok((_, structure)) => {
                let damage = structure.damages.first();
                why = damage
                    .map_or_else(String::new, |damage| format!("page {}: {}", damage.page, damage.problem));
            }
            Err(error) => why = error,
        }
    }
    Err(MaintainError::BadCopy { path: from.to_owned(), why })
}

/// Copies a file that only a runtime's save changes, until it stands still.
fn copy_still(from: &Path, to: &Path) -> Result<u64, MaintainError> {
    for retries in 0..ATTEMPTS {
        let state = || at(from, fs::metadata(from).and_then(|file| Ok((file.len(), file.modified()?))));
        let before = state()?;
        let copied = copy(from, to);
        if copied.is_ok() && state()? == before {
            return Ok(retries);
        }
    }
    let why = "it changed while it was copied, again and again".to_owned();
    Err(MaintainError::BadCopy { path: from.to_owned(), why })
}

/// The name of an unfinished copy.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    parent.join(format!("{OWN_TEMPORARY}{name}"))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    if fs::exists(path)? { remove(path) } else { Ok(()) }
}

/// What a pier needs to run and replay; put and get are its owner's.
const COPIED_DIRS: [&str; 3] = [".urb/log", ".urb/chk", ".urb/roc"];
/// How often a file that moves is copied.
const ATTEMPTS: u64 = 20;

#[cfg(test)]
mod tests;
