//! Writing one epoch's data file, by LMDB itself, with the flags and encodings that Vere uses.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use heed::byteorder::NativeEndian;
use heed::types::{Bytes, Str, U64};
use heed::{Database, Env, IntegerComparator, MdbError, PutFlags};

use crate::data_file::DataFile;
use crate::durable::sync_dir;
use crate::epochs::Layout;
use crate::error::{OpenError, ReadError};
use crate::lock::WriteGuard;
use crate::lock::held::{EnvironmentLock, Inode};
use crate::structure::{self, DamagedPage};

/// What writing may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// Bytes of address space to map, and the most that the file can grow to. A multiple of the page size.
    pub map_bytes: usize,
}

impl Default for WriteOptions {
    /// 1 TiB, as Vere maps. Where address space is limited, take less.
    fn default() -> Self {
        Self { map_bytes: 1 << 40 }
    }
}

/// One epoch's data file, open for writing by LMDB, with its locks on.
///
/// It lives within the log's lock. A process has one environment open at a time: in a migrated log two of them
/// share one lock file, and closing one would end the locks of both.
#[derive(Debug)]
pub struct EpochWriter<'g> {
    layout: Layout,
    env: Option<Env>,
    /// Number of the last event, or of the last one before this epoch.
    last: u64,
    _guard: &'g WriteGuard,
    _lock: EnvironmentLock,
}

/// Database of events: native integers, raw bytes.
type EventsTable = Database<U64<NativeEndian>, Bytes, IntegerComparator>;

impl<'g> EpochWriter<'g> {
    /// Creates the data file of epoch `number` in the folder `dir`, which is there and holds none.
    ///
    /// There is no table yet. The folder is durable on return.
    ///
    /// # Errors
    ///
    /// [`WriteError::Exists`] if there is a data file that is not empty; [`WriteError`] otherwise.
    pub fn create(
        dir: &Path,
        number: u64,
        layout: Layout,
        options: WriteOptions,
        guard: &'g WriteGuard,
    ) -> Result<Self, WriteError> {
        let path = dir.join(layout.data_file);
        let io = |source| WriteError::Io { path: path.clone(), source };
        if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0) {
            return Err(WriteError::Exists { path });
        }
        create_empty(&path).map_err(io)?;
        let writer = Self::open_checked(dir, number, layout, options, guard)?;
        sync_dir(dir).map_err(io)?;
        Ok(writer)
    }

    /// Opens the data file of epoch `number` in the folder `dir`, after a check of all its pages.
    ///
    /// # Errors
    ///
    /// [`WriteError::Damaged`] names the first damaged page: LMDB would overwrite good pages, or die. Others as said
    /// in [`WriteError`].
    pub fn open(
        dir: &Path,
        number: u64,
        layout: Layout,
        options: WriteOptions,
        guard: &'g WriteGuard,
    ) -> Result<Self, WriteError> {
        let path = dir.join(layout.data_file);
        let file = DataFile::open(&path).map_err(|source| WriteError::Open { path: path.clone(), source })?;
        let read = |source| WriteError::Read { path: path.clone(), source };
        let structure = structure::check(&file).map_err(read)?;
        if let Some(damage) = structure.damages.into_iter().next() {
            return Err(WriteError::Damaged { path, damage });
        }
        let mut last = number;
        if let Some(table) = file.table(layout.events_table.as_bytes()).map_err(read)? {
            let bounds = file.events(table).and_then(|mut events| events.bounds()).map_err(read)?;
            last = bounds.map_or(number, |(_, last)| last);
        }
        drop(file);
        Self::open_checked(dir, last, layout, options, guard)
    }

    fn open_checked(
        dir: &Path,
        last: u64,
        layout: Layout,
        options: WriteOptions,
        guard: &'g WriteGuard,
    ) -> Result<Self, WriteError> {
        let path = dir.join(LOCK_FILE);
        let io = |source| WriteError::Io { path: path.clone(), source };
        // An environment is known by the inode of its lock file. One that is there is not opened here: closing it
        // again would end the locks of an environment that shares it.
        if Inode::of_path(&path).map_err(io)?.is_none() {
            create_empty(&path).map_err(io)?;
        }
        let inode = Inode::of_path(&path).map_err(io)?.ok_or_else(|| io(io::ErrorKind::NotFound.into()))?;
        let lock = EnvironmentLock::register(inode);
        let lock = lock.ok_or_else(|| WriteError::InUse { path: dir.to_owned() })?;
        let map_bytes = options.map_bytes;
        let env = crate::env::open(dir, map_bytes).map_err(|error| match error {
            heed::Error::Io(source) if source.kind() == io::ErrorKind::OutOfMemory => {
                WriteError::MapRefused { path: dir.to_owned(), map_bytes }
            }
            error => WriteError::lmdb(dir, error),
        })?;
        Ok(Self { layout, env: Some(env), last, _guard: guard, _lock: lock })
    }

    /// Number of the last event, or of the last one before this epoch if there is none.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Puts `pairs` into the table `table` of string keys, in one transaction. Durable on return.
    ///
    /// # Errors
    ///
    /// [`WriteError::Lmdb`]; nothing was put then.
    pub fn put_pairs(&mut self, table: &str, pairs: &[(&str, &[u8])]) -> Result<(), WriteError> {
        let env = self.env();
        let put = || -> Result<(), heed::Error> {
            let mut transaction = env.write_txn()?;
            let database = env.create_database::<Str, Bytes>(&mut transaction, Some(table))?;
            for (key, value) in pairs {
                database.put(&mut transaction, key, value)?;
            }
            transaction.commit()
        };
        put().map_err(|error| WriteError::lmdb(env.path(), error))
    }

    /// Appends `values` behind the last event, in one transaction. Durable on return.
    ///
    /// # Errors
    ///
    /// [`WriteError::Lmdb`] and [`WriteError::MapFull`]; nothing was appended then.
    pub fn append<V: AsRef<[u8]>>(&mut self, values: impl IntoIterator<Item = V>) -> Result<(), WriteError> {
        let first = self.last.saturating_add(1);
        self.append_numbered((first..).zip(values))
    }

    /// Appends values with their numbers, in one transaction. Durable on return.
    ///
    /// Numbers ascend, but may leave gaps, as what is salvaged has them.
    ///
    /// # Errors
    ///
    /// [`WriteError::Order`] if a number does not come after the one before, and as [`Self::append`]; nothing was
    /// appended then.
    pub fn append_numbered<V: AsRef<[u8]>>(
        &mut self,
        events: impl IntoIterator<Item = (u64, V)>,
    ) -> Result<(), WriteError> {
        let env = self.env();
        let (mut last, mut misplaced) = (self.last, None);
        let append = || -> Result<(), heed::Error> {
            let mut transaction = env.write_txn()?;
            let options = env.database_options().types::<U64<NativeEndian>, Bytes>();
            let mut options = options.key_comparator::<IntegerComparator>();
            let database: EventsTable = options.name(self.layout.events_table).create(&mut transaction)?;
            for (number, value) in events {
                if number <= last {
                    misplaced = Some(number);
                    return Ok(());
                }
                last = number;
                database.put_with_flags(&mut transaction, PutFlags::NO_OVERWRITE, &last, value.as_ref())?;
            }
            transaction.commit()
        };
        append().map_err(|error| WriteError::lmdb(env.path(), error))?;
        if let Some(number) = misplaced {
            return Err(WriteError::Order { number, last });
        }
        self.last = last;
        Ok(())
    }

    /// Closes the environment, so that the file can be opened again.
    pub fn close(self) {}

    fn env(&self) -> &Env {
        self.env.as_ref().expect("the environment is open until the writer is dropped")
    }
}

impl Drop for EpochWriter<'_> {
    fn drop(&mut self) {
        if let Some(env) = self.env.take() {
            env.prepare_for_closing().wait();
        }
    }
}

/// Makes a file that LMDB then fills, with the mode that Vere gives it; heed would make it private.
fn create_empty(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o664).open(path).map(drop)
}

/// Why an epoch could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The data file cannot be believed: salvage what it holds into a new one.
    #[error("{}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The data file cannot be read.
    #[error("{}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Where and how.
        source: ReadError,
    },
    /// A page of the data file is damaged: salvage what it holds into a new one.
    #[error("{}: page {} is damaged: {}", path.display(), damage.page, damage.problem)]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first damaged page.
        damage: DamagedPage,
    },
    /// There is a data file already.
    #[error("{} is there already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Another program has the environment open by another version of LMDB, as a running ship has, or this process
    /// has it open: stop that first.
    #[error("{}: in use by another LMDB, as of a running ship", path.display())]
    InUse {
        /// The folder of the environment.
        path: PathBuf,
    },
    /// The file would grow over the size that was mapped: map more.
    #[error("{}: the mapped size is full, map more", path.display())]
    MapFull {
        /// The folder of the environment.
        path: PathBuf,
    },
    /// So much address space is not to be had, as on small machines and in containers: map less, but more than the
    /// file has and will have.
    #[error("{}: {map_bytes} bytes of address space cannot be mapped, map less", path.display())]
    MapRefused {
        /// The folder of the environment.
        path: PathBuf,
        /// What was asked for.
        map_bytes: usize,
    },
    /// An event has not a greater number than the one before it.
    #[error("event {number} cannot come after event {last}")]
    Order {
        /// Its number.
        number: u64,
        /// The one before.
        last: u64,
    },
    /// LMDB refused.
    #[error("{}", path.display())]
    Lmdb {
        /// The folder of the environment.
        path: PathBuf,
        /// What LMDB says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A file or folder cannot be made or synced.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl WriteError {
    fn lmdb(dir: &Path, error: heed::Error) -> Self {
        let path = dir.to_owned();
        match error {
            heed::Error::Mdb(MdbError::VersionMismatch) | heed::Error::EnvAlreadyOpened => {
                Self::InUse { path }
            }
            heed::Error::Mdb(MdbError::MapFull) => Self::MapFull { path },
            heed::Error::Io(source) => Self::Io { path, source },
            error => Self::Lmdb { path, source: Box::new(error) },
        }
    }
}

/// LMDB's own lock file, beside the data file.
const LOCK_FILE: &str = "lock.mdb";
