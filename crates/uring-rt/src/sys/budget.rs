//! What all shards of a process may give to one device together: by time, and at a time.
//!
//! Two numbers, in nanoseconds of the device's time. Time is booked ahead, in the order of asking, so that no shard gets
//! all because it asks more often: a virtual clock as of the generic cell rate algorithm (ITU-T I.371), to which each
//! adds in one step. And what is under way is counted, so that a device that is slower than it was said to be is given
//! no more than it does.

use super::sync::{AtomicU64, Ordering};

/// The budget of one device. Neither number is about memory that another thread reads, so no order is asked for.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Up to when the device's time is given away.
    booked_until_ns: AtomicU64,
    /// What was given to the device and has not ended.
    in_flight_ns: AtomicU64,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self { booked_until_ns: AtomicU64::new(0), in_flight_ns: AtomicU64::new(0) }
    }

    /// Books the device's time behind all that is booked, and not before now: what was not used is not saved up. Tells
    /// where that ends. Bookings never overlap.
    pub(crate) fn book(&self, now_ns: u64, cost_ns: u64) -> u64 {
        let behind = |booked_ns: u64| booked_ns.max(now_ns).saturating_add(cost_ns);
        let (order, on_failure) = (Ordering::Relaxed, Ordering::Relaxed);
        let booked = self.booked_until_ns.fetch_update(order, on_failure, |booked| Some(behind(booked)));
        behind(booked.expect("the closure always gives a value"))
    }

    /// Gives the end of a booking back, if nobody booked since and it lies ahead. Otherwise it is lost: to give back what
    /// is in the past would be to save it up.
    pub(crate) fn unbook(&self, now_ns: u64, end_ns: u64, cost_ns: u64) {
        if end_ns.saturating_sub(cost_ns) >= now_ns {
            let (order, before_ns) = (Ordering::Relaxed, end_ns - cost_ns);
            let _ = self.booked_until_ns.compare_exchange(end_ns, before_ns, order, order);
        }
    }

    /// Counts something that is to be given to the device, if then no more than `limit_ns` is under way, or nothing else.
    pub(crate) fn enter(&self, cost_ns: u64, limit_ns: u64) -> bool {
        let with = |in_flight_ns: u64| {
            let sum_ns = in_flight_ns.saturating_add(cost_ns);
            (in_flight_ns == 0 || sum_ns <= limit_ns).then_some(sum_ns)
        };
        self.in_flight_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with).is_ok()
    }

    /// As [`Self::enter`], whatever is under way.
    pub(crate) fn enter_anyway(&self, cost_ns: u64) {
        self.in_flight_ns.fetch_add(cost_ns, Ordering::Relaxed);
    }

    /// What was counted has ended.
    pub(crate) fn leave(&self, cost_ns: u64) {
        self.in_flight_ns.fetch_sub(cost_ns, Ordering::Relaxed);
    }

    /// What is under way now.
    pub(crate) fn in_flight_ns(&self) -> u64 {
        self.in_flight_ns.load(Ordering::Relaxed)
    }
}
