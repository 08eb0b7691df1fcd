//! Deaths of a real process on real files.
//!
//! A child, which is this test binary run again, appends, rotates and prunes, and says on its standard output what was
//! acknowledged. It is killed after some line, or ends itself between two operations on the disk, also inside an
//! opening, a rotation or a prune. After each death a copy of its log is opened and must have every acknowledged
//! entry, with its payload, and none that was never appended.
#![expect(clippy::disallowed_methods, reason = "a child process is told by its environment what it is to do")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use samestep_wal::{Disk, FileName, Index, Op, Options, ReadError, StateRecord, StdDisk, Wal};

/// What was acknowledged, in all lives.
#[derive(Debug, Default)]
struct Acked {
    entries: BTreeMap<u64, u32>,
    state: Option<u64>,
    /// Everything below may be pruned.
    pruned: u64,
    /// A write was forgotten, and something was acknowledged after it.
    is_forgetful: bool,
}

/// Ends the process before an operation with a drawn number. Writes of records whose numbers are in `forgets` are
/// never made, and succeed all the same.
#[derive(Clone)]
struct Mortal<D> {
    disk: D,
    steps_left: u64,
    forgets: Range<u64>,
    writes: u64,
}

impl<D: Disk> Mortal<D> {
    /// Whether `op` is a write of records that is to be forgotten.
    fn forgets(&mut self, op: &Op) -> bool {
        let Op::WriteAt { file: FileName::Segment(_), offset: FIRST_RECORD.., .. } = op else { return false };
        self.writes += 1;
        self.forgets.contains(&(self.writes - 1))
    }
}

impl<D: Disk> Disk for Mortal<D> {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        if self.steps_left == 0 {
            std::process::exit(7);
        }
        self.steps_left -= 1;
        if self.forgets(op) {
            println!("\nforgot");
            let Op::WriteAt { buf, .. } = op else { panic!("only writes are forgotten") };
            return Ok(buf.len() as u64);
        }
        self.disk.perform(op)
    }

    fn reader(&self) -> Self {
        Self { disk: self.disk.reader(), forgets: self.forgets.clone(), ..*self }
    }
}

/// The payload of entry `index`: from its number alone, so that nothing else can pass for it.
fn payload(index: u64) -> Vec<u8> {
    let len = usize::try_from(index * 37 % 301).unwrap();
    (0..len).map(|at| (index * 31 + at as u64 * 7).to_le_bytes()[0] | 1).collect()
}

fn options() -> Options {
    let mut options = crate::public::small();
    options.force_rotate_every = Some(9);
    // Operations of this process are whole: what is written is not torn, whenever it dies.
    options
}

/// One life. A test like any other, which does nothing unless it is the child.
#[test]
fn child() {
    let Ok(dir) = std::env::var("SAMESTEP_WAL_DIR") else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let disk = Mortal {
        disk: StdDisk::new(dir),
        steps_left: number("SAMESTEP_WAL_STEPS"),
        forgets: number("SAMESTEP_WAL_FORGETS_FROM")..number("SAMESTEP_WAL_FORGETS_TO"),
        writes: 0,
    };
    let (wal, _) = Wal::open_on(disk, options()).unwrap();
    let mut out = io::stdout().lock();
    for round in 0..200_u64 {
        let next = wal.next_index().get();
        if round % 7 == 3 {
            let payloads = [payload(next), payload(next + 1), payload(next + 2)];
            wal.append_batch(&[(&payloads[0]).into(), (&payloads[1]).into(), (&payloads[2]).into()]).unwrap();
        } else {
            wal.append(&payload(next)).unwrap();
        }
        for index in next..wal.next_index().get() {
            writeln!(out, "\nack {index} {:08x}", crc32fast::hash(&payload(index))).unwrap();
        }
        if round % 5 == 2 {
            let record = StateRecord { index: Index::new(next), aux: 0, payload: payload(next) };
            wal.put_state(1, &record).unwrap();
            writeln!(out, "\nstate {next}").unwrap();
        }
        if round % 13 == 11 {
            let through = next.saturating_sub(20);
            writeln!(out, "\nprune {through}").unwrap();
            wal.prune_through(Index::new(through)).unwrap();
        }
        if round % 50 == 49 {
            wal.rotate().unwrap();
        }
    }
    wal.close().unwrap();
}

/// How a child lives and dies.
#[derive(Clone, Debug)]
struct Fate {
    /// It ends itself before this operation.
    steps: u64,
    /// It is killed after so many lines.
    lines: u64,
    forgets: Range<u64>,
}

/// A child that forgets nothing, and dies one way or the other.
fn honest(draw: &mut impl FnMut(u64) -> u64) -> Fate {
    let is_killed = draw(2) == 0;
    let steps_max = if draw(2) == 0 { 40 } else { 260 };
    let steps = if is_killed { u64::MAX } else { draw(steps_max) };
    Fate { steps, lines: if is_killed { draw(60) } else { u64::MAX }, forgets: 0..0 }
}

/// Lets one child live until it dies, and takes in what it says. Tells whether it died before its work was done.
fn live_and_die(dir: &Path, fate: &Fate, acked: &mut Acked) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["deaths::child", "--exact", "--nocapture", "--test-threads=1"])
        .env("SAMESTEP_WAL_DIR", dir)
        .env("SAMESTEP_WAL_STEPS", fate.steps.to_string())
        .env("SAMESTEP_WAL_FORGETS_FROM", fate.forgets.start.to_string())
        .env("SAMESTEP_WAL_FORGETS_TO", fate.forgets.end.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines_left = fate.lines;
    if lines_left == 0 {
        child.kill().unwrap();
    }
    let mut has_forgotten = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("ack"), Some(index), Some(crc)) if crc.len() == 8 => {
                acked.entries.insert(index.parse().unwrap(), u32::from_str_radix(crc, 16).unwrap());
                acked.is_forgetful |= has_forgotten;
            }
            (Some("state"), Some(index), None) => {
                acked.state = Some(index.parse().unwrap());
                acked.is_forgetful |= has_forgotten;
            }
            (Some("prune"), Some(through), None) => acked.pruned = through.parse::<u64>().unwrap() + 1,
            (Some("forgot"), None, None) => has_forgotten = true,
            _ => continue,
        }
        lines_left = lines_left.saturating_sub(1);
        if lines_left == 0 {
            // It goes on until the signal comes, and what it says meanwhile counts.
            child.kill().unwrap();
        }
    }
    !child.wait().unwrap().success()
}

/// Opens a copy of the log, so that the recovery is left to the next life.
fn check(dir: &Path, acked: &Acked) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).unwrap();
    if dir.exists() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
    }
    let (wal, _) = Wal::open(&copy, options()).map_err(|error| error.to_string())?;
    let first = wal.first_index().unwrap_or(wal.next_index()).get();
    if first > acked.pruned.max(1) {
        return Err(format!("entries below {first} are gone, and only those below {} pruned", acked.pruned));
    }
    for (&index, &crc) in acked.entries.range(first..) {
        match wal.read(Index::new(index)) {
            Ok(entry) if entry.payload_crc == crc && entry.payload == payload(index) => {}
            Ok(_) => return Err(format!("entry {index} is another")),
            Err(ReadError::NotWritten { next }) => {
                return Err(format!(
                    "entry {index} was acknowledged and is gone; the log ends before {next}"
                ));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    for index in first..wal.next_index().get() {
        let entry = wal.read(Index::new(index)).map_err(|error| error.to_string())?;
        if entry.payload != payload(index) {
            return Err(format!("entry {index} was never appended"));
        }
    }
    let state = wal.state(1).map(|record| record.index.get());
    if state < acked.state {
        return Err(format!("the state is {state:?} and {:?} was acknowledged", acked.state));
    }
    Ok(())
}

/// Numbers that look random and are the same in each run.
fn drawing(mut seed: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    }
}

/// A hundred deaths, or as many as `SAMESTEP_WAL_DEATHS` says.
#[test]
fn what_was_acknowledged_survives_every_death() {
    let _alone = crate::alone();
    let deaths: u64 = std::env::var("SAMESTEP_WAL_DEATHS").map_or(100, |deaths| deaths.parse().unwrap());
    let mut draw = drawing(1);
    let (mut died, mut checked) = (0, 0);
    while died < deaths {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("log");
        let mut acked = Acked::default();
        for life in 0..12 {
            died += u64::from(live_and_die(&dir, &honest(&mut draw), &mut acked));
            checked += 1;
            if let Err(error) = check(&dir, &acked) {
                panic!("life {life}, death {died}: {error}");
            }
        }
    }
    println!("{died} deaths, {checked} openings");
}

/// The check has teeth: a child that leaves out one write of records, or all from one on, and acknowledges what was in
/// it, is found out. Its barriers are all there; those a process that dies does not need.
#[test]
fn a_write_that_is_left_out_is_noticed() {
    let _alone = crate::alone();
    let mut draw = drawing(5);
    let mut noticed = 0;
    for number in 0..20 {
        for forgets in [number..number + 1, number..u64::MAX] {
            let folder = tempfile::tempdir().unwrap();
            let dir = folder.path().join("log");
            let mut acked = Acked::default();
            let fate = Fate { steps: 50 + 5 * number + draw(20), lines: u64::MAX, forgets };
            live_and_die(&dir, &fate, &mut acked);
            let checked = check(&dir, &acked);
            assert_eq!(checked.is_err(), acked.is_forgetful, "{fate:?}: {checked:?}");
            noticed += usize::from(acked.is_forgetful);
        }
    }
    assert!(noticed >= 36, "most of them acknowledge what they left out: {noticed}");
}

/// Where the records of a segment start.
const FIRST_RECORD: u64 = 4096;
