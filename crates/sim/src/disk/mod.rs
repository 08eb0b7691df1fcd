//! Disks: per node, folders and files behind a cache, a device of limited speed, and faults.
//!
//! # Fault model
//!
//! What is written is in a cache of sectors until it is synced, and so are lengths and names. A crash decides on each
//! by itself: names, lengths, and runs of sectors that one write made are there or not, and a mixed run's sectors are
//! new, old, torn at the device's atomicity, noise, or unreadable. What was synced is there, unless a fault says
//! otherwise, and each that does is told with file, offset and length. See [`StorageConfiguration`] for all faults.
//!
//! Files live on when they are removed or renamed while they are open. A sync that fails loses the sectors that it
//! was to write: no later sync writes them, and the open file never syncs again. Another that is opened afterwards
//! does, without a word of what is lost, as kernels do.

mod budget;
mod configuration;
mod contents;
mod crash;
mod device;
mod faults;
mod media;
mod operation;
mod perform;
mod place;
mod read;
mod sync;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use std::io::{self, ErrorKind};
use std::task::{Poll, Waker};

use samestep_provider_traits::{Access, Alignment};

use crate::kernel::{Kernel, NodeId};
use crate::time::SimTime;
use crate::world::Down;

use budget::Atlas;
use contents::{Flushed, Spare};
use device::{Device, Load};
use faults::Faults;
use tree::{InodeId, Tree};

pub use budget::{DamageExtent, FaultBudget};
pub use configuration::{CrashConfiguration, DiskFaultRates, StorageConfiguration};
pub use faults::DiskFault;
pub(crate) use operation::{Answer, Answered, OperationId, Request};
use operation::{Operation, Operations, State};

/// The disks of all nodes, and what is under way on them.
///
/// A call begins with [`Self::submit`], is over when the event that it schedules is [handled](Self::handle_due), and
/// is fetched by [`Self::poll`]; or it is [abandoned](Self::abandon), and goes on by itself.
#[derive(Debug, Default)]
pub(crate) struct Disks {
    configuration: StorageConfiguration,
    nodes: Vec<Disk>,
    operations: Operations,
    atlas: Atlas,
}

/// An operation is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DiskDue(OperationId);

/// An open file of one boot of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    pub(crate) node: NodeId,
    boot: u32,
    handle: u32,
}

/// A lock held by one boot of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LockId {
    node: NodeId,
    boot: u32,
    inode: InodeId,
}

/// The disk of one node.
#[derive(Debug)]
struct Disk {
    node: NodeId,
    is_up: bool,
    boot: u32,
    tree: Tree,
    device: Device,
    faults: Faults,
    handles: Vec<Option<Handle>>,
    /// When all changes of names that are under way are over.
    names_busy_until: SimTime,
    sector_bytes: usize,
    capacity_bytes: u64,
    spare: Spare,
    /// Sectors on their way to the medium.
    flushed: Vec<Flushed>,
}

/// An open file.
#[derive(Debug)]
struct Handle {
    inode: InodeId,
    access: Access,
    is_direct: bool,
    is_closed: bool,
    /// A sync failed: no later one can tell what is durable.
    is_poisoned: bool,
    /// The error of a write that nobody waited for.
    dropped_error: Option<io::Error>,
    /// The program's handle, and operations under way.
    user_count: u32,
}

impl Disks {
    /// No disks yet; those of nodes that come will be like `configuration`.
    pub(crate) fn new(configuration: StorageConfiguration) -> Self {
        Self { configuration, ..Self::default() }
    }

    /// Limits the damage from now on.
    pub(crate) fn set_budget(&mut self, budget: FaultBudget) {
        self.atlas = Atlas::new(budget);
    }

    /// A node was added, and is up. Nodes are added in the order of their ids.
    pub(crate) fn node_added<E>(&mut self, kernel: &mut Kernel<E>, node: NodeId) {
        let configuration = &self.configuration;
        assert_eq!(node.0 as usize, self.nodes.len(), "nodes are added in order");
        let sector_bytes = configuration.sector_bytes.clamp(64, 16_384).next_power_of_two();
        self.nodes.push(Disk {
            node,
            is_up: true,
            boot: 0,
            tree: Tree::new(sector_bytes),
            device: Device::new(configuration, kernel, node),
            faults: Faults::new(configuration, kernel, node),
            handles: Vec::new(),
            names_busy_until: SimTime::ZERO,
            sector_bytes,
            capacity_bytes: configuration.capacity_bytes,
            spare: Spare::default(),
            flushed: Vec::new(),
        });
    }

    /// The disk gets another configuration; its sectors stay as long as they are.
    pub(crate) fn configure<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        node: NodeId,
        configuration: &StorageConfiguration,
    ) {
        let disk = &mut self.nodes[node.0 as usize];
        disk.device = Device::new(configuration, kernel, node);
        disk.faults = Faults::new(configuration, kernel, node);
        disk.capacity_bytes = configuration.capacity_bytes;
    }

    /// The node is up again, for the boot number `boot`.
    pub(crate) fn node_booted(&mut self, node: NodeId, boot: u32) {
        let disk = &mut self.nodes[node.0 as usize];
        (disk.is_up, disk.boot) = (true, boot);
    }

    /// The node went down: its files are closed and its locks free. Gracefully, all that was under way is done
    /// first; by a crash, what was not synced is in danger.
    pub(crate) fn node_down<E>(&mut self, kernel: &mut Kernel<E>, node: NodeId, down: Down) {
        let disk = &mut self.nodes[node.0 as usize];
        disk.is_up = false;
        for mut operation in self.operations.take_all_of(node) {
            if let State::UnderWay { due } = operation.state {
                kernel.events.cancel(due);
                match down {
                    Down::Graceful => drop(disk.perform(kernel, &mut self.atlas, &mut operation)),
                    Down::Crash | Down::CrashAndWipe => {
                        disk.interrupt(kernel, &mut self.atlas, &mut operation);
                    }
                }
            }
            kernel.discard(operation.waker.take());
            self.operations.give_buffer(operation.buffer);
        }
        disk.handles.clear();
        disk.device.forget_queue(kernel.now);
        disk.names_busy_until = kernel.now;
        match down {
            Down::Graceful => disk.tree.release_all(),
            Down::Crash => disk.crash(kernel, &mut self.atlas),
            Down::CrashAndWipe => {
                disk.tree.wipe();
                self.atlas.wiped(node);
            }
        }
    }

    /// Whether the budget lets the node lose its disk.
    pub(crate) fn allows_wipe(&self, node: NodeId) -> bool {
        self.atlas.allows_wipe(node)
    }

    /// Begins an operation of the boot of `node` that has the number `boot`; of a write, on `bytes`.
    pub(crate) fn submit<E: From<DiskDue>>(
        &mut self,
        kernel: &mut Kernel<E>,
        home: (NodeId, u32),
        request: Request,
        bytes: &[u8],
    ) -> OperationId {
        let (node, boot) = home;
        let disk = &mut self.nodes[node.0 as usize];
        let buffer = self.operations.take_buffer(bytes);
        let mut operation = Operation::new(node, kernel.task, request, buffer);
        let is_alive = disk.is_up && disk.boot == boot;
        let begun = if is_alive { disk.begin(kernel, &mut operation) } else { Err(is_gone()) };
        match begun {
            Ok(over) => {
                let id = self.operations.next_id();
                let due = kernel.events.put(over, DiskDue(id).into());
                operation.state = State::UnderWay { due };
            }
            Err(error) => operation.state = State::Over(Err(error)),
        }
        self.operations.add(operation)
    }

    /// What became of the operation, once; until then `waker` is woken when it is over. The buffer of a read is to
    /// be given back by [`Self::give_buffer`].
    pub(crate) fn poll<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        id: OperationId,
        waker: Waker,
    ) -> Poll<Answered> {
        let Some(operation) = self.operations.get_mut(id) else {
            kernel.discard(Some(waker));
            return Poll::Ready(Answered { outcome: Err(is_gone()), buffer: Vec::new() });
        };
        if matches!(operation.state, State::UnderWay { .. }) {
            kernel.wait(operation.wait());
            kernel.discard(operation.waker.replace(waker));
            return Poll::Pending;
        }
        kernel.discard(Some(waker));
        let operation = self.operations.remove(id);
        kernel.discard(operation.waker);
        let State::Over(outcome) = operation.state else { unreachable!("it is not under way") };
        Poll::Ready(Answered { outcome, buffer: operation.buffer })
    }

    /// Nobody waits for the operation any more. It goes on.
    pub(crate) fn abandon<E>(&mut self, kernel: &mut Kernel<E>, id: OperationId) {
        let Some(operation) = self.operations.get_mut(id) else { return };
        kernel.discard(operation.waker.take());
        if matches!(operation.state, State::UnderWay { .. }) {
            operation.is_abandoned = true;
            return;
        }
        let operation = self.operations.remove(id);
        self.settle_abandoned(operation);
    }

    /// An operation is over: does it, and wakes who waits for it.
    pub(crate) fn handle_due<E>(&mut self, kernel: &mut Kernel<E>, due: DiskDue) {
        let Some(mut operation) = self.operations.take(due.0) else { return };
        let disk = &mut self.nodes[operation.node.0 as usize];
        let before = (kernel.node.replace(operation.node), kernel.task);
        kernel.task = operation.task;
        let outcome = disk.perform(kernel, &mut self.atlas, &mut operation);
        (kernel.node, kernel.task) = before;
        operation.state = State::Over(outcome);
        kernel.wake(operation.waker.take());
        if operation.is_abandoned {
            self.operations.forget(due.0);
            self.settle_abandoned(operation);
        } else {
            self.operations.put_back(due.0, operation);
        }
    }

    /// A buffer of [`Self::poll`] comes back to be used again.
    pub(crate) fn give_buffer(&mut self, buffer: Vec<u8>) {
        self.operations.give_buffer(buffer);
    }

    /// The program dropped its last handle to the file. What is under way on it goes on.
    pub(crate) fn drop_file(&mut self, file: FileId) {
        let disk = &mut self.nodes[file.node.0 as usize];
        if disk.is_up && disk.boot == file.boot {
            disk.release(file.handle);
        }
    }

    /// The program dropped its lock.
    pub(crate) fn unlock(&mut self, lock: LockId) {
        let disk = &mut self.nodes[lock.node.0 as usize];
        if disk.is_up && disk.boot == lock.boot {
            disk.tree.file_mut(lock.inode).is_locked = false;
            disk.tree.unuse_file(lock.inode);
        }
    }

    /// What buffers, offsets and lengths of a direct file of the node must be multiples of.
    pub(crate) fn direct_alignment(&self, node: NodeId) -> Alignment {
        let bytes = self.nodes[node.0 as usize].sector_bytes;
        Alignment { memory_bytes: bytes, offset_bytes: bytes as u64 }
    }

    /// How an operation that nobody fetches ends: what it opened is closed, what failed is told to the next sync.
    fn settle_abandoned(&mut self, operation: Operation) {
        let disk = &mut self.nodes[operation.node.0 as usize];
        let State::Over(outcome) = operation.state else { unreachable!("it is over") };
        match (outcome, operation.request) {
            (Ok(Answer::File(file)), _) => disk.release(file.handle),
            (Ok(Answer::Lock(lock)), _) => self.unlock(lock),
            (Err(error), Request::Write { file, .. }) => {
                if let Some(handle) = disk.handle_mut(file) {
                    handle.dropped_error.get_or_insert(error);
                }
            }
            _ => {}
        }
        self.operations.give_buffer(operation.buffer);
    }
}

impl Disk {
    /// Begins an operation, and tells when it is over.
    fn begin<E>(&mut self, kernel: &mut Kernel<E>, operation: &mut Operation) -> io::Result<SimTime> {
        let load = match &operation.request {
            Request::Read { bytes, .. } => Load::Read { bytes: *bytes },
            Request::Write { .. } => Load::Write { bytes: operation.buffer.len() },
            Request::Sync { .. } | Request::SyncDir { .. } => Load::Sync,
            Request::Space | Request::FileMetadata { .. } | Request::Close { .. } => {
                return self.begin_without_device(kernel, operation);
            }
            Request::Open { .. } | Request::List { .. } | Request::Metadata { .. } => Load::Read { bytes: 0 },
            Request::CreateDirAll { .. }
            | Request::Rename { .. }
            | Request::Remove { .. }
            | Request::Lock { .. }
            | Request::Allocate { .. }
            | Request::SetLen { .. } => Load::Write { bytes: 0 },
        };
        self.hold(operation)?;
        let mut over = self.device.finish_time(load, kernel);
        if let Some(file) = operation.request.file() {
            let inode = self.inode_of(file);
            let file = self.tree.file_mut(inode);
            if matches!(operation.request, Request::Sync { .. }) {
                over = over.max(file.busy_until.after_nanos(1));
                operation.write_number = file.write_count;
            } else if operation.request.changes_file() {
                file.write_count += 1;
                operation.write_number = file.write_count;
            }
            file.busy_until = file.busy_until.max(over);
        } else {
            if matches!(operation.request, Request::SyncDir { .. }) {
                over = over.max(self.names_busy_until.after_nanos(1));
            }
            self.names_busy_until = self.names_busy_until.max(over);
        }
        Ok(over)
    }

    fn begin_without_device<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        operation: &mut Operation,
    ) -> io::Result<SimTime> {
        self.hold(operation)?;
        Ok(match operation.request {
            Request::Close { file } => {
                let inode = self.inode_of(file);
                self.tree.file(inode).busy_until.max(kernel.now).after_nanos(1)
            }
            _ => kernel.now.after_nanos(1),
        })
    }

    /// Checks that the operation's file is open, and keeps it so until [`Self::perform`] is done.
    fn hold(&mut self, operation: &mut Operation) -> io::Result<()> {
        let Some(file) = operation.request.file() else { return Ok(()) };
        let handle = self.handle_mut(file).ok_or_else(is_gone)?;
        if handle.is_closed {
            return Err(io::Error::new(ErrorKind::NotConnected, "the file was closed"));
        }
        handle.user_count += 1;
        operation.inode = Some(handle.inode);
        Ok(())
    }

    fn add_handle(&mut self, inode: InodeId, access: Access, is_direct: bool) -> FileId {
        let handle = Handle {
            inode,
            access,
            is_direct,
            is_closed: false,
            is_poisoned: false,
            dropped_error: None,
            user_count: 1,
        };
        let free = self.handles.iter().position(Option::is_none).unwrap_or_else(|| {
            self.handles.push(None);
            self.handles.len() - 1
        });
        self.handles[free] = Some(handle);
        let handle = u32::try_from(free).expect("fewer than 2^32 open files");
        FileId { node: self.node, boot: self.boot, handle }
    }

    /// One user less of an open file.
    fn release(&mut self, handle: u32) {
        let place = &mut self.handles[handle as usize];
        let Some(open) = place else { unreachable!("it is kept while it is used") };
        open.user_count -= 1;
        if open.user_count == 0 {
            let inode = open.inode;
            *place = None;
            self.tree.unuse_file(inode);
        }
    }

    fn handle_mut(&mut self, file: FileId) -> Option<&mut Handle> {
        let is_of_this_boot = file.boot == self.boot;
        self.handles.get_mut(file.handle as usize).filter(|_| is_of_this_boot)?.as_mut()
    }

    fn inode_of(&self, file: FileId) -> InodeId {
        self.handles[file.handle as usize].as_ref().expect("it is kept while it is used").inode
    }
}

fn is_gone() -> io::Error {
    io::Error::new(ErrorKind::NotConnected, "the node went down since")
}
