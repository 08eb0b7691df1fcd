//! Reads at the same time that want the same bytes: one of them reads, and all have what it brings.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::file::UringFile;
use super::many::{Read, ReadView};
use crate::core::Counters;

/// Reads of one file that others may share.
#[derive(Default)]
pub(super) struct SharedReads {
    under_way: RefCell<BTreeMap<Place, Rc<Shared>>>,
    numbers: Cell<u64>,
    /// None of them is longer.
    longest: Cell<u64>,
}

/// Where a read begins, and a number of its own.
type Place = (u64, u64);

/// A read that those who wait for it drive.
struct Shared {
    range: Range<u64>,
    read: RefCell<Read>,
    waiting: RefCell<Vec<Waker>>,
}

/// One who waits for a read.
struct Share {
    file: UringFile,
    place: Place,
    shared: Rc<Shared>,
}

impl UringFile {
    /// Reads a range of bytes, without regard to alignment, as [`Self::read_range`] does; but if a read is under way by
    /// this call of which the range is a part, waits for that and takes it from there. For files that many read, such as
    /// caches that are filled: each byte is read once by all who want it at the same time.
    ///
    /// A read sees all changes that were made to this open file before it, and is not shared by one that begins after a
    /// later change; changes by other open files, processes or shards it may miss while a read that began before them is
    /// under way.
    ///
    /// # Errors
    ///
    /// That of the read, to all who share it.
    ///
    /// # Panics
    ///
    /// If the range ends before it starts.
    pub fn read_shared(&self, range: Range<u64>) -> impl Future<Output = io::Result<ReadView>> + use<> {
        assert!(range.start <= range.end, "{range:?} ends before it starts");
        let file = self.clone();
        async move {
            let share = file.share(&range);
            poll_fn(|cx| share.poll(&range, cx)).await
        }
    }

    /// A share of the read under way that has `range`, or of a new one.
    fn share(self, range: &Range<u64>) -> Share {
        if let Some((place, shared)) = self.shared_reads().find(range) {
            Counters::count(&self.core().counters.reads_shared, 1);
            return Share { file: self, place, shared };
        }
        let read = RefCell::new(Read::new(&self, range.clone(), VecDeque::new()));
        let shared = Rc::new(Shared { range: range.clone(), read, waiting: RefCell::default() });
        let place = self.shared_reads().note(&shared);
        Share { file: self, place, shared }
    }
}

impl SharedReads {
    /// The file was changed: what is read now is not what a later read is to see.
    pub(super) fn changed(&self) {
        let old = self.under_way.take();
        drop(old);
    }

    fn find(&self, range: &Range<u64>) -> Option<(Place, Rc<Shared>)> {
        let under_way = self.under_way.borrow();
        let from = range.start.saturating_sub(self.longest.get());
        let mut near = under_way.range((from, 0)..=(range.start, u64::MAX)).rev();
        let (place, shared) = near.find(|(_, shared)| range.end <= shared.range.end)?;
        Some((*place, Rc::clone(shared)))
    }

    fn note(&self, shared: &Rc<Shared>) -> Place {
        let number = self.numbers.replace(self.numbers.get() + 1);
        let Range { start, end } = shared.range;
        let mut under_way = self.under_way.borrow_mut();
        let longest = if under_way.is_empty() { 0 } else { self.longest.get() };
        self.longest.set(longest.max(end - start));
        under_way.insert((start, number), Rc::clone(shared));
        (start, number)
    }

    fn forget(&self, place: Place) {
        let old = self.under_way.borrow_mut().remove(&place);
        drop(old);
    }
}

impl Share {
    fn poll(&self, range: &Range<u64>, cx: &mut Context<'_>) -> Poll<io::Result<ReadView>> {
        let shared = &self.shared;
        let was_under_way = shared.read.borrow().is_under_way();
        // It wakes only whoever polled last; the others are woken by that one.
        shared.read.borrow_mut().advance(cx);
        if let Some(view) = shared.read.borrow().view(range) {
            if was_under_way {
                self.file.shared_reads().forget(self.place);
                shared.wake_others();
            }
            return Poll::Ready(view);
        }
        let mut waiting = shared.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Shared {
    fn wake_others(&self) {
        let waiting = self.waiting.take();
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if !self.shared.read.borrow().is_under_way() {
            return;
        }
        // This one's, and that of the table.
        if Rc::strong_count(&self.shared) <= 2 {
            self.file.shared_reads().forget(self.place);
        }
        // The read may be about to wake this one alone: another has to take it over.
        self.shared.wake_others();
    }
}
