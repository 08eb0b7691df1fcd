//! Tickets: the index at once, durability later, for threads and for futures.

#![expect(clippy::disallowed_methods, reason = "threads are what is tested here")]

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use samestep_wal::{CommitPolicy, Index, SyncError, Ticket, Wal};

use crate::disk::{Fault, FaultOn, Image, SimDisk};
use crate::threads::{gated, open, within_a_minute};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor: sleeps until it is woken, so a wake-up that is lost hangs.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

const POLICIES: [CommitPolicy; 4] = [
    CommitPolicy::StrictSync,
    CommitPolicy::Group { max_bytes: 4096 },
    CommitPolicy::Interval(Duration::from_millis(1)),
    CommitPolicy::NoSync,
];

#[test]
fn tickets_are_waited_for_and_awaited_under_every_policy() {
    within_a_minute(|| {
        for commit in POLICIES {
            let wal = open(&SimDisk::from_image(&Image::new()), commit, Some(9));
            thread::scope(|scope| {
                for writer in 0..16 {
                    let wal = &wal;
                    scope.spawn(move || {
                        let tickets: Vec<_> = (0..20).map(|_| wal.append_ticket(b"a").unwrap()).collect();
                        for ticket in tickets {
                            let index = ticket.index();
                            let waited = if writer % 2 == 0 { ticket.wait() } else { block_on(ticket) };
                            assert_eq!(waited.unwrap(), index);
                            assert!(wal.durable_index() >= Some(index), "no ticket before the barrier");
                        }
                    });
                }
            });
        }
    });
}

/// Tickets that are dropped, waiting or not, in the middle of a barrier: the others hear of it all the same.
#[test]
fn dropped_tickets_strand_nobody() {
    within_a_minute(|| {
        let (wal, disk, passed) = gated(CommitPolicy::StrictSync);
        let shut = disk.gate.is_shut.lock().unwrap();
        let mut polled = Box::pin(wal.append_ticket(b"polled and dropped").unwrap());
        assert!(polled.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        disk.wait_for(passed + 1);
        drop(wal.append_ticket(b"dropped").unwrap());
        let kept = wal.append_ticket(b"kept").unwrap();
        let awaited = wal.append_ticket(b"awaited").unwrap();
        drop(polled);
        assert!(kept.try_outcome().is_none());
        thread::scope(|scope| {
            let waits = scope.spawn(|| kept.wait());
            let awaits = scope.spawn(|| block_on(awaited));
            thread::yield_now();
            drop(shut);
            assert_eq!(waits.join().unwrap().unwrap(), Index::new(3));
            assert_eq!(awaits.join().unwrap().unwrap(), Index::new(4));
        });
        assert_eq!(wal.durable_index(), Some(Index::new(4)));
    });
}

struct Count(AtomicU64);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// A future that moves from one task to another is woken in the last one only.
#[test]
fn the_last_waker_counts() {
    within_a_minute(|| {
        let (wal, disk, passed) = gated(CommitPolicy::NoSync);
        let shut = disk.gate.is_shut.lock().unwrap();
        let counts = [Arc::new(Count(AtomicU64::new(0))), Arc::new(Count(AtomicU64::new(0)))];
        let mut ticket = Box::pin(wal.append_ticket(b"a").unwrap());
        for count in &counts {
            let waker = Waker::from(Arc::clone(count));
            assert!(ticket.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        }
        disk.wait_for(passed + 1);
        drop(shut);
        wal.wait_durable(Index::new(1)).unwrap();
        while counts[1].0.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
        assert_eq!(counts[0].0.load(Ordering::Acquire), 0);
        assert!(block_on(ticket).is_ok());
    });
}

#[test]
fn a_failed_barrier_fails_futures_too() {
    within_a_minute(|| {
        for commit in POLICIES {
            let disk = SimDisk::from_image(&Image::new());
            let wal = open(&disk, commit, None);
            let fault = Fault { on: FaultOn::Sync, at: 0, more: 0, kind: io::ErrorKind::Other, lands: 0 };
            disk.set_fault(Some(fault));
            let ticket = wal.append_ticket(b"a").unwrap();
            let awaited = wal.append_ticket(b"b").unwrap();
            assert!(matches!(block_on(awaited), Err(SyncError::Poisoned(_))));
            assert!(matches!(ticket.wait(), Err(SyncError::Poisoned(_))));
            assert_eq!(wal.durable_index(), None);
        }
    });
}

/// The last handle may be a ticket, and go in the waker that the background thread wakes.
#[test]
fn a_ticket_keeps_the_log_open() {
    within_a_minute(|| {
        let disk = SimDisk::from_image(&Image::new());
        let wal = open(&disk, CommitPolicy::NoSync, None);
        let ticket = wal.append_ticket(b"a").unwrap();
        drop(wal);
        block_on(ticket).unwrap();
        disk.unlock();
        assert_eq!(open(&disk, CommitPolicy::NoSync, None).last_index(), Some(Index::new(1)));
    });
}

#[test]
fn handles_are_shared_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Wal>();
    check::<Ticket>();
}
