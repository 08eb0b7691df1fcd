//! What a sync must wait for: writes, not futures.

use std::cell::{Cell, RefCell};
use std::io;

use crate::waiters::Waiters;
use crate::waits::WaitsOn;

/// Writes that are under way on one open file.
///
/// They are counted in two sets by turns: a sync closes the current set by opening the other, and waits until the
/// closed one is empty. So it waits for all that began before it, and for nothing that began after.
#[derive(Debug)]
pub(crate) struct Writes {
    /// The set to which new writes go.
    current: Cell<Set>,
    under_way: [Cell<u32>; 2],
    /// Of a write whose future was gone when it failed; the next sync reports it.
    orphan_error: RefCell<Option<io::Error>>,
    waiters: Waiters,
}

impl Default for Writes {
    fn default() -> Self {
        let (current, under_way, orphan_error) = Default::default();
        Self { current, under_way, orphan_error, waiters: Waiters::on(WaitsOn::EarlierWrites) }
    }
}

/// One of two sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Set {
    #[default]
    Even,
    Odd,
}

impl Writes {
    /// A write begins. It is to end in the same set.
    pub(crate) fn begin(&self) -> Set {
        let set = self.current.get();
        let count = &self.under_way[set as usize];
        count.set(count.get() + 1);
        set
    }

    /// A write has ended, however.
    pub(crate) fn end(&self, set: Set) {
        let count = &self.under_way[set as usize];
        count.set(count.get() - 1);
        if count.get() == 0 {
            self.waiters.notify();
        }
    }

    /// Whether no write is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way.iter().all(|count| count.get() == 0)
    }

    /// Waits for the writes that have begun by now.
    pub(crate) async fn settle(&self) {
        if self.is_idle() {
            return;
        }
        let closed = self.current.get();
        // The other set may still hold writes that an earlier call waits for; it is opened when they are over.
        self.waiters
            .until_true(|| {
                if self.current.get() == closed && self.is_empty(closed.other()) {
                    self.current.set(closed.other());
                }
                self.current.get() != closed
            })
            .await;
        self.waiters.until_true(|| self.current.get() == closed || self.is_empty(closed)).await;
    }

    /// Keeps the error of a write whose future is gone.
    pub(crate) fn keep_error(&self, error: io::Error) {
        self.orphan_error.replace(Some(error));
    }

    /// The error that [`Self::keep_error`] kept, once.
    pub(crate) fn take_error(&self) -> io::Result<()> {
        self.orphan_error.take().map_or(Ok(()), Err)
    }

    fn is_empty(&self, set: Set) -> bool {
        self.under_way[set as usize].get() == 0
    }
}

impl Set {
    fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd => Self::Even,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Waker};

    use proptest::prelude::*;

    use super::Writes;

    fn is_over(future: Pin<&mut impl Future<Output = ()>>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_sync_waits_for_what_began_before_and_not_for_what_began_after() {
        let writes = Writes::default();
        let before = writes.begin();
        let mut settle = pin!(writes.settle());
        assert!(!is_over(settle.as_mut()));
        let after = writes.begin();
        writes.end(before);
        assert!(is_over(settle.as_mut()));
        assert!(!writes.is_idle());
        writes.end(after);
        assert!(writes.is_idle());
    }

    #[test]
    fn a_second_sync_waits_for_what_the_first_does_not() {
        let writes = Writes::default();
        let one = writes.begin();
        let mut first = pin!(writes.settle());
        assert!(!is_over(first.as_mut()));
        let two = writes.begin();
        let mut second = pin!(writes.settle());
        assert!(!is_over(second.as_mut()));
        writes.end(two);
        assert!(!is_over(second.as_mut()), "the write before the first sync is also before the second");
        writes.end(one);
        assert!(is_over(second.as_mut()) && is_over(first.as_mut()));
    }

    proptest! {
        /// Random writes and syncs: a sync never ends while a write that began before it is under way, and has ended
        /// once no write at all is.
        #[test]
        fn no_sync_ends_early(steps in prop::collection::vec((0..4_u8, any::<prop::sample::Index>()), 1..80)) {
            let writes = Writes::default();
            let (mut begun, mut under_way, mut syncs) = (0_usize, Vec::new(), Vec::new());
            for (step, which) in steps {
                match step {
                    0 | 1 => {
                        under_way.push((begun, writes.begin()));
                        begun += 1;
                    }
                    2 if !under_way.is_empty() => {
                        let (_, set) = under_way.remove(which.index(under_way.len()));
                        writes.end(set);
                    }
                    _ => {
                        let mut sync = Box::pin(writes.settle());
                        if is_over(sync.as_mut()) {
                            prop_assert!(under_way.is_empty());
                        } else {
                            syncs.push((begun, sync));
                        }
                    }
                }
                let oldest = under_way.iter().map(|(number, _)| *number).min().unwrap_or(usize::MAX);
                let mut left = Vec::new();
                for (began, mut sync) in syncs {
                    if is_over(sync.as_mut()) {
                        prop_assert!(oldest >= began, "write {} was under way, before {}", oldest, began);
                    } else {
                        left.push((began, sync));
                    }
                }
                syncs = left;
            }
            for (_, set) in under_way {
                writes.end(set);
            }
            // Those that wait for each other need some rounds.
            for _ in 0..=syncs.len() {
                syncs.retain_mut(|(_, sync)| !is_over(sync.as_mut()));
            }
            prop_assert!(syncs.is_empty());
        }
    }
}
