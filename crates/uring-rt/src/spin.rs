//! Whether a shard that has nothing to do looks around for a while before it sleeps.
//!
//! Being woken costs a system call of whoever wakes and a switch of threads, some microseconds together; looking around
//! costs a processor. So it is done only as long as what comes tends to come soon.

use std::cell::Cell;

/// The policy, which is told how long each idle time was.
#[derive(Debug)]
pub(crate) struct Spin {
    max_ns: u64,
    /// A moving average of idle times, of which none counts for more than [`FORGET`] times the most.
    idle_ns: Cell<u64>,
}

impl Spin {
    /// Looks around for at most so long; never, if that is zero.
    pub(crate) fn new(max_ns: u64) -> Self {
        Self { max_ns, idle_ns: Cell::new(0) }
    }

    /// For how long to look around now, if at all.
    pub(crate) fn lasts_ns(&self) -> Option<u64> {
        (self.max_ns > 0 && self.idle_ns.get() <= self.max_ns).then_some(self.max_ns)
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.max_ns > 0
    }

    /// Notes an idle time that is over.
    pub(crate) fn note(&self, idle_ns: u64) {
        let counted_ns = idle_ns.min(self.max_ns.saturating_mul(FORGET));
        // The latest counts for a quarter: four short ones are enough to begin again.
        self.idle_ns.set((self.idle_ns.get() / 4).saturating_mul(3).saturating_add(counted_ns / 4));
    }
}

const FORGET: u64 = 8;

#[cfg(test)]
mod tests {
    use super::Spin;

    #[test]
    fn it_looks_around_while_idle_times_are_short() {
        let spin = Spin::new(1000);
        assert_eq!(spin.lasts_ns(), Some(1000), "until it knows better");
        (0..100).for_each(|_| spin.note(800));
        assert_eq!(spin.lasts_ns(), Some(1000));
        // One long night is no reason to give up; two in a row are.
        spin.note(1500);
        assert_eq!(spin.lasts_ns(), Some(1000));
        (0..2).for_each(|_| spin.note(1_000_000_000));
        assert_eq!(spin.lasts_ns(), None);
        let needed = (1..100).find(|_| {
            spin.note(100);
            spin.lasts_ns().is_some()
        });
        assert!(needed.is_some_and(|needed| (2..10).contains(&needed)), "{needed:?}");
    }

    #[test]
    fn it_never_looks_around_unless_asked_to() {
        let spin = Spin::new(0);
        spin.note(0);
        assert_eq!((spin.lasts_ns(), spin.is_wanted()), (None, false));
        let spin = Spin::new(u64::MAX);
        (0..10).for_each(|_| spin.note(u64::MAX));
        assert!(spin.lasts_ns().is_some(), "sums do not run over");
    }
}
