//! Open files.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::rc::Rc;

use samestep_provider_traits::{
    Access, Alignment, BufResult, Creation, File, IoBuf, IoBufMut, Metadata, OpenOptions,
};

use super::disk::MemoryDisk;
use super::tree::NodeId;

/// An open file of a [`MemoryStorageProvider`](super::MemoryStorageProvider).
#[derive(Clone)]
pub struct MemoryFile {
    open: Rc<Open>,
}

/// What all handles to one open file share.
struct Open {
    disk: MemoryDisk,
    node: NodeId,
    access: Access,
    is_closed: Cell<bool>,
    /// A sync failed: no later one can tell what is durable.
    is_poisoned: Cell<bool>,
}

impl MemoryFile {
    pub(super) fn open(disk: &MemoryDisk, path: &Path, options: OpenOptions) -> io::Result<Self> {
        if options.is_direct() {
            let message = "direct I/O is not to be had in memory";
            return Err(io::Error::new(ErrorKind::Unsupported, message));
        }
        let found = disk.look(|tree| tree.find(path));
        let node = match (found, options.creation()) {
            (Ok(_), Creation::New) => return Err(ErrorKind::AlreadyExists.into()),
            (Ok(node), Creation::Never | Creation::IfMissing) => node,
            (Ok(node), Creation::Empty) => {
                disk.change(|tree| tree.set_len(node, 0))?;
                node
            }
            (Err(error), Creation::IfMissing | Creation::New | Creation::Empty)
                if error.kind() == ErrorKind::NotFound =>
            {
                disk.change(|tree| tree.create(path))?
            }
            (Err(error), _) => return Err(error),
        };
        disk.look(|tree| tree.open(node))?;
        let (is_closed, is_poisoned) = (Cell::new(false), Cell::new(false));
        let open = Open { disk: disk.clone(), node, access: options.access(), is_closed, is_poisoned };
        Ok(Self { open: Rc::new(open) })
    }

    /// A future that does `operate` when it is first polled, unless the file is closed.
    fn operate<T, F: FnOnce(&Open) -> io::Result<T>>(
        &self,
        operate: F,
    ) -> impl Future<Output = io::Result<T>> + use<T, F> {
        let open = Rc::clone(&self.open);
        async move {
            open.check()?;
            operate(&open)
        }
    }
}

impl Open {
    fn check(&self) -> io::Result<()> {
        if self.is_closed.get() {
            return Err(io::Error::new(ErrorKind::NotConnected, "the file was closed"));
        }
        Ok(())
    }

    fn check_writable(&self) -> io::Result<()> {
        match self.access {
            Access::ReadWrite => self.check(),
            Access::Read => Err(ErrorKind::PermissionDenied.into()),
        }
    }

    fn read<B: IoBufMut>(&self, buf: &mut B, offset: u64) -> io::Result<usize> {
        self.check()?;
        self.disk.look(|tree| {
            let bytes = tree.bytes(self.node);
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            Ok(buf.fill_from(&bytes[start..]))
        })
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        self.disk.change(|tree| tree.write(self.node, bytes, offset))
    }

    fn sync(&self) -> io::Result<()> {
        if self.is_poisoned.get() {
            return Err(io::Error::other("an earlier sync failed, so it is not known what is durable"));
        }
        let synced = self.disk.change(|tree| {
            tree.sync_file(self.node);
            Ok(())
        });
        self.is_poisoned.set(synced.is_err());
        synced
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.check_writable()?;
        self.disk.change(|tree| tree.set_len(self.node, length))
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.disk.look(|tree| Ok(tree.metadata(self.node)))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.disk.close(self.node);
    }
}

impl File for MemoryFile {
    fn read_at<B: IoBufMut>(
        &self,
        mut buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let open = Rc::clone(&self.open);
        async move {
            let count = open.read(&mut buf, offset);
            (count, buf)
        }
    }

    fn write_at<B: IoBuf>(&self, buf: B, offset: u64) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let open = Rc::clone(&self.open);
        async move {
            let count = open.write(buf.as_bytes(), offset);
            (count, buf)
        }
    }

    fn sync_data(&self) -> impl Future<Output = io::Result<()>> + use<> {
        self.operate(Open::sync)
    }

    fn sync_all(&self) -> impl Future<Output = io::Result<()>> + use<> {
        self.operate(Open::sync)
    }

    fn allocate(&self, length: u64) -> impl Future<Output = io::Result<()>> + use<> {
        self.operate(move |open| if open.metadata()?.len < length { open.set_len(length) } else { Ok(()) })
    }

    fn set_len(&self, length: u64) -> impl Future<Output = io::Result<()>> + use<> {
        self.operate(move |open| open.set_len(length))
    }

    fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> + use<> {
        self.operate(Open::metadata)
    }

    async fn close(self) -> io::Result<()> {
        self.open.is_closed.set(true);
        Ok(())
    }

    fn alignment(&self) -> Alignment {
        Alignment::NONE
    }

    fn is_direct(&self) -> bool {
        false
    }
}

impl fmt::Debug for MemoryFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryFile").field("access", &self.open.access).finish_non_exhaustive()
    }
}
