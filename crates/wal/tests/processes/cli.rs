//! The command, run as its users run it: on logs that are closed, crashed, torn, rotten, pruned and in use.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use expect_test::{Expect, expect};
use samestep_wal::{Index, Options, StateRecord, Wal};

mod repair;

/// A folder with a log of two segments in `log`: eight entries and a state. A segment before them is pruned.
fn log(is_closed: bool) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let mut options = crate::public::small();
    options.force_rotate_every = Some(4);
    let (wal, _) = Wal::open(&dir, options).unwrap();
    for number in 1..=4 {
        wal.append(format!("entry {number}").as_bytes()).unwrap();
    }
    wal.put_state(1, &StateRecord { index: Index::new(4), aux: 2, payload: b"vote".to_vec() }).unwrap();
    for number in 5..=10 {
        wal.append(format!("entry {number}").as_bytes()).unwrap();
    }
    wal.prune_through(Index::new(4)).unwrap();
    wal.append_batch(&["entry 11".into(), "entry 12".into()]).unwrap();
    if is_closed {
        wal.close().unwrap();
    }
    (folder, dir)
}

fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("seg-{number:020}.wal"))
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// Names, lengths, contents and times of last change of all in `dir`, and of `dir` itself.
fn fingerprint(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut out = BTreeMap::new();
    let changed = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    out.insert(dir.to_owned(), (Vec::new(), changed(dir)));
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(fingerprint(&path));
        } else {
            out.insert(path.clone(), (fs::read(&path).unwrap(), changed(&path)));
        }
    }
    out
}

/// Runs the command in `dir`'s folder and returns its exit code and what it printed, errors marked.
fn run(dir: &Path, args: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_samestep-wal"))
        .args(args)
        .current_dir(dir.parent().unwrap())
        .output()
        .unwrap();
    let mut text = format!("exit {}\n", out.status.code().unwrap());
    text += &String::from_utf8(out.stdout).unwrap();
    for line in String::from_utf8(out.stderr).unwrap().lines() {
        text.extend(["! ", line, "\n"]);
    }
    text
}

/// Runs a command that must change nothing.
fn look(dir: &Path, args: &[&str], expected: &Expect) {
    let before = fingerprint(dir);
    expected.assert_eq(&run(dir, args));
    assert!(before == fingerprint(dir), "{args:?} changed something");
}

#[test]
fn a_closed_log_is_sound() {
    let _alone = crate::alone();
    let (_folder, dir) = log(true);
    look(
        &dir,
        &["inspect", "log"],
        &expect![[r#"
        exit 0
        log       73616d65737465702d77616c2d747374
        entries   5..=12
        durable   proven up to position 13000
        state     slot 1: index 4, aux 2, 4 bytes
        opening   would go on where the log ended
        wal.meta  written 5 times; segments 2..=3, first index 5, durable up to position 13000

        segment       bytes   position  first index  end in file
              2        4288       4288            5         4288
              3        8192       8576            8       newest
    "#]],
    );
    look(
        &dir,
        &["verify", "log"],
        &expect![[r#"
        exit 0
        sound: 2 segments, 11 frames, 12480 bytes
    "#]],
    );
    look(
        &dir,
        &["dump", "log", "--from", "8", "--to", "11"],
        &expect![[r#"
        exit 0
             3       4144  entry           8  aux 0 slot 0  7 bytes crc 5dde33ed  "entry 8"
             3       4192  entry           9  aux 0 slot 0  7 bytes crc 2ad9037b  "entry 9"
             3       4240  entry          10  aux 0 slot 0  8 bytes crc fbff249e  "entry 10"
             3       4288  entry          11  aux 0 slot 0  8 bytes crc 8cf81408  "entry 11"  batch goes on
    "#]],
    );
    look(
        &dir,
        &["dump", "log", "--kind", "state"],
        &expect![[r#"
        exit 0
             2       4096  state           4  aux 2 slot 1  4 bytes crc 5a108564  "vote"
             3       4096  state           4  aux 2 slot 1  4 bytes crc 5a108564  "vote"  carried over
    "#]],
    );
    look(
        &dir,
        &["dump", "log", "--json", "--kind", "mark"],
        &expect![[r#"
        exit 0
        {"aux":0,"bytes":0,"crc":"00000000","has_more":false,"index":0,"is_carried":false,"is_past_end":false,"is_whole":true,"kind":"mark","offset":4384,"payload_hex":"","segment":3,"slot":0}
    "#]],
    );
}

#[test]
fn machines_get_json() {
    let _alone = crate::alone();
    let (_folder, dir) = log(true);
    let dump = run(&dir, &["dump", "--json", "log"]);
    for line in dump.lines().skip(1) {
        assert!(line.starts_with('{') && line.ends_with('}'), "{line}");
    }
    look(
        &dir,
        &["verify", "--json", "log"],
        &expect![[r#"
        exit 0
        {
          "bytes": 12480,
          "findings": [],
          "frames": 11,
          "is_in_use": false,
          "is_sound": true,
          "segments": 2
        }
    "#]],
    );
    look(
        &dir,
        &["inspect", "--json", "log"],
        &expect![[r#"
            exit 0
            {
              "bytes": 12480,
              "findings": [],
              "is_in_use": false,
              "log_id": "73616d65737465702d77616c2d747374",
              "meta": {
                "durable": 13000,
                "highest": 3,
                "is_intact": true,
                "live_first": 5,
                "lowest": 2,
                "sequence": 4
              },
              "opening": {
                "dropped_bytes": 0,
                "durable": 13000,
                "first_index": 5,
                "is_refused": false,
                "next_index": 13,
                "plan": "would go on where the log ended",
                "rehomed_entries": 0,
                "snapshot": null,
                "states": [
                  {
                    "aux": 2,
                    "bytes": 4,
                    "index": 4,
                    "slot": 1
                  }
                ]
              },
              "segments": [
                {
                  "bytes": 4288,
                  "end": 4288,
                  "first_index": 5,
                  "has_header": true,
                  "id": 2,
                  "is_recovery": false,
                  "position": 4288
                },
                {
                  "bytes": 8192,
                  "end": null,
                  "first_index": 8,
                  "has_header": true,
                  "id": 3,
                  "is_recovery": false,
                  "position": 8576
                }
              ]
            }
        "#]],
    );
}

/// A crash is not a finding: the next opening takes care of it.
#[test]
fn a_crashed_log_is_sound() {
    let _alone = crate::alone();
    let (_folder, dir) = log(false);
    look(
        &dir,
        &["inspect", "log"],
        &expect![[r#"
            exit 0
            log       73616d65737465702d77616c2d747374
            entries   5..=12
            durable   proven up to position 12864
            state     slot 1: index 4, aux 2, 4 bytes
            opening   would recover: the log was not closed, 2 entries copied to a new segment
            wal.meta  written 4 times; segments 2..=3, first index 5, durable up to position 12864

            segment       bytes   position  first index  end in file
                  2        4288       4288            5         4288
                  3        8192       8576            8       newest
        "#]],
    );
    look(
        &dir,
        &["verify", "log"],
        &expect![[r#"
            exit 0
            note    seg-00000000000000000003.wal: the last 96 bytes are whole, and not proven durable
                    lost: nothing
                    do:   nothing: the next opening copies them into a new segment
            sound: 2 segments, 10 frames, 12480 bytes
        "#]],
    );
}

#[test]
fn a_torn_tail_is_a_note() {
    let _alone = crate::alone();
    let (_folder, dir) = log(false);
    // The batch is the last thing in the segment: its second frame starts 48 bytes before the end.
    let path = segment(&dir, 3);
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    bytes[end - 48..].fill(0);
    fs::write(&path, bytes).unwrap();
    look(
        &dir,
        &["verify", "log"],
        &expect![[r#"
        exit 0
        note    seg-00000000000000000003.wal: 48 bytes of a torn write at byte 4288
                lost: 48 bytes that were never acknowledged
                do:   nothing: the next opening drops it and keeps the bytes in the old segment
        sound: 2 segments, 9 frames, 12480 bytes
    "#]],
    );
    look(
        &dir,
        &["inspect", "log"],
        &expect![[r#"
        exit 0
        log       73616d65737465702d77616c2d747374
        entries   5..=10
        durable   proven up to position 12864
        state     slot 1: index 4, aux 2, 4 bytes
        opening   would recover: the log was not closed, 48 bytes of a torn write dropped
        wal.meta  written 4 times; segments 2..=3, first index 5, durable up to position 12864

        segment       bytes   position  first index  end in file
              2        4288       4288            5         4288
              3        8192       8576            8       newest
    "#]],
    );
}

#[test]
fn damaged_bounds_and_caches_are_warnings() {
    let _alone = crate::alone();
    let (_folder, dir) = log(true);
    flip(&dir.join("wal.meta"), 4096 + 20);
    flip(&dir.join("seg-00000000000000000002.wal.idx"), 70);
    fs::write(dir.join("notes.txt"), "not ours").unwrap();
    look(
        &dir,
        &["verify", "log"],
        &expect![[r#"
        exit 2
        note    notes.txt is in the directory
                lost: nothing
                do:   nothing: it is not the log's, and the log leaves it alone
        warning wal.meta: one of its two slots is damaged
                lost: nothing
                do:   nothing: the next opening writes it anew
        warning seg-00000000000000000002.wal.idx: does not describe its segment
                lost: nothing
                do:   nothing: it is a cache, and reading scans the segment instead
        0 damages, 2 warnings: 2 segments, 11 frames, 12480 bytes
    "#]],
    );
    fs::remove_file(dir.join("wal.meta")).unwrap();
    look(
        &dir,
        &["verify", "log"],
        &expect![[r#"
        exit 2
        note    notes.txt is in the directory
                lost: nothing
                do:   nothing: it is not the log's, and the log leaves it alone
        warning wal.meta: missing or damaged
                lost: nothing
                do:   nothing: the next opening writes it anew
        note    seg-00000000000000000003.wal: the last 40 bytes are whole, and not proven durable
                lost: nothing
                do:   nothing: the next opening copies them into a new segment
        warning seg-00000000000000000002.wal.idx: does not describe its segment
                lost: nothing
                do:   nothing: it is a cache, and reading scans the segment instead
        0 damages, 2 warnings: 2 segments, 11 frames, 12480 bytes
    "#]],
    );
}

#[test]
fn a_log_in_use_can_be_looked_at_and_not_repaired() {
    let _alone = crate::alone();
    let (_folder, dir) = log(true);
    let (wal, _) = Wal::open(&dir, Options::default()).unwrap();
    wal.append(b"entry 13").unwrap();
    look(
        &dir,
        &["verify", "log"],
        &expect![[r#"
        exit 0
        in use: another process has the log open; its newest records may still be in motion
        note    seg-00000000000000000003.wal: the last 48 bytes are whole, and not proven durable
                lost: nothing
                do:   nothing: the next opening copies them into a new segment
        sound: 2 segments, 12 frames, 12480 bytes
    "#]],
    );
    look(
        &dir,
        &["repair", "log", "--loss-budget", "0"],
        &expect![[r#"
        exit 3
        ! samestep-wal: the log is open in another process; close it there first
    "#]],
    );
    look(
        &dir,
        &["export", "log", "copy"],
        &expect![[r#"
        exit 0
        2 segments up to position 13000, from a log in use
    "#]],
    );
    wal.close().unwrap();
    let copy = Wal::open(dir.with_file_name("copy"), Options::default()).unwrap().0;
    // The entry that nothing proved yet is not in the copy; all before it are.
    assert_eq!((copy.first_index(), copy.last_index()), (Some(Index::new(5)), Some(Index::new(12))));
    assert_eq!(copy.read(Index::new(12)).unwrap().payload[..], b"entry 12"[..]);
}

/// A copy of a crashed log has all that an opening would find, and opens as if it had been closed.
#[test]
fn an_export_is_consistent() {
    let _alone = crate::alone();
    let (_folder, dir) = log(false);
    look(
        &dir,
        &["export", "log", "copy"],
        &expect![[r#"
        exit 0
        2 segments up to position 12960
    "#]],
    );
    look(
        &dir,
        &["export", "log", "copy"],
        &expect![[r#"
        exit 1
        ! samestep-wal: copy exists already
    "#]],
    );
    let copy = dir.with_file_name("copy");
    assert!(run(&copy, &["verify", "copy"]).starts_with("exit 0"));
    let (wal, report) = Wal::open(&copy, Options::default()).unwrap();
    assert_eq!(report.outcome, samestep_wal::OpenOutcome::Clean);
    assert_eq!((wal.first_index(), wal.last_index()), (Some(Index::new(5)), Some(Index::new(12))));
    assert_eq!(wal.state(1).unwrap().payload, b"vote");
    assert_eq!(wal.read(Index::new(9)).unwrap().payload[..], b"entry 9"[..]);
}

/// Tells a writer to stop, also when an assertion fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A writer appends, rotates and prunes while the log is verified and exported. That no moment of it is bad is shown
/// beside the code of `export`; here the files and the processes are real.
#[test]
fn a_log_in_motion_is_verified_and_copied() {
    let _alone = crate::alone();
    let (_folder, dir) = log(true);
    let (wal, _) = Wal::open(&dir, crate::public::small()).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop_at_end = Stop(&stop);
        scope.spawn(|| {
            for _ in 0..APPENDS_MAX {
                let last = wal.append(&[0x77; 300]).unwrap();
                if last.get().is_multiple_of(100) {
                    wal.prune_through(Index::new(last.get() - 100)).unwrap();
                }
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for number in 0..6 {
            let copy = format!("copy{number}");
            for args in [
                vec!["inspect", "log"],
                vec!["verify", "log"],
                vec!["export", "log", &copy],
                vec!["verify", &copy],
            ] {
                let text = run(&dir, &args);
                assert!(text.starts_with("exit 0"), "{args:?}: {text}");
            }
            let (copy, report) = Wal::open(dir.with_file_name(copy), Options::default()).unwrap();
            assert_eq!(report.outcome, samestep_wal::OpenOutcome::Clean);
            assert_eq!(copy.state(1).unwrap().payload, b"vote");
        }
        drop(stop_at_end);
    });
    wal.close().unwrap();
    assert!(run(&dir, &["verify", "log"]).starts_with("exit 0"));
}

/// What a writer appends at most, if nobody stops it.
const APPENDS_MAX: usize = 200_000;

#[test]
fn mistakes_are_explained() {
    let _alone = crate::alone();
    let (_folder, dir) = log(true);
    look(
        &dir,
        &["verify", "elsewhere"],
        &expect![[r#"
        exit 1
        ! samestep-wal: cannot read elsewhere: No such file or directory (os error 2)
    "#]],
    );
    look(
        &dir,
        &["verify", "."],
        &expect![[r#"
        exit 1
        ! samestep-wal: there is no log in .
    "#]],
    );
    assert!(run(&dir, &["frobnicate"]).starts_with("exit 1"));
    assert!(run(&dir, &["--help"]).starts_with("exit 0"));
    let bench = run(&dir, &["bench", "try", "--records", "20", "--no-sync"]);
    assert!(bench.starts_with("exit 0") && bench.contains("ratio"), "{bench}");
}
