//! How long a disk takes: one queue for all files of a node, so many operations and bytes a second, and times at
//! which it stands still or is slow.

use std::ops::Range;

use super::configuration::StorageConfiguration;
use super::place::{Place, range_nanos};
use crate::arrivals::Arrivals;
use crate::choice::ChoiceFamily;
use crate::fault::FaultFamily;
use crate::kernel::{Kernel, NodeId};
use crate::time::SimTime;

/// The device of one node.
///
/// Operations are taken in one after the other: each takes its share of the operations and of the bytes a second.
/// Then it holds one of the device's slots for its latency, which is drawn. With one operation at a time that is
/// `latency + 1 / iops + bytes / bandwidth`, as in the seed's simulator; with more, they wait for each other.
#[derive(Debug)]
pub(super) struct Device {
    node: NodeId,
    nanos_per_operation: u64,
    bytes_per_second: u64,
    read_nanos: Range<u64>,
    write_nanos: Range<u64>,
    sync_nanos: Range<u64>,
    /// When the last operation was taken in.
    taken_in: SimTime,
    /// When each slot is free.
    slots: Vec<SimTime>,
    stalls: Arrivals,
    stall_nanos: Range<u64>,
    stalled_until: SimTime,
    throttles: Arrivals,
    throttle_nanos: Range<u64>,
    throttle_factors: Range<u64>,
    throttled_until: SimTime,
    throttle_factor: u64,
}

/// What the device is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    Read { bytes: usize },
    Write { bytes: usize },
    Sync,
}

impl Device {
    pub(super) fn new<E>(configuration: &StorageConfiguration, kernel: &mut Kernel<E>, node: NodeId) -> Self {
        let mut arrivals = |per_second, place: Place| {
            Arrivals::new(per_second, kernel.now, &mut kernel.choices, ChoiceFamily::Disk, place.of(node))
        };
        Self {
            node,
            nanos_per_operation: NANOS_PER_SECOND / configuration.iops.max(1),
            bytes_per_second: configuration.bandwidth.max(1),
            read_nanos: range_nanos(&configuration.read_latency),
            write_nanos: range_nanos(&configuration.write_latency),
            sync_nanos: range_nanos(&configuration.sync_latency),
            taken_in: SimTime::ZERO,
            slots: vec![SimTime::ZERO; configuration.queue_depth.clamp(1, QUEUE_DEPTH_MAX)],
            stalls: arrivals(configuration.rates.stalls_per_second, Place::Stall),
            stall_nanos: range_nanos(&configuration.stall_duration),
            stalled_until: SimTime::ZERO,
            throttles: arrivals(configuration.rates.throttles_per_second, Place::Throttle),
            throttle_nanos: range_nanos(&configuration.throttle_duration),
            throttle_factors: configuration.throttle_factor.clone(),
            throttled_until: SimTime::ZERO,
            throttle_factor: 1,
        }
    }

    /// Takes in an operation, and tells when it is over.
    pub(super) fn finish_time<E>(&mut self, load: Load, kernel: &mut Kernel<E>) -> SimTime {
        let (latencies, bytes) = match load {
            Load::Read { bytes } => (&self.read_nanos, bytes),
            Load::Write { bytes } => (&self.write_nanos, bytes),
            Load::Sync => (&self.sync_nanos, 0),
        };
        let latencies = latencies.clone();
        let place = Place::Latency.of(self.node);
        let latency = kernel.choices.within(ChoiceFamily::Latency, place, latencies);
        let transfer = u128::from(NANOS_PER_SECOND) * bytes as u128 / u128::from(self.bytes_per_second);
        let share = self.nanos_per_operation.saturating_add(u64::try_from(transfer).unwrap_or(u64::MAX));
        let factor = self.throttle(kernel);
        let ready = self.stall(kernel);
        let slot = (0..self.slots.len()).min_by_key(|slot| self.slots[*slot]).unwrap_or(0);
        let begins = ready.max(self.slots[slot]).max(self.taken_in);
        self.taken_in = begins.after_nanos(share.saturating_mul(factor));
        let over = self.taken_in.after_nanos(latency.saturating_mul(factor));
        self.slots[slot] = over;
        over
    }

    /// After a crash nothing waits any more.
    pub(super) fn forget_queue(&mut self, now: SimTime) {
        self.taken_in = now;
        self.slots.fill(now);
    }

    /// From when on the device works.
    fn stall<E>(&mut self, kernel: &mut Kernel<E>) -> SimTime {
        let place = Place::Stall.of(self.node);
        if self.stalls.take(kernel.now, &mut kernel.choices, ChoiceFamily::Disk, place) {
            let nanos = kernel.choices.within(ChoiceFamily::Disk, place, self.stall_nanos.clone());
            self.stalled_until = kernel.now.after_nanos(nanos.max(1));
            let until = self.stalled_until;
            kernel.fault(FaultFamily::DiskStall, Some(self.node), || format!("until {until}"));
        }
        self.stalled_until.max(kernel.now)
    }

    /// How many times slower the device is now.
    fn throttle<E>(&mut self, kernel: &mut Kernel<E>) -> u64 {
        let place = Place::Throttle.of(self.node);
        if self.throttles.take(kernel.now, &mut kernel.choices, ChoiceFamily::Disk, place) {
            let nanos = kernel.choices.within(ChoiceFamily::Disk, place, self.throttle_nanos.clone());
            let factors = self.throttle_factors.start.max(2)..self.throttle_factors.end.max(3);
            self.throttle_factor = kernel.choices.within(ChoiceFamily::Disk, place, factors);
            self.throttled_until = kernel.now.after_nanos(nanos.max(1));
            let (until, factor) = (self.throttled_until, self.throttle_factor);
            kernel.fault(FaultFamily::DiskThrottle, Some(self.node), || {
                format!("{factor} times slower until {until}")
            });
        }
        if kernel.now < self.throttled_until { self.throttle_factor } else { 1 }
    }
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// A device that takes more at a time takes all.
const QUEUE_DEPTH_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Device, Load};
    use crate::disk::configuration::{DiskFaultRates, StorageConfiguration};
    use crate::disk::tests::kernel;
    use crate::fault::FaultFamily;
    use crate::kernel::NodeId;
    use crate::time::SimTime;

    fn fixed(micros: u64) -> std::ops::Range<Duration> {
        Duration::from_micros(micros)..Duration::from_micros(micros)
    }

    /// 10 000 operations a second, 100 bytes a microsecond, reads of 50 µs.
    fn configuration(queue_depth: usize) -> StorageConfiguration {
        StorageConfiguration {
            iops: 10_000,
            bandwidth: 100_000_000,
            queue_depth,
            read_latency: fixed(50),
            sync_latency: fixed(1000),
            ..StorageConfiguration::default()
        }
    }

    #[test]
    fn one_operation_takes_its_share_and_its_latency() {
        let mut kernel = kernel(1);
        let mut device = Device::new(&configuration(32), &mut kernel, NodeId(0));
        // 50 µs, and 1 / 10 000 s, and 4000 bytes at 100 a microsecond.
        let over = device.finish_time(Load::Read { bytes: 4000 }, &mut kernel);
        assert_eq!(over, SimTime::from_nanos((50 + 100 + 40) * 1000));
    }

    #[test]
    fn operations_wait_for_each_other() {
        let mut kernel = kernel(1);
        let finish = |queue_depth, kernel: &mut _| {
            let mut device = Device::new(&configuration(queue_depth), kernel, NodeId(0));
            let times = (0..4).map(|_| device.finish_time(Load::Sync, kernel).as_nanos() / 1000);
            times.collect::<Vec<_>>()
        };
        assert_eq!(finish(32, &mut kernel), [1100, 1200, 1300, 1400], "by their rate");
        assert_eq!(finish(2, &mut kernel), [1100, 1200, 2200, 2300], "by the slots");
        assert_eq!(finish(1, &mut kernel), [1100, 2200, 3300, 4400], "one after the other");
    }

    #[test]
    fn a_stall_and_a_throttle_delay_all_operations() {
        let rates = DiskFaultRates { stalls_per_second: 1e9, ..DiskFaultRates::default() };
        let stalling = StorageConfiguration { rates, stall_duration: fixed(7000), ..configuration(1) };
        let mut kernel = kernel(1);
        let mut device = Device::new(&stalling, &mut kernel, NodeId(0));
        kernel.now = SimTime::from_nanos(1_000_000);
        let over = device.finish_time(Load::Read { bytes: 0 }, &mut kernel);
        assert_eq!(over, SimTime::from_nanos((1000 + 7000 + 100 + 50) * 1000));
        assert_eq!(kernel.faults.count(FaultFamily::DiskStall), 1);

        let rates = DiskFaultRates { throttles_per_second: 1e9, ..DiskFaultRates::default() };
        let throttled = StorageConfiguration { rates, throttle_factor: 5..5, ..configuration(1) };
        let mut device = Device::new(&throttled, &mut kernel, NodeId(0));
        kernel.now = SimTime::from_nanos(2_000_000);
        let over = device.finish_time(Load::Read { bytes: 0 }, &mut kernel);
        assert_eq!(over, SimTime::from_nanos((2000 + 5 * (100 + 50)) * 1000));
        assert_eq!(kernel.faults.count(FaultFamily::DiskThrottle), 1);
    }
}
