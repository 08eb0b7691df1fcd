//! `repair`, on logs that are rotten, torn or in pieces: what goes, what stays, and what is refused.

use std::fs;

use expect_test::expect;
use samestep_wal::{Index, Options, Wal};

use super::{fingerprint, flip, log, look, run, segment};

#[test]
fn rot_is_found_named_and_repaired_by_cutting() {
    let _alone = crate::alone();
    let (_folder, dir) = log(true);
    // The payload of the first entry in segment 3.
    flip(&segment(&dir, 3), 4096 + 48 + 40 + 3);
    look(
        &dir,
        &["verify", "log"],
        &expect![[r#"
        exit 2
        damage  seg-00000000000000000003.wal: segment 3: damaged payload at byte 4144, durable up to byte 4424, record 8 with aux 0
                lost: the payload of entry 8 (aux 0); its header is whole
                do:   restore the file from a backup or a replica, or give up what follows with `repair --accept-damage`
        1 damages, 0 warnings: 2 segments, 11 frames, 12480 bytes
    "#]],
    );
    look(
        &dir,
        &["repair", "log"],
        &expect![[r#"
        exit 1
        ! error: the following required arguments were not provided:
        !   --loss-budget <BYTES>
        ! 
        ! Usage: samestep-wal repair --loss-budget <BYTES> <DIR>
        ! 
        ! For more information, try '--help'.
    "#]],
    );
    look(
        &dir,
        &["repair", "log", "--loss-budget", "10"],
        &expect![[r#"
            exit 1
            the log would end in segment 3 at byte 4144
            lost: 280 bytes of records, 5 readable entries among them
            ! samestep-wal: 280 bytes would be dropped, and the loss budget is 10
        "#]],
    );
    look(
        &dir,
        &["repair", "log", "--loss-budget", "4096"],
        &expect![[r#"
            exit 1
            the log would end in segment 3 at byte 4144
            lost: 280 bytes of records, 5 readable entries among them
            ! samestep-wal: records that were or may have been acknowledged would be dropped; restore the files, or add --accept-damage
        "#]],
    );
    look(
        &dir,
        &["repair", "log", "--loss-budget", "4096", "--accept-damage"],
        &expect![[r#"
            exit 2
            the log would end in segment 3 at byte 4144
            lost: 280 bytes of records, 5 readable entries among them
            nothing was done; add --apply to do it
        "#]],
    );
    let before = fingerprint(&dir);
    expect![[r#"
        exit 0
        the log would end in segment 3 at byte 4144
        lost: 280 bytes of records, 5 readable entries among them
        done; copies are in log/quarantine/1
    "#]]
    .assert_eq(&run(&dir, &["repair", "log", "--loss-budget", "4096", "--accept-damage", "--apply"]));
    for name in ["seg-00000000000000000003.wal", "wal.meta"] {
        let copy = fs::read(dir.join("quarantine/1").join(name)).unwrap();
        assert!(copy == before[&dir.join(name)].0, "{name} is kept as it was");
    }
    look(
        &dir,
        &["verify", "log"],
        &expect![[r#"
        exit 0
        sound: 2 segments, 6 frames, 12480 bytes
    "#]],
    );
    let (wal, _) = Wal::open(&dir, Options::default()).unwrap();
    assert_eq!((wal.first_index(), wal.last_index()), (Some(Index::new(5)), Some(Index::new(7))));
    assert_eq!(wal.state(1).unwrap().payload, b"vote");
}

#[test]
fn a_missing_segment_is_found_and_repaired() {
    let _alone = crate::alone();
    let (_folder, dir) = log(true);
    fs::remove_file(segment(&dir, 3)).unwrap();
    look(
        &dir,
        &["verify", "log"],
        &expect![[r#"
        exit 2
        damage  seg-00000000000000000003.wal: segment 3: file is missing at byte 0
                lost: every record of the segment
                do:   put the file back from a backup or a replica, or give up what follows with `repair --accept-damage`
        1 damages, 0 warnings: 1 segments, 4 frames, 4288 bytes
    "#]],
    );
    look(
        &dir,
        &["inspect", "log"],
        &expect![[r#"
        exit 2
        log       73616d65737465702d77616c2d747374
        opening   is refused: the log is damaged, run `samestep-wal verify` for all of it: segment 3: file is missing at byte 0
        wal.meta  written 5 times; segments 2..=3, first index 5, durable up to position 13000

        segment       bytes   position  first index  end in file
              2        4288       4288            5       newest

        damage: seg-00000000000000000003.wal: segment 3: file is missing at byte 0
    "#]],
    );
    let repair = run(&dir, &["repair", "log", "--loss-budget", "8192", "--accept-damage", "--apply"]);
    assert!(repair.starts_with("exit 0"), "{repair}");
    assert!(run(&dir, &["verify", "log"]).starts_with("exit 0"));
    let (wal, _) = Wal::open(&dir, Options::default()).unwrap();
    assert_eq!(wal.last_index(), Some(Index::new(7)));
}

/// The oldest segment gone: nothing before it is left to cut to. The newest one damaged: nothing behind it is.
#[test]
fn what_cannot_be_repaired_is_refused() {
    let _alone = crate::alone();
    let (_folder, dir) = log(true);
    fs::remove_file(segment(&dir, 2)).unwrap();
    look(
        &dir,
        &["repair", "log", "--loss-budget", "99999", "--accept-damage", "--apply"],
        &expect![[r#"
            exit 1
            ! samestep-wal: nothing before segment 2 is left; restore the log from a backup or a replica, or give up 192 bytes with --keep newest
        "#]],
    );
    let (_folder, dir) = log(true);
    flip(&segment(&dir, 3), 4096 + 48 + 40 + 3);
    look(
        &dir,
        &["repair", "log", "--keep", "newest", "--loss-budget", "99999", "--accept-damage", "--apply"],
        &expect![[r#"
            exit 1
            ! samestep-wal: behind the last damage is no sound segment to keep; keep what is before it, or restore the files
        "#]],
    );
}

/// Damage in an old segment: the newer ones can be kept instead of what is before it.
#[test]
fn rot_in_an_old_segment_is_repaired_at_either_side() {
    let _alone = crate::alone();
    let (_folder, dir) = log(true);
    // The payload of entry 7, the third in segment 2, behind a state.
    flip(&segment(&dir, 2), 4096 + 48 + 48 + 48 + 40 + 3);
    look(
        &dir,
        &["repair", "log", "--loss-budget", "4096", "--accept-damage"],
        &expect![[r#"
        exit 2
        the log would end in segment 2 at byte 4240
        lost: 376 bytes of records, 6 readable entries among them
        with --keep newest instead: 192 bytes of records, 3 readable entries
        nothing was done; add --apply to do it
    "#]],
    );
    look(
        &dir,
        &["repair", "log", "--keep", "newest", "--loss-budget", "100", "--accept-damage"],
        &expect![[r#"
            exit 1
            the log would begin with segment 3, at entry 8
            lost: 192 bytes of records, 3 readable entries among them
            ! samestep-wal: 192 bytes would be dropped, and the loss budget is 100
        "#]],
    );
    look(
        &dir,
        &["repair", "log", "--keep", "newest", "--loss-budget", "4096"],
        &expect![[r#"
        exit 1
        the log would begin with segment 3, at entry 8
        lost: 192 bytes of records, 3 readable entries among them
        ! samestep-wal: records that were or may have been acknowledged would be dropped; restore the files, or add --accept-damage
    "#]],
    );
    let before = fingerprint(&dir);
    expect![[r#"
        exit 0
        the log would begin with segment 3, at entry 8
        lost: 192 bytes of records, 3 readable entries among them
        done; copies are in log/quarantine/1
    "#]]
    .assert_eq(&run(
        &dir,
        &["repair", "log", "--keep", "newest", "--loss-budget", "4096", "--accept-damage", "--apply"],
    ));
    let old = [segment(&dir, 2), segment(&dir, 2).with_extension("wal.idx")];
    for path in [&old[0], &old[1], &dir.join("wal.meta")] {
        let copy = fs::read(dir.join("quarantine/1").join(path.file_name().unwrap())).unwrap();
        assert!(copy == before[path].0, "{} is kept as it was", path.display());
    }
    let check = || {
        assert!(run(&dir, &["verify", "log"]).starts_with("exit 0"));
        let (wal, report) = Wal::open(&dir, Options::default()).unwrap();
        assert_eq!(report.outcome, samestep_wal::OpenOutcome::Clean);
        assert_eq!((wal.first_index(), wal.last_index()), (Some(Index::new(8)), Some(Index::new(12))));
        assert_eq!(wal.read(Index::new(8)).unwrap().payload[..], b"entry 8"[..]);
        assert_eq!(wal.state(1).unwrap().payload, b"vote");
        wal.close().unwrap();
    };
    check();
    // As if a crash had come before the files were removed: the next opening does it.
    for path in &old {
        fs::write(path, &before[path].0).unwrap();
    }
    Wal::open(&dir, Options::default()).unwrap().0.close().unwrap();
    assert!(old.iter().all(|path| !path.exists()));
    check();
}

/// Several damages, a file that is gone among them, and a later segment that starts below the first that stays.
#[test]
fn what_follows_the_last_damage_can_be_kept() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let (wal, _) = Wal::open(&dir, crate::public::small()).unwrap();
    for start in [1, 4, 7, 10] {
        for number in start..start + 3 {
            wal.append(format!("entry {number}").as_bytes()).unwrap();
        }
        wal.rotate().unwrap();
    }
    // Segment 3 holds 7 to 9, segment 4 holds 10 to 12, and the newest one takes all from 9 on back.
    wal.truncate_suffix(Index::new(9)).unwrap();
    wal.append(b"another 9").unwrap();
    wal.append(b"another 10").unwrap();
    wal.close().unwrap();
    flip(&segment(&dir, 1), 4096 + 40 + 1);
    fs::remove_file(segment(&dir, 3)).unwrap();
    let repair = ["repair", "log", "--keep", "newest", "--loss-budget", "9999", "--accept-damage", "--apply"];
    expect![[r#"
        exit 0
        the log would begin with segment 4, at entry 9
        lost: 432 bytes of records, 6 readable entries among them
        done; copies are in log/quarantine/1
    "#]]
    .assert_eq(&run(&dir, &repair));
    assert!(run(&dir, &["verify", "log"]).starts_with("exit 0"));
    let (wal, _) = Wal::open(&dir, Options::default()).unwrap();
    assert_eq!((wal.first_index(), wal.last_index()), (Some(Index::new(9)), Some(Index::new(10))));
    assert_eq!(wal.read(Index::new(9)).unwrap().payload[..], b"another 9"[..]);
    assert_eq!(wal.read(Index::new(10)).unwrap().payload[..], b"another 10"[..]);
}

#[test]
fn an_ambiguous_tail_is_dropped_within_the_budget() {
    let _alone = crate::alone();
    let (_folder, dir) = log(false);
    let path = segment(&dir, 3);
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap() + 1;
    for byte in &mut bytes[end - 5..end] {
        *byte = !*byte;
    }
    fs::write(&path, bytes).unwrap();
    look(
        &dir,
        &["verify", "log"],
        &expect![[r#"
        exit 2
        damage  seg-00000000000000000003.wal: 96 unexplained bytes at byte 4288
                lost: the 96 bytes behind the last valid record, which nothing proves to be acknowledged
                do:   if the loss is acceptable, `repair` drops it and keeps a copy
        1 damages, 0 warnings: 2 segments, 10 frames, 12480 bytes
    "#]],
    );
    look(
        &dir,
        &["repair", "log", "--loss-budget", "8"],
        &expect![[r#"
        exit 1
        segment 3: 96 unproven bytes at its end would be dropped
        ! samestep-wal: 96 bytes would be dropped, and the loss budget is 8
    "#]],
    );
    expect![[r#"
        exit 0
        segment 3: 96 unproven bytes at its end would be dropped
        done; copies are in log/quarantine/1
    "#]]
    .assert_eq(&run(&dir, &["repair", "log", "--loss-budget", "128", "--apply"]));
    expect![[r#"
        exit 0
        sound: 3 segments, 10 frames, 67117536 bytes
    "#]]
    .assert_eq(&run(&dir, &["verify", "log"]));
}
