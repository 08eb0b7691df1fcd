//! Files whose calls wait and fail when they are to.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use samestep_provider_traits::{Alignment, File, Metadata, OpenOptions, TimeProvider};

use super::TokioFile;
use crate::storage::medium::{Medium, SyncExtent};
use crate::{TokioRuntime, TokioTimeProvider};

/// A file that does nothing but log its calls, and fail in the ways it is told beforehand.
#[derive(Debug)]
struct Scripted {
    log: Mutex<Vec<&'static str>>,
    /// Each write waits for one message, or for the end of the channel.
    write_gate: Mutex<Receiver<()>>,
    write_failures: Mutex<VecDeque<ErrorKind>>,
    sync_gate: Mutex<Receiver<()>>,
    sync_failures: Mutex<VecDeque<ErrorKind>>,
}

/// Opens the gates of a scripted file: by a message for one call, by being dropped for all.
struct Gates {
    writes: Sender<()>,
    syncs: Sender<()>,
}

impl Scripted {
    fn open<const W: usize, const S: usize>(
        write_failures: [ErrorKind; W],
        sync_failures: [ErrorKind; S],
    ) -> (TokioFile, Arc<Self>, Gates) {
        let ((writes, write_gate), (syncs, sync_gate)) = (channel(), channel());
        let medium = Arc::new(Self {
            log: Mutex::default(),
            write_gate: Mutex::new(write_gate),
            write_failures: Mutex::new(write_failures.into()),
            sync_gate: Mutex::new(sync_gate),
            sync_failures: Mutex::new(sync_failures.into()),
        });
        let as_medium: Arc<dyn Medium> = Arc::clone(&medium) as _;
        let file = TokioFile::new(as_medium, OpenOptions::read_write(), Alignment::NONE);
        (file, medium, Gates { writes, syncs })
    }

    fn log(&self) -> Vec<&'static str> {
        self.log.lock().unwrap().clone()
    }
}

impl Medium for Scripted {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }

    fn write_at(&self, bytes: &[u8], _: u64) -> io::Result<usize> {
        let _ = self.write_gate.lock().unwrap().recv();
        self.log.lock().unwrap().push("write");
        self.write_failures.lock().unwrap().pop_front().map_or(Ok(bytes.len()), |kind| Err(kind.into()))
    }

    fn sync(&self, _: SyncExtent) -> io::Result<()> {
        let _ = self.sync_gate.lock().unwrap().recv();
        self.log.lock().unwrap().push("sync");
        self.sync_failures.lock().unwrap().pop_front().map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn metadata(&self) -> io::Result<Metadata> {
        Err(ErrorKind::Unsupported.into())
    }
}

fn run(test: impl Future<Output = ()>) {
    TokioRuntime::new().unwrap().block_on(test);
}

async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

fn kind(outcome: io::Result<()>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

/// Begins a write and drops it at once.
async fn drop_a_write(file: &TokioFile) {
    assert!(is_pending(pin!(file.write_at("lost", 0))).await);
}

#[test]
fn a_sync_waits_for_a_dropped_write() {
    run(async {
        let (file, medium, gates) = Scripted::open([], []);
        drop(gates.syncs);
        drop_a_write(&file).await;
        let mut sync = pin!(file.sync_data());
        // A thread that should not have been asked gets the time to answer.
        let time = TokioTimeProvider::new();
        let early = time.timeout(Duration::from_millis(50), sync.as_mut()).await;
        assert!(early.is_err(), "a sync ended before the write it must wait for");
        assert!(medium.log().is_empty());
        drop(gates.writes);
        sync.await.unwrap();
        assert_eq!(medium.log(), ["write", "sync"]);
    });
}

#[test]
fn a_sync_does_not_wait_for_a_write_that_began_later() {
    run(async {
        let (file, medium, gates) = Scripted::open([], []);
        let mut sync = pin!(file.sync_data());
        assert!(is_pending(sync.as_mut()).await);
        drop_a_write(&file).await;
        drop(gates.syncs);
        sync.await.unwrap();
        assert_eq!(medium.log(), ["sync"]);
        drop(gates.writes);
    });
}

#[test]
fn an_error_of_a_dropped_write_is_reported_once() {
    run(async {
        let (file, medium, gates) = Scripted::open([ErrorKind::StorageFull], []);
        drop(gates.syncs);
        drop_a_write(&file).await;
        drop(gates.writes);
        assert_eq!(kind(file.sync_data().await), Some(ErrorKind::StorageFull));
        assert_eq!(kind(file.sync_data().await), None);
        assert_eq!(medium.log(), ["write", "sync"]);
    });
}

/// The error came back to a future that was there, and that was dropped before it looked.
#[test]
fn an_error_that_came_before_the_drop_is_reported() {
    run(async {
        let (file, medium, gates) = Scripted::open([ErrorKind::StorageFull], []);
        drop(gates.syncs);
        {
            let mut write = pin!(file.write_at("lost", 0));
            assert!(is_pending(write.as_mut()).await);
            drop(gates.writes);
            file.open.underway.all_earlier().await;
        }
        assert_eq!(medium.log(), ["write"]);
        assert_eq!(kind(file.sync_all().await), Some(ErrorKind::StorageFull));
        assert_eq!(kind(file.sync_all().await), None);
    });
}

#[test]
fn an_error_that_was_seen_is_not_reported_again() {
    run(async {
        let (file, _, gates) = Scripted::open([ErrorKind::StorageFull], []);
        drop(gates);
        assert_eq!(file.write_at("seen", 0).await.0.unwrap_err().kind(), ErrorKind::StorageFull);
        file.sync_data().await.unwrap();
        file.close().await.unwrap();
    });
}

#[test]
fn a_close_waits_for_a_dropped_write_and_reports_its_error() {
    run(async {
        let (file, medium, gates) = Scripted::open([ErrorKind::StorageFull], []);
        drop_a_write(&file).await;
        let (other, mut close) = (file.clone(), pin!(file.close()));
        let time = TokioTimeProvider::new();
        let early = time.timeout(Duration::from_millis(50), close.as_mut()).await;
        assert!(early.is_err(), "a close ended before the write it must wait for");
        drop(gates);
        assert_eq!(kind(close.await), Some(ErrorKind::StorageFull));
        assert_eq!(medium.log(), ["write"]);
        assert_eq!(Arc::strong_count(&medium), 1, "a handle still holds the closed file");
        assert_eq!(other.read_at(vec![0; 4], 0).await.0.unwrap_err().kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn after_a_failed_sync_all_later_ones_fail() {
    run(async {
        let (file, medium, gates) = Scripted::open([], [ErrorKind::StorageFull]);
        drop(gates);
        for _ in 0..3 {
            assert_eq!(kind(file.sync_data().await), Some(ErrorKind::StorageFull));
            assert_eq!(kind(file.clone().sync_all().await), Some(ErrorKind::StorageFull));
        }
        assert_eq!(
            medium.log(),
            ["sync"],
            "the kernel was asked again, and would have said that all is well"
        );
    });
}

#[test]
fn a_failed_sync_that_nobody_saw_fails_the_later_ones() {
    run(async {
        let (file, _, gates) = Scripted::open([], [ErrorKind::StorageFull]);
        assert!(is_pending(pin!(file.sync_data())).await);
        drop(gates);
        assert_eq!(kind(file.sync_data().await), Some(ErrorKind::StorageFull));
    });
}

/// The kernel reports a failure to one of two syncs, and success to the other.
#[test]
fn a_sync_beside_a_failing_one_fails_too() {
    run(async {
        let (file, _, gates) = Scripted::open([], [ErrorKind::StorageFull]);
        let syncs = Rc::new(file);
        let (mut one, mut two) = (pin!(syncs.sync_data()), pin!(syncs.sync_data()));
        assert!(is_pending(one.as_mut()).await);
        assert!(is_pending(two.as_mut()).await);
        drop(gates);
        assert_eq!(
            (kind(one.await), kind(two.await)),
            (Some(ErrorKind::StorageFull), Some(ErrorKind::StorageFull))
        );
    });
}
