use std::io::{self, ErrorKind};
use std::path::Path;

use samestep_memory_providers::{MemoryProviders, MemoryWorld};
use samestep_provider_traits::{File, OpenOptions, Providers, StorageProvider};

async fn create(world: &MemoryProviders, path: &str) -> impl File + use<> {
    world.storage().open(Path::new(path), OpenOptions::read_write().create_new()).await.unwrap()
}

async fn contents(world: MemoryProviders, path: &str) -> io::Result<Vec<u8>> {
    let file = world.storage().open(Path::new(path), OpenOptions::read_only()).await?;
    let (count, buf) = file.read_at(Vec::with_capacity(1 << 16), 0).await;
    count?;
    Ok(buf)
}

#[test]
fn a_power_cut_loses_what_was_not_synced() {
    let world = MemoryWorld::new(1);
    world.block_on(|world| async move {
        let kept = create(&world, "kept").await;
        kept.write_all_at(b"durable", 0).await.0.unwrap();
        kept.sync_data().await.unwrap();
        world.storage().sync_dir(Path::new("")).await.unwrap();
        kept.write_all_at(b"DURABLE and more", 0).await.0.unwrap();
        let nameless = create(&world, "nameless").await;
        nameless.write_all_at(b"durable, but without a name", 0).await.0.unwrap();
        nameless.sync_all().await.unwrap();
    });
    let world = world.power_cut();
    assert_eq!(world.block_on(|world| contents(world, "kept")).unwrap(), b"durable");
    assert_eq!(world.block_on(|world| contents(world, "nameless")).unwrap_err().kind(), ErrorKind::NotFound);
}

/// Either folder's sync makes a move between them durable on both sides: never both names, never neither.
#[test]
fn a_move_between_folders_is_atomic() {
    for synced in ["a", "b"] {
        let world = MemoryWorld::new(1);
        world.block_on(|world| async move {
            let storage = world.storage();
            for folder in ["a", "b"] {
                storage.create_dir_all(Path::new(folder)).await.unwrap();
            }
            storage.sync_dir(Path::new("")).await.unwrap();
            create(&world, "a/f").await;
            storage.sync_dir(Path::new("a")).await.unwrap();
            storage.rename(Path::new("a/f"), Path::new("b/f")).await.unwrap();
            storage.sync_dir(Path::new(synced)).await.unwrap();
        });
        let world = world.power_cut();
        let names = world.block_on(|world| async move {
            let (a, b) =
                (world.storage().list(Path::new("a")).await, world.storage().list(Path::new("b")).await);
            (a.unwrap().len(), b.unwrap().len())
        });
        assert_eq!(names, (0, 1), "after syncing {synced}");
    }
}

#[test]
fn a_full_disk_stores_what_fits_and_recovers() {
    let world = MemoryWorld::new(1);
    world.disk().set_capacity(10);
    world.block_on(|world| async move {
        let file = create(&world, "f").await;
        assert_eq!(file.write_at(vec![1; 8], 0).await.0.unwrap(), 8);
        assert_eq!(file.write_at(vec![2; 8], 8).await.0.unwrap(), 2);
        assert_eq!(file.write_at(vec![2; 8], 10).await.0.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(file.write_at(vec![3; 8], 0).await.0.unwrap(), 8, "bytes that are there need no room");
        assert_eq!(file.allocate(11).await.unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(world.storage().space().await.unwrap().available, 0);
        file.set_len(1).await.unwrap();
        assert_eq!(file.write_at(vec![4; 8], 1).await.0.unwrap(), 8);
    });
}

#[test]
fn a_removed_file_gives_its_room_back_when_it_is_closed_and_the_removal_durable() {
    let world = MemoryWorld::new(1);
    world.disk().set_capacity(10);
    world.block_on(|world| async move {
        let file = create(&world, "f").await;
        file.write_all_at(vec![1; 10], 0).await.0.unwrap();
        world.storage().sync_dir(Path::new("")).await.unwrap();
        world.storage().remove(Path::new("f")).await.unwrap();
        world.storage().sync_dir(Path::new("")).await.unwrap();
        assert_eq!(world.storage().space().await.unwrap().available, 0, "it is open");
        drop(file);
        assert_eq!(world.storage().space().await.unwrap().available, 10);
    });
}

#[test]
fn a_failed_sync_makes_nothing_durable_and_stays_failed() {
    let world = MemoryWorld::new(1);
    let disk = world.disk().clone();
    world.block_on(|world| async move {
        let file = create(&world, "f").await;
        world.storage().sync_dir(Path::new("")).await.unwrap();
        file.write_all_at(b"lost", 0).await.0.unwrap();
        disk.fail_after(0, ErrorKind::Other);
        file.sync_data().await.unwrap_err();
        file.clone().sync_data().await.unwrap_err();
        file.sync_all().await.unwrap_err();
        let reopened = world.storage().open(Path::new("f"), OpenOptions::read_write()).await.unwrap();
        reopened.write_all_at(b"k", 4).await.0.unwrap();
    });
    assert_eq!(world.power_cut().block_on(|world| contents(world, "f")).unwrap(), b"");
}

#[test]
fn the_operation_that_was_asked_to_fails_and_those_around_it_do_not() {
    let world = MemoryWorld::new(1);
    let disk = world.disk().clone();
    world.block_on(|world| async move {
        let file = create(&world, "f").await;
        assert_eq!(disk.change_count(), 1);
        disk.fail_after(1, ErrorKind::StorageFull);
        file.write_all_at(b"a", 0).await.0.unwrap();
        assert_eq!(file.write_all_at(b"b", 1).await.0.unwrap_err().kind(), ErrorKind::StorageFull);
        file.write_all_at(b"c", 1).await.0.unwrap();
        assert_eq!(disk.change_count(), 4);
    });
    assert_eq!(world.block_on(|world| contents(world, "f")).unwrap(), b"ac");
}
