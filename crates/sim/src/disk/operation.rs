//! Operations: what is asked for, and those that are under way.

use std::io;
use std::path::PathBuf;
use std::task::Waker;

use samestep_provider_traits::{DirEntry, Metadata, OpenOptions, Space};

use super::tree::InodeId;
use super::{FileId, LockId};
use crate::kernel::{NodeId, Wait};
use crate::queue::EventId;
use crate::trace::{DiskOperation, TaskId};

/// What a program asks of its disk. Paths are checked to be relative.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Open { path: PathBuf, options: OpenOptions },
    CreateDirAll { path: PathBuf },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
    List { path: PathBuf },
    Metadata { path: PathBuf },
    SyncDir { path: PathBuf },
    Lock { path: PathBuf },
    Space,
    Read { file: FileId, offset: u64, bytes: usize },
    Write { file: FileId, offset: u64 },
    Sync { file: FileId },
    Allocate { file: FileId, length: u64 },
    SetLen { file: FileId, length: u64 },
    FileMetadata { file: FileId },
    Close { file: FileId },
}

/// What an operation gave.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Done,
    Count(usize),
    File(FileId),
    Lock(LockId),
    List(Vec<DirEntry>),
    Metadata(Metadata),
    Space(Space),
}

/// An operation that is over; of a read, with its bytes.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) outcome: io::Result<Answer>,
    pub(crate) buffer: Vec<u8>,
}

/// Which operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OperationId {
    slot: u32,
    generation: u32,
}

#[derive(Debug)]
pub(super) struct Operation {
    pub(super) node: NodeId,
    pub(super) task: Option<TaskId>,
    pub(super) request: Request,
    /// The file that it is about, if it is about an open one.
    pub(super) inode: Option<InodeId>,
    /// The bytes to be written, or those that were read.
    pub(super) buffer: Vec<u8>,
    /// Of a change of a file, its number there; of a sync, that of the last change before.
    pub(super) write_number: u64,
    pub(super) state: State,
    pub(super) waker: Option<Waker>,
    pub(super) is_abandoned: bool,
    /// Its number among all operations, in the order in which they began.
    order: u64,
}

#[derive(Debug)]
pub(super) enum State {
    New,
    UnderWay { due: EventId },
    Over(io::Result<Answer>),
}

/// All operations that are under way, or over and not fetched; and buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct Operations {
    slots: Vec<Slot>,
    free: Vec<u32>,
    buffers: Vec<Vec<u8>>,
    begun: u64,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    operation: Option<Operation>,
}

impl Request {
    /// The open file that it is about, if it is about one.
    pub(super) fn file(&self) -> Option<FileId> {
        match self {
            Self::Read { file, .. }
            | Self::Write { file, .. }
            | Self::Sync { file }
            | Self::Allocate { file, .. }
            | Self::SetLen { file, .. }
            | Self::FileMetadata { file }
            | Self::Close { file } => Some(*file),
            _ => None,
        }
    }

    /// What it is called in traces.
    pub(super) fn kind(&self) -> DiskOperation {
        match self {
            Self::Open { .. } => DiskOperation::Open,
            Self::Read { .. } => DiskOperation::Read,
            Self::Write { .. } => DiskOperation::Write,
            Self::Sync { .. } => DiskOperation::Sync,
            Self::SyncDir { .. } => DiskOperation::SyncDir,
            Self::Rename { .. } => DiskOperation::Rename,
            Self::Remove { .. } => DiskOperation::Remove,
            Self::Allocate { .. } | Self::SetLen { .. } => DiskOperation::Resize,
            _ => DiskOperation::Other,
        }
    }

    /// Whether it changes the bytes or the length of an open file.
    pub(super) fn changes_file(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Allocate { .. } | Self::SetLen { .. })
    }

    /// Whether it changes names, but for a file that an `Open` creates.
    pub(super) fn changes_names(&self) -> bool {
        matches!(self, Self::CreateDirAll { .. } | Self::Rename { .. } | Self::Remove { .. })
    }
}

impl Operation {
    pub(super) fn new(node: NodeId, task: Option<TaskId>, request: Request, buffer: Vec<u8>) -> Self {
        let state = State::New;
        Self {
            node,
            task,
            request,
            inode: None,
            buffer,
            write_number: 0,
            state,
            waker: None,
            is_abandoned: false,
            order: 0,
        }
    }

    /// What a task waits for that waits for it.
    pub(super) fn wait(&self) -> Wait {
        Wait::Disk { operation: self.request.kind(), file: self.inode.map_or(u64::MAX, u64::from) }
    }
}

impl Operations {
    /// The id that [`Self::add`] gives next.
    pub(super) fn next_id(&mut self) -> OperationId {
        let slot = self.free.last().copied().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            let slot = u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 operations at a time");
            self.free.push(slot);
            slot
        });
        OperationId { slot, generation: self.slots[slot as usize].generation }
    }

    pub(super) fn add(&mut self, mut operation: Operation) -> OperationId {
        let id = self.next_id();
        self.free.pop();
        operation.order = self.begun;
        self.begun += 1;
        self.slots[id.slot as usize].operation = Some(operation);
        id
    }

    pub(super) fn get_mut(&mut self, id: OperationId) -> Option<&mut Operation> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        slot.operation.as_mut().filter(|_| slot.generation == id.generation)
    }

    /// Takes the operation out to be done; [`Self::put_back`] or [`Self::forget`] follows.
    pub(super) fn take(&mut self, id: OperationId) -> Option<Operation> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation == id.generation { slot.operation.take() } else { None }
    }

    pub(super) fn put_back(&mut self, id: OperationId, operation: Operation) {
        self.slots[id.slot as usize].operation = Some(operation);
    }

    pub(super) fn forget(&mut self, id: OperationId) {
        let slot = &mut self.slots[id.slot as usize];
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.slot);
    }

    /// Takes out an operation that is there.
    pub(super) fn remove(&mut self, id: OperationId) -> Operation {
        let operation = self.take(id).expect("it was found just now");
        self.forget(id);
        operation
    }

    /// Takes out all operations of `node`, in the order in which they began.
    pub(super) fn take_all_of(&mut self, node: NodeId) -> Vec<Operation> {
        let mut taken = Vec::new();
        for (slot, number) in self.slots.iter_mut().zip(0..) {
            if slot.operation.as_ref().is_some_and(|operation| operation.node == node) {
                taken.extend(slot.operation.take());
                slot.generation = slot.generation.wrapping_add(1);
                self.free.push(number);
            }
        }
        taken.sort_by_key(|operation| operation.order);
        taken
    }

    /// A buffer that holds `bytes`.
    pub(super) fn take_buffer(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut buffer = self.buffers.pop().unwrap_or_default();
        buffer.extend_from_slice(bytes);
        buffer
    }

    pub(super) fn give_buffer(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 0 && self.buffers.len() < BUFFERS_MAX {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }
}

/// More buffers than this are not kept.
const BUFFERS_MAX: usize = 64;
