//! Names: folders and files, each folder as it is and as it is durable, and the changes between both.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use samestep_provider_traits::{DirEntry, FileKind, Metadata};

use super::contents::Contents;
use crate::time::SimTime;

/// A folder or file, whatever its name.
pub(super) type InodeId = u32;

type Entries = BTreeMap<OsString, InodeId>;

#[derive(Debug)]
pub(super) struct Tree {
    inodes: BTreeMap<InodeId, Inode>,
    next_inode: InodeId,
    /// Changes of names that are not durable, oldest first.
    changes: Vec<Change>,
    sector_bytes: usize,
}

#[derive(Debug)]
enum Inode {
    Folder { entries: Entries, durable: Entries },
    File(FileInode),
}

#[derive(Debug)]
pub(super) struct FileInode {
    pub(super) contents: Contents,
    /// Open files, locks, and operations under way: it is kept for them when it has no name.
    pub(super) user_count: u32,
    pub(super) is_locked: bool,
    /// Writes begun so far.
    pub(super) write_count: u64,
    /// When all that is under way on it is over.
    pub(super) busy_until: SimTime,
}

/// A change of names. Each may, by itself, survive a power cut or not.
#[derive(Clone, Debug)]
pub(super) struct Change {
    inode: InodeId,
    /// The name that it lost.
    from: Option<Name>,
    /// The name that it got.
    to: Option<Name>,
}

type Name = (InodeId, OsString);

impl Tree {
    pub(super) fn new(sector_bytes: usize) -> Self {
        let root = Inode::Folder { entries: Entries::new(), durable: Entries::new() };
        Self { inodes: [(ROOT, root)].into(), next_inode: ROOT + 1, changes: Vec::new(), sector_bytes }
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<InodeId> {
        path.iter().try_fold(ROOT, |folder, name| {
            self.entries(folder)?.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
        })
    }

    /// A new, empty file at `path`, where nothing is.
    pub(super) fn create(&mut self, path: &Path) -> io::Result<InodeId> {
        let (folder, name) = self.split(path)?;
        let name = name.to_owned();
        let file = FileInode {
            contents: Contents::new(self.sector_bytes),
            user_count: 0,
            is_locked: false,
            write_count: 0,
            busy_until: SimTime::ZERO,
        };
        Ok(self.add(folder, name, Inode::File(file)))
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut folder = ROOT;
        for name in path {
            folder = if let Some(&inode) = self.entries(folder)?.get(name) {
                inode
            } else {
                let made = Inode::Folder { entries: Entries::new(), durable: Entries::new() };
                self.add(folder, name.to_owned(), made)
            };
        }
        self.entries(folder).map(|_| ())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let inode = self.find(from)?;
        let ((from_folder, from_name), (to_folder, to_name)) = (self.split(from)?, self.split(to)?);
        if to.starts_with(from) && to != from {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a folder cannot be moved into itself"));
        }
        let is_folder = matches!(self.inodes[&inode], Inode::Folder { .. });
        match self.find(to) {
            Ok(replaced) if replaced == inode => return Ok(()),
            Ok(replaced) if matches!(self.inodes[&replaced], Inode::Folder { .. }) => {
                return Err(ErrorKind::IsADirectory.into());
            }
            Ok(_) if is_folder => return Err(ErrorKind::NotADirectory.into()),
            _ => {}
        }
        let (from, to) = ((from_folder, from_name.to_owned()), (to_folder, to_name.to_owned()));
        self.entries_mut(from.0).remove(&from.1);
        let replaced = self.entries_mut(to.0).insert(to.1.clone(), inode);
        self.changes.push(Change { inode, from: Some(from), to: Some(to) });
        self.forget_if_unused(replaced);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let inode = self.find(path)?;
        if matches!(self.inodes[&inode], Inode::Folder { .. }) {
            return Err(ErrorKind::IsADirectory.into());
        }
        let (folder, name) = self.split(path)?;
        let from = (folder, name.to_owned());
        self.entries_mut(folder).remove(&from.1);
        self.changes.push(Change { inode, from: Some(from), to: None });
        self.forget_if_unused(Some(inode));
        Ok(())
    }

    /// Makes the names in the folder durable, and the other ends of moves from and to it.
    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let synced = self.find(path)?;
        self.entries(synced)?;
        let is_in = |name: &Option<Name>| name.as_ref().is_some_and(|(folder, _)| *folder == synced);
        let changes = std::mem::take(&mut self.changes);
        let is_synced = changes.iter().map(|change| is_in(&change.from) || is_in(&change.to)).collect();
        for (change, is_synced) in with_those_they_need(changes, is_synced) {
            if is_synced {
                // What an earlier change did to its name or file is over; else a power cut could bring it about.
                let is_over = |earlier: &Change| {
                    earlier.inode == change.inode || (change.to.is_some() && earlier.to == change.to)
                };
                self.changes.retain(|earlier| !is_over(earlier));
                self.make_durable(&change);
            } else {
                self.changes.push(change);
            }
        }
        if let Some(Inode::Folder { entries, durable }) = self.inodes.get_mut(&synced) {
            durable.clone_from(entries);
        }
        self.forget_unused();
        Ok(())
    }

    /// What is left of the names after a power cut that decided by `is_kept` on each change that was not durable,
    /// oldest first. Tells which files' names are others now.
    pub(super) fn crash(&mut self, mut is_kept: impl FnMut() -> bool) -> Vec<PathBuf> {
        let before = self.paths();
        let changes = std::mem::take(&mut self.changes);
        let kept = changes.iter().map(|_| is_kept()).collect();
        for (change, is_kept) in with_those_they_need(changes, kept) {
            if is_kept {
                self.make_durable(&change);
            }
        }
        for inode in self.inodes.values_mut() {
            if let Inode::Folder { entries, durable } = inode {
                entries.clone_from(durable);
            }
        }
        let after = self.paths();
        self.inodes.retain(|id, _| *id == ROOT || after.values().any(|inode| inode == id));
        self.release_all();
        let differs = |(path, inode): &(&PathBuf, &InodeId), other: &BTreeMap<PathBuf, InodeId>| {
            other.get(*path) != Some(*inode)
        };
        let lost = before.iter().filter(|entry| differs(entry, &after)).map(|(path, _)| path.clone());
        let back = after.iter().filter(|entry| differs(entry, &before)).map(|(path, _)| path.clone());
        let mut others: Vec<PathBuf> = lost.chain(back).collect();
        others.sort();
        others.dedup();
        others
    }

    /// No file is open or locked any more.
    pub(super) fn release_all(&mut self) {
        for inode in self.inodes.values_mut() {
            if let Inode::File(file) = inode {
                (file.user_count, file.is_locked) = (0, false);
            }
        }
        self.forget_unused();
    }

    /// Nothing is left.
    pub(super) fn wipe(&mut self) {
        *self = Self { next_inode: self.next_inode, ..Self::new(self.sector_bytes) };
    }

    pub(super) fn use_file(&mut self, inode: InodeId) -> io::Result<&mut FileInode> {
        match self.inodes.get_mut(&inode) {
            Some(Inode::File(file)) => {
                file.user_count += 1;
                Ok(file)
            }
            _ => Err(ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn unuse_file(&mut self, inode: InodeId) {
        self.file_mut(inode).user_count -= 1;
        self.forget_if_unused(Some(inode));
    }

    pub(super) fn file(&self, inode: InodeId) -> &FileInode {
        match self.inodes.get(&inode) {
            Some(Inode::File(file)) => file,
            _ => unreachable!("a file is kept while it is used"),
        }
    }

    pub(super) fn file_mut(&mut self, inode: InodeId) -> &mut FileInode {
        match self.inodes.get_mut(&inode) {
            Some(Inode::File(file)) => file,
            _ => unreachable!("a file is kept while it is used"),
        }
    }

    /// All files, named or not, in the order in which they were created.
    pub(super) fn files(&self) -> impl Iterator<Item = (InodeId, &FileInode)> {
        self.inodes.iter().filter_map(|(id, inode)| match inode {
            Inode::File(file) => Some((*id, file)),
            Inode::Folder { .. } => None,
        })
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let entries = self.entries(self.find(path)?)?;
        let entry = |(name, inode): (&OsString, &InodeId)| DirEntry {
            name: name.clone(),
            kind: self.metadata(*inode).kind,
        };
        Ok(entries.iter().map(entry).collect())
    }

    pub(super) fn metadata(&self, inode: InodeId) -> Metadata {
        match &self.inodes[&inode] {
            Inode::File(file) => Metadata::new(FileKind::File, file.contents.len()),
            Inode::Folder { .. } => Metadata::new(FileKind::Directory, 0),
        }
    }

    /// Bytes for which room was taken.
    pub(super) fn used_bytes(&self) -> u64 {
        self.files().map(|(_, file)| file.contents.room()).sum()
    }

    /// A path of the file; for what is said to people, so it need not be fast. Its number if it has none.
    pub(super) fn path_of(&self, inode: InodeId) -> PathBuf {
        let found = self.paths().into_iter().find(|(_, id)| *id == inode).map(|(path, _)| path);
        found.unwrap_or_else(|| PathBuf::from(format!("#{inode}")))
    }

    /// All names that are reached from the root, but the root's.
    fn paths(&self) -> BTreeMap<PathBuf, InodeId> {
        let mut paths = BTreeMap::new();
        let mut to_visit = vec![(ROOT, PathBuf::new())];
        while let Some((folder, path)) = to_visit.pop() {
            let Some(Inode::Folder { entries, .. }) = self.inodes.get(&folder) else { continue };
            for (name, inode) in entries {
                let path = path.join(name);
                to_visit.push((*inode, path.clone()));
                paths.insert(path, *inode);
            }
        }
        paths
    }

    fn make_durable(&mut self, change: &Change) {
        let inode = change.inode;
        if let Some((folder, name)) = &change.to {
            // One name each: whatever the file was called before is over.
            for other in self.inodes.values_mut() {
                if let Inode::Folder { durable, .. } = other {
                    durable.retain(|_, named| *named != inode);
                }
            }
            self.durable_mut(*folder).insert(name.clone(), inode);
        } else if let Some((folder, name)) = &change.from {
            let durable = self.durable_mut(*folder);
            if durable.get(name) == Some(&inode) {
                durable.remove(name);
            }
        }
    }

    fn add(&mut self, folder: InodeId, name: OsString, inode: Inode) -> InodeId {
        let id = self.next_inode;
        self.next_inode += 1;
        self.inodes.insert(id, inode);
        self.entries_mut(folder).insert(name.clone(), id);
        self.changes.push(Change { inode: id, from: None, to: Some((folder, name)) });
        id
    }

    /// Drops the file if it has no name, now or after a power cut, and nothing uses it.
    fn forget_if_unused(&mut self, inode: Option<InodeId>) {
        let Some(inode) = inode else { return };
        if !matches!(self.inodes.get(&inode), Some(Inode::File(file)) if file.user_count == 0) {
            return;
        }
        let is_named = |entries: &Entries| entries.values().any(|named| *named == inode);
        let has_name = self.inodes.values().any(|inode| match inode {
            Inode::Folder { entries, durable } => is_named(entries) || is_named(durable),
            Inode::File(_) => false,
        });
        let may_get_name = self.changes.iter().any(|change| change.inode == inode && change.to.is_some());
        if !has_name && !may_get_name {
            self.inodes.remove(&inode);
            self.changes.retain(|change| change.inode != inode);
        }
    }

    fn forget_unused(&mut self) {
        let unused: Vec<InodeId> =
            self.files().filter(|(_, file)| file.user_count == 0).map(|(id, _)| id).collect();
        for inode in unused {
            self.forget_if_unused(Some(inode));
        }
    }

    /// The folder that `path` is in, and its name there.
    fn split<'a>(&self, path: &'a Path) -> io::Result<(InodeId, &'a OsStr)> {
        let name = path.file_name().ok_or(ErrorKind::IsADirectory)?;
        let folder = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.entries(folder)?;
        Ok((folder, name))
    }

    fn entries(&self, folder: InodeId) -> io::Result<&Entries> {
        match &self.inodes[&folder] {
            Inode::Folder { entries, .. } => Ok(entries),
            Inode::File(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn entries_mut(&mut self, folder: InodeId) -> &mut Entries {
        match self.inodes.get_mut(&folder) {
            Some(Inode::Folder { entries, .. }) => entries,
            _ => unreachable!("it was found to be a folder, and folders are never removed"),
        }
    }

    fn durable_mut(&mut self, folder: InodeId) -> &mut Entries {
        match self.inodes.get_mut(&folder) {
            Some(Inode::Folder { durable, .. }) => durable,
            _ => unreachable!("it was found to be a folder, and folders are never removed"),
        }
    }
}

/// The changes, each with whether it is chosen, or one that is needs it: a name that a file left is given to another
/// only after it was left, or the first would have no name.
fn with_those_they_need(changes: Vec<Change>, mut chosen: Vec<bool>) -> impl Iterator<Item = (Change, bool)> {
    for at in (0..changes.len()).rev() {
        if chosen[at] && changes[at].to.is_some() {
            for earlier in 0..at {
                chosen[earlier] |= changes[earlier].from == changes[at].to;
            }
        }
    }
    changes.into_iter().zip(chosen)
}

const ROOT: InodeId = 0;
