//! A node's folder: one log, and the snapshot that it begins behind.
//!
//! `snapshot-N` was made here, after the entry N; the log holds what follows. `install-N` came from a leader; the log
//! that follows is `log-(N+1)`, and any other is of before and worth nothing. Either file has the HardState of its
//! time, so that a log that is begun anew forgets no vote; and a checksum, so that one that has rotted is refused.

use std::io;
use std::path::{Path, PathBuf};

use protobuf::Message;
use raft::eraftpb::{Entry, HardState, Snapshot};
use samestep_provider_traits::{File, OpenOptions, StorageProvider};
use samestep_wal::{AsyncWal, CommitPolicy, Index, LogId, Options, Prepared, StateRecord, TailModel};
use xxhash_rust::xxh64::xxh64;

pub(super) struct Disk<S: StorageProvider> {
    storage: S,
    wal: AsyncWal<S>,
    log_dir: PathBuf,
    tail: TailModel,
}

/// What a node was when it ended.
#[derive(Default)]
pub(super) struct Recovered {
    pub(super) hard_state: HardState,
    pub(super) snapshot: Option<Snapshot>,
    /// Behind the snapshot.
    pub(super) entries: Vec<Entry>,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DiskError {
    #[error("a file operation failed")]
    Io(#[from] io::Error),
    #[error("the log cannot be opened")]
    Open(#[from] samestep_wal::OpenError),
    #[error("the log cannot be read")]
    Read(#[from] samestep_wal::ReadError),
    #[error("the log cannot be appended to")]
    Append(#[from] samestep_wal::AppendError),
    #[error("the log cannot be synced")]
    Sync(#[from] samestep_wal::SyncError),
    #[error("the log's suffix cannot be removed")]
    Truncate(#[from] samestep_wal::TruncateError),
    #[error("the log's prefix cannot be removed")]
    Prune(#[from] samestep_wal::PruneError),
    #[error("the snapshot cannot be marked in the log")]
    Mark(#[from] samestep_wal::SnapshotError),
    #[error("a message of Raft's cannot be read or written")]
    Message(#[from] protobuf::ProtobufError),
    #[error("{file} is damaged")]
    Damaged { file: String },
}

impl<S: StorageProvider> Disk<S> {
    pub(super) async fn open(storage: S, tail: TailModel) -> Result<(Self, Recovered), DiskError> {
        storage.create_dir_all(Path::new(FOLDER)).await?;
        storage.sync_dir(Path::new("")).await?;
        let mut names = Vec::new();
        for entry in storage.list(Path::new(FOLDER)).await? {
            names.push(entry.name.to_string_lossy().into_owned());
        }
        let newest =
            |prefix: &str| names.iter().filter_map(|name| number_in(name, prefix)).max().unwrap_or(0);
        let (made, installed) = (newest(MADE), newest(INSTALLED));
        let mut recovered = Recovered::default();
        if made.max(installed) > 0 {
            let prefix = if made >= installed { MADE } else { INSTALLED };
            (recovered.hard_state, recovered.snapshot) =
                read_snapshot(&storage, prefix, made.max(installed)).await?;
        }
        let first = if made >= installed { newest(LOG).max(1) } else { installed + 1 };
        let log_dir = path_of(LOG, first);
        let (wal, _) = AsyncWal::open(storage.clone(), &log_dir, options(first, tail)).await?;
        let mut disk = Self { storage, wal, log_dir, tail };
        if let Some(state) = disk.wal.state(HARD_STATE) {
            recovered.hard_state = HardState::parse_from_bytes(&state.payload)?;
        } else {
            let hard_state = recovered.hard_state.clone();
            disk.put_hard_state(&hard_state).await?;
            disk.wal.sync().await?;
        }
        recovered.entries = disk.entries_behind(made.max(installed)).await?;
        disk.remove_all_but(made.max(installed)).await?;
        Ok((disk, recovered))
    }

    /// Appends entries, in the place of those with their indices and all behind. Not durable yet.
    pub(super) async fn append(&mut self, entries: &[Entry]) -> Result<(), DiskError> {
        let Some(first) = entries.first() else { return Ok(()) };
        self.wal.truncate_suffix(Index::new(first.index)).await?;
        let records: Vec<Prepared<'_>> = entries
            .iter()
            .map(|entry| Prepared::new(&entry.data).with_aux(entry.term).with_index(Index::new(entry.index)))
            .collect();
        self.wal.append_batch(&records).await?;
        Ok(())
    }

    /// Not durable yet.
    pub(super) async fn put_hard_state(&mut self, hard_state: &HardState) -> Result<(), DiskError> {
        let payload = hard_state.write_to_bytes()?;
        let (index, aux) = (Index::new(hard_state.commit), hard_state.term);
        self.wal.put_state(HARD_STATE, &StateRecord { index, aux, payload }).await?;
        Ok(())
    }

    pub(super) async fn sync(&mut self) -> Result<(), DiskError> {
        Ok(self.wal.sync().await?)
    }

    /// Keeps a snapshot that was made here, and removes the entries that it stands for.
    pub(super) async fn save_snapshot(
        &mut self,
        snapshot: &Snapshot,
        hard_state: &HardState,
    ) -> Result<(), DiskError> {
        let meta = snapshot.get_metadata();
        self.write_snapshot(MADE, snapshot, hard_state).await?;
        let index = Index::new(meta.index);
        self.wal
            .mark_snapshot(index, meta.term, path_of(MADE, meta.index).to_string_lossy().as_bytes())
            .await?;
        self.wal.prune_through(index).await?;
        self.remove_all_but(meta.index).await
    }

    /// Takes a leader's snapshot, and begins a log behind it.
    pub(super) async fn install(
        &mut self,
        snapshot: &Snapshot,
        hard_state: &HardState,
    ) -> Result<(), DiskError> {
        let index = snapshot.get_metadata().index;
        self.write_snapshot(INSTALLED, snapshot, hard_state).await?;
        // From here on the old log is worth nothing, whatever happens.
        self.log_dir = path_of(LOG, index + 1);
        let (wal, _) =
            AsyncWal::open(self.storage.clone(), &self.log_dir, options(index + 1, self.tail)).await?;
        self.wal = wal;
        self.put_hard_state(hard_state).await?;
        self.wal.sync().await?;
        self.remove_all_but(index).await
    }

    async fn entries_behind(&mut self, snapshot: u64) -> Result<Vec<Entry>, DiskError> {
        let mut entries = Vec::new();
        let mut reader = self.wal.reader(Index::new(snapshot + 1)).await?;
        while let Some(found) = reader.next_entry().await? {
            let (index, term, data) = (found.index.get(), found.aux, found.payload.to_vec().into());
            entries.push(Entry { index, term, data, ..Entry::default() });
        }
        Ok(entries)
    }

    /// Durable under its name, or not there.
    async fn write_snapshot(
        &mut self,
        prefix: &str,
        snapshot: &Snapshot,
        hard_state: &HardState,
    ) -> Result<(), DiskError> {
        let mut bytes = Vec::new();
        for message in [hard_state.write_to_bytes()?, snapshot.write_to_bytes()?] {
            bytes.extend_from_slice(&(message.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&message);
        }
        bytes.extend_from_slice(&xxh64(&bytes, 0).to_le_bytes());
        let partial = Path::new(FOLDER).join(PARTIAL);
        let file = self.storage.open(&partial, OpenOptions::read_write().create_empty()).await?;
        let (written, _) = file.write_all_and_sync(bytes, 0).await;
        written?;
        file.close().await?;
        self.storage.rename(&partial, &path_of(prefix, snapshot.get_metadata().index)).await?;
        self.storage.sync_dir(Path::new(FOLDER)).await?;
        Ok(())
    }

    /// Removes snapshots but the newest, and logs but the one in use.
    async fn remove_all_but(&mut self, snapshot: u64) -> Result<(), DiskError> {
        for entry in self.storage.list(Path::new(FOLDER)).await? {
            let name = entry.name.to_string_lossy().into_owned();
            let path = Path::new(FOLDER).join(&name);
            if number_in(&name, LOG).is_some() && path != self.log_dir {
                for file in self.storage.list(&path).await? {
                    self.storage.remove(&path.join(file.name)).await?;
                }
            }
            let of = number_in(&name, MADE).or_else(|| number_in(&name, INSTALLED));
            if of.is_some_and(|of| of < snapshot) {
                self.storage.remove(&path).await?;
            }
        }
        Ok(())
    }
}

async fn read_snapshot<S: StorageProvider>(
    storage: &S,
    prefix: &str,
    number: u64,
) -> Result<(HardState, Option<Snapshot>), DiskError> {
    let path = path_of(prefix, number);
    let file = storage.open(&path, OpenOptions::read_only()).await?;
    let len = file.metadata().await?.len;
    let damaged = || DiskError::Damaged { file: path.display().to_string() };
    let buffer = vec![0; usize::try_from(len).map_err(|_| damaged())?];
    let (read, bytes) = file.read_exact_at(buffer, 0).await;
    read?;
    let (mut rest, checksum) = bytes.split_last_chunk::<8>().ok_or_else(damaged)?;
    if u64::from_le_bytes(*checksum) != xxh64(rest, 0) {
        return Err(damaged());
    }
    let mut message = || {
        let (len, behind) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let len = usize::try_from(u64::from_le_bytes(*len)).map_err(|_| damaged())?;
        let (message, behind) = behind.split_at_checked(len).ok_or_else(damaged)?;
        rest = behind;
        Ok::<_, DiskError>(message)
    };
    let hard_state = HardState::parse_from_bytes(message()?)?;
    Ok((hard_state, Some(Snapshot::parse_from_bytes(message()?)?)))
}

fn options(first_index: u64, tail: TailModel) -> Options {
    let mut options = Options::create(LogId::new(*b"a raft node here"));
    options.first_index = Index::new(first_index);
    options.commit = CommitPolicy::NoSync;
    options.tail = tail;
    options.segment_bytes = 16 << 10;
    options
}

fn path_of(prefix: &str, number: u64) -> PathBuf {
    Path::new(FOLDER).join(format!("{prefix}{number:020}"))
}

fn number_in(name: &str, prefix: &str) -> Option<u64> {
    name.strip_prefix(prefix)?.parse().ok()
}

const FOLDER: &str = "node";
const MADE: &str = "snapshot-";
const INSTALLED: &str = "install-";
const LOG: &str = "log-";
const PARTIAL: &str = "partial";
/// Where the log keeps Raft's HardState.
const HARD_STATE: u16 = 1;
