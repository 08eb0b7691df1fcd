//! Every script here runs under hundreds of schedules, and nobody may sleep for ever under any of them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod disk;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use samestep_replay_traits::Index;

use self::disk::{Faults, MemoryDisk};
use crate::sync::{Condvar, Mutex, Thread, scheduled};
use crate::{AppendError, CommitPolicy, LogId, Options, SyncError, Wal};

type Log = Wal<MemoryDisk>;

const POLICIES: [CommitPolicy; 4] = [
    CommitPolicy::StrictSync,
    CommitPolicy::Group { max_bytes: 256 },
    CommitPolicy::Interval(Duration::from_millis(1)),
    CommitPolicy::NoSync,
];

/// As many schedules as the tests of every day can afford: most defects that these scripts found in this code showed
/// within the first hundred. `SAMESTEP_WAL_SCHEDULES` asks for more.
#[expect(clippy::disallowed_methods, reason = "how long to search is the caller's affair")]
fn schedules() -> std::ops::Range<u64> {
    let count = std::env::var("SAMESTEP_WAL_SCHEDULES").ok().and_then(|count| count.parse().ok());
    0..count.unwrap_or(400)
}

/// Every other schedule has a thread that makes segments ahead of time.
fn open(disk: &MemoryDisk, commit: CommitPolicy, every: u32, seed: u64) -> Log {
    let mut options = Options::create(LogId::new([7; 16]));
    options.segment_bytes = 8192;
    options.commit = commit;
    options.force_rotate_every = Some(every);
    options.prepares_segments = seed % 2 == 1;
    Wal::open_on(disk.clone(), options).unwrap().0
}

/// Runs `script` on a log of each policy under every schedule.
fn under_all_schedules(script: impl Fn(&Log) + Clone + Send + 'static) {
    for commit in POLICIES {
        for seed in schedules() {
            let script = script.clone();
            scheduled::run(seed, move || {
                let disk = MemoryDisk::default();
                let wal = open(&disk, commit, 3, seed);
                script(&wal);
                let durable = wal.durable_index();
                let records = wal.last_index();
                wal.close().unwrap();
                disk.unlock();
                let wal = open(&disk, commit, 3, seed);
                assert_eq!(wal.last_index(), records, "closing makes all durable");
                assert!(durable <= records);
            });
        }
    }
}

/// Runs `body` in `count` threads and waits for all of them.
fn threads(wal: &Log, count: u8, body: impl Fn(&Log, u8) + Clone + Send + 'static) -> Vec<Thread> {
    let start = |number| {
        let (wal, body) = (wal.clone(), body.clone());
        Thread::spawn(&format!("{number}"), move || body(&wal, number)).unwrap()
    };
    (0..count).map(start).collect()
}

fn join(threads: Vec<Thread>) {
    threads.into_iter().for_each(Thread::join);
}

/// Whoever waits for a record finds it durable.
fn is_durable(wal: &Log, index: Index) {
    assert!(wal.durable_index() >= Some(index), "record {index} was waited for");
}

#[test]
fn writers_who_wait_in_three_ways_all_come_back() {
    under_all_schedules(|wal| {
        join(threads(wal, 3, |wal, writer| {
            for way in 0..3 {
                let index = wal.append(&[writer, way]).unwrap();
                match (way + writer) % 3 {
                    0 => wal.sync().unwrap(),
                    1 => wal.wait_durable(index).unwrap(),
                    _ => drop(wal.append_ticket(&[writer; 40]).unwrap().wait().unwrap()),
                }
                if (way + writer) % 3 < 2 {
                    is_durable(wal, index);
                }
            }
        }));
        assert_eq!(wal.last_index(), Some(Index::new(9 + 3)));
    });
}

#[test]
fn a_ticket_is_settled_although_nobody_else_asks_for_a_barrier() {
    under_all_schedules(|wal| {
        join(threads(wal, 4, |wal, writer| {
            let ticket = wal.append_ticket(&[writer; 9]).unwrap();
            let index = ticket.wait().unwrap();
            is_durable(wal, index);
        }));
    });
}

#[test]
fn who_wants_the_log_alone_gets_it() {
    under_all_schedules(|wal| {
        let writers = threads(wal, 2, |wal, writer| {
            for record in 0..3 {
                wal.append(&[writer, record]).unwrap();
                wal.flush().unwrap();
            }
        });
        let others = threads(wal, 3, |wal, other| match other {
            0 => wal.rotate().unwrap(),
            1 => wal.prune_through(Index::new(2)).unwrap(),
            _ => wal.truncate_suffix(Index::new(1_000)).unwrap(),
        });
        join(writers);
        join(others);
        wal.sync().unwrap();
        is_durable(wal, Index::new(6));
    });
}

#[test]
fn a_flush_and_a_barrier_in_the_middle_of_a_rotation_leave_nothing_to_do() {
    under_all_schedules(|wal| {
        for record in 0..3_u8 {
            wal.append(&[record; 200]).unwrap();
        }
        wal.sync().unwrap();
        let rotating = threads(wal, 1, |wal, _| wal.rotate().unwrap());
        let others = threads(wal, 2, |wal, other| {
            for _ in 0..4 {
                if other == 0 { wal.flush().unwrap() } else { wal.sync().unwrap() }
            }
        });
        join(rotating);
        join(others);
        let index = wal.append(b"after it").unwrap();
        wal.sync().unwrap();
        is_durable(wal, index);
    });
}

#[test]
fn futures_and_threads_wait_for_one_log() {
    under_all_schedules(|wal| {
        join(threads(wal, 4, |wal, writer| {
            for record in 0..2 {
                let ticket = wal.append_ticket(&[writer, record]).unwrap();
                let index = ticket.index();
                if writer % 2 == 0 {
                    block_on(ticket).unwrap();
                } else {
                    wal.wait_durable(index).unwrap();
                }
                is_durable(wal, index);
            }
        }));
    });
}

#[test]
fn a_segment_made_ahead_of_time_is_used_and_leaves_no_trace() {
    let used = Arc::new(AtomicUsize::new(0));
    for seed in schedules() {
        let used = Arc::clone(&used);
        scheduled::run(seed, move || {
            let disks = [(); 2].map(|()| MemoryDisk::default());
            for (prepares, disk) in (0..).zip(&disks) {
                let wal = open(disk, CommitPolicy::StrictSync, 3, prepares);
                for record in 0..11_u8 {
                    // The last one needs a segment that is larger than what was made.
                    let len = if record == 10 { 9_000 } else { 90 };
                    wal.append(&vec![record; len]).unwrap();
                }
                wal.close().unwrap();
                used.fetch_add(disk.opened(), Ordering::Relaxed);
                assert!(prepares == 1 || disk.opened() == 0);
            }
            assert_eq!(disks[0].files(), disks[1].files());
        });
    }
    assert!(used.load(Ordering::Relaxed) > 0, "no rotation found its segment made");
}

#[test]
fn closing_answers_everybody() {
    under_all_schedules(|wal| {
        let closing = threads(&wal.clone(), 1, |wal, _| {
            wal.append(b"before").unwrap();
            wal.sync().unwrap();
        });
        let waiting = threads(wal, 2, |wal, writer| {
            wal.wait_durable(Index::new(1)).unwrap();
            let ticket = wal.append_ticket(&[writer]).unwrap();
            if writer == 0 { block_on(ticket).map(drop) } else { ticket.wait().map(drop) }.unwrap();
        });
        join(closing);
        join(waiting);
    });
    for commit in POLICIES {
        for seed in schedules() {
            scheduled::run(seed, move || {
                let wal = open(&MemoryDisk::default(), commit, 3, seed);
                let others = threads(&wal, 3, |wal, other| {
                    // Either it comes in time or the log is closed; what must not be is that nothing comes.
                    let outcome = match other {
                        0 => (0..7)
                            .try_for_each(|_| wal.append(&[other]).map(drop))
                            .map_err(|error| error.to_string()),
                        1 => wal.wait_durable(Index::new(50)).map_err(|error| error.to_string()),
                        _ => wal
                            .append_ticket(&[other])
                            .map_err(|error| error.to_string())
                            .and_then(|ticket| ticket.wait().map(drop).map_err(|error| error.to_string())),
                    };
                    assert!(other != 1 || outcome.is_err(), "there is no such record");
                });
                wal.close().unwrap();
                join(others);
            });
        }
    }
}

#[test]
fn a_full_disk_is_told_to_all_who_wait() {
    for commit in POLICIES {
        // What can go wrong here takes several rare steps in a row.
        for seed in 0..6 * schedules().end {
            scheduled::run(seed, move || {
                let disk = MemoryDisk::default();
                let wal = open(&disk, commit, 3, seed);
                // For good, or until somebody frees space in the middle of it all.
                let full_for = if seed % 4 < 2 { u64::MAX } else { 1 + seed % 3 };
                disk.set_faults(Faults { writes_before_full: Some(seed % 7), full_for, ..Faults::default() });
                let acknowledged = Arc::new(AtomicUsize::new(0));
                let counted = Arc::clone(&acknowledged);
                join(threads(&wal, 4, move |wal, writer| {
                    for record in 0..3 {
                        match wal.append_ticket(&[writer, record]).map(|ticket| ticket.wait()) {
                            Ok(Ok(_)) => drop(counted.fetch_add(1, Ordering::Relaxed)),
                            Ok(Err(SyncError::NoSpace(_))) | Err(AppendError::NoSpace(_)) => {}
                            other => panic!("{other:?}"),
                        }
                    }
                }));
                disk.set_faults(Faults::default());
                // The loss that an interval's barrier met is told to the next who calls, once.
                let _told = wal.sync();
                wal.sync().unwrap();
                let index = wal.append(b"there is room again").unwrap();
                wal.sync().unwrap();
                assert!(
                    index.get() > acknowledged.load(Ordering::Relaxed) as u64,
                    "what was acknowledged is there"
                );
            });
        }
    }
}

#[test]
fn a_loss_that_no_wait_met_is_told_to_the_next_caller() {
    for commit in [CommitPolicy::Interval(Duration::from_millis(1)), CommitPolicy::NoSync] {
        for seed in schedules() {
            scheduled::run(seed, move || {
                let disk = MemoryDisk::default();
                let wal = open(&disk, commit, 50, seed);
                disk.set_faults(Faults {
                    writes_before_full: Some(seed % 3),
                    full_for: u64::MAX,
                    ..Faults::default()
                });
                let appended = Arc::new(AtomicUsize::new(0));
                let told = Arc::new(AtomicUsize::new(0));
                let (appends, refusals) = (Arc::clone(&appended), Arc::clone(&told));
                join(threads(&wal, 2, move |wal, writer| {
                    for record in 0..3 {
                        match wal.append(&[writer, record]) {
                            Ok(_) => appends.fetch_add(1, Ordering::Relaxed),
                            Err(_) => refusals.fetch_add(1, Ordering::Relaxed),
                        };
                        if writer == 0 && wal.flush().is_err() {
                            refusals.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }));
                disk.set_faults(Faults::default());
                let other = wal.clone();
                if wal.close().is_err() {
                    told.fetch_add(1, Ordering::Relaxed);
                }
                assert!(matches!(other.sync(), Err(SyncError::Closed)), "closed in any case");
                disk.unlock();
                let records = open(&disk, commit, 50, seed).last_index().map_or(0, Index::get);
                let is_lost = (appended.load(Ordering::Relaxed) as u64) > records;
                assert!(
                    !is_lost || told.load(Ordering::Relaxed) > 0,
                    "{records} are left, and nobody was told"
                );
            });
        }
    }
}

#[test]
fn a_dead_disk_is_told_to_all_who_wait() {
    for commit in POLICIES {
        for seed in schedules() {
            scheduled::run(seed, move || {
                let disk = MemoryDisk::default();
                let wal = open(&disk, commit, 3, seed);
                disk.set_faults(Faults { syncs_before_error: Some(seed % 5), ..Faults::default() });
                let others = threads(&wal, 4, |wal, writer| {
                    while let Ok(ticket) = wal.append_ticket(&[writer]) {
                        let outcome = if writer == 0 { block_on(ticket) } else { ticket.wait() };
                        if outcome.is_err() {
                            return;
                        }
                    }
                });
                let alone = threads(&wal, 1, |wal, _| while wal.rotate().is_ok() {});
                join(others);
                join(alone);
                assert!(matches!(wal.append(b"more"), Err(AppendError::Poisoned(_))));
            });
        }
    }
}

/// Polls `future` in this thread, which sleeps in between.
fn block_on<F: Future>(future: F) -> F::Output {
    #[derive(Default)]
    struct Bell {
        rang: Mutex<bool>,
        changed: Condvar,
    }

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            *self.rang.lock().unwrap() = true;
            self.changed.notify_all();
        }
    }

    let bell = Arc::new(Bell::default());
    let waker = Arc::clone(&bell).into();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let mut rang = bell.rang.lock().unwrap();
        while !*rang {
            rang = bell.changed.wait(rang).unwrap();
        }
        *rang = false;
    }
}
