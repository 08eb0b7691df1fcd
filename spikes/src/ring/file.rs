//! Files: reads, writes and syncs on the ring, the rest by plain system calls.

use std::any::Any;
use std::fs;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use samestep_provider_traits::{
    Access, Alignment, BufResult, Creation, DirEntry, File, FileKind, IoBuf, IoBufMut, Metadata, OpenOptions,
    Space, StorageProvider, relative_path,
};

use super::executor::Core;
use super::op::{OnDrop, Op};
use super::sys::{Key, Ring};
use crate::writes::Writes;

/// The files below one folder.
#[derive(Clone)]
pub struct RingStorage {
    pub(super) core: Rc<Core>,
    pub(super) root: Rc<Path>,
}

impl RingStorage {
    /// A future that does `operate` at the checked path when it is first polled.
    fn at<T, F: FnOnce(&Path) -> io::Result<T>>(
        &self,
        path: &Path,
        operate: F,
    ) -> impl Future<Output = io::Result<T>> + use<T, F> {
        let path = self.resolve(path);
        async move { operate(&path?) }
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(self.root.join(relative_path(path)?))
    }
}

impl StorageProvider for RingStorage {
    type File = RingFile;
    type Lock = fs::File;

    fn open(&self, path: &Path, options: OpenOptions) -> impl Future<Output = io::Result<RingFile>> + use<> {
        let core = Rc::clone(&self.core);
        self.at(path, move |path| {
            let creation = options.creation();
            let flags = if options.is_direct() { rustix::fs::OFlags::DIRECT.bits() } else { 0 };
            let file = fs::OpenOptions::new()
                .read(true)
                .write(options.access() == Access::ReadWrite)
                .create(matches!(creation, Creation::IfMissing | Creation::Empty))
                .create_new(creation == Creation::New)
                .truncate(creation == Creation::Empty)
                .custom_flags(i32::try_from(flags).expect("open flags fit"))
                .open(path)
                .map_err(|error| match error.kind() {
                    ErrorKind::InvalidInput if options.is_direct() => ErrorKind::Unsupported.into(),
                    _ => error,
                })?;
            Ok(RingFile { core, file: Rc::new(file), options, writes: Rc::default() })
        })
    }

    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        self.at(path, |path| fs::create_dir_all(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        let to = self.resolve(to);
        self.at(from, move |from| fs::rename(from, to?))
    }

    fn remove(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        self.at(path, |path| fs::remove_file(path))
    }

    fn list(&self, path: &Path) -> impl Future<Output = io::Result<Vec<DirEntry>>> + use<> {
        self.at(path, |path| {
            let entry = |entry: io::Result<fs::DirEntry>| {
                let entry = entry?;
                Ok(DirEntry { name: entry.file_name(), kind: metadata(&entry.metadata()?).kind })
            };
            let mut entries = fs::read_dir(path)?.map(entry).collect::<io::Result<Vec<_>>>()?;
            entries.sort();
            Ok(entries)
        })
    }

    fn metadata(&self, path: &Path) -> impl Future<Output = io::Result<Metadata>> + use<> {
        self.at(path, |path| Ok(metadata(&fs::metadata(path)?)))
    }

    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<> {
        self.at(path, |path| fs::File::open(path)?.sync_all())
    }

    fn lock(&self, path: &Path) -> impl Future<Output = io::Result<fs::File>> + use<> {
        self.at(path, |path| {
            let file =
                fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
            file.try_lock().map_err(io::Error::from)?;
            Ok(file)
        })
    }

    fn space(&self) -> impl Future<Output = io::Result<Space>> + use<> {
        self.at(Path::new(""), |root| {
            let space = rustix::fs::statvfs(root)?;
            Ok(Space::new(space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize))
        })
    }
}

/// An open file on the ring.
#[derive(Clone)]
pub struct RingFile {
    core: Rc<Core>,
    file: Rc<fs::File>,
    options: OpenOptions,
    writes: Rc<Writes>,
}

impl RingFile {
    fn sync<F: FnOnce(&mut Ring, &fs::File) -> Key>(
        &self,
        start: F,
    ) -> impl Future<Output = io::Result<()>> + use<F> {
        let file = self.clone();
        async move {
            file.writes.settle().await;
            file.writes.take_orphan_error()?;
            let kept = Rc::clone(&file.file);
            let on_drop = OnDrop { is_cancelled: false, orphan: |_, _, ()| {}, state: Rc::new(()) };
            let op = Op::start(&file.core, |ring| start(ring, &file.file), on_drop, move || drop(kept));
            op.await.0.map(|_| ())
        }
    }
}

impl File for RingFile {
    fn read_at<B: IoBufMut>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let file = self.clone();
        async move {
            let kept = Rc::clone(&file.file);
            let on_drop = OnDrop { is_cancelled: true, orphan: |_, _, _: B| {}, state: Rc::new(()) };
            let start = |ring: &mut Ring| ring.read(file.file.as_raw_fd(), buf, offset);
            let (count, buf) = Op::start(&file.core, start, on_drop, move || drop(kept)).await;
            (count.map(|count| count as usize), buf)
        }
    }

    fn write_at<B: IoBuf>(&self, buf: B, offset: u64) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let file = self.clone();
        async move {
            if file.options.access() == Access::Read {
                return (Err(ErrorKind::PermissionDenied.into()), buf);
            }
            let (kept, number) = (file.clone(), file.writes.begin());
            let state: Rc<dyn Any> = Rc::clone(&file.writes) as Rc<dyn Any>;
            let orphan = |writes: &dyn Any, result: io::Result<u32>, _: B| {
                let writes: &Writes = writes.downcast_ref().expect("what was given");
                if let Err(error) = result {
                    writes.keep_error(&error);
                }
            };
            let on_drop = OnDrop { is_cancelled: false, orphan, state };
            let start = |ring: &mut Ring| ring.write(file.file.as_raw_fd(), buf, offset);
            let (count, buf) = Op::start(&file.core, start, on_drop, move || kept.writes.end(number)).await;
            (count.map(|count| count as usize), buf)
        }
    }

    fn sync_data(&self) -> impl Future<Output = io::Result<()>> + use<> {
        self.sync(|ring, file| ring.fdatasync(file.as_raw_fd()))
    }

    fn sync_all(&self) -> impl Future<Output = io::Result<()>> + use<> {
        self.sync(|ring, file| ring.fsync(file.as_raw_fd()))
    }

    fn allocate(&self, length: u64) -> impl Future<Output = io::Result<()>> + use<> {
        let file = Rc::clone(&self.file);
        async move { Ok(rustix::fs::fallocate(&*file, rustix::fs::FallocateFlags::empty(), 0, length)?) }
    }

    fn set_len(&self, length: u64) -> impl Future<Output = io::Result<()>> + use<> {
        let file = Rc::clone(&self.file);
        async move { file.set_len(length) }
    }

    fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> + use<> {
        let file = Rc::clone(&self.file);
        async move { Ok(metadata(&file.metadata()?)) }
    }

    async fn close(self) -> io::Result<()> {
        self.writes.settle().await;
        self.writes.take_orphan_error()
    }

    fn alignment(&self) -> Alignment {
        if self.is_direct() { Alignment { memory_bytes: 4096, offset_bytes: 4096 } } else { Alignment::NONE }
    }

    fn is_direct(&self) -> bool {
        self.options.is_direct()
    }
}

fn metadata(metadata: &fs::Metadata) -> Metadata {
    let kind = match metadata.file_type() {
        kind if kind.is_file() => FileKind::File,
        kind if kind.is_dir() => FileKind::Directory,
        _ => FileKind::Other,
    };
    Metadata::new(kind, metadata.len())
}
