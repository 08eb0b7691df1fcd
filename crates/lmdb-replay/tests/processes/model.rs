//! Piers to run the command on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use samestep_lmdb_replay::lock::ProcessIds;
use samestep_lmdb_replay::vere::maintain::{Appender, EpochFormat, PierSpec, create_pier};
use samestep_lmdb_replay::vere::{Access, DiskVersion, Identity, Pier, StoredEvent};
use samestep_lmdb_replay::{EpochDir, WriteOptions};
use samestep_noun::{Atom, Noun};
use sha2::{Digest, Sha256};

pub(crate) const WRITE: WriteOptions = WriteOptions { map_bytes: 1 << 30 };
pub(crate) const IDENTITY: Identity = Identity { who: 256, is_fake: true, life: 2 };

/// The command, with its arguments.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samestep-lmdb"));
    command.args(arguments);
    command
}

/// A folder for one test, in memory where there is such: barriers are of no use to a process that is killed.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Runs the command on paths and words.
pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The jam of event `number`: a boot event up to the second, then a job a second, some of them large.
pub(crate) fn jam(number: u64) -> Vec<u8> {
    if number <= 2 {
        return Noun::from(("boot", number)).jam();
    }
    let now = Atom::from_u128((0x8000_000c_ce9e_0d80_u128 + 1_700_000_000 + u128::from(number)) << 64);
    let size = if number.is_multiple_of(13) { 9000 } else { 30 };
    let bytes: Vec<u8> = (0..size).map(|at: u64| (number * 7 + at * 3).to_le_bytes()[0] | 1).collect();
    let card = Noun::from(("belt", Noun::from(Atom::from_le_bytes(&bytes))));
    Noun::from((Noun::from(now), Noun::list(["d", "term", "1"]), card)).jam()
}

/// Appends events up to `last` to the newest epoch.
pub(crate) fn append(root: &Path, last: u64) {
    let pier = Pier::open(root, Access::Write, ProcessIds::Honour).unwrap();
    let mut appender = Appender::open(&pier, WRITE).unwrap();
    let jams: Vec<(u64, Vec<u8>)> =
        (appender.last() + 1..=last).map(|number| (number, jam(number))).collect();
    for batch in jams.chunks(9) {
        let mug = |number: u64| if number <= 2 { 0 } else { 1 + u32::try_from(number).unwrap() };
        let events: Vec<StoredEvent<'_>> =
            batch.iter().map(|(number, jam)| StoredEvent { mug: mug(*number), jam }).collect();
        appender.append(&events).unwrap();
    }
}

/// A pier with events up to `last` in one flat log or one epoch, and a live snapshot of the last one.
pub(crate) fn make_pier(root: &Path, disk: DiskVersion, last: u64) {
    let format = EpochFormat::NorthSouth;
    let spec = PierSpec { identity: IDENTITY, disk, format, runtime: "3.0".to_owned(), write: WRITE };
    drop(create_pier(root, &spec).unwrap());
    append(root, last);
    put_snapshot(&root.join(".urb/chk"), last);
}

/// Files in the place of a snapshot of event `event`: of a known layout, and else of a pattern.
pub(crate) fn put_snapshot(dir: &Path, event: u64) {
    let mut south = vec![0x5A; 16 * 1024];
    let at = south.len() - 24;
    south[at..at + 8].copy_from_slice(&event.to_le_bytes());
    south[at + 8..at + 16].fill(0);
    south[at + 16..at + 20].copy_from_slice(&0xC000_1234_u32.to_le_bytes());
    south[at + 20..].copy_from_slice(&3_u32.to_le_bytes());
    fs::write(dir.join("south.bin"), south).unwrap();
    fs::write(dir.join("north.bin"), vec![event.to_le_bytes()[0]; 32 * 1024]).unwrap();
}

/// A pier of three epochs: events 1 to 40, 41 to 60, and 61 alone; the snapshot is of the last one.
pub(crate) fn make_three_epochs(root: &Path) {
    make_pier(root, DiskVersion::Epochs, 40);
    for last in [60, 61] {
        let rolled = run(&["roll", text(root)]);
        assert!(rolled.status.success(), "{}", String::from_utf8_lossy(&rolled.stderr));
        append(root, last);
        put_snapshot(&root.join(".urb/chk"), last);
    }
}

/// Every event of a pier.
pub(crate) fn events(root: &Path) -> BTreeMap<u64, Vec<u8>> {
    let pier = Pier::open(root, Access::Read, ProcessIds::Honour).unwrap();
    let log = pier.log().unwrap();
    let mut events = BTreeMap::new();
    let Some(first) = log.first() else { return events };
    let mut reader = log.reader(first).unwrap();
    while let Some(event) = reader.next_event().unwrap() {
        events.insert(event.number, event.value.to_vec());
    }
    events
}

pub(crate) fn epochs(root: &Path) -> Vec<u64> {
    let pier = Pier::open(root, Access::Read, ProcessIds::Honour).unwrap();
    pier.epochs().unwrap().into_iter().map(|EpochDir { number, .. }| number).collect()
}

/// Every file and folder below `root` with a digest of its bytes, or `/` in a folder.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut tree = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = text(path.strip_prefix(root).unwrap()).to_owned();
            if path.is_dir() {
                tree.insert(name, "/".to_owned());
                dirs.push(path);
            } else {
                tree.insert(name, hex(&Sha256::digest(fs::read(&path).unwrap())));
            }
        }
    }
    tree
}

/// Copies a folder with all in it.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
