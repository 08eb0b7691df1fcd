//! Checks a pier against every invariant that can be checked without running its kernel.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::data_file::DataFile;
use crate::epochs::Layout;
use crate::error::{OpenError, ReadError};
use crate::lock::{self, LockState};
use crate::structure;
use crate::vere::finding::{Finding, Problem, Severity};
use crate::vere::meta::{Identity, MetaRecord};
use crate::vere::pier::{DiskVersion, LOCK_FILE, Pier};
use crate::vere::survey::{DataError, DataSurvey, EpochSurvey, Survey};
use crate::vere::verify::events::Events;

mod events;

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Every page, and the ends of each epoch.
    Pages,
    /// Every event too.
    Events,
}

/// What a check found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verified {
    /// What the pier is made of.
    pub survey: Survey,
    /// What is wrong with it, epoch by epoch.
    pub findings: Vec<Finding>,
    /// How many events were read.
    pub events: u64,
}

impl Verified {
    /// Whether nothing needs attention.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity() == Severity::Note)
    }
}

/// Checks `pier`. `progress` is told the number of each event that is read, and the last one there is.
///
/// Changes nothing.
///
/// # Errors
///
/// Only if a folder or a text file cannot be read; all else is a finding.
pub fn verify(pier: &Pier, depth: Depth, mut progress: impl FnMut(u64, u64)) -> io::Result<Verified> {
    let survey = Survey::of(pier)?;
    let last = survey.last().unwrap_or(0);
    let mut check =
        Check { findings: Vec::new(), events: 0, depth, last, progress: &mut progress, identity: None };
    check.names(pier, &survey)?;
    check.top(pier, &survey);
    match survey.disk {
        DiskVersion::Epochs => {
            check.epochs(pier, &survey);
            check.live_snapshot(pier, &survey);
        }
        DiskVersion::Migrating => check.add(&pier.log_dir(), Problem::Migrating),
        DiskVersion::Flat => {
            if survey.epochs.iter().any(|epoch| epoch.data.as_ref().is_ok_and(|data| data.bounds.is_some())) {
                check.add(&pier.log_dir(), Problem::FlatAndEpochs);
            }
        }
    }
    let Check { findings, events, .. } = check;
    Ok(Verified { survey, findings, events })
}

struct Check<'p> {
    findings: Vec<Finding>,
    events: u64,
    depth: Depth,
    last: u64,
    progress: &'p mut dyn FnMut(u64, u64),
    /// Whose log it is, by the first META that is whole, and where that is.
    identity: Option<(Identity, String)>,
}

impl Check<'_> {
    fn add(&mut self, path: &Path, problem: Problem) {
        self.findings.push(Finding { path: path.to_owned(), problem });
    }

    /// Names: duplicates, files in the place of folders, left-overs, the lock file.
    fn names(&mut self, pier: &Pier, survey: &Survey) -> io::Result<()> {
        let log_dir = pier.log_dir();
        let mut entries: Vec<_> = fs::read_dir(&log_dir)?.collect::<io::Result<_>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let is_epoch = Layout::VERE.parse_epoch_name(&name).is_some();
            match name.as_ref() {
                _ if is_epoch && !path.is_dir() => self.add(&path, Problem::EpochIsFile),
                "tmp" => self.add(&path, Problem::Leftover { what: "a migration to epochs" }),
                "chop" => {
                    self.add(&path, Problem::Leftover { what: "a chop by runtime 2.x, with older events" });
                }
                name if name.starts_with(OWN_TEMPORARY) => {
                    self.add(
                        &path,
                        Problem::Leftover { what: "a command of samestep-lmdb that was interrupted" },
                    );
                }
                _ => {}
            }
        }
        for pair in survey.epochs.windows(2) {
            if pair[0].number == pair[1].number {
                let (number, other) = (pair[0].number, pair[0].name.clone());
                self.add(&pair[1].path, Problem::SameEpoch { number, other });
            }
        }
        for epoch in &survey.epochs {
            for name in ["epoc.txt.tmp", "vere.txt.tmp"] {
                let path = epoch.path.join(name);
                if path.exists() {
                    self.add(&path, Problem::Leftover { what: "a text file that was being written" });
                }
            }
        }
        if survey.snapshot.has_patch() {
            self.add(&pier.snapshot_dir(), Problem::SnapshotPatch);
        }
        let lock = pier.root().join(LOCK_FILE);
        let stale = match pier.stale_lock() {
            Some(stale) => Some(stale.to_string()),
            None => match lock::probe(&lock)? {
                LockState::Stale(stale) => Some(stale.to_string()),
                LockState::Free | LockState::Held(_) => None,
            },
        };
        if let Some(why) = stale {
            self.add(&lock, Problem::StaleLock { why });
        }
        Ok(())
    }

    /// The data file beside the epochs, or the flat log.
    fn top(&mut self, pier: &Pier, survey: &Survey) {
        let path = pier.log_dir().join(Layout::VERE.data_file);
        let Some(data) = self.data(&path, &survey.top) else { return };
        self.meta(&path, &data.meta);
        if survey.disk == DiskVersion::Epochs {
            if data.bounds.is_some() {
                self.add(&path, Problem::FlatAndEpochs);
            }
            return;
        }
        let first = data.bounds.map_or(1, |(first, _)| first);
        // A runtime of 2.x that chops keeps the last event, and what was before it in a folder of its own.
        if first > 1 && !pier.log_dir().join("chop").is_dir() {
            self.add(&path, Problem::FirstEvent { expected: 1, found: first });
        }
        self.events(&path, data, first);
        self.life(&path, data);
    }

    fn epochs(&mut self, pier: &Pier, survey: &Survey) {
        if survey.epochs.is_empty() {
            self.add(&pier.log_dir(), Problem::NoEpoch);
        }
        let mut before: Option<&EpochSurvey> = None;
        for (at, epoch) in survey.epochs.iter().enumerate() {
            self.texts(epoch);
            self.start(epoch);
            let end = before.and_then(end_of);
            if let Some(end) = end
                && end != epoch.number
                && before.is_some_and(|before| before.number != epoch.number)
            {
                self.add(&epoch.path, Problem::EpochStart { expected: end, found: epoch.number });
            }
            before = Some(epoch);
            let path = epoch.path.join(Layout::VERE.data_file);
            let Some(data) = self.data(&path, &epoch.data) else { continue };
            self.meta(&path, &data.meta);
            match data.bounds {
                None if at + 1 < survey.epochs.len() => self.add(&epoch.path, Problem::EmptyEpoch),
                Some((found, _)) if Some(found) != epoch.number.checked_add(1) => {
                    let expected = epoch.number.saturating_add(1);
                    self.add(&path, Problem::FirstEvent { expected, found });
                }
                _ => {}
            }
            let first = data.bounds.map_or(0, |(first, _)| first);
            self.events(&path, data, first);
            if epoch.number == 0 {
                self.life(&path, data);
            }
        }
    }

    /// The snapshot that an epoch starts from.
    fn start(&mut self, epoch: &EpochSurvey) {
        if epoch.number == 0 {
            return;
        }
        match epoch.snapshot.event {
            _ if !epoch.snapshot.is_whole() => self.add(&epoch.path, Problem::SnapshotMissing),
            Some(found) if found != epoch.number => {
                self.add(&epoch.path, Problem::SnapshotElsewhere { found, expected: epoch.number });
            }
            _ => {}
        }
    }

    /// The live snapshot lies between the newest epoch's start and the end of the log.
    fn live_snapshot(&mut self, pier: &Pier, survey: &Survey) {
        let (Some(event), Some(newest)) = (survey.snapshot.event, survey.epochs.last()) else { return };
        let Some(last) = end_of(newest) else { return };
        if event > last {
            self.add(&pier.snapshot_dir(), Problem::SnapshotAhead { event, last });
        } else if event < newest.number {
            self.add(&pier.snapshot_dir(), Problem::SnapshotBehind { event, epoch: newest.number });
        }
    }

    fn texts(&mut self, epoch: &EpochSurvey) {
        use crate::vere::text::TextFile;
        match &epoch.epoc {
            TextFile::Missing => self.add(&epoch.path, Problem::EpocMissing),
            TextFile::Text(text) if text.is_empty() => self.add(&epoch.path, Problem::EpocEmpty),
            TextFile::Text(_) if epoch.version().is_some() => {}
            TextFile::Text(text) => self.add(&epoch.path, Problem::EpocUnknown { text: text.clone() }),
            TextFile::Garbage => self.add(&epoch.path, Problem::EpocUnknown { text: "no text".to_owned() }),
        }
        if epoch.vere == TextFile::Missing {
            self.add(&epoch.path, Problem::VereMissing);
        }
    }

    /// The file itself: its pages and its meta pages. `None` if it cannot be gone into.
    fn data<'s>(&mut self, path: &Path, survey: &'s Result<DataSurvey, DataError>) -> Option<&'s DataSurvey> {
        let file = match DataFile::open(path) {
            Ok(file) => file,
            Err(error) => {
                self.add(path, open_problem(&error));
                return None;
            }
        };
        let missing_pages = (file.meta().last_page + 1).saturating_sub(file.page_count());
        if missing_pages > 0 {
            self.add(path, Problem::ShortButFree { missing_pages });
        }
        if let [Some(a), Some(b)] = file.metas() {
            // Transaction n writes meta page n modulo 2; both are 0 in a file that nothing was written to.
            let is_fresh = (a.transaction, b.transaction) == (0, 0);
            if !is_fresh && (a.transaction.abs_diff(b.transaction) != 1 || a.transaction % 2 != 0) {
                let problem = Problem::MetaTransactions { first: a.transaction, second: b.transaction };
                self.add(path, problem);
            }
        }
        match structure::check(&file) {
            Ok(structure) => {
                for damage in structure.damages {
                    self.add(path, Problem::Page(damage));
                }
                if structure.more_damages > 0 {
                    self.add(path, Problem::MorePages { count: structure.more_damages });
                }
                if structure.leaked_pages > 0 {
                    self.add(path, Problem::Leaked { pages: structure.leaked_pages });
                }
            }
            Err(error) => self.add(path, Problem::Unreadable { why: chain(&error) }),
        }
        match survey {
            Ok(data) => Some(data),
            Err(DataError::Open(error)) => {
                self.add(path, open_problem(error));
                None
            }
            Err(DataError::Read(error)) => {
                // Damaged pages are told already; what lies around them is read.
                if matches!(error, ReadError::Damaged { .. }) {
                    if self.depth == Depth::Events {
                        let life = MetaRecord::read(&file).ok().and_then(|meta| meta.life);
                        let events = Events::new(None, u64::MAX, life.map_or(0, u64::from));
                        self.walk(path, events);
                    }
                } else {
                    self.add(path, Problem::Unreadable { why: chain(error) });
                }
                None
            }
        }
    }

    fn meta(&mut self, path: &Path, meta: &MetaRecord) {
        for issue in &meta.issues {
            self.add(path, Problem::Meta(*issue));
        }
        let Some(found) = meta.identity() else { return };
        let Some((expected, other)) = self.identity.clone() else {
            self.identity = Some((found, path.display().to_string()));
            return;
        };
        let pairs = [
            ("who", found.who.to_string(), expected.who.to_string()),
            ("fake", found.is_fake.to_string(), expected.is_fake.to_string()),
            ("life", found.life.to_string(), expected.life.to_string()),
        ];
        for (key, found, expected) in pairs {
            if found != expected {
                self.add(path, Problem::MetaDiffers { key, found, expected, other: other.clone() });
            }
        }
    }

    fn life(&mut self, path: &Path, data: &DataSurvey) {
        let last = data.bounds.map_or(0, |(_, last)| last);
        if let Some(life) = data.meta.life
            && u64::from(life) > last
        {
            self.add(path, Problem::Life { life, last });
        }
    }

    /// Every event, or the count of them.
    fn events(&mut self, path: &Path, data: &DataSurvey, first: u64) {
        let Some((found_first, last)) = data.bounds else { return };
        if self.depth == Depth::Pages {
            if last.checked_sub(found_first).and_then(|count| count.checked_add(1)) != Some(data.entries) {
                self.add(path, Problem::Count { entries: data.entries, first: found_first, last });
            }
            return;
        }
        let life = data.meta.life.map_or(0, u64::from);
        self.walk(path, Events::new(Some(first), last, life));
    }

    fn walk(&mut self, path: &Path, mut events: Events) {
        let walked = DataFile::open(path)
            .map_err(|error| open_problem(&error))
            .and_then(|file| events.walk(&file, &mut |number| (self.progress)(number, self.last)));
        self.events += events.count();
        for problem in events.into_problems() {
            self.add(path, problem);
        }
        if let Err(problem) = walked {
            self.add(path, problem);
        }
    }
}

/// The last event of an epoch, or its number if it is empty; `None` if that cannot be told.
fn end_of(epoch: &EpochSurvey) -> Option<u64> {
    let data = epoch.data.as_ref().ok()?;
    Some(data.bounds.map_or(epoch.number, |(_, last)| last))
}

fn open_problem(error: &OpenError) -> Problem {
    match error {
        OpenError::Io(source) if source.kind() == io::ErrorKind::NotFound => {
            Problem::Unopenable { why: "there is no data file".to_owned(), is_truncated: false }
        }
        OpenError::Io(_) => Problem::Unreadable { why: chain(error) },
        _ => Problem::Unopenable {
            why: chain(error),
            is_truncated: matches!(error, OpenError::Truncated { .. }),
        },
    }
}

/// An error with its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // A string grows without fail.
        let _grown = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// What the names of our own unfinished work begin with.
pub(crate) const OWN_TEMPORARY: &str = ".samestep-";
