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
use std::path::Path;
use std::process::{Command, Stdio};

use samestep_wal::{Disk, Index, Op, Options, ReadError, StateRecord, StdDisk, Wal};

/// What was acknowledged, in all lives.
#[derive(Debug, Default)]
struct Acked {
    entries: BTreeMap<u64, u32>,
    state: Option<u64>,
    /// Everything below may be pruned.
    pruned: u64,
}

/// Ends the process before an operation with a drawn number.
struct Mortal {
    disk: StdDisk,
    steps_left: u64,
}

impl Disk for Mortal {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        if self.steps_left == 0 {
            std::process::exit(7);
        }
        self.steps_left -= 1;
        self.disk.perform(op)
    }

    fn reader(&self) -> Self {
        Self { disk: self.disk.reader(), steps_left: self.steps_left }
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
    let (Ok(dir), Ok(steps)) = (std::env::var("SAMESTEP_WAL_DIR"), std::env::var("SAMESTEP_WAL_STEPS"))
    else {
        return;
    };
    let disk = Mortal { disk: StdDisk::new(dir), steps_left: steps.parse().unwrap() };
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

/// Lets one child live until it dies, and takes in what it says.
fn live_and_die(dir: &Path, draw: &mut impl FnMut(u64) -> u64, acked: &mut Acked) -> bool {
    let is_killed = draw(2) == 0;
    let steps_max = if draw(2) == 0 { 40 } else { 260 };
    let steps = if is_killed { u64::MAX } else { draw(steps_max) };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["deaths::child", "--exact", "--nocapture", "--test-threads=1"])
        .env("SAMESTEP_WAL_DIR", dir)
        .env("SAMESTEP_WAL_STEPS", steps.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines_left = if is_killed { draw(60) } else { u64::MAX };
    if lines_left == 0 {
        child.kill().unwrap();
    }
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("ack"), Some(index), Some(crc)) if crc.len() == 8 => {
                acked.entries.insert(index.parse().unwrap(), u32::from_str_radix(crc, 16).unwrap());
            }
            (Some("state"), Some(index), None) => acked.state = Some(index.parse().unwrap()),
            (Some("prune"), Some(through), None) => acked.pruned = through.parse::<u64>().unwrap() + 1,
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
fn check(dir: &Path, acked: &Acked, lose: impl FnOnce(&Path)) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    fs::create_dir(&copy).unwrap();
    if dir.exists() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
        }
    }
    lose(&copy);
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
            died += u64::from(live_and_die(&dir, &mut draw, &mut acked));
            checked += 1;
            if let Err(error) = check(&dir, &acked, |_| {}) {
                panic!("life {life}, death {died}: {error}");
            }
        }
    }
    println!("{died} deaths, {checked} openings");
}

/// The check has teeth: a log that loses its last acknowledged write is noticed.
#[test]
fn a_lost_write_is_noticed() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let mut acked = Acked::default();
    let mut draw = drawing(5);
    while acked.entries.len() < 12 {
        live_and_die(&dir, &mut draw, &mut acked);
    }
    assert_eq!(check(&dir, &acked, |_| {}), Ok(()));
    let noticed = check(&dir, &acked, |copy| {
        // As if nothing of the log but an empty one had reached the disk.
        fs::remove_dir_all(copy).unwrap();
        let (wal, _) = Wal::open(copy, options()).unwrap();
        for index in 1..acked.entries.len() as u64 {
            wal.append(&payload(index)).unwrap();
        }
    });
    assert!(noticed.is_err_and(|error| error.contains("was acknowledged and is gone")));
}
