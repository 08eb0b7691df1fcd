//! What every [`StorageProvider`] and [`File`] must keep.

use std::cell::Cell;
use std::io::ErrorKind;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use super::{Case, Harness, Outcome, case, poll_once, settle, soon};
use crate::{
    AlignedBuf, DirEntry, File, FileKind, GuardedBuf, IoBufMut, OpenOptions, Providers, StorageProvider,
    TaskProvider,
};

/// The cases, in the order of this file.
pub fn cases<H: Harness>() -> Vec<Case<H>> {
    vec![
        case!(what_is_written_is_read),
        case!(reads_end_at_the_end),
        case!(a_gap_reads_as_zeros),
        case!(a_read_keeps_to_its_slice),
        case!(many_writes_may_be_under_way),
        case!(clones_are_one_file),
        case!(a_buffer_comes_back_from_a_failure),
        case!(a_buffer_that_came_back_is_left_alone),
        case!(a_dropped_write_lands_before_a_sync_and_its_buffer_lives_until_then),
        case!(a_dropped_read_changes_nothing),
        case!(creation_says_whether_a_file_must_be_there),
        case!(lengths_are_set),
        case!(allocated_bytes_are_zeros),
        case!(folders_are_made_and_listed_in_order),
        case!(a_rename_replaces),
        case!(a_removed_file_lives_while_it_is_open),
        case!(what_is_missing_is_not_found),
        case!(paths_stay_below_the_root),
        case!(a_lock_has_one_holder),
        case!(a_file_tells_its_alignment),
        case!(there_is_room),
        power_cut!(synced_bytes_survive, write_and_sync, synced_bytes_are_there),
        power_cut!(a_linked_write_and_sync_survives, write_linked, linked_bytes_are_there),
        power_cut!(
            a_dropped_write_survives_a_sync,
            drop_a_write_and_sync,
            dropped_write_is_there_or_was_not_seen
        ),
        power_cut!(a_synced_rename_survives, rename_and_sync, the_new_name_is_there),
        power_cut!(an_unsynced_rename_leaves_one_name, rename_without_sync, old_or_new_is_there),
    ]
}

/// A case in two halves with a power cut between them.
macro_rules! power_cut {
    ($name:ident, $before:ident, $after:ident) => {
        Case {
            name: stringify!($name),
            run: |harness: &H| harness.run_across_power_cut($before::<H::Providers>, $after::<H::Providers>),
        }
    };
}
use power_cut;

async fn new_file<P: Providers>(world: &P, path: &str) -> <P::Storage as StorageProvider>::File {
    let options = OpenOptions::read_write().create_new();
    soon(world, "open", world.storage().open(Path::new(path), options)).await.unwrap()
}

async fn write<F: File>(file: &F, bytes: &[u8], offset: u64) {
    let (outcome, buf) = file.write_all_at(bytes.to_vec(), offset).await;
    outcome.unwrap();
    assert_eq!(buf, bytes, "a write changed its buffer");
}

/// All bytes of `file`.
async fn contents<F: File>(file: &F) -> Vec<u8> {
    let len = usize::try_from(file.metadata().await.unwrap().len).unwrap();
    let (outcome, buf) = file.read_exact_at(vec![0; len].into_boxed_slice(), 0).await;
    outcome.unwrap();
    buf.into_vec()
}

/// All bytes of the file at `path`, or `None` if there is none.
async fn contents_at<P: Providers>(world: &P, path: &str) -> Option<Vec<u8>> {
    match world.storage().open(Path::new(path), OpenOptions::read_only()).await {
        Ok(file) => Some(contents(&file).await),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{path}: {error}"),
    }
}

async fn what_is_written_is_read<P: Providers>(world: P) {
    let file = new_file(&world, "f").await;
    let bytes: Vec<u8> = (0..=250).cycle().take(200_000).collect();
    write(&file, &bytes, 0).await;
    assert_eq!(contents(&file).await, bytes);
    write(&file, b"over", 100_000).await;
    file.sync_data().await.unwrap();
    file.sync_all().await.unwrap();
    file.close().await.unwrap();
    let read = contents_at(&world, "f").await.unwrap();
    assert_eq!(&read[99_998..100_006], [&bytes[99_998..100_000], b"over", &bytes[100_004..100_006]].concat());
    assert_eq!(read.len(), bytes.len());
}

async fn reads_end_at_the_end<P: Providers>(world: P) {
    let file = new_file(&world, "f").await;
    write(&file, b"abc", 0).await;
    let (count, buf) = file.read_at(Vec::with_capacity(64), 1).await;
    assert_eq!((count.unwrap(), buf), (2, b"bc".to_vec()));
    for offset in [3, 4, 1 << 40] {
        let (count, buf) = file.read_at(Vec::with_capacity(64), offset).await;
        assert_eq!((count.unwrap(), buf), (0, vec![]), "at {offset}");
    }
    let (count, _) = file.read_at(Vec::new(), 0).await;
    assert_eq!(count.unwrap(), 0);
    let (outcome, _) = file.read_exact_at(vec![0; 4], 0).await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

async fn a_gap_reads_as_zeros<P: Providers>(world: P) {
    let file = new_file(&world, "f").await;
    write(&file, b"z", 9000).await;
    assert_eq!(contents(&file).await, [&[0; 9000][..], b"z"].concat());
}

async fn a_read_keeps_to_its_slice<P: Providers>(world: P) {
    let file = new_file(&world, "f").await;
    write(&file, b"abcdef", 0).await;
    let buf = vec![b'.'; 6].into_boxed_slice().slice_mut(2..4);
    let (outcome, buf) = file.read_exact_at(buf, 1).await;
    outcome.unwrap();
    assert_eq!(&*buf.into_inner(), b"..bc..");
}

async fn many_writes_may_be_under_way<P: Providers>(world: P) {
    let file = new_file(&world, "f").await;
    let writers: Vec<_> = (0..16_u8)
        .map(|number| {
            let file = file.clone();
            world.task().spawn("writer", async move {
                let (outcome, _) = file.write_all_at(vec![number; 1000], u64::from(number) * 1000).await;
                outcome
            })
        })
        .collect();
    for writer in writers {
        soon(&world, "a writer", writer).await.unwrap().unwrap();
    }
    let read = contents(&file).await;
    assert_eq!(read.len(), 16_000);
    for (number, chunk) in (0..16).zip(read.chunks(1000)) {
        assert!(chunk.iter().all(|byte| *byte == number), "writer {number}");
    }
}

async fn clones_are_one_file<P: Providers>(world: P) {
    let file = new_file(&world, "f").await;
    let clone = file.clone();
    write(&file, b"one", 0).await;
    drop(file);
    assert_eq!(contents(&clone).await, b"one");
    clone.sync_data().await.unwrap();
}

async fn a_buffer_comes_back_from_a_failure<P: Providers>(world: P) {
    drop(new_file(&world, "f").await);
    let file = world.storage().open(Path::new("f"), OpenOptions::read_only()).await.unwrap();
    let (outcome, buf) = file.write_at(b"kept".to_vec(), 0).await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert_eq!(buf, b"kept");
}

async fn a_buffer_that_came_back_is_left_alone<P: Providers>(world: P) {
    let file = new_file(&world, "f").await;
    write(&file, &[1; 4096], 0).await;
    let (count, mut buf) = file.read_at(vec![0; 4096], 0).await;
    assert_eq!(count.unwrap(), 4096);
    buf.fill(2);
    settle(&world).await;
    assert!(buf.iter().all(|byte| *byte == 2), "a read went on after its buffer came back");

    let (count, mut buf) = file.write_at(vec![3; 4096], 0).await;
    assert_eq!(count.unwrap(), 4096);
    buf.fill(4);
    settle(&world).await;
    assert!(
        contents(&file).await.iter().all(|byte| *byte == 3),
        "a write went on after its buffer came back"
    );
}

async fn a_dropped_write_lands_before_a_sync_and_its_buffer_lives_until_then<P: Providers>(world: P) {
    const LEN: usize = 4096;
    let file = new_file(&world, "f").await;
    let freed_count = Rc::new(Cell::new(0));
    for number in 0..24_u8 {
        let buf = GuardedBuf::new(LEN, number + 1, &freed_count);
        let dropped = pin_box(file.write_at(buf, u64::from(number) * LEN as u64));
        if number % 2 == 0 {
            let mut dropped = dropped;
            if let Poll::Ready((outcome, _)) = poll_once(dropped.as_mut()).await {
                outcome.unwrap();
            }
        }
    }
    file.sync_data().await.unwrap();
    let synced = contents(&file).await;
    settle(&world).await;
    assert_eq!(contents(&file).await, synced, "a write landed after the sync that had to wait for it");
    for (number, chunk) in (1..=24).zip(synced.chunks(LEN)) {
        let is_from_its_write = chunk.iter().all(|byte| *byte == number || *byte == 0);
        assert!(
            is_from_its_write,
            "write {number} stored bytes that its buffer did not hold when it was given"
        );
        let is_polled = number % 2 == 1;
        assert!(is_polled || chunk.iter().all(|byte| *byte == 0), "a write that was never polled landed");
    }
    file.close().await.unwrap();
    assert_eq!(freed_count.get(), 24, "a buffer was never freed");
}

fn pin_box<F>(future: F) -> std::pin::Pin<Box<F>> {
    Box::pin(future)
}

async fn a_dropped_read_changes_nothing<P: Providers>(world: P) {
    let file = new_file(&world, "f").await;
    write(&file, b"abc", 0).await;
    for _ in 0..8 {
        let mut dropped = pin_box(file.read_at(vec![0; 4096], 0));
        let _ = poll_once(dropped.as_mut()).await;
    }
    assert_eq!(contents(&file).await, b"abc");
    file.close().await.unwrap();
}

async fn creation_says_whether_a_file_must_be_there<P: Providers>(world: P) {
    let path = Path::new("f");
    let open = |options| world.storage().open(path, options);
    let kind = |outcome: std::io::Result<_>| outcome.map(|_| ()).unwrap_err().kind();
    assert_eq!(kind(open(OpenOptions::read_write()).await), ErrorKind::NotFound);
    assert_eq!(kind(open(OpenOptions::read_only()).await), ErrorKind::NotFound);
    write(&open(OpenOptions::read_write().create()).await.unwrap(), b"abc", 0).await;
    assert_eq!(kind(open(OpenOptions::read_write().create_new()).await), ErrorKind::AlreadyExists);
    assert_eq!(contents(&open(OpenOptions::read_write().create()).await.unwrap()).await, b"abc");
    assert_eq!(contents(&open(OpenOptions::read_write().create_empty()).await.unwrap()).await, b"");
}

async fn lengths_are_set<P: Providers>(world: P) {
    let file = new_file(&world, "f").await;
    write(&file, b"abcdef", 0).await;
    file.set_len(2).await.unwrap();
    assert_eq!(contents(&file).await, b"ab");
    file.set_len(4).await.unwrap();
    assert_eq!(contents(&file).await, b"ab\0\0", "bytes that were cut came back");
    let metadata = world.storage().metadata(Path::new("f")).await.unwrap();
    assert_eq!((metadata.kind, metadata.len), (FileKind::File, 4));
    assert_eq!(file.metadata().await.unwrap(), metadata);
}

async fn allocated_bytes_are_zeros<P: Providers>(world: P) {
    let file = new_file(&world, "f").await;
    write(&file, b"abc", 0).await;
    file.allocate(10_000).await.unwrap();
    assert_eq!(contents(&file).await, [b"abc", &[0; 9997][..]].concat());
    file.allocate(5).await.unwrap();
    assert_eq!(file.metadata().await.unwrap().len, 10_000, "allocating less cut the file");
}

async fn folders_are_made_and_listed_in_order<P: Providers>(world: P) {
    let storage = world.storage();
    storage.create_dir_all(Path::new("a/b/c")).await.unwrap();
    storage.create_dir_all(Path::new("a/b")).await.unwrap();
    for name in ["a/z", "a/B", "a/10", "a/9"] {
        drop(new_file(&world, name).await);
    }
    let expected = [
        ("10", FileKind::File),
        ("9", FileKind::File),
        ("B", FileKind::File),
        ("b", FileKind::Directory),
        ("z", FileKind::File),
    ]
    .map(|(name, kind)| DirEntry { name: name.into(), kind });
    assert_eq!(storage.list(Path::new("a")).await.unwrap(), expected);
    let root = storage.list(Path::new("")).await.unwrap();
    assert_eq!(root, [DirEntry { name: "a".into(), kind: FileKind::Directory }]);
    assert_eq!(storage.metadata(Path::new("a/b")).await.unwrap().kind, FileKind::Directory);
    storage.sync_dir(Path::new("a")).await.unwrap();
    storage.sync_dir(Path::new("")).await.unwrap();
}

async fn a_rename_replaces<P: Providers>(world: P) {
    write(&new_file(&world, "old").await, b"old", 0).await;
    write(&new_file(&world, "new").await, b"new", 0).await;
    world.storage().create_dir_all(Path::new("d")).await.unwrap();
    world.storage().rename(Path::new("new"), Path::new("old")).await.unwrap();
    assert_eq!(contents_at(&world, "old").await.unwrap(), b"new");
    assert_eq!(contents_at(&world, "new").await, None);
    world.storage().rename(Path::new("old"), Path::new("d/moved")).await.unwrap();
    assert_eq!(contents_at(&world, "d/moved").await.unwrap(), b"new");
}

async fn a_removed_file_lives_while_it_is_open<P: Providers>(world: P) {
    let file = new_file(&world, "f").await;
    write(&file, b"abc", 0).await;
    world.storage().remove(Path::new("f")).await.unwrap();
    assert_eq!(contents_at(&world, "f").await, None);
    write(&new_file(&world, "f").await, b"other", 0).await;
    assert_eq!(contents(&file).await, b"abc");
}

async fn what_is_missing_is_not_found<P: Providers>(world: P) {
    let (storage, gone) = (world.storage(), Path::new("gone"));
    assert_eq!(storage.remove(gone).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(storage.list(gone).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(storage.metadata(gone).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(storage.sync_dir(gone).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(storage.rename(gone, Path::new("f")).await.unwrap_err().kind(), ErrorKind::NotFound);
    let in_missing_folder = storage.open(Path::new("gone/f"), OpenOptions::read_write().create()).await;
    assert_eq!(in_missing_folder.map(|_| ()).unwrap_err().kind(), ErrorKind::NotFound);
}

async fn paths_stay_below_the_root<P: Providers>(world: P) {
    for path in ["/etc/passwd", "..", "../f", "a/../../f", "a/.."] {
        let path = Path::new(path);
        let opened = world.storage().open(path, OpenOptions::read_write().create()).await;
        assert_eq!(opened.map(|_| ()).unwrap_err().kind(), ErrorKind::InvalidInput, "{}", path.display());
        let listed = world.storage().list(path).await;
        assert_eq!(listed.unwrap_err().kind(), ErrorKind::InvalidInput, "{}", path.display());
        let made = world.storage().create_dir_all(path).await;
        assert_eq!(made.unwrap_err().kind(), ErrorKind::InvalidInput, "{}", path.display());
    }
    drop(new_file(&world, "./f").await);
    assert!(contents_at(&world, "f").await.is_some());
}

async fn a_lock_has_one_holder<P: Providers>(world: P) {
    let lock = || world.storage().lock(Path::new("LOCK"));
    let held = lock().await.unwrap();
    for _ in 0..2 {
        assert_eq!(lock().await.map(|_| ()).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    drop(held);
    let held = lock().await.unwrap();
    drop(world.storage().lock(Path::new("OTHER")).await.unwrap());
    drop(held);
    assert_eq!(contents_at(&world, "LOCK").await.unwrap(), b"", "the lock's file is empty, and stays");
}

async fn a_file_tells_its_alignment<P: Providers>(world: P) {
    let file = new_file(&world, "f").await;
    assert!(!file.is_direct());
    for options in [OpenOptions::read_write().direct(), OpenOptions::read_write()] {
        let file = match world.storage().open(Path::new("f"), options).await {
            Ok(file) => file,
            Err(error) => {
                assert!(options.is_direct(), "{error}");
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
                continue;
            }
        };
        assert_eq!(file.is_direct(), options.is_direct());
        let alignment = file.alignment();
        assert!(alignment.memory_bytes.is_power_of_two() && alignment.offset_bytes.is_power_of_two());
        let len = usize::try_from(alignment.offset_bytes).unwrap().max(4096);
        let mut buf = AlignedBuf::zeroed(len, alignment.memory_bytes);
        buf.fill(7);
        let (outcome, _) = file.write_all_at(buf, len as u64).await;
        outcome.unwrap();
        file.sync_data().await.unwrap();
        let (outcome, buf) =
            file.read_exact_at(AlignedBuf::zeroed(len, alignment.memory_bytes), len as u64).await;
        outcome.unwrap();
        assert!(buf.iter().all(|byte| *byte == 7));
    }
}

async fn there_is_room<P: Providers>(world: P) {
    let space = world.storage().space().await.unwrap();
    assert!(space.available <= space.total, "{space:?}");
    assert!(space.total > 0);
}

async fn write_and_sync<P: Providers>(world: P) {
    world.storage().create_dir_all(Path::new("d")).await.unwrap();
    let file = new_file(&world, "d/f").await;
    write(&file, b"synced", 0).await;
    file.sync_data().await.unwrap();
    world.storage().sync_dir(Path::new("d")).await.unwrap();
    world.storage().sync_dir(Path::new("")).await.unwrap();
    write(&file, b"SYNCED, and longer", 0).await;
}

async fn synced_bytes_are_there<P: Providers>(world: P) {
    let bytes = contents_at(&world, "d/f").await.expect("a synced name is lost");
    assert!(bytes.len() >= 6, "synced bytes are lost: {}", bytes.escape_ascii());
    assert_eq!(bytes[..6].to_ascii_lowercase(), b"synced");
}

async fn write_linked<P: Providers>(world: P) {
    let file = new_file(&world, "f").await;
    world.storage().sync_dir(Path::new("")).await.unwrap();
    let (outcome, _) = file.write_all_and_sync(b"linked".to_vec(), 0).await;
    outcome.unwrap();
}

async fn linked_bytes_are_there<P: Providers>(world: P) {
    assert_eq!(contents_at(&world, "f").await.as_deref(), Some(&b"linked"[..]));
}

async fn drop_a_write_and_sync<P: Providers>(world: P) {
    let file = new_file(&world, "f").await;
    {
        let mut dropped = pin!(file.write_at(vec![b'x'; 4096], 0));
        let _ = poll_once(dropped.as_mut()).await;
    }
    file.sync_data().await.unwrap();
    // A name tells what was there, as its durability does not depend on the sync that is tried.
    let len = contents(&file).await.len();
    drop(new_file(&world, &format!("seen-{len}")).await);
    world.storage().sync_dir(Path::new("")).await.unwrap();
}

async fn dropped_write_is_there_or_was_not_seen<P: Providers>(world: P) {
    let names = world.storage().list(Path::new("")).await.unwrap();
    let seen = names.iter().find_map(|entry| entry.name.to_str()?.strip_prefix("seen-")).unwrap();
    let file = contents_at(&world, "f").await.unwrap();
    assert!(file.len().to_string() == seen, "{seen} bytes were there after the sync, {} are now", file.len());
    assert!(file.iter().all(|byte| *byte == b'x'));
}

async fn rename_and_sync<P: Providers>(world: P) {
    rename_without_sync(world.clone()).await;
    world.storage().sync_dir(Path::new("")).await.unwrap();
}

async fn the_new_name_is_there<P: Providers>(world: P) {
    assert_eq!(contents_at(&world, "name").await.as_deref(), Some(&b"new"[..]));
    assert_eq!(contents_at(&world, "name.tmp").await, None);
}

async fn rename_without_sync<P: Providers>(world: P) {
    for (path, bytes) in [("name", b"old"), ("name.tmp", b"new")] {
        let file = new_file(&world, path).await;
        write(&file, bytes, 0).await;
        file.sync_data().await.unwrap();
    }
    world.storage().sync_dir(Path::new("")).await.unwrap();
    world.storage().rename(Path::new("name.tmp"), Path::new("name")).await.unwrap();
}

async fn old_or_new_is_there<P: Providers>(world: P) {
    let bytes = contents_at(&world, "name").await.expect("neither the old nor the new file has the name");
    assert!(bytes == b"old" || bytes == b"new", "{}", bytes.escape_ascii());
}
