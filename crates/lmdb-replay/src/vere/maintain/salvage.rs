//! `salvage`: copies out of a damaged pier what is readable.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use samestep_noun::Noun;

use crate::data_file::{DataFile, MetaChoice};
use crate::epochs::{EpochDir, Layout};
use crate::error::ReadError;
use crate::lock::{self, ProcessIds, WriteGuard};
use crate::scan::{Found, scan};
use crate::vere::event::StoredEvent;
use crate::vere::maintain::create::EpochFormat;
use crate::vere::maintain::error::{MaintainError, Refusal};
use crate::vere::maintain::step::{at, copy, make_dir, remove, rename};
use crate::vere::meta::{Identity, MetaRecord, TABLE};
use crate::vere::pier::{LOCK_FILE, LOG_DIR, PierError, SNAPSHOT_DIR};
use crate::vere::survey::{EPOC_FILE, SNAPSHOT_FILES, VERE_FILE};
use crate::vere::text::TextFile;
use crate::vere::verify::OWN_TEMPORARY;
use crate::writer::{EpochWriter, WriteOptions};

/// How to salvage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SalvageOptions {
    /// Whose log it is, if no META can be read, or another than most of them say.
    pub identity: Option<Identity>,
    /// What writing may cost.
    pub write: WriteOptions,
}

/// What was salvaged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvaged {
    /// Epoch by epoch; a flat log is one.
    pub epochs: Vec<SalvagedEpoch>,
    /// Files that could not be copied.
    pub lost_files: Vec<PathBuf>,
}

/// What was salvaged of one data file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvagedEpoch {
    /// The data file.
    pub path: PathBuf,
    /// Its epoch's number.
    pub number: u64,
    /// Events that the tree leads to.
    pub copied: u64,
    /// Events that were found on pages that no tree leads to.
    pub recovered: u64,
    /// Events between the first and the last that were not found, as ranges.
    pub missing: Vec<(u64, u64)>,
    /// Events of which different values were found on such pages: none was taken.
    pub conflicts: Vec<u64>,
    /// Why the data file cannot be opened as it should be, if so.
    pub problem: Option<String>,
}

/// Copies what is readable of the pier at `from` into a new pier at `to`, where there is no `.urb`.
///
/// The pier at `from` is only read, and may be damaged in any way. Events keep their numbers; where some are missing
/// the new log has a gap, which `verify` then names. Snapshots are copied as they are. `epoc.txt` is made where it is
/// missing.
///
/// # Errors
///
/// [`Refusal::Exists`] if there is a `.urb`, [`Refusal::NoIdentity`] if no META says whose log it is and the options
/// do not either; [`MaintainError`] otherwise. Nothing is at `to` then but a folder that the next call removes.
pub fn salvage(from: &Path, to: &Path, options: SalvageOptions) -> Result<Salvaged, MaintainError> {
    let urb = to.join(".urb");
    if at(&urb, fs::exists(&urb))? {
        return Err(Refusal::Exists { path: urb }.into());
    }
    let log_dir = from.join(LOG_DIR);
    if !log_dir.is_dir() {
        return Err(PierError::NoLog { path: log_dir }.into());
    }
    let _reading = lock::read(&from.join(LOCK_FILE), ProcessIds::Honour).map_err(PierError::from)?;
    crate::vere::pier::check_environments(&log_dir)?;
    at(to, fs::create_dir_all(to))?;
    let guard = lock::write(&to.join(LOCK_FILE), ProcessIds::Honour).map_err(PierError::from)?;
    let building = to.join(format!("{OWN_TEMPORARY}salvage"));
    if at(&building, fs::exists(&building))? {
        at(&building, remove(&building))?;
    }
    for dir in ["", "put", "get", "log", "chk"] {
        let path = building.join(dir);
        at(&path, make_dir(&path))?;
    }
    let work = Work { from, log: building.join("log"), options, guard: &guard };
    let salvaged = work.run(&log_dir, &building.join("chk"))?;
    at(&urb, rename(&building, &urb))?;
    Ok(salvaged)
}

struct Work<'a> {
    from: &'a Path,
    /// The new log's folder.
    log: PathBuf,
    options: SalvageOptions,
    guard: &'a WriteGuard,
}

impl Work<'_> {
    fn run(&self, log_dir: &Path, chk: &Path) -> Result<Salvaged, MaintainError> {
        let mut salvaged = Salvaged::default();
        let epochs = at(log_dir, Layout::VERE.epochs_in(log_dir))?;
        let top = Source::open(&log_dir.join(Layout::VERE.data_file));
        let sources: Vec<(EpochDir, Source)> = epochs
            .into_iter()
            .map(|epoch| {
                let source = Source::open(&epoch.path.join(Layout::VERE.data_file));
                (epoch, source)
            })
            .collect();
        let metas = sources.iter().map(|(_, source)| source).chain([&top]);
        let identity = self.options.identity.map_or_else(|| most_common(metas), Ok)?;
        let is_flat = top.version().is_some_and(|version| version < 3) || sources.is_empty();
        if is_flat {
            salvaged.epochs.push(self.data(&top, 0, &self.log, identity, 1)?);
        } else {
            self.make_data(&self.log, 0, identity, 3)?.close();
            for (epoch, source) in &sources {
                let dir = self.log.join(Layout::VERE.epoch_name(epoch.number));
                at(&dir, make_dir(&dir))?;
                salvaged.epochs.push(self.data(source, epoch.number, &dir, identity, 3)?);
                copy_snapshot(&epoch.path, &dir, &mut salvaged);
                copy_texts(&epoch.path, &dir)?;
            }
        }
        copy_snapshot(&self.from.join(SNAPSHOT_DIR), chk, &mut salvaged);
        Ok(salvaged)
    }

    fn make_data(
        &self,
        dir: &Path,
        number: u64,
        identity: Identity,
        version: u8,
    ) -> Result<EpochWriter<'_>, MaintainError> {
        let mut writer = EpochWriter::create(dir, number, Layout::VERE, self.options.write, self.guard)?;
        let pairs = identity.pairs(version);
        let pairs = pairs.each_ref().map(|(key, value)| (*key, value.as_slice()));
        writer.put_pairs(TABLE, &pairs)?;
        Ok(writer)
    }

    /// One data file: first what the tree leads to, around damage; then what is left on other pages.
    fn data(
        &self,
        source: &Source,
        number: u64,
        dir: &Path,
        identity: Identity,
        version: u8,
    ) -> Result<SalvagedEpoch, MaintainError> {
        let mut writer = self.make_data(dir, number, identity, version)?;
        let mut report = SalvagedEpoch {
            path: source.path.clone(),
            number,
            problem: source.problem.clone(),
            ..SalvagedEpoch::default()
        };
        let lost = source.lost();
        let mut found = match &source.reader {
            Some(reader) if !lost.is_empty() => {
                let scanned = scan(&**reader, source.page_bytes, &lost, is_plausible);
                scanned.map_err(|error| read_failed(&source.path, error))?
            }
            _ => Found::new(),
        };
        report.conflicts = found.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| *key).collect();
        found.retain(|key, value| value.is_some() && *key > number);
        let mut out = Batch { writer: &mut writer, events: Vec::new(), bytes: 0, report: &mut report };
        source.walk(&mut |event, value| {
            while let Some(entry) = found.first_entry().filter(|entry| *entry.key() < event) {
                let (key, value) = entry.remove_entry();
                out.push(key, value.unwrap_or_default(), Origin::Page)?;
            }
            // What the tree leads to is better than what lies about.
            found.remove(&event);
            if event > out.last() { out.push(event, value.to_vec(), Origin::Tree) } else { Ok(()) }
        })?;
        for (key, value) in found {
            if key > out.last() {
                out.push(key, value.unwrap_or_default(), Origin::Page)?;
            }
        }
        out.flush()?;
        Ok(report)
    }
}

/// Copies the files of a snapshot, as far as they can be read.
fn copy_snapshot(from: &Path, to: &Path, salvaged: &mut Salvaged) {
    for name in SNAPSHOT_FILES {
        let source = from.join(name);
        if source.exists() && copy(&source, &to.join(name)).is_err() {
            salvaged.lost_files.push(source);
        }
    }
}

/// Copies the two text files of an epoch, or makes what is missing.
fn copy_texts(from: &Path, to: &Path) -> Result<(), MaintainError> {
    let read = |name, bytes_max| TextFile::read(&from.join(name), bytes_max).unwrap_or(TextFile::Missing);
    let epoc = read(EPOC_FILE, 6);
    let has_image = from.join("image.bin").exists();
    let format = if has_image { EpochFormat::Image } else { EpochFormat::NorthSouth };
    let epoc = epoc.text().filter(|text| ["1", "2"].contains(text)).unwrap_or(format.text());
    let vere = read(VERE_FILE, 126);
    for (name, text) in [(EPOC_FILE, epoc), (VERE_FILE, vere.text().unwrap_or_default())] {
        at(&to.join(name), crate::durable::replace(to, name, text.as_bytes()))?;
    }
    Ok(())
}

/// Where an event was found.
#[derive(Clone, Copy)]
enum Origin {
    Tree,
    Page,
}

/// Events on their way into a new data file, in transactions of bounded size.
struct Batch<'b, 'g> {
    writer: &'b mut EpochWriter<'g>,
    events: Vec<(u64, Vec<u8>)>,
    bytes: usize,
    report: &'b mut SalvagedEpoch,
}

impl Batch<'_, '_> {
    fn last(&self) -> u64 {
        self.events.last().map_or(self.writer.last(), |(number, _)| *number)
    }

    fn push(&mut self, number: u64, value: Vec<u8>, origin: Origin) -> Result<(), MaintainError> {
        let last = self.last();
        if number > last + 1 {
            self.report.missing.push((last + 1, number - 1));
        }
        match origin {
            Origin::Tree => self.report.copied += 1,
            Origin::Page => self.report.recovered += 1,
        }
        self.bytes += value.len();
        self.events.push((number, value));
        if self.events.len() >= BATCH_EVENTS_MAX || self.bytes >= BATCH_BYTES_MAX {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), MaintainError> {
        self.bytes = 0;
        let events = std::mem::take(&mut self.events);
        if events.is_empty() { Ok(()) } else { Ok(self.writer.append_numbered(events)?) }
    }
}

/// Is handed events, oldest first.
type Visit<'v> = &'v mut dyn FnMut(u64, &[u8]) -> Result<(), MaintainError>;

/// A data file that may be damaged.
struct Source {
    path: PathBuf,
    reader: Option<Arc<File>>,
    file: Option<DataFile>,
    page_bytes: usize,
    problem: Option<String>,
}

impl Source {
    /// Opens the file as it should be, or as well as it can be: by the meta page that leads to most events.
    fn open(path: &Path) -> Self {
        let mut source = Self {
            path: path.to_owned(),
            reader: None,
            file: None,
            page_bytes: PAGE_BYTES_USUAL,
            problem: None,
        };
        let reader = match File::open(path) {
            Ok(reader) => Arc::new(reader),
            Err(error) => {
                source.problem = Some(error.to_string());
                return source;
            }
        };
        source.file = match DataFile::with_reader(Arc::clone(&reader), MetaChoice::Newest) {
            Ok(file) => Some(file),
            Err(error) => {
                source.problem = Some(error.to_string());
                DataFile::with_reader(Arc::clone(&reader), MetaChoice::Surviving).ok()
            }
        };
        if let Some(file) = &source.file {
            source.page_bytes = file.page_bytes();
        }
        source.reader = Some(reader);
        source
    }

    fn meta(&self) -> Option<MetaRecord> {
        MetaRecord::read(self.file.as_ref()?).ok()
    }

    fn version(&self) -> Option<u8> {
        self.meta()?.version
    }

    /// The ranges of numbers that the tree does not lead to for damage.
    fn lost(&self) -> Vec<RangeInclusive<u64>> {
        let mut lost = Vec::new();
        let mut next = 0;
        let is_walked = self.each(&mut |number, _| {
            if number > next {
                lost.push(next..=number - 1);
            }
            next = number.saturating_add(1);
            Ok(())
        });
        // Behind the last one there is more only if the tree is not whole, or the file is not the newest state.
        if self.problem.is_some() || !matches!(is_walked, Ok(true)) {
            lost.push(next..=u64::MAX);
        }
        lost
    }

    fn walk(&self, visit: Visit<'_>) -> Result<(), MaintainError> {
        self.each(visit).map(drop)
    }

    /// Visits all events that the tree leads to, around damage. `false` if there was damage.
    fn each(&self, visit: Visit<'_>) -> Result<bool, MaintainError> {
        let Some(file) = &self.file else { return Ok(false) };
        let table = file.table(Layout::VERE.events_table.as_bytes());
        let opened = table.and_then(|table| table.map(|table| file.events(table)).transpose());
        let mut events = match opened {
            Ok(Some(events)) => events,
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        };
        let (mut is_whole, mut next, mut step) = (true, 0_u64, 1_u64);
        loop {
            match events.next_event() {
                Ok(Some(event)) => {
                    (next, step) = (event.number.saturating_add(1), 1);
                    if StoredEvent::decode(event.value).is_ok() {
                        visit(event.number, event.value)?;
                    } else {
                        is_whole = false;
                    }
                }
                Ok(None) => return Ok(is_whole),
                Err(error) => {
                    is_whole = false;
                    match error {
                        ReadError::Damaged { lost, .. } if lost.last.is_some_and(|last| last >= next) => {
                            next = lost.last.map_or(u64::MAX, |last| last.saturating_add(1));
                        }
                        // How much this hides is not told: look further and further on. Pages that are passed
                        // over are looked at by themselves later.
                        ReadError::Io { .. } | ReadError::TooLong { .. } => {
                            next = next.saturating_add(step);
                            step = step.saturating_mul(2);
                        }
                        _ => return Ok(false),
                    }
                    if next == u64::MAX {
                        return Ok(false);
                    }
                    events.seek(next);
                }
            }
        }
    }
}

fn read_failed(path: &Path, source: ReadError) -> MaintainError {
    PierError::Read { path: path.to_owned(), source }.into()
}

/// Whether a value that lies about is that of an event: it has a mug, and the jam of a noun.
fn is_plausible(value: &[u8]) -> bool {
    let is_event = |event: StoredEvent<'_>| event.jam.last() != Some(&0) && Noun::cue(event.jam).is_ok();
    StoredEvent::decode(value).is_ok_and(is_event)
}

/// The identity that most data files give.
fn most_common<'s>(sources: impl Iterator<Item = &'s Source>) -> Result<Identity, Refusal> {
    let mut votes: BTreeMap<(u128, bool, u32), usize> = BTreeMap::new();
    for identity in sources.filter_map(|source| source.meta()?.identity()) {
        *votes.entry((identity.who, identity.is_fake, identity.life)).or_default() += 1;
    }
    let winner = votes.into_iter().max_by_key(|(_, votes)| *votes);
    let ((who, is_fake, life), _) = winner
        .ok_or_else(|| Refusal::NoIdentity { why: "no data file has a META that can be read".to_owned() })?;
    Ok(Identity { who, is_fake, life })
}

/// The page size where no meta page tells it.
const PAGE_BYTES_USUAL: usize = 4096;
const BATCH_EVENTS_MAX: usize = 1000;
const BATCH_BYTES_MAX: usize = 16 << 20;
