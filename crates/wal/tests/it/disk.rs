//! A model of a disk.
//!
//! What is written is seen at once and is durable only after a barrier. Until then a crash keeps any part of it:
//! - a write: nothing, all, any set of its 512-byte sectors, or any number of its first bytes;
//! - a file's new length: with each of its writes, or not;
//! - a created or removed name: it or not, each independently of all others, until the directory is synced;
//! - the directory itself: nothing of it, until its parent is synced.
//!
//! Failures can be injected at a counted operation. A barrier of a file that fails forgets what it was to write: reads
//! still show it, and no later barrier makes it durable, until it is written again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use samestep_wal::{Disk, FileName, Op};

/// Contents of a directory.
pub(crate) type Image = BTreeMap<String, Vec<u8>>;

/// A handle on a model disk. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimDisk(pub(crate) Shared);

/// A state that threads share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn borrow(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn borrow_mut(&self) -> MutexGuard<'_, State> {
        self.borrow()
    }
}

#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct State {
    inodes: Vec<Inode>,
    /// Names as they are seen.
    seen: BTreeMap<String, usize>,
    /// Names as they are on the medium.
    durable: BTreeMap<String, usize>,
    /// Changes of names since the directory was synced.
    changes: Vec<Change>,
    exists: bool,
    is_durable: bool,
    locked: bool,
    /// Every operation, in order, when it is recorded.
    pub(crate) trace: Vec<Op>,
    pub(crate) fault: Option<Fault>,
    /// Operations that the fault counts, so far.
    pub(crate) counted: usize,
    /// Names come in reverse order.
    pub(crate) lists_in_reverse: bool,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
    writes: Vec<Write>,
}

impl Inode {
    /// Makes durable what was written since the last barrier, whether that one succeeded or not.
    fn sync(&mut self) {
        for write in self.writes.drain(..) {
            match write {
                Write::Bytes { offset, bytes } => put(&mut self.durable, offset, &bytes),
                Write::Resize { len } => self.durable.resize(len, 0),
            }
        }
    }

    /// Forgets what was written since the last barrier, of which the front `percent` of each write has landed.
    fn lose(&mut self, percent: usize) {
        for write in self.writes.drain(..) {
            if let Write::Bytes { offset, bytes } = write {
                let end = (offset + bytes.len() * percent / 100) / 512 * 512;
                if let Some(landed) = end.checked_sub(offset).filter(|&landed| landed > 0) {
                    put(&mut self.durable, offset, &bytes[..landed]);
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Write {
    Bytes { offset: usize, bytes: Vec<u8> },
    Resize { len: usize },
}

#[derive(Clone, Debug)]
enum Change {
    Add { name: String, inode: usize },
    Remove { name: String },
}

/// Which operation fails, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) on: FaultOn,
    /// The operation with this number fails, from 0 on.
    pub(crate) at: usize,
    /// And so many behind it.
    pub(crate) more: usize,
    pub(crate) kind: io::ErrorKind,
    /// How much of a failing write, or of each that a failing barrier was to make durable, lands all the same, in
    /// percent; the latter in whole sectors.
    pub(crate) lands: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultOn {
    Sync,
    Write,
    Any,
}

impl SimDisk {
    /// A disk after a restart: all of `image` is durable.
    pub(crate) fn from_image(image: &Image) -> Self {
        let mut state = State { exists: true, is_durable: true, ..State::default() };
        for (name, bytes) in image {
            let inode = Inode { seen: bytes.clone(), durable: bytes.clone(), writes: Vec::new() };
            state.seen.insert(name.clone(), state.inodes.len());
            state.inodes.push(inode);
        }
        state.durable = state.seen.clone();
        Self(Shared::new(state))
    }

    /// The same disk, to be changed apart.
    pub(crate) fn fork(&self) -> Self {
        Self(Shared::new(self.0.borrow().clone()))
    }

    /// What a reader of the directory sees now.
    pub(crate) fn image(&self) -> Image {
        let state = self.0.borrow();
        state.seen.iter().map(|(name, &inode)| (name.clone(), state.inodes[inode].seen.clone())).collect()
    }

    /// Forgets the lock, as the system does when a process ends.
    pub(crate) fn unlock(&self) {
        self.0.borrow_mut().locked = false;
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        let mut state = self.0.borrow_mut();
        state.fault = fault;
        state.counted = 0;
    }

    pub(crate) fn take_trace(&self) -> Vec<Op> {
        std::mem::take(&mut self.0.borrow_mut().trace)
    }
}

impl Disk for SimDisk {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        let mut state = self.0.borrow_mut();
        state.trace.push(op.clone());
        if let Some(error) = state.injected(op) {
            return Err(error);
        }
        state.apply(op)
    }

    fn reader(&self) -> Self {
        self.clone()
    }
}

impl State {
    fn injected(&mut self, op: &Op) -> Option<io::Error> {
        let fault = self.fault?;
        let is_sync = matches!(op, Op::SyncData { .. } | Op::SyncDir | Op::SyncParent);
        let is_write = matches!(op, Op::WriteAt { .. } | Op::WriteZeros { .. } | Op::Create { .. });
        let counts = match fault.on {
            FaultOn::Sync => is_sync,
            FaultOn::Write => is_write,
            FaultOn::Any => !matches!(op, Op::Close { .. }),
        };
        if !counts {
            return None;
        }
        let number = self.counted;
        self.counted += 1;
        if number < fault.at || number > fault.at + fault.more {
            return None;
        }
        if let Op::WriteAt { file, offset, buf } = op {
            let landed = buf[..buf.len() * fault.lands / 100].to_vec();
            let mut part = Op::WriteAt { file: *file, offset: *offset, buf: landed };
            // Nothing lands in a file that could not be created.
            let _outcome = self.apply(&mut part);
        }
        if let (true, Some(file)) = (is_sync, op.file()) {
            let inode = self.inode(file).ok()?;
            self.inodes[inode].lose(fault.lands);
        }
        Some(fault.kind.into())
    }

    fn inode(&self, file: FileName) -> io::Result<usize> {
        self.seen.get(&file.to_string()).copied().ok_or(io::ErrorKind::NotFound.into())
    }

    pub(crate) fn apply(&mut self, op: &mut Op) -> io::Result<u64> {
        match op {
            Op::CreateDir => self.exists = true,
            _ if !self.exists => return Err(io::ErrorKind::NotFound.into()),
            Op::SyncParent => self.is_durable = true,
            Op::SyncDir => {
                self.durable = self.seen.clone();
                self.changes.clear();
            }
            Op::Lock => {
                if self.locked {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                self.locked = true;
                if self.inode(FileName::Lock).is_err() {
                    self.add(FileName::Lock);
                }
            }
            Op::List { names } => {
                *names = self.seen.keys().cloned().collect();
                if self.lists_in_reverse {
                    names.reverse();
                }
            }
            Op::Open { file } => return Ok(self.inodes[self.inode(*file)?].seen.len() as u64),
            Op::Create { file } => self.add(*file),
            Op::ReadAt { file, offset, buf } => {
                let bytes = &self.inodes[self.inode(*file)?].seen;
                let rest = bytes.get(usize::try_from(*offset).unwrap()..).unwrap_or_default();
                let len = rest.len().min(buf.len());
                buf[..len].copy_from_slice(&rest[..len]);
                return Ok(len as u64);
            }
            Op::WriteAt { file, offset, buf } => {
                self.write(*file, usize::try_from(*offset).unwrap(), buf.clone())?;
            }
            Op::WriteZeros { file, len, .. } => {
                self.write(*file, 0, vec![0; usize::try_from(*len).unwrap()])?;
            }
            Op::SyncData { file } => {
                let inode = self.inode(*file)?;
                self.inodes[inode].sync();
            }
            Op::SetLen { file, len } => {
                let inode = self.inode(*file)?;
                let len = usize::try_from(*len).unwrap();
                self.inodes[inode].seen.resize(len, 0);
                self.inodes[inode].writes.push(Write::Resize { len });
            }
            Op::Remove { file } => {
                let name = file.to_string();
                self.seen.remove(&name).ok_or(io::ErrorKind::NotFound)?;
                self.changes.push(Change::Remove { name });
            }
            Op::Close { file } => {
                if *file == FileName::Lock {
                    self.locked = false;
                }
            }
            other => panic!("the model does not know {other:?}"),
        }
        Ok(0)
    }

    /// An existing file is cut to nothing in place, as `O_TRUNC` does.
    fn add(&mut self, file: FileName) {
        let name = file.to_string();
        if let Some(&inode) = self.seen.get(&name) {
            self.inodes[inode].seen.clear();
            self.inodes[inode].writes.push(Write::Resize { len: 0 });
            return;
        }
        let inode = self.inodes.len();
        self.inodes.push(Inode::default());
        self.seen.insert(name.clone(), inode);
        self.changes.push(Change::Add { name, inode });
    }

    fn write(&mut self, file: FileName, offset: usize, bytes: Vec<u8>) -> io::Result<()> {
        let inode = self.inode(file)?;
        let inode = &mut self.inodes[inode];
        put(&mut inode.seen, offset, &bytes);
        inode.writes.push(Write::Bytes { offset, bytes });
        Ok(())
    }
}

fn put(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if file.len() < offset + bytes.len() {
        file.resize(offset + bytes.len(), 0);
    }
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// How finely writes are torn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tear {
    Sectors,
    Bytes,
}

/// Every image that a crash now may leave, as far as `tear` and `limit` go, each once.
///
/// Up to `limit` combinations are tried one by one; of more, as many are taken evenly.
pub(crate) fn crash_images(state: &State, tear: Tear, limit: usize) -> Vec<Image> {
    if !state.exists {
        return vec![Image::new()];
    }
    let mut choices: Vec<usize> = vec![2; state.changes.len()];
    let atoms: Vec<(usize, usize, usize)> = state
        .inodes
        .iter()
        .enumerate()
        .flat_map(|(at, inode)| (0..inode.writes.len()).map(move |write| (at, write)))
        .map(|(at, write)| (at, write, ways(&state.inodes[at].writes[write], tear)))
        .collect();
    choices.extend(atoms.iter().map(|atom| atom.2));
    let total: usize = choices.iter().fold(1, |total, &ways| total.saturating_mul(ways));
    let step = total.div_ceil(limit).max(1);
    // An odd stride visits the combinations of every atom.
    let step = if step > 1 { step | 1 } else { 1 };
    let mut images = BTreeSet::new();
    if !state.is_durable {
        images.insert(Image::new());
    }
    for number in (0..total).step_by(step).chain([total - 1]) {
        images.insert(build(state, &atoms, &choices, number, tear));
    }
    images.into_iter().collect()
}

fn build(
    state: &State,
    atoms: &[(usize, usize, usize)],
    choices: &[usize],
    mut number: usize,
    tear: Tear,
) -> Image {
    let mut take = |ways: usize| {
        let choice = number % ways;
        number /= ways;
        choice
    };
    let mut names = state.durable.clone();
    for (change, &ways) in state.changes.iter().zip(choices) {
        if take(ways) == 0 {
            continue;
        }
        match change {
            Change::Add { name, inode } => drop(names.insert(name.clone(), *inode)),
            Change::Remove { name } => drop(names.remove(name)),
        }
    }
    let mut contents: Vec<Vec<u8>> = state.inodes.iter().map(|inode| inode.durable.clone()).collect();
    for &(at, write, ways) in atoms {
        land(&mut contents[at], &state.inodes[at].writes[write], take(ways), ways, tear);
    }
    names.into_iter().map(|(name, inode)| (name, contents[inode].clone())).collect()
}

/// In how many ways a write may land: not, wholly, and torn.
fn ways(write: &Write, tear: Tear) -> usize {
    match (write, tear) {
        (Write::Resize { .. }, _) => 2,
        (Write::Bytes { bytes, .. }, _) if bytes.iter().all(|&byte| byte == 0) => 3,
        (Write::Bytes { offset, bytes }, Tear::Sectors) => {
            let sectors = sectors_of(*offset, bytes.len()).len();
            // Not, wholly, each sector alone missing, each alone there.
            if sectors > 1 { 2 + 2 * sectors.min(12) } else { 2 }
        }
        (Write::Bytes { bytes, .. }, Tear::Bytes) => bytes.len().min(140) + 1,
    }
}

fn land(file: &mut Vec<u8>, write: &Write, choice: usize, ways: usize, tear: Tear) {
    let (offset, bytes) = match (write, choice) {
        (_, 0) => return,
        (Write::Resize { len }, _) => {
            file.resize(*len, 0);
            return;
        }
        (Write::Bytes { offset, bytes }, _) => (*offset, bytes),
    };
    let is_zero = bytes.iter().all(|&byte| byte == 0);
    if choice == 1 && (is_zero || tear == Tear::Sectors) {
        put(file, offset, bytes);
    } else if is_zero {
        put(file, offset, &bytes[..bytes.len() / 2]);
    } else if tear == Tear::Bytes {
        // All prefixes of a short write; of a long one the first 139 and the whole.
        let len = if choice + 1 == ways { bytes.len() } else { choice };
        put(file, offset, &bytes[..len]);
    } else {
        let sectors = sectors_of(offset, bytes.len());
        let (number, is_missing) = ((choice - 2) / 2, choice.is_multiple_of(2));
        for (at, sector) in sectors.iter().enumerate() {
            if (at == number) != is_missing {
                put(file, sector.start, &bytes[sector.start - offset..sector.end - offset]);
            } else if file.len() < sector.end {
                // The length may grow though the bytes did not come.
                file.resize(sector.end, 0);
            }
        }
    }
}

fn sectors_of(offset: usize, len: usize) -> Vec<std::ops::Range<usize>> {
    let end = offset + len;
    let mut sectors = Vec::new();
    let mut at = offset;
    while at < end {
        let next = ((at / 512 + 1) * 512).min(end);
        sectors.push(at..next);
        at = next;
    }
    sectors
}
