//! Who sleeps is woken, and nobody else is: the handshake between a thread that runs out of work and those that bring
//! it some.

use super::sync::{AtomicBool, Ordering, fence};

/// Whether a thread sleeps, or is about to.
///
/// The sleeper: [`fall_asleep`](Self::fall_asleep), look at everything once more, sleep, [`awake`](Self::awake). The
/// others: publish, [`claim`](Self::claim), and if that says so wake it. Either the sleeper sees what was published, or
/// the other sees that it sleeps, as in Dekker's algorithm. The sleeper's writes are read-modify-writes, so that it has
/// seen all that those had seen who woke it last: with plain stores a model with two wakers found a sleep without end.
#[derive(Debug)]
pub(super) struct Sleeper(AtomicBool);

impl Sleeper {
    pub(super) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    pub(super) fn fall_asleep(&self) {
        self.0.swap(true, Ordering::AcqRel);
        fence(Ordering::SeqCst);
    }

    pub(super) fn awake(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }

    /// Whether the thread sleeps and the caller is the one who is to wake it.
    pub(super) fn claim(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::Relaxed)
    }
}
