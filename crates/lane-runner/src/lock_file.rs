//! Finds, reads and replaces the lock file.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::lock::{LOCK_FILE_NAME, Lock, ParseLockError};

/// The lock file of a suite, which need not exist yet.
#[derive(Debug)]
pub(crate) struct LockFile {
    path: PathBuf,
    lock: Option<Lock>,
}

impl LockFile {
    /// Reads the file at `path`, or, if that is not given, the nearest one upwards of `start`. Where there is
    /// none, a new one would stand at the root of the workspace.
    pub(crate) fn open(path: Option<&Path>, start: &Path) -> Result<Self, LockFileError> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => match find_upward(start, LOCK_FILE_NAME) {
                Some(folder) => folder.join(LOCK_FILE_NAME),
                None => workspace_root(start).join(LOCK_FILE_NAME),
            },
        };
        let lock = match fs::read_to_string(&path) {
            Ok(text) => match Lock::parse(&text) {
                Ok(lock) => Some(lock),
                Err(source) => return Err(LockFileError::Parse { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(LockFileError::Read { path, source }),
        };
        Ok(Self { path, lock })
    }

    /// Replaces the file in one step: whoever reads it meanwhile sees the old one or the new one.
    pub(crate) fn replace(&self, lock: &Lock) -> Result<(), LockFileError> {
        let failed = |source| LockFileError::Write { path: self.path.clone(), source };
        let folder = match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        // Such a file is private by default, and this one is for everybody; the process's mask still applies.
        let permissions = Permissions::from_mode(0o666);
        let mut file = builder.permissions(permissions).tempfile_in(folder).map_err(failed)?;
        file.write_all(lock.render().as_bytes()).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Where it stands, or would stand.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it says, or `None` if it does not exist.
    pub(crate) fn lock(&self) -> Option<&Lock> {
        self.lock.as_ref()
    }
}

/// Why a lock file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockFileError {
    /// It is damaged: mend the line.
    #[error("{}", path.display())]
    Parse { path: PathBuf, source: ParseLockError },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// The nearest folder upwards of `start` that has a `Cargo.lock`, else `start` itself.
pub(crate) fn workspace_root(start: &Path) -> PathBuf {
    find_upward(start, "Cargo.lock").unwrap_or(start).to_owned()
}

fn find_upward<'a>(start: &'a Path, name: &str) -> Option<&'a Path> {
    start.ancestors().find(|folder| folder.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use samestep_replay_traits::Seed;

    use super::{LockFile, LockFileError};
    use crate::lock::{Entry, Lock};

    #[test]
    fn the_nearest_one_upwards_is_found_and_replaced() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("crates/one");
        fs::create_dir_all(&deep).unwrap();
        fs::write(root.path().join("Cargo.lock"), "").unwrap();
        let file = LockFile::open(None, &deep).unwrap();
        assert_eq!((file.path(), file.lock()), (root.path().join("determinism.lock").as_path(), None));

        let mut lock = Lock::default();
        lock.insert("a/b", Entry::of(Seed::new(1), "a\n"));
        file.replace(&lock).unwrap();
        assert_eq!(LockFile::open(None, &deep).unwrap().lock(), Some(&lock));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 3, "no temporary file is left");
    }

    #[test]
    fn damage_and_absence_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("other.lock");
        assert!(LockFile::open(Some(&path), root.path()).unwrap().lock().is_none());
        fs::write(&path, "nonsense\n").unwrap();
        let error = LockFile::open(Some(&path), root.path()).err();
        assert!(matches!(error, Some(LockFileError::Parse { .. })), "{error:?}");
    }
}
