//! The background thread of the blocking face: for waits that have no thread, and for the clock.
//!
//! There is none until it is needed: under [`CommitPolicy::Interval`](crate::CommitPolicy::Interval) from opening
//! on, else from the first time that a [`Ticket`](crate::Ticket) is awaited as a future. It ends, and is waited
//! for, when the log is closed or the last handle on it goes.

use std::io;
use std::sync::{Arc, PoisonError};

use crate::commit::Shared;
use crate::disk::Disk;
use crate::error::ReadError;
use crate::id::SegmentId;
use crate::log::Log;
use crate::op::{DiskError, FileName, Op};
use crate::prepare;
use crate::sync::{Mutex, Thread};
use crate::view::SegmentView;

/// What all handles own together. The background thread does not own it, so it ends with the last of them.
#[derive(Debug)]
pub(crate) struct Life<D: Disk> {
    pub(crate) shared: Arc<Shared<D>>,
    pub(crate) reads: Mutex<ReadSide<D>>,
    thread: Mutex<Option<Thread>>,
    preparer: Mutex<Option<Thread>>,
}

/// Files of their own for reading, so that a read never waits for a barrier.
#[derive(Debug)]
pub(crate) struct ReadSide<D> {
    pub(crate) disk: D,
    /// The newest segment, if it is open here.
    pub(crate) active: Option<SegmentId>,
    /// The last sealed segment that was read from by index.
    pub(crate) cached: Option<(SegmentId, SegmentView)>,
}

impl<D: Disk> Life<D> {
    pub(crate) fn new(log: Log, disk: D, recoveries: u64) -> Self {
        let reads = ReadSide { disk: disk.reader(), active: None, cached: None };
        let shared = Arc::new(Shared::new(log, disk, recoveries));
        Self { shared, reads: Mutex::new(reads), thread: Mutex::new(None), preparer: Mutex::new(None) }
    }

    /// Ends the threads of the log's own, if there are any, and waits for them.
    pub(crate) fn stop_background(&self) {
        for place in [&self.preparer, &self.thread] {
            let thread = place.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(thread) = thread else { continue };
            self.shared.stop_background();
            // The last handle may go in a waker that the thread itself wakes. It ends then all the same.
            if !thread.is_current() {
                thread.join();
            }
        }
    }
}

impl<D: Disk> ReadSide<D> {
    /// Has the newest segment's file open here before it is read from, and closes the one before it.
    pub(crate) fn follow(&mut self, segment: SegmentId, active: SegmentId) -> Result<(), ReadError> {
        if let Some(old) = self.active.take_if(|open| *open != active) {
            let _closed = self.disk.perform(&mut Op::Close { file: FileName::Segment(old) });
        }
        if segment == active && self.active.is_none() {
            let mut op = Op::Open { file: FileName::Segment(active) };
            let outcome = self.disk.perform(&mut op);
            outcome.map_err(|error| ReadError::Disk(DiskError::new(&op, error)))?;
            self.active = Some(active);
        }
        Ok(())
    }
}

impl<D: Disk + Send + 'static> Life<D> {
    /// Starts the background thread unless it runs.
    pub(crate) fn start_background(&self) -> io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            *thread = Some(Thread::spawn("samestep-wal", move || run(&shared))?);
        }
        Ok(())
    }

    /// Starts the thread that makes segments ahead of time.
    pub(crate) fn start_preparer(&self) -> io::Result<()> {
        let disk = self.reads.lock().unwrap_or_else(PoisonError::into_inner).disk.reader();
        let shared = Arc::clone(&self.shared);
        let thread = Thread::spawn("samestep-wal-next", move || prepare::run(&shared, disk))?;
        *self.preparer.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }
}

impl<D: Disk> Drop for Life<D> {
    fn drop(&mut self) {
        self.stop_background();
    }
}

fn run<D: Disk>(shared: &Shared<D>) {
    let mut core = shared.lock();
    while !core.background.must_stop {
        // Of a poisoned log nothing is due any more.
        let deadline = core.log.handle_tick(shared.clock.now()).unwrap_or_default();
        core = if !core.log.wants_work() {
            shared.sleep_in_background(core, deadline)
        } else if core.is_led() || core.has_candidates() {
            // What is under way need not cover what was staged since.
            shared.wait_for_turn(core)
        } else {
            shared.lead_for_others(core)
        };
    }
    shared.pass(core);
}
