//! Following the tail.

use samestep_memory_providers::MemoryWorld;
use samestep_provider_traits::Providers;
use samestep_wal::{AsyncWal, CommitPolicy, FollowError, Follower, Index, Wal};

use crate::disk::{Image, SimDisk};
use crate::model::options;

fn index(number: u64) -> Index {
    Index::new(number)
}

fn open(commit: CommitPolicy, every: Option<u32>) -> Wal<SimDisk> {
    Wal::open_on(SimDisk::from_image(&Image::new()), options(commit, every)).unwrap().0
}

/// All that there is now, as payloads; a typed error ends the line.
fn drain(follower: &mut Follower<SimDisk>, wal: &Wal<SimDisk>) -> String {
    let mut seen = Vec::new();
    loop {
        match follower.next_entry(wal) {
            Ok(Some(entry)) => {
                seen.push(format!("{}:{}", entry.index, String::from_utf8_lossy(entry.payload)));
            }
            Ok(None) => return seen.join(" "),
            Err(error) => {
                seen.push(error.to_string());
                return seen.join(" ");
            }
        }
    }
}

#[test]
fn a_follower_continues_as_the_log_grows_and_rotates() {
    for every in [None, Some(1), Some(3)] {
        let wal = open(CommitPolicy::StrictSync, every);
        let mut follower = wal.follow(index(1));
        let mut late = wal.follow(index(9));
        assert_eq!(drain(&mut follower, &wal), "");
        for round in 1..=20_u64 {
            wal.append(format!("r{round}").as_str()).unwrap();
            if round.is_multiple_of(4) {
                wal.rotate().unwrap();
            }
            if round.is_multiple_of(5) {
                let state = samestep_wal::StateRecord { index: index(1), aux: 0, payload: vec![1] };
                wal.put_state(1, &state).unwrap();
            }
            assert_eq!(drain(&mut follower, &wal), format!("{round}:r{round}"), "every {every:?}");
            let expected = if round < 9 { String::new() } else { format!("{round}:r{round}") };
            assert_eq!(drain(&mut late, &wal), expected);
        }
        let mut all = wal.follow(index(0));
        assert_eq!(drain(&mut all, &wal).split(' ').count(), 20);
        assert_eq!(all.next_index(), index(21));
    }
}

/// What is only in the process's buffer comes when it is written.
#[test]
fn a_follower_sees_what_is_written() {
    let wal = open(CommitPolicy::NoSync, None);
    let mut follower = wal.follow(index(1));
    wal.append("a").unwrap();
    assert_eq!(drain(&mut follower, &wal), "");
    wal.flush().unwrap();
    assert_eq!(drain(&mut follower, &wal), "1:a");
    wal.append("b").unwrap();
    wal.append("c").unwrap();
    wal.truncate_suffix(index(3)).unwrap();
    assert_eq!(drain(&mut follower, &wal), "");
    wal.append("d").unwrap();
    wal.sync().unwrap();
    assert_eq!(drain(&mut follower, &wal), "2:b 3:d");
    // A truncation that is staged hides what is still in the file.
    wal.truncate_suffix(index(3)).unwrap();
    let mut second = wal.follow(index(1));
    assert_eq!(drain(&mut second, &wal), "1:a 2:b");
    assert_eq!(drain(&mut follower, &wal), "entries from 3 on were lent, and then truncated");
}

/// Inside the newest segment and below it: said once, and the replacing entries come after it.
#[test]
fn a_follower_learns_that_what_it_lent_was_truncated() {
    for every in [None, Some(2)] {
        let wal = open(CommitPolicy::StrictSync, every);
        for letter in ["a", "b", "c", "d", "e"] {
            wal.append(letter).unwrap();
        }
        let mut follower = wal.follow(index(2));
        let mut behind = wal.follow(index(1));
        assert_eq!(behind.next_entry(&wal).unwrap().unwrap().payload, b"a");
        assert_eq!(drain(&mut follower, &wal), "2:b 3:c 4:d 5:e");
        wal.truncate_suffix(index(4)).unwrap();
        wal.append("D").unwrap();
        wal.append("E").unwrap();
        wal.append("F").unwrap();
        assert_eq!(
            drain(&mut follower, &wal),
            "entries from 4 on were lent, and then truncated",
            "{every:?}"
        );
        assert_eq!(drain(&mut follower, &wal), "4:D 5:E 6:F");
        // Two at once: the lowest counts. And what was not lent yet is simply other.
        wal.truncate_suffix(index(3)).unwrap();
        wal.append("x").unwrap();
        wal.append("y").unwrap();
        wal.truncate_suffix(index(4)).unwrap();
        wal.append("z").unwrap();
        assert_eq!(drain(&mut follower, &wal), "entries from 3 on were lent, and then truncated");
        assert_eq!(drain(&mut follower, &wal), "3:x 4:z");
        assert_eq!(drain(&mut behind, &wal), "2:b 3:x 4:z");
    }
}

#[test]
fn a_follower_that_is_overtaken_by_a_prune_is_told() {
    let wal = open(CommitPolicy::StrictSync, Some(2));
    for letter in ["a", "b", "c", "d", "e"] {
        wal.append(letter).unwrap();
    }
    let mut follower = wal.follow(index(1));
    let mut ahead = wal.follow(index(4));
    follower.next_entry(&wal).unwrap().unwrap();
    wal.prune_through(index(3)).unwrap();
    for _ in 0..2 {
        let error = follower.next_entry(&wal).unwrap_err();
        assert!(matches!(error, FollowError::Pruned { first } if first == index(4)), "{error}");
    }
    assert_eq!(drain(&mut ahead, &wal), "4:d 5:e");
    let mut again = wal.follow(index(1));
    assert_eq!(drain(&mut again, &wal), "4:d 5:e");
}

#[test]
fn the_asynchronous_face_follows_reads_ranges_and_marks_alike() {
    MemoryWorld::new(7).block_on(|world| async move {
        let options = options(CommitPolicy::StrictSync, Some(2));
        let (mut wal, _) = AsyncWal::open(world.storage().clone(), "log", options).await.unwrap();
        let mut follower = wal.follow(index(1));
        assert!(follower.next_entry(&wal).await.unwrap().is_none());
        for letter in ["a", "b", "c"] {
            wal.append(letter).await.unwrap();
            let entry = follower.next_bytes(&wal).await.unwrap().unwrap();
            assert_eq!(entry.payload, letter);
        }
        wal.truncate_suffix(index(2)).await.unwrap();
        let error = follower.next_entry(&wal).await.unwrap_err();
        assert!(matches!(error, FollowError::Truncated { from } if from == index(2)), "{error}");
        wal.append("B").await.unwrap();
        assert_eq!(follower.next_entry(&wal).await.unwrap().unwrap().payload, b"B");
        let found = wal.entries(index(1)..index(3), u64::MAX).await.unwrap();
        let found: Vec<&[u8]> = found.iter().map(|entry| &entry.payload[..]).collect();
        assert_eq!(found, [b"a", b"B"]);
        wal.mark_snapshot(index(2), 5, b"here").await.unwrap();
        assert_eq!(wal.snapshot().unwrap().payload, b"here");
        let mut reader = wal.reader(index(1)).await.unwrap();
        assert_eq!(reader.next_bytes().await.unwrap().unwrap().payload, "a");
        wal.close().await.unwrap();
    });
}
