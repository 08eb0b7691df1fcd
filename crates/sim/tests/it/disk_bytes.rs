//! No durable byte changes without a fault on record: a program and its power cuts against a model of bytes.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use samestep_provider_traits::{File, OpenOptions, RandomProvider, StorageProvider};
use samestep_sim::{
    CrashConfiguration, DiskFaultRates, Down, FaultFamily, SimFile, SimProviders, SimTime, SimWorld,
    StorageConfiguration, WorldConfig,
};

use crate::seeds::{self, Numbers};

/// What the model knows of one file.
#[derive(Debug, Default)]
struct Model {
    /// What the program sees.
    seen: Vec<u8>,
    /// What the last sync made durable.
    durable: Vec<u8>,
    /// Contents since then, oldest first, with those of operations that did not end.
    since: Vec<Vec<u8>>,
    /// What the program will see when what is under way has ended.
    under_way: Option<Vec<u8>>,
    /// Bytes that a fault on record explains.
    told: Vec<(usize, usize)>,
}

impl Model {
    fn begin_write(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        let mut next = self.seen.clone();
        next.resize(next.len().max(end), 0);
        next[offset..end].copy_from_slice(bytes);
        self.under_way = Some(next);
    }

    fn begin_set_len(&mut self, len: usize) {
        let mut next = self.seen.clone();
        next.resize(len, 0);
        self.under_way = Some(next);
    }

    /// What is under way has ended well.
    fn end(&mut self) {
        self.seen = self.under_way.take().expect("something is under way");
        self.since.push(self.seen.clone());
    }

    fn synced(&mut self) {
        self.durable.clone_from(&self.seen);
        self.since.clear();
    }

    fn is_told(&self, at: usize) -> bool {
        self.told.iter().any(|(from, to)| (*from..*to).contains(&at))
    }

    /// All contents that the file may have had when the power failed; with the write that was under way.
    fn candidates(&self) -> Vec<Vec<u8>> {
        let mut all = vec![self.durable.clone()];
        all.extend(self.since.iter().cloned());
        all.extend(self.under_way.clone());
        all
    }

    /// Checks what was found after a crash: each byte is one that the file had there, since the last sync.
    fn check(&self, found: &[u8], what: &str) {
        let candidates = self.candidates();
        let lengths = candidates.iter().map(Vec::len);
        let (shortest, longest) = (lengths.clone().min().unwrap_or(0), lengths.max().unwrap_or(0));
        let is_len_told = self.is_told(found.len()) || self.is_told(found.len().saturating_sub(1));
        assert!(
            (shortest..=longest).contains(&found.len()) || is_len_told,
            "{what}: {} bytes, none of {shortest}..={longest}",
            found.len()
        );
        for (at, byte) in found.iter().enumerate() {
            let had = |contents: &Vec<u8>| contents.get(at).copied().unwrap_or(0) == *byte;
            assert!(
                candidates.iter().any(had) || self.is_told(at),
                "{what}: byte {at} is {byte}, which it never was since the last sync: it was {:?}",
                candidates.iter().map(|contents| contents.get(at)).collect::<Vec<_>>()
            );
        }
    }
}

const FILES: [&str; 3] = ["a", "b", "d/c"];
const LEN_MAX: u64 = 6000;

type Models = Rc<RefCell<[Model; 3]>>;

async fn create_all(storage: samestep_sim::SimStorageProvider) {
    storage.create_dir_all(Path::new("d")).await.unwrap();
    for path in FILES {
        drop(storage.open(Path::new(path), OpenOptions::read_write().create_new()).await.unwrap());
    }
    for folder in ["d", ""] {
        storage.sync_dir(Path::new(folder)).await.unwrap();
    }
}

async fn open_all(providers: &SimProviders) -> Vec<SimFile> {
    let mut files = Vec::new();
    for path in FILES {
        files.push(open(providers, path).await);
    }
    files
}

async fn open(providers: &SimProviders, path: &str) -> SimFile {
    providers.storage().open(Path::new(path), OpenOptions::read_write()).await.unwrap()
}

/// Writes, cuts, reads and syncs until the power fails.
async fn program(providers: SimProviders, models: Models, has_faults: bool) {
    let random = providers.random().clone();
    let mut files = open_all(&providers).await;
    loop {
        let number = usize::try_from(random.next_u64() % 3).unwrap();
        let file = files[number].clone();
        let offset = usize::try_from(random.next_u64() % LEN_MAX).unwrap();
        let mut numbers = Numbers(random.next_u64());
        let len = 1 + numbers.below([8, 700, 3000][usize::try_from(random.next_u64() % 3).unwrap()]);
        let bytes: Vec<u8> = (0..len).map(|_| u8::try_from(1 + numbers.below(255)).unwrap()).collect();
        match random.next_u64() % 16 {
            0..7 => {
                models.borrow_mut()[number].begin_write(offset, &bytes);
                let (outcome, bytes) = file.write_at(bytes, offset as u64).await;
                let mut models = models.borrow_mut();
                let model = &mut models[number];
                if let Ok(count) = outcome {
                    model.begin_write(offset, &bytes[..count]);
                    model.end();
                } else {
                    // For lack of room: nothing is written.
                    model.under_way = None;
                }
            }
            7 if !has_faults => {
                // A write that nobody waits for, and a sync that does.
                {
                    let mut dropped = pin!(file.write_at(bytes.clone(), offset as u64));
                    models.borrow_mut()[number].begin_write(offset, &bytes);
                    poll_fn(|cx| Poll::Ready(dropped.as_mut().poll(cx).is_ready())).await;
                }
                file.sync_data().await.unwrap();
                let mut models = models.borrow_mut();
                models[number].end();
                models[number].synced();
            }
            8 => {
                let len = offset / 2;
                models.borrow_mut()[number].begin_set_len(len);
                file.set_len(len as u64).await.unwrap();
                models.borrow_mut()[number].end();
            }
            9..12 => {
                let (outcome, read) = file.read_at(Vec::with_capacity(bytes.len()), offset as u64).await;
                if !has_faults {
                    outcome.unwrap();
                    let seen = &models.borrow()[number].seen;
                    let end = seen.len().min(offset + bytes.len());
                    assert_eq!(read, seen[offset.min(end)..end], "a read gave other bytes");
                }
            }
            _ => match file.sync_data().await {
                Ok(()) => models.borrow_mut()[number].synced(),
                Err(_) => files[number] = open(&providers, FILES[number]).await,
            },
        }
    }
}

async fn contents(providers: SimProviders, path: &'static str) -> Vec<u8> {
    let file = open(&providers, path).await;
    let len = usize::try_from(file.metadata().await.unwrap().len).unwrap();
    let mut found = Vec::new();
    // Byte after byte where a sector cannot be read, so that the others are seen.
    while found.len() < len {
        let room = 64.min(len - found.len());
        match file.read_at(Vec::with_capacity(room), found.len() as u64).await {
            (Ok(count), bytes) => found.extend_from_slice(&bytes[..count]),
            (Err(_), _) => found.resize(found.len() + room, UNREADABLE),
        }
    }
    found
}

/// Stands for bytes that could not be read; the program writes it, too.
const UNREADABLE: u8 = 0xEE;

/// Takes what was told of bytes into the models, from the `seen`th fault on.
fn listen(world: &SimWorld, models: &Models, seen: &mut usize) {
    let faults = world.faults();
    for fault in &faults.events()[*seen..] {
        let destroys = [
            FaultFamily::CrashGarbage,
            FaultFamily::LatentError,
            FaultFamily::BitRot,
            FaultFamily::MisdirectedWrite,
            FaultFamily::PhantomWrite,
            FaultFamily::SyncFailure,
        ];
        if destroys.contains(&fault.family) {
            let (path, offset, bytes) = place_of(&fault.detail);
            let number = FILES.iter().position(|name| *name == path).expect("a file of ours");
            models.borrow_mut()[number].told.push((offset, offset + bytes));
        }
    }
    *seen = faults.events().len();
}

/// "d/c, offset 512, 1024 bytes"
fn place_of(detail: &str) -> (&str, usize, usize) {
    let mut parts = detail.split(", ");
    let path = parts.next().unwrap();
    let offset = parts.next().unwrap().strip_prefix("offset ").unwrap().parse().unwrap();
    let bytes = parts.next().unwrap().strip_suffix(" bytes").unwrap().parse().unwrap();
    (path, offset, bytes)
}

/// What a seed showed, in bytes.
#[derive(Debug, Default)]
struct Bytes {
    lost: usize,
    durable: usize,
    damaged: usize,
}

fn run(seed: u64, storage: &StorageConfiguration) -> Bytes {
    let has_faults = storage.rates != DiskFaultRates::default();
    let mut numbers = Numbers(seed);
    let honest = StorageConfiguration {
        crash: storage.crash.clone(),
        atomic_bytes: storage.atomic_bytes,
        ..StorageConfiguration::fast_local()
    };
    let start = StorageConfiguration {
        sector_bytes: storage.sector_bytes,
        atomic_bytes: storage.atomic_bytes,
        ..StorageConfiguration::fast_local()
    };
    let world = SimWorld::with_config(WorldConfig::new(seed).keep_trace().storage(start));
    let node = world.add_node("node", IpAddr::V4(Ipv4Addr::LOCALHOST));
    let models = Models::default();
    let mut result = Bytes::default();
    let mut told = 0;
    let mut task = world.spawn(Some(node), "create", create_all(*world.providers(node).storage()));
    world.block_on(&mut task).unwrap().unwrap();
    for _ in 0..3 {
        world.configure_storage(node, storage);
        drop(world.spawn(
            Some(node),
            "program",
            program(world.providers(node), Rc::clone(&models), has_faults),
        ));
        let lives = Duration::from_micros(numbers.below(60_000));
        world.run_until(SimTime::ZERO.after(world.now() + lives));
        assert!(world.panics().is_empty(), "seed {seed}: {:?}", world.panics());
        listen(&world, &models, &mut told);
        let faults_before = world.faults().events().len();
        world.kill(node, Down::Crash);
        let torn = torn_since(&world, faults_before);
        listen(&world, &models, &mut told);
        world.boot(node);
        world.configure_storage(node, &honest);
        for (number, path) in FILES.into_iter().enumerate() {
            let mut task = world.spawn(Some(node), "reader", contents(world.providers(node), path));
            let found = world.block_on(&mut task).unwrap().unwrap();
            let mut models = models.borrow_mut();
            let model = &mut models[number];
            let what = format!("seed {seed}, {path} after a crash at {}", world.time());
            model.check(&found, &what);
            result.lost += lost(model, &found, &torn[number], &what);
            result.durable += model.durable.len();
            result.damaged += (0..found.len()).filter(|at| model.is_told(*at)).count();
            // What was under way may be there, in part, from now on; and after a crash that lost nothing, what is
            // there need not be durable.
            let under_way = model.under_way.take();
            model.since.extend(under_way);
            model.since.push(found.clone());
            model.seen = found;
        }
        listen(&world, &models, &mut told);
    }
    result
}

/// How many bytes are not what the program saw before the crash. That each was told, is checked.
fn lost(model: &Model, found: &[u8], torn: &[(usize, usize)], what: &str) -> usize {
    let mut lost = 0;
    for at in 0..found.len().max(model.seen.len()) {
        let is_under_way = model.under_way.as_ref().is_some_and(|next| next.get(at) != model.seen.get(at));
        if found.get(at) != model.seen.get(at) && !is_under_way && !model.is_told(at) {
            lost += 1;
            let is_on_record = torn.iter().any(|(from, to)| (*from..*to).contains(&at));
            assert!(is_on_record, "{what}: byte {at} was lost, and no fault told of it: {torn:?}");
        }
    }
    lost
}

/// By file, the ranges of which it was told since then that they were lost by a crash.
fn torn_since(world: &SimWorld, seen: usize) -> [Vec<(usize, usize)>; 3] {
    let mut torn: [Vec<(usize, usize)>; 3] = Default::default();
    for fault in &world.faults().events()[seen..] {
        if fault.family == FaultFamily::TornWrite {
            let (path, offset, bytes) = place_of(&fault.detail);
            let number = FILES.iter().position(|name| *name == path).expect("a file of ours");
            torn[number].push((offset, offset + bytes));
        }
    }
    torn
}

/// Gate 4 of the simulator: a crash loses unsynced bytes on some seeds, and synced ones on none.
#[test]
fn synced_bytes_are_never_lost_and_unsynced_ones_sometimes() {
    let (mut losing, mut durable) = (0, 0);
    let seeds = seeds::count(200);
    for seed in 0..seeds {
        let (sector_bytes, atomic_bytes) =
            [(512, 512), (4096, 4096), (4096, 8)][usize::try_from(seed % 3).unwrap()];
        let storage = StorageConfiguration { sector_bytes, atomic_bytes, ..StorageConfiguration::default() };
        let seen = run(seed, &storage);
        losing += u64::from(seen.lost > 0);
        durable += seen.durable;
        assert_eq!(seen.damaged, 0, "seed {seed}: damage without a fault that is on");
    }
    println!(
        "{losing} of {seeds} seeds lost bytes that were not synced; {durable} synced bytes were all there"
    );
    assert!(losing * 4 > seeds, "{losing} of {seeds} seeds lost something");
    assert!(durable > 100 * usize::try_from(seeds).unwrap(), "{durable} bytes were durable");
}

/// With each kind of fault on that destroys durable bytes, each byte that changed is in a fault's range.
#[test]
fn durable_bytes_change_by_faults_on_record_alone() {
    let seeds = seeds::count(200);
    let (mut damaged, mut durable) = (0, 0);
    for seed in 0..seeds {
        let storage = StorageConfiguration {
            crash_fault_probability: 0.02,
            crash: CrashConfiguration { latent_error_probability: 0.02, ..CrashConfiguration::default() },
            rates: DiskFaultRates {
                bit_rots_per_second: 20.0,
                latent_errors_per_second: 10.0,
                misdirected_writes_per_second: 10.0,
                misdirected_reads_per_second: 10.0,
                phantom_writes_per_second: 10.0,
                sync_failures_per_second: 5.0,
                short_writes_per_second: 50.0,
                short_reads_per_second: 50.0,
                full_disks_per_second: 5.0,
                ..DiskFaultRates::default()
            },
            full_duration: Duration::from_millis(1)..Duration::from_millis(5),
            ..StorageConfiguration::default()
        };
        let storage = StorageConfiguration {
            sector_bytes: if seed % 2 == 0 { 512 } else { 4096 },
            atomic_bytes: if seed % 4 < 2 { 512 } else { 8 },
            ..storage
        };
        let seen = run(seed, &storage);
        damaged += seen.damaged;
        durable += seen.durable;
    }
    println!("{seeds} seeds: {damaged} bytes in the ranges of faults, {durable} durable bytes");
    assert!(damaged > 0 && damaged * 2 < durable, "{damaged} of {durable} bytes are explained by faults");
}
