//! Folders and files, each as it is and as it would be after a power cut.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::Path;

use samestep_provider_traits::{DirEntry, FileKind, Metadata, Space};

/// A folder or file, whatever its name.
pub(super) type NodeId = u64;

type Entries = BTreeMap<OsString, NodeId>;

pub(super) struct Tree {
    nodes: BTreeMap<NodeId, Node>,
    next_node: NodeId,
    capacity_bytes: u64,
    /// Renames between two folders of which neither was synced since.
    moves: Vec<Move>,
}

enum Node {
    Folder { entries: Entries, durable: Entries },
    File(FileNode),
}

#[derive(Default)]
struct FileNode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    open_count: usize,
    is_locked: bool,
}

/// A file that went from one folder to another. Whichever of them is synced first takes the other along: a rename
/// is atomic also across a power cut.
struct Move {
    from: (NodeId, OsString),
    to: (NodeId, OsString),
    node: NodeId,
}

impl Tree {
    pub(super) fn new() -> Self {
        let root = Node::Folder { entries: Entries::new(), durable: Entries::new() };
        Self {
            nodes: [(ROOT, root)].into(),
            next_node: ROOT + 1,
            capacity_bytes: u64::MAX,
            moves: Vec::new(),
        }
    }

    pub(super) fn set_capacity(&mut self, bytes: u64) {
        self.capacity_bytes = bytes;
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        path.iter().try_fold(ROOT, |folder, name| {
            self.entries(folder)?.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
        })
    }

    /// The file at `path`, new and empty if there is none.
    pub(super) fn find_or_create(&mut self, path: &Path) -> io::Result<NodeId> {
        match self.find(path) {
            Ok(node) => Ok(node),
            Err(error) if error.kind() == ErrorKind::NotFound => self.create(path),
            Err(error) => Err(error),
        }
    }

    /// A new, empty file at `path`, where nothing is.
    pub(super) fn create(&mut self, path: &Path) -> io::Result<NodeId> {
        let (folder, name) = self.split(path)?;
        let node = self.add(Node::File(FileNode::default()));
        self.entries_mut(folder)?.insert(name.to_owned(), node);
        Ok(node)
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut folder = ROOT;
        for name in path {
            folder = if let Some(&node) = self.entries(folder)?.get(name) {
                node
            } else {
                let node = self.add(Node::Folder { entries: Entries::new(), durable: Entries::new() });
                self.entries_mut(folder)?.insert(name.to_owned(), node);
                node
            };
        }
        self.entries(folder).map(|_| ())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        let ((from_folder, from_name), (to_folder, to_name)) = (self.split(from)?, self.split(to)?);
        match self.find(to) {
            Ok(replaced) if replaced == node => return Ok(()),
            Ok(replaced) if matches!(self.nodes[&replaced], Node::Folder { .. }) => {
                return Err(ErrorKind::IsADirectory.into());
            }
            _ => {}
        }
        self.entries_mut(from_folder)?.remove(from_name);
        let replaced = self.entries_mut(to_folder)?.insert(to_name.to_owned(), node);
        if from_folder != to_folder {
            let (from, to) = ((from_folder, from_name.to_owned()), (to_folder, to_name.to_owned()));
            self.moves.push(Move { from, to, node });
        }
        if let Some(node) = replaced {
            self.forget_if_unused(node);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        if matches!(self.nodes[&node], Node::Folder { .. }) {
            return Err(ErrorKind::IsADirectory.into());
        }
        let (folder, name) = self.split(path)?;
        self.entries_mut(folder)?.remove(name);
        self.forget_if_unused(node);
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let synced = self.find(path)?;
        let Some(Node::Folder { entries, durable }) = self.nodes.get_mut(&synced) else {
            return Err(ErrorKind::NotADirectory.into());
        };
        durable.clone_from(entries);
        let (with, without) =
            std::mem::take(&mut self.moves).into_iter().partition(|m| m.from.0 == synced || m.to.0 == synced);
        self.moves = without;
        for Move { from, to, node } in with {
            let has_left = self.durable_mut(from.0).get(&from.1) == Some(&node);
            if has_left {
                self.durable_mut(from.0).remove(&from.1);
            }
            // Unless it has gone on, or was removed, since.
            if self.entries(to.0)?.get(&to.1) == Some(&node) {
                self.durable_mut(to.0).insert(to.1, node);
            }
        }
        self.forget_unused();
        Ok(())
    }

    pub(super) fn write(&mut self, node: NodeId, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).map_err(|_| ErrorKind::FileTooLarge)?;
        let end = offset.checked_add(bytes.len()).ok_or(ErrorKind::FileTooLarge)?;
        let end = end.min(self.len_max(node));
        let Some(fits) = end.checked_sub(offset).filter(|fits| *fits > 0 || bytes.is_empty()) else {
            return Err(ErrorKind::StorageFull.into());
        };
        let file = self.file_mut(node);
        if file.bytes.len() < end {
            file.bytes.resize(end, 0);
        }
        file.bytes[offset..end].copy_from_slice(&bytes[..fits]);
        Ok(fits)
    }

    pub(super) fn set_len(&mut self, node: NodeId, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| ErrorKind::FileTooLarge)?;
        if len > self.len_max(node) {
            return Err(ErrorKind::StorageFull.into());
        }
        self.file_mut(node).bytes.resize(len, 0);
        Ok(())
    }

    pub(super) fn sync_file(&mut self, node: NodeId) {
        let file = self.file_mut(node);
        file.durable.clone_from(&file.bytes);
    }

    pub(super) fn open(&mut self, node: NodeId) -> io::Result<()> {
        if matches!(self.nodes[&node], Node::Folder { .. }) {
            return Err(ErrorKind::IsADirectory.into());
        }
        self.file_mut(node).open_count += 1;
        Ok(())
    }

    pub(super) fn close(&mut self, node: NodeId) {
        self.file_mut(node).open_count -= 1;
        self.forget_if_unused(node);
    }

    pub(super) fn lock(&mut self, node: NodeId) -> io::Result<()> {
        self.open(node)?;
        if std::mem::replace(&mut self.file_mut(node).is_locked, true) {
            self.close(node);
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(())
    }

    pub(super) fn unlock(&mut self, node: NodeId) {
        self.file_mut(node).is_locked = false;
        self.close(node);
    }

    pub(super) fn bytes(&self, node: NodeId) -> &[u8] {
        match &self.nodes[&node] {
            Node::File(file) => &file.bytes,
            Node::Folder { .. } => unreachable!("only files are opened"),
        }
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let entries = self.entries(self.find(path)?)?;
        let entry = |(name, node): (&OsString, &NodeId)| DirEntry {
            name: name.clone(),
            kind: self.metadata(*node).kind,
        };
        Ok(entries.iter().map(entry).collect())
    }

    pub(super) fn metadata(&self, node: NodeId) -> Metadata {
        match &self.nodes[&node] {
            Node::File(file) => Metadata::new(FileKind::File, file.bytes.len() as u64),
            Node::Folder { .. } => Metadata::new(FileKind::Directory, 0),
        }
    }

    pub(super) fn space(&self) -> Space {
        let used: u64 = self.nodes.values().map(Node::stored_bytes).sum();
        Space::new(self.capacity_bytes, self.capacity_bytes.saturating_sub(used))
    }

    /// What is left of the tree after a power cut.
    pub(super) fn durable(&self) -> Self {
        let mut left = Self { capacity_bytes: self.capacity_bytes, next_node: self.next_node, ..Self::new() };
        let mut to_visit = vec![ROOT];
        while let Some(id) = to_visit.pop() {
            let node = match &self.nodes[&id] {
                Node::Folder { durable, .. } => {
                    to_visit.extend(durable.values().filter(|node| !left.nodes.contains_key(node)));
                    Node::Folder { entries: durable.clone(), durable: durable.clone() }
                }
                Node::File(file) => {
                    let (bytes, durable) = (file.durable.clone(), file.durable.clone());
                    Node::File(FileNode { bytes, durable, ..FileNode::default() })
                }
            };
            left.nodes.insert(id, node);
        }
        left
    }

    fn add(&mut self, node: Node) -> NodeId {
        let id = self.next_node;
        self.next_node += 1;
        self.nodes.insert(id, node);
        id
    }

    /// How long the file may become with the room there is.
    fn len_max(&self, node: NodeId) -> usize {
        let len = self.bytes(node).len();
        len.saturating_add(usize::try_from(self.space().available).unwrap_or(usize::MAX))
    }

    /// Drops the node if it has no name, now or after a power cut, and is not open.
    fn forget_if_unused(&mut self, node: NodeId) {
        let is_named = |entries: &Entries| entries.values().any(|named| *named == node);
        let is_used = self.nodes.values().any(|node| match node {
            Node::Folder { entries, durable } => is_named(entries) || is_named(durable),
            Node::File(_) => false,
        });
        if !is_used && matches!(&self.nodes[&node], Node::File(file) if file.open_count == 0) {
            self.nodes.remove(&node);
        }
    }

    fn forget_unused(&mut self) {
        let files: BTreeSet<NodeId> = self.nodes.keys().copied().collect();
        files.into_iter().filter(|node| *node != ROOT).for_each(|node| self.forget_if_unused(node));
    }

    /// The folder that `path` is in, and its name there.
    fn split<'a>(&self, path: &'a Path) -> io::Result<(NodeId, &'a OsStr)> {
        let name = path.file_name().ok_or(ErrorKind::IsADirectory)?;
        let folder = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.entries(folder)?;
        Ok((folder, name))
    }

    fn entries(&self, folder: NodeId) -> io::Result<&Entries> {
        match &self.nodes[&folder] {
            Node::Folder { entries, .. } => Ok(entries),
            Node::File(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn entries_mut(&mut self, folder: NodeId) -> io::Result<&mut Entries> {
        match self.nodes.get_mut(&folder) {
            Some(Node::Folder { entries, .. }) => Ok(entries),
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn durable_mut(&mut self, folder: NodeId) -> &mut Entries {
        match self.nodes.get_mut(&folder) {
            Some(Node::Folder { durable, .. }) => durable,
            _ => unreachable!("folders are never removed"),
        }
    }

    fn file_mut(&mut self, node: NodeId) -> &mut FileNode {
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => file,
            _ => unreachable!("a file is kept while it is open"),
        }
    }
}

impl Node {
    fn stored_bytes(&self) -> u64 {
        match self {
            Self::File(file) => file.bytes.len() as u64,
            Self::Folder { .. } => 0,
        }
    }
}

const ROOT: NodeId = 0;
