//! One log and many threads. Whatever could hang runs under a watchdog, so that it fails instead.

#![expect(clippy::disallowed_methods, reason = "threads are what is tested here")]

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use samestep_wal::{AppendError, CommitPolicy, Disk, Index, Op, Prepared, SlowSync, SyncError, Wal};

use crate::disk::{Fault, FaultOn, Image, SimDisk, Tear, crash_images};
use crate::model::{ByIndex, contents, options, payload};

/// Runs `test` in a thread and fails if it takes too long.
pub(crate) fn within_a_minute<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || sender.send(test()).unwrap());
    match receiver.recv_timeout(Duration::from_secs(60)) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("somebody waits for ever"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("it sent nothing"))
        }
    }
}

pub(crate) fn open(disk: &SimDisk, commit: CommitPolicy, every: Option<u32>) -> Wal<SimDisk> {
    Wal::open_on(disk.clone(), options(commit, every)).unwrap().0
}

/// What each writer was told: the index, and the bytes at it.
type Acked = BTreeMap<u64, Vec<u8>>;

/// `writers` threads append `records` each and note what is acknowledged.
fn write(wal: &Wal<SimDisk>, writers: u8, records: u8, acked: &Arc<Mutex<Acked>>) {
    thread::scope(|scope| {
        for writer in 0..writers {
            scope.spawn(move || {
                for record in 0..records {
                    let bytes = [&[writer, record][..], &payload(record, 20)].concat();
                    let index = wal.append(Prepared::new(&bytes).with_aux(writer.into())).unwrap();
                    assert!(
                        acked.lock().unwrap().insert(index.get(), bytes).is_none(),
                        "an index is given once"
                    );
                }
            });
        }
    });
}

/// While 64 threads append, the power is cut again and again: every image holds all that was acknowledged by then.
fn survives(commit: CommitPolicy, every: Option<u32>) {
    within_a_minute(move || {
        let disk = SimDisk::from_image(&Image::new());
        let wal = open(&disk, commit, every);
        let acked = Arc::new(Mutex::new(Acked::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let cuts = {
            let (disk, acked, is_over) = (disk.clone(), Arc::clone(&acked), Arc::clone(&is_over));
            thread::spawn(move || {
                let mut cuts = Vec::new();
                while !is_over.load(Ordering::Acquire) && cuts.len() < 200 {
                    // What was acknowledged before the disk is looked at must be on it.
                    let promised = acked.lock().unwrap().clone();
                    cuts.push((promised, disk.0.borrow().clone()));
                    thread::yield_now();
                }
                cuts
            })
        };
        write(&wal, 64, 12, &acked);
        is_over.store(true, Ordering::Release);
        let cuts = cuts.join().unwrap();
        let all = acked.lock().unwrap().clone();
        assert_eq!(all.keys().copied().collect::<Vec<_>>(), (1..=64 * 12).collect::<Vec<_>>(), "dense");
        let step = cuts.len().div_ceil(24);
        for (promised, state) in cuts.iter().rev().step_by(step) {
            for image in crash_images(state, Tear::Sectors, 3) {
                let wal = open(&SimDisk::from_image(&image), commit, every);
                check(&wal, promised, &all, commit.is_durable());
            }
        }
        let metrics = wal.metrics();
        assert_eq!(metrics.appended_records, 64 * 12);
        if commit.is_durable() {
            assert!(metrics.sync_latency_ns.count() <= 64 * 12, "at most one barrier per record");
            assert_eq!(wal.durable_index(), wal.last_index());
        }
        wal.close().unwrap();
        disk.unlock();
        check(&open(&disk, commit, every), &all, &all, true);
    });
}

trait IsDurable {
    fn is_durable(&self) -> bool;
}

impl IsDurable for CommitPolicy {
    fn is_durable(&self) -> bool {
        matches!(self, Self::StrictSync | Self::Group { .. })
    }
}

/// The log holds a prefix of `all`, whole if `is_durable` as far as it was promised.
fn check(wal: &Wal<SimDisk>, promised: &Acked, all: &Acked, is_durable: bool) {
    let mut wal = wal.clone();
    let found = contents(&mut wal, ByIndex::No).unwrap();
    for (index, (_, bytes)) in &found.entries {
        assert!(all.get(index).is_none_or(|expected| expected == bytes), "record {index} is another");
    }
    if is_durable {
        for index in promised.keys() {
            assert!(found.entries.contains_key(index), "record {index} was acknowledged and is lost");
        }
    }
}

#[test]
fn strict_records_of_64_threads_survive_every_power_cut() {
    survives(CommitPolicy::StrictSync, None);
}

#[test]
fn strict_records_survive_power_cuts_in_rotations() {
    survives(CommitPolicy::StrictSync, Some(7));
}

#[test]
fn grouped_records_of_64_threads_survive_every_power_cut() {
    survives(CommitPolicy::Group { max_bytes: 600 }, Some(50));
}

#[test]
fn interval_records_of_64_threads_are_a_prefix() {
    survives(CommitPolicy::Interval(Duration::from_millis(1)), Some(50));
}

#[test]
fn unsynced_records_of_64_threads_are_a_prefix() {
    survives(CommitPolicy::NoSync, None);
}

/// A disk on which a barrier can be made to wait, to panic, or to be counted.
#[derive(Clone)]
pub(crate) struct GateDisk {
    pub(crate) disk: SimDisk,
    pub(crate) gate: Arc<Gate>,
}

#[derive(Default)]
pub(crate) struct Gate {
    /// Barriers of records wait while this is locked.
    pub(crate) is_shut: Mutex<()>,
    pub(crate) panics: AtomicBool,
    pub(crate) arrived: AtomicU64,
}

impl GateDisk {
    pub(crate) fn new() -> Self {
        Self { disk: SimDisk::from_image(&Image::new()), gate: Arc::default() }
    }

    /// Waits until `count` barriers have begun since the gate was made.
    pub(crate) fn wait_for(&self, count: u64) {
        while self.gate.arrived.load(Ordering::Acquire) < count {
            thread::yield_now();
        }
    }
}

impl Disk for GateDisk {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        if matches!(op, Op::SyncData { .. }) {
            self.gate.arrived.fetch_add(1, Ordering::AcqRel);
            drop(self.gate.is_shut.lock());
            assert!(!self.gate.panics.load(Ordering::Acquire), "the disk panics as it was told to");
        }
        self.disk.perform(op)
    }

    fn reader(&self) -> Self {
        self.clone()
    }
}

/// A log, the gate before its barriers, and how many have passed.
pub(crate) fn gated(commit: CommitPolicy) -> (Wal<GateDisk>, GateDisk, u64) {
    let disk = GateDisk::new();
    let (wal, _) = Wal::open_on(disk.clone(), options(commit, None)).unwrap();
    let passed = disk.gate.arrived.load(Ordering::Acquire);
    (wal, disk, passed)
}

#[test]
fn the_next_group_fills_during_the_barrier_and_shares_one() {
    within_a_minute(|| {
        let (wal, disk, passed) = gated(CommitPolicy::StrictSync);
        let shut = disk.gate.is_shut.lock().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| wal.append(b"first").unwrap());
            disk.wait_for(passed + 1);
            for _ in 0..63 {
                scope.spawn(|| wal.append(b"next").unwrap());
            }
            while wal.next_index() < Index::new(65) {
                thread::yield_now();
            }
            assert_eq!(wal.durable_index(), None, "nothing is acknowledged before the barrier");
            drop(shut);
        });
        assert_eq!(disk.gate.arrived.load(Ordering::Acquire), passed + 2, "63 records, one barrier");
        assert_eq!(wal.durable_index(), Some(Index::new(64)));
        let metrics = wal.metrics();
        assert_eq!(metrics.group_records.max(), 63);
        assert_eq!(metrics.queue_wait_ns.count(), 1);
    });
}

/// The device fails, or the leader panics: the leader, those of its group and those of the next one all hear of it.
fn wakes_everybody(breaks: impl FnOnce(&GateDisk), leader_panics: bool) {
    let (wal, disk, passed) = gated(CommitPolicy::StrictSync);
    let shut = disk.gate.is_shut.lock().unwrap();
    thread::scope(|scope| {
        let leader = scope.spawn(|| wal.append(b"first"));
        disk.wait_for(passed + 1);
        let waiters: Vec<_> = (0..63).map(|_| scope.spawn(|| wal.append(b"next"))).collect();
        let watcher = scope.spawn(|| wal.wait_durable(Index::new(1000)));
        while wal.next_index() < Index::new(65) {
            thread::yield_now();
        }
        breaks(&disk);
        drop(shut);
        for waiter in waiters {
            assert!(matches!(waiter.join().unwrap(), Err(AppendError::Poisoned(_))));
        }
        assert!(matches!(watcher.join().unwrap(), Err(SyncError::Poisoned(_))));
        match leader.join() {
            Ok(outcome) => assert!(matches!(outcome, Err(AppendError::Poisoned(_))) && !leader_panics),
            Err(_) => assert!(leader_panics),
        }
    });
    disk.gate.panics.store(false, Ordering::Release);
    assert_eq!(wal.durable_index(), None, "no false acknowledgement");
    assert!(matches!(wal.append(b"more"), Err(AppendError::Poisoned(_))));
    assert!(matches!(wal.sync(), Err(SyncError::Poisoned(_))));
    assert!(matches!(wal.rotate(), Err(SyncError::Poisoned(_))));
}

#[test]
fn a_failed_barrier_wakes_everybody() {
    within_a_minute(|| {
        let fault = Fault { on: FaultOn::Sync, at: 0, more: 0, kind: io::ErrorKind::Other, lands: 0 };
        wakes_everybody(|disk| disk.disk.set_fault(Some(fault)), false);
    });
}

#[test]
fn a_leader_that_panics_strands_nobody() {
    within_a_minute(|| {
        wakes_everybody(|disk| disk.gate.panics.store(true, Ordering::Release), true);
    });
}

/// A full disk takes back the group on its way and the one behind it; all are told, and all succeed once there
/// is space.
#[test]
fn a_full_disk_is_retryable_by_every_thread() {
    within_a_minute(|| {
        for at in 0..12 {
            let disk = SimDisk::from_image(&Image::new());
            let wal = open(&disk, CommitPolicy::StrictSync, Some(40));
            disk.set_fault(Some(Fault {
                on: FaultOn::Write,
                at: at * 2,
                more: 1,
                kind: io::ErrorKind::StorageFull,
                lands: 60,
            }));
            let acked = Mutex::new(Acked::new());
            thread::scope(|scope| {
                for writer in 0..16_u8 {
                    let (wal, acked) = (&wal, &acked);
                    scope.spawn(move || {
                        for record in 0..6 {
                            let bytes = payload(writer * 7 + record, 30);
                            let index = loop {
                                match wal.append(&bytes) {
                                    Ok(index) => break index,
                                    Err(AppendError::NoSpace(_)) => {}
                                    Err(error) => panic!("{error}"),
                                }
                            };
                            assert!(acked.lock().unwrap().insert(index.get(), bytes).is_none());
                        }
                    });
                }
            });
            let all = acked.into_inner().unwrap();
            assert_eq!(all.keys().copied().collect::<Vec<_>>(), (1..=16 * 6).collect::<Vec<_>>());
            disk.set_fault(None);
            let image = crash_images(&disk.0.borrow(), Tear::Sectors, 1).remove(0);
            check(&open(&SimDisk::from_image(&image), CommitPolicy::StrictSync, None), &all, &all, true);
        }
    });
}

#[test]
fn truncations_prunes_and_rotations_mix_with_appends() {
    within_a_minute(|| {
        let disk = SimDisk::from_image(&Image::new());
        let wal = open(&disk, CommitPolicy::StrictSync, Some(20));
        thread::scope(|scope| {
            for writer in 0..8_u8 {
                let wal = &wal;
                scope.spawn(move || {
                    for record in 0..40 {
                        wal.append(&payload(record, 30)).unwrap();
                        match (writer, record % 10) {
                            (0, 3) => wal.rotate().unwrap(),
                            (1, 5) => {
                                let next = wal.next_index().get();
                                let _pruned = wal.truncate_suffix(Index::new(next.saturating_sub(2)));
                            }
                            (2, 7) => wal.prune_through(Index::new(wal.next_index().get() / 2)).unwrap(),
                            (3, 1) => drop(wal.read(wal.next_index().previous().unwrap())),
                            (4, 1) => wal.flush().unwrap(),
                            (5, 1) => wal.sync().unwrap(),
                            _ => {}
                        }
                    }
                });
            }
        });
        let mut again = wal.clone();
        let found = contents(&mut again, ByIndex::Too).unwrap();
        wal.close().unwrap();
        assert!(matches!(again.append(b"x"), Err(AppendError::Closed)));
        assert!(matches!(again.close(), Err(SyncError::Closed)));
        let mut reopened = open(&disk, CommitPolicy::StrictSync, None);
        assert_eq!(contents(&mut reopened, ByIndex::Too).unwrap(), found);
    });
}

#[test]
fn an_interval_syncs_an_idle_log() {
    within_a_minute(|| {
        let disk = SimDisk::from_image(&Image::new());
        let wal = open(&disk, CommitPolicy::Interval(Duration::from_millis(2)), None);
        for _ in 0..3 {
            let ticket = wal.append_ticket(b"a").unwrap();
            assert_eq!(ticket.wait().unwrap(), ticket.index());
            wal.append(b"b").unwrap();
            wal.wait_durable(wal.last_index().unwrap()).unwrap();
            assert!(!wal.has_unsynced());
        }
    });
}

/// Acknowledged first and lost to a full disk later: the next call says so, once, and the log goes on.
#[test]
fn a_loss_in_the_background_is_told() {
    within_a_minute(|| {
        let disk = SimDisk::from_image(&Image::new());
        let wal = open(&disk, CommitPolicy::Interval(Duration::from_millis(1)), None);
        let kind = io::ErrorKind::StorageFull;
        disk.set_fault(Some(Fault { on: FaultOn::Write, at: 0, more: 0, kind, lands: 60 }));
        wal.append(b"lost").unwrap();
        while wal.next_index() > Index::new(1) {
            thread::yield_now();
        }
        while let Ok(()) = wal.sync() {
            thread::yield_now();
        }
        assert_eq!(wal.append(b"kept").unwrap(), Index::new(1));
        wal.sync().unwrap();
        assert_eq!(wal.durable_index(), Some(Index::new(1)));
    });
}

#[test]
fn slow_barriers_are_reported() {
    let disk = SimDisk::from_image(&Image::new());
    let mut options = options(CommitPolicy::StrictSync, None);
    let calls = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&calls);
    let count = move |_| {
        seen.fetch_add(1, Ordering::Relaxed);
    };
    options.slow_sync = Some(SlowSync::new(Duration::ZERO, count));
    let (wal, _) = Wal::open_on(disk, options).unwrap();
    wal.append(b"a").unwrap();
    wal.append(b"b").unwrap();
    assert_eq!((calls.load(Ordering::Relaxed), wal.metrics().slow_syncs), (2, 2));
}
