//! A storage provider that writes down what the asynchronous face really asks of it.
//!
//! It stands below that face, where a ring or a file system would: what it records are writes as they were split,
//! folders as they were synced one by one, and locks as they were dropped. Only what succeeded is recorded, as the
//! operation of the model disk that does the same.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use samestep_memory_providers::MemoryWorld;
use samestep_provider_traits::{
    Alignment, BufResult, Creation, DirEntry, File, IoBuf, IoBufMut, Metadata, OpenOptions, Providers, Space,
    StorageProvider,
};
use samestep_wal::{AsyncWal, FileName, Index, Op, Options, Prepared, SnapshotError, StateRecord};

use crate::disk::Image;
use crate::model::{Call, Model, payload};

/// Where the log is: two folders deep, so that more than one name above it must be made durable.
const DIR: &str = "a/log";

/// What was done so far.
#[derive(Clone, Debug, Default)]
struct Tape(Rc<RefCell<Taped>>);

#[derive(Debug, Default)]
struct Taped {
    ops: Vec<Op>,
    /// Folders above the log whose names were synced since the log's was created.
    synced: BTreeSet<PathBuf>,
}

impl Tape {
    fn push(&self, op: Op) {
        self.0.borrow_mut().ops.push(op);
    }

    /// A folder was synced. The log's own name is durable when all folders above it are.
    fn push_sync(&self, path: &Path) {
        if path == Path::new(DIR) {
            self.push(Op::SyncDir);
            return;
        }
        let mut taped = self.0.borrow_mut();
        taped.synced.insert(path.to_owned());
        if Path::new(DIR).ancestors().skip(1).all(|above| taped.synced.contains(above)) {
            taped.ops.push(Op::SyncParent);
        }
    }

    fn len(&self) -> usize {
        self.0.borrow().ops.len()
    }
}

/// The log's file at `path`.
fn name(path: &Path) -> FileName {
    assert_eq!(path.parent(), Some(Path::new(DIR)), "the log stays in its folder");
    FileName::parse(path.file_name().unwrap().to_str().unwrap()).unwrap()
}

/// Records what succeeds on `inner`.
#[derive(Clone)]
struct Recorder<S> {
    inner: S,
    tape: Tape,
}

#[derive(Clone)]
struct RecordedFile<F> {
    inner: F,
    file: FileName,
    tape: Tape,
}

/// Recorded when it is dropped.
struct RecordedLock<L> {
    _inner: L,
    tape: Tape,
}

impl<L> Drop for RecordedLock<L> {
    fn drop(&mut self) {
        self.tape.push(Op::Close { file: FileName::Lock });
    }
}

impl<S: StorageProvider> StorageProvider for Recorder<S> {
    type File = RecordedFile<S::File>;
    type Lock = RecordedLock<S::Lock>;

    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> impl Future<Output = io::Result<Self::File>> + use<S> {
        let (file, tape) = (name(path), self.tape.clone());
        let opened = self.inner.open(path, options);
        async move {
            let inner = opened.await?;
            match options.creation() {
                Creation::Never => {}
                Creation::Empty => tape.push(Op::Create { file }),
                other => panic!("the log does not open files so: {other:?}"),
            }
            Ok(RecordedFile { inner, file, tape })
        }
    }

    fn create_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<S> {
        assert_eq!(path, Path::new(DIR));
        let (done, tape) = (self.inner.create_dir_all(path), self.tape.clone());
        async move {
            done.await?;
            tape.push(Op::CreateDir);
            Ok(())
        }
    }

    fn rename(&self, _: &Path, _: &Path) -> impl Future<Output = io::Result<()>> + use<S> {
        async { panic!("the log renames nothing") }
    }

    fn remove(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<S> {
        let (done, file, tape) = (self.inner.remove(path), name(path), self.tape.clone());
        async move {
            done.await?;
            tape.push(Op::Remove { file });
            Ok(())
        }
    }

    fn list(&self, path: &Path) -> impl Future<Output = io::Result<Vec<DirEntry>>> + use<S> {
        self.inner.list(path)
    }

    fn metadata(&self, path: &Path) -> impl Future<Output = io::Result<Metadata>> + use<S> {
        self.inner.metadata(path)
    }

    fn sync_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>> + use<S> {
        let (done, path, tape) = (self.inner.sync_dir(path), path.to_owned(), self.tape.clone());
        async move {
            done.await?;
            tape.push_sync(&path);
            Ok(())
        }
    }

    fn lock(&self, path: &Path) -> impl Future<Output = io::Result<Self::Lock>> + use<S> {
        assert_eq!(name(path), FileName::Lock);
        let (locked, tape) = (self.inner.lock(path), self.tape.clone());
        async move {
            let inner = locked.await?;
            tape.push(Op::Lock);
            Ok(RecordedLock { _inner: inner, tape })
        }
    }

    fn space(&self) -> impl Future<Output = io::Result<Space>> + use<S> {
        self.inner.space()
    }
}

impl<F: File> File for RecordedFile<F> {
    fn read_at<B: IoBufMut>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<F, B> {
        self.inner.read_at(buf, offset)
    }

    fn write_at<B: IoBuf>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<F, B> {
        let (file, tape) = (self.file, self.tape.clone());
        let written = self.inner.write_at(buf, offset);
        async move {
            let (outcome, buf) = written.await;
            if let Ok(count) = outcome {
                tape.push(Op::WriteAt { file, offset, buf: buf.as_bytes()[..count].to_vec() });
            }
            (outcome, buf)
        }
    }

    fn sync_data(&self) -> impl Future<Output = io::Result<()>> + use<F> {
        let (done, file, tape) = (self.inner.sync_data(), self.file, self.tape.clone());
        async move {
            done.await?;
            tape.push(Op::SyncData { file });
            Ok(())
        }
    }

    fn sync_all(&self) -> impl Future<Output = io::Result<()>> + use<F> {
        self.sync_data()
    }

    fn allocate(&self, _: u64) -> impl Future<Output = io::Result<()>> + use<F> {
        async { panic!("the log writes zeros and allocates nothing") }
    }

    fn set_len(&self, len: u64) -> impl Future<Output = io::Result<()>> + use<F> {
        let (done, file, tape) = (self.inner.set_len(len), self.file, self.tape.clone());
        async move {
            done.await?;
            tape.push(Op::SetLen { file, len });
            Ok(())
        }
    }

    fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> + use<F> {
        self.inner.metadata()
    }

    fn close(self) -> impl Future<Output = io::Result<()>> + use<F> {
        self.inner.close()
    }

    fn alignment(&self) -> Alignment {
        self.inner.alignment()
    }

    fn is_direct(&self) -> bool {
        self.inner.is_direct()
    }
}

/// Opens the log in `image` by the asynchronous face, which must find `model` there, runs `calls` and tells `after`
/// each: the number of operations before and after it, and whether everything is durable. Returns all operations.
pub(crate) fn record(
    image: &Image,
    model: &Model,
    options: &Options,
    calls: &[Call],
    mut after: impl FnMut(usize, usize, bool),
) -> Vec<Op> {
    MemoryWorld::new(1).block_on(|providers| async move {
        let inner = providers.storage().clone();
        put(&inner, image).await;
        let tape = Tape::default();
        let storage = Recorder { inner, tape: tape.clone() };
        let (mut wal, _) = AsyncWal::open(storage, DIR, options.clone()).await.unwrap();
        assert_eq!(wal.next_index().get(), model.next, "both faces recover alike");
        for &call in calls {
            let before = tape.len();
            run(&mut wal, call).await;
            after(before, tape.len(), !wal.has_unsynced());
        }
        std::mem::take(&mut tape.0.borrow_mut().ops)
    })
}

/// Puts the files of `image` into the log's folder, durable, or leaves out the folder too if there are none.
async fn put<S: StorageProvider>(storage: &S, image: &Image) {
    if image.is_empty() {
        return;
    }
    storage.create_dir_all(Path::new(DIR)).await.unwrap();
    for (name, bytes) in image {
        let options = OpenOptions::read_write().create_empty();
        let file = storage.open(&Path::new(DIR).join(name), options).await.unwrap();
        file.write_all_and_sync(bytes.clone(), 0).await.0.unwrap();
    }
    for folder in Path::new(DIR).ancestors() {
        storage.sync_dir(folder).await.unwrap();
    }
}

/// Runs `call`, as `crate::model::run` does on the blocking face.
pub(crate) async fn run<S: StorageProvider>(wal: &mut AsyncWal<S>, call: Call) {
    match call {
        Call::Append { seed, len } => {
            let bytes = payload(seed, len);
            wal.append(Prepared::new(&bytes).with_aux(seed.into())).await.map(drop).unwrap();
        }
        Call::Batch { seed, lens } => {
            let seeds = [0, 1, 2].map(|at: u8| seed.wrapping_add(at));
            let bytes: Vec<Vec<u8>> = seeds.iter().zip(lens).map(|(&seed, len)| payload(seed, len)).collect();
            let records = bytes.iter().zip(seeds);
            let records: Vec<Prepared<'_>> =
                records.map(|(bytes, seed)| Prepared::new(bytes).with_aux(seed.into())).collect();
            wal.append_batch(&records).await.map(drop).unwrap();
        }
        Call::State { slot, seed } => {
            let record = StateRecord { index: Index::new(3), aux: 4, payload: payload(seed, 9) };
            wal.put_state(slot, &record).await.unwrap();
        }
        Call::Truncate { back } => {
            let first = wal.first_index().unwrap_or(wal.next_index());
            let from = wal.next_index().get().saturating_sub(back).max(first.get());
            wal.truncate_suffix(Index::new(from)).await.unwrap();
        }
        Call::Prune { front } => {
            let first = wal.first_index().unwrap_or(wal.next_index());
            let Some(through) = (first.get() + front).checked_sub(1) else { return };
            wal.prune_through(Index::new(through)).await.unwrap();
        }
        Call::Mark { back, seed } => {
            let index = Index::new(wal.next_index().get().wrapping_sub(1 + back));
            match wal.mark_snapshot(index, seed.into(), &payload(seed, 9)).await {
                Ok(()) | Err(SnapshotError::NotInLog { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        Call::Rotate => wal.rotate().await.unwrap(),
        Call::Sync => wal.sync().await.unwrap(),
    }
}

/// Everything in `wal`, as `crate::model::contents` tells it of the blocking face.
pub(crate) async fn contents<S: StorageProvider>(wal: &mut AsyncWal<S>) -> Model {
    let mut entries = BTreeMap::new();
    let mut reader = wal.reader(Index::new(0)).await.unwrap();
    while let Some(entry) = reader.next_entry().await.unwrap() {
        entries.insert(entry.index.get(), (entry.aux, entry.payload.to_vec()));
    }
    let next = wal.next_index().get();
    let first = wal.first_index().map_or(next, Index::get);
    let states = wal.states().map(|(slot, record)| (slot, record.payload.clone())).collect();
    let mark = wal.snapshot().map(|mark| (mark.index.get(), mark.aux, mark.payload.clone()));
    Model { first, entries, next, states, mark }
}
