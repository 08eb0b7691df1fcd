//! The record locks that this process holds, one descriptor an inode.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A file, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    pub(crate) fn of_path(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn of_file(file: &File) -> io::Result<Self> {
        Ok(Self::of(&file.metadata()?))
    }

    fn of(metadata: &std::fs::Metadata) -> Self {
        Self { device: metadata.dev(), number: metadata.ino() }
    }
}

/// A lock file with a record lock of this process. The lock ends with it.
#[derive(Debug)]
pub(crate) struct Held {
    inode: Inode,
    is_writer: bool,
    _file: File,
}

impl Held {
    pub(crate) fn new(file: File, is_writer: bool) -> io::Result<Self> {
        Ok(Self { inode: Inode::of_file(&file)?, is_writer, _file: file })
    }

    pub(crate) fn inode(&self) -> Inode {
        self.inode
    }

    pub(crate) fn is_writer(&self) -> bool {
        self.is_writer
    }
}

/// The lock that this process holds on `inode`, if any.
pub(crate) fn find(inode: Inode) -> Option<Arc<Held>> {
    registry().locks.get(&inode).and_then(Weak::upgrade)
}

/// Makes a lock known, so that no other descriptor of its file is opened and closed.
pub(crate) fn register(held: Held) -> Arc<Held> {
    let held = Arc::new(held);
    let mut registry = registry();
    registry.locks.retain(|_, lock| lock.strong_count() > 0);
    registry.locks.insert(held.inode, Arc::downgrade(&held));
    held
}

/// The lock file of an LMDB environment that this process has open. Ends with the value.
#[derive(Debug)]
pub(crate) struct EnvironmentLock(Inode);

impl EnvironmentLock {
    /// `None` if this process has it open already, also by another path.
    pub(crate) fn register(inode: Inode) -> Option<Self> {
        let mut registry = registry();
        registry.environments.insert(inode).then_some(Self(inode))
    }
}

impl Drop for EnvironmentLock {
    fn drop(&mut self) {
        registry().environments.remove(&self.0);
    }
}

/// Whether this process has the LMDB environment with that lock file open.
pub(crate) fn is_environment(inode: Inode) -> bool {
    registry().environments.contains(&inode)
}

#[derive(Debug)]
struct Registry {
    locks: BTreeMap<Inode, Weak<Held>>,
    environments: BTreeSet<Inode>,
}

fn registry() -> MutexGuard<'static, Registry> {
    // Each call leaves the maps whole.
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

static REGISTRY: Mutex<Registry> =
    Mutex::new(Registry { locks: BTreeMap::new(), environments: BTreeSet::new() });
