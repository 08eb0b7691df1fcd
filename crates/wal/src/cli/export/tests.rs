//! Copies of, and looks at, a log that moves between any two of their steps.
//!
//! The writer's operations are recorded once, over rotations, prunes, truncations, a close and another opening. Then
//! they are performed again on the same files, some of them between each two steps of a reader: every place at which
//! the reader may start, and every place at which so many operations pass it by.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::super::survey::{Opened, Source, dry_open, survey};
use super::super::{Failed, Outcome};
use super::{Copied, copy};
use crate::disk::Disk;
use crate::format::Meta;
use crate::id::{LogId, Lsn};
use crate::op::{FileName, Op};
use crate::options::{CommitPolicy, Options, TailModel};
use crate::report::OpenOutcome;
use crate::verify::Depth;
use crate::view::StateRecord;
use crate::{Index, Wal};

/// Names and files. A handle keeps its file when the name goes.
#[derive(Clone, Debug, Default)]
struct Files {
    shared: Arc<Mutex<Shared>>,
    open: BTreeMap<FileName, Inode>,
    is_recorded: bool,
}

type Inode = Arc<Mutex<Vec<u8>>>;

#[derive(Debug, Default)]
struct Shared {
    names: BTreeMap<FileName, Inode>,
    is_locked: bool,
    /// What was done through recorded handles.
    trace: Vec<Op>,
}

impl Files {
    fn handle(&self, file: FileName) -> io::Result<&Inode> {
        self.open.get(&file).ok_or_else(|| io::Error::other("the file is not open"))
    }
}

impl Disk for Files {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        let mut shared = self.shared.lock().unwrap();
        if self.is_recorded && !matches!(op, Op::ReadAt { .. } | Op::List { .. }) {
            shared.trace.push(op.clone());
        }
        match op {
            Op::CreateDir | Op::SyncParent | Op::SyncDir | Op::SyncData { .. } => {}
            Op::Lock => shared.is_locked = true,
            Op::List { names } => *names = shared.names.keys().map(ToString::to_string).collect(),
            Op::Open { file } => {
                let inode = shared.names.get(file).cloned().ok_or(io::ErrorKind::NotFound)?;
                let len = inode.lock().unwrap().len();
                self.open.insert(*file, inode);
                return Ok(len as u64);
            }
            Op::Create { file } => {
                let inode = shared.names.entry(*file).or_default().clone();
                inode.lock().unwrap().clear();
                self.open.insert(*file, inode);
            }
            Op::ReadAt { file, offset, buf } => {
                let bytes = self.handle(*file)?.lock().unwrap();
                let rest = bytes.get(usize::try_from(*offset).unwrap()..).unwrap_or_default();
                let len = rest.len().min(buf.len());
                buf[..len].copy_from_slice(&rest[..len]);
                return Ok(len as u64);
            }
            Op::WriteAt { file, offset, buf } => {
                let mut bytes = self.handle(*file)?.lock().unwrap();
                let (start, end) =
                    (usize::try_from(*offset).unwrap(), usize::try_from(*offset).unwrap() + buf.len());
                let len = bytes.len().max(end);
                bytes.resize(len, 0);
                bytes[start..end].copy_from_slice(buf);
            }
            Op::WriteZeros { file, len, .. } => {
                *self.handle(*file)?.lock().unwrap() = vec![0; usize::try_from(*len).unwrap()];
            }
            Op::SetLen { file, len } => {
                self.handle(*file)?.lock().unwrap().truncate(usize::try_from(*len).unwrap());
            }
            Op::Remove { file } => {
                self.open.remove(file);
                shared.names.remove(file).ok_or(io::ErrorKind::NotFound)?;
            }
            Op::Close { file } => {
                shared.is_locked &= *file != FileName::Lock;
                self.open.remove(file);
            }
        }
        Ok(0)
    }

    fn reader(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), open: BTreeMap::new(), is_recorded: false }
    }
}

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Holds {
    first: u64,
    next: u64,
    entries: BTreeMap<u64, Vec<u8>>,
    state: Option<Vec<u8>>,
}

impl Holds {
    fn of(wal: &Wal<Files>) -> Self {
        let next = wal.next_index();
        let first = wal.first_index().unwrap_or(next).get();
        let entry = |index| (index, wal.read(Index::new(index)).unwrap().payload.to_vec());
        let entries = (first..next.get()).map(entry).collect();
        Self { first, next: next.get(), entries, state: wal.state(1).map(|record| record.payload) }
    }

    /// Whether a copy that holds `self` is what the log was `then`, but for what was pruned of one of them.
    fn was(&self, then: &Self) -> bool {
        let since = self.first.max(then.first);
        (self.next, &self.state) == (then.next, &then.state)
            && self.entries.range(since..).eq(then.entries.range(since..))
    }
}

/// What a writer did, and what the log held after each of its calls.
struct Recording {
    trace: Vec<Op>,
    held: Vec<Holds>,
    /// What it held when it was closed, at the end of each life.
    closed_with: Vec<Holds>,
    /// Operations after which the first life was over.
    closed: usize,
}

/// Two lives of a writer that syncs nothing: appends over several rotations, prunes, truncations inside a segment and
/// over its start, states.
fn record() -> Recording {
    let disk = Files::default();
    let mut options = Options::create(LogId::new([7; 16]));
    options.segment_bytes = 8192;
    options.commit = CommitPolicy::NoSync;
    options.buffer_bytes = 0;
    let mut held = vec![Holds { first: 1, next: 1, ..Holds::default() }];
    let (mut closed, mut closed_with) = (0, Vec::new());
    let mut payload = 0_u8;
    for life in 0..2 {
        let writer = Files { is_recorded: true, ..disk.reader() };
        let (wal, _) = Wal::open_on(writer, options.clone()).unwrap();
        for call in 0..44 {
            payload = payload.wrapping_add(1);
            match call {
                11 | 40 => {
                    let record = StateRecord { index: Index::new(1), aux: 0, payload: vec![payload; 9] };
                    wal.put_state(1, &record).unwrap();
                }
                20 => wal.truncate_suffix(Index::new(wal.next_index().get() - 2)).unwrap(),
                25 => wal.truncate_suffix(Index::new(wal.next_index().get() - 13)).unwrap(),
                24 | 35 => wal.prune_through(Index::new(wal.next_index().get() - 14)).unwrap(),
                30 => drop(wal.append_batch(&[(&[payload; 7]).into(), (&[payload; 700]).into()]).unwrap()),
                _ => drop(wal.append(&[payload; 400]).unwrap()),
            }
            held.push(Holds::of(&wal));
        }
        closed_with.extend(held.last().cloned());
        wal.close().unwrap();
        if life == 0 {
            closed = disk.shared.lock().unwrap().trace.len();
        }
    }
    let trace = std::mem::take(&mut disk.shared.lock().unwrap().trace);
    Recording { trace, held, closed_with, closed }
}

/// A reader's view of files on which the recorded operations go on between its steps.
struct Moving<'a> {
    files: Files,
    writer: Files,
    left: std::slice::Iter<'a, Op>,
    pace: Pace,
    steps: usize,
}

/// How many operations of the writer pass between two steps of the reader.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// So many, once, after this many steps.
    Burst { after: usize, ops: usize },
    /// So many after each step, from this one on.
    Steady { from: usize, ops: usize },
}

impl<'a> Moving<'a> {
    /// After `start` operations of `trace`.
    fn new(trace: &'a [Op], start: usize, pace: Pace) -> Self {
        let writer = Files::default();
        let mut moving = Self { files: writer.reader(), writer, left: trace.iter(), pace, steps: 0 };
        moving.advance(start);
        moving
    }

    fn advance(&mut self, ops: usize) {
        for op in self.left.by_ref().take(ops) {
            // What failed when it was recorded fails again.
            let _outcome = self.writer.perform(&mut op.clone());
        }
    }

    fn step(&mut self) {
        let ops = match self.pace {
            Pace::Burst { after, ops } if self.steps == after => ops,
            Pace::Steady { from, ops } if self.steps >= from => ops,
            _ => 0,
        };
        self.steps += 1;
        self.advance(ops);
    }
}

impl Disk for Moving<'_> {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        self.step();
        match op {
            // As of a directory that is only looked at.
            Op::Lock | Op::SyncParent | Op::SyncDir | Op::SyncData { .. } => Ok(0),
            Op::List { .. } | Op::Open { .. } | Op::ReadAt { .. } | Op::Close { .. } => {
                self.files.perform(op)
            }
            other => panic!("a look changes nothing: {other:?}"),
        }
    }

    fn reader(&self) -> Self {
        panic!("a look has one reader")
    }
}

impl Source for Moving<'_> {
    fn is_in_use(&mut self) -> io::Result<bool> {
        self.step();
        Ok(self.files.shared.lock().unwrap().is_locked)
    }
}

/// Every pace at which the writer may pass a reader that starts after `starts` of its operations.
fn paces(recording: &Recording, starts: impl Iterator<Item = usize>, mut run: impl FnMut(Moving<'_>, &str)) {
    let ops_max = recording.trace.len();
    for start in starts {
        let bursts = (0..STEPS_MAX).flat_map(|after| BURSTS.map(|ops| Pace::Burst { after, ops }));
        let steady =
            (0..STEPS_MAX).step_by(7).flat_map(|from| (1..4).map(move |ops| Pace::Steady { from, ops }));
        for pace in bursts.chain(steady) {
            let told = format!("after {start} of {ops_max} operations, {pace:?}");
            run(Moving::new(&recording.trace, start, pace), &told);
        }
    }
}

/// Looks of a copy in motion take about as many steps; later bursts come after the copy.
const STEPS_MAX: usize = 60;
const BURSTS: [usize; 6] = [1, 4, 9, 20, 60, usize::MAX];

#[test]
fn a_copy_of_a_log_in_motion_is_sound_and_what_the_log_was() {
    let recording = record();
    let (mut copies, mut live, mut refusals) = (0, 0, 0);
    paces(&recording, starts(&recording), |mut moving, told| {
        let mut dest = Files::default();
        let promised = promised(&moving.files);
        match copy(&mut moving, &mut dest) {
            Ok(Copied { is_in_use, end, .. }) => {
                copies += 1;
                live += usize::from(is_in_use);
                let opened = Wal::open_on(dest.reader(), Options::default());
                let (wal, report) = opened.unwrap_or_else(|error| panic!("{told}: {error}"));
                assert_eq!(report.outcome, OpenOutcome::Clean, "{told}");
                let holds = Holds::of(&wal);
                let mut held = if is_in_use { &recording.held } else { &recording.closed_with }.iter();
                assert!(held.any(|then| holds.was(then)), "{told}: {holds:?}");
                assert!(end >= promised, "{told}: {end} is before what was durable at the start, {promised}");
            }
            Err(Failed::Refused(why)) if why.contains("moves faster") => {
                refusals += 1;
                assert!(dest.shared.lock().unwrap().names.is_empty(), "{told}: nothing is left");
            }
            Err(error) => panic!("{told}: {error}"),
        }
    });
    println!("{copies} copies, {live} of a log in use, {refusals} refusals");
    assert!(live > 1000 && copies > live && refusals < copies / 10, "{copies} {live} {refusals}");
}

/// The position before which `wal.meta` says that all is durable.
fn promised(files: &Files) -> Lsn {
    let meta = files.shared.lock().unwrap().names[&FileName::Meta].lock().unwrap().clone();
    Meta::decode_best(&meta).best.unwrap().durable
}

#[test]
fn a_log_in_motion_is_never_called_damaged() {
    let recording = record();
    let mut looks = 0;
    paces(&recording, starts(&recording), |mut moving, told| {
        let survey = survey(&mut moving, Depth::Frames, |_, _| Ok(())).unwrap();
        assert_eq!(survey.outcome(), Outcome::Sound, "{told}: {:?}", survey.findings);
        looks += 1;
    });
    assert!(looks > 1000);
}

#[test]
fn no_opening_of_a_log_in_motion_is_said_to_be_refused() {
    let recording = record();
    let (mut told, mut unknown) = (0, 0);
    paces(&recording, starts(&recording), |mut moving, why| {
        match dry_open(&mut moving, TailModel::Sector).unwrap() {
            Opened::Succeeds(_) => told += 1,
            Opened::IsUnknown => unknown += 1,
            Opened::IsRefused(error) => panic!("{why}: {error}"),
        }
    });
    assert!(told > 1000 && unknown < told / 10, "{told} told, {unknown} not");
}

/// From the first `wal.meta` on, and densely around the close and the second opening.
fn starts(recording: &Recording) -> impl Iterator<Item = usize> + use<> {
    let closed = recording.closed;
    let (from, to) = (closed - 12, closed + 40);
    (20..recording.trace.len()).step_by(9).filter(move |start| !(from..to).contains(start)).chain(from..to)
}
