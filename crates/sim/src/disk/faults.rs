//! Whether a fault acts on an operation: those that have come at their rate, and those of a probability.

use std::ops::Range;

use super::configuration::StorageConfiguration;
use super::place::{Place, range_nanos};
use crate::arrivals::Arrivals;
use crate::choice::{Chance, ChoiceFamily, Choices};
use crate::kernel::{Kernel, NodeId};
use crate::time::SimTime;

/// Why a simulated disk failed an operation, as the source of its [`std::io::Error`]. The program cannot help it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiskFault {
    /// The device could not read.
    #[error("input/output error: simulated read of {bytes} bytes at {offset} failed")]
    Read {
        /// Where.
        offset: u64,
        /// How much.
        bytes: u64,
    },
    /// The device could not write; any part may have landed.
    #[error("input/output error: simulated write of {bytes} bytes at {offset} failed")]
    Write {
        /// Where.
        offset: u64,
        /// How much.
        bytes: u64,
    },
    /// The device could not make bytes durable, and they are lost.
    #[error("input/output error: simulated sync failed, and what it was to write is lost")]
    Sync,
    /// A sync of this open file failed before: no later one can tell what is durable.
    #[error("an earlier sync failed, so it is not known what is durable")]
    Poisoned,
}

/// The faults of one disk.
#[derive(Debug)]
pub(super) struct Faults {
    node: NodeId,
    pub(super) read_error: Kind,
    pub(super) write_error: Kind,
    pub(super) sync_failure: Kind,
    pub(super) short_read: Kind,
    pub(super) short_write: Kind,
    pub(super) misdirected_read: Kind,
    pub(super) misdirected_write: Kind,
    pub(super) phantom_write: Kind,
    /// Of any durable bytes, by its rate.
    pub(super) bit_rot: Kind,
    pub(super) latent_error: Kind,
    /// Of the bytes that are read, or written, by probability.
    pub(super) read_flip: Chance,
    pub(super) write_flip: Chance,
    full: Kind,
    full_nanos: Range<u64>,
    full_until: SimTime,
    pub(super) crash: CrashChances,
}

/// One kind of fault.
#[derive(Debug)]
pub(super) struct Kind {
    place: Place,
    arrivals: Arrivals,
    chance: Chance,
}

/// See [`CrashConfiguration`](super::CrashConfiguration).
#[derive(Debug)]
pub(super) struct CrashChances {
    pub(super) loses: Chance,
    pub(super) mixes: Chance,
    pub(super) noise: Chance,
    pub(super) latent_error: Chance,
    pub(super) atomic_bytes: usize,
}

impl Faults {
    pub(super) fn new<E>(configuration: &StorageConfiguration, kernel: &mut Kernel<E>, node: NodeId) -> Self {
        let rates = &configuration.rates;
        let (now, choices) = (kernel.now, &mut kernel.choices);
        let mut kind = |place: Place, per_second, probability| {
            let arrivals = Arrivals::new(per_second, now, choices, ChoiceFamily::Disk, place.of(node));
            Kind { place, arrivals, chance: Chance::from_probability(probability) }
        };
        Self {
            node,
            read_error: kind(Place::ReadError, rates.read_errors_per_second, 0.0),
            write_error: kind(Place::WriteError, rates.write_errors_per_second, 0.0),
            sync_failure: kind(
                Place::SyncFailure,
                rates.sync_failures_per_second,
                configuration.sync_failure_probability,
            ),
            short_read: kind(Place::ShortRead, rates.short_reads_per_second, 0.0),
            short_write: kind(Place::ShortWrite, rates.short_writes_per_second, 0.0),
            misdirected_read: kind(
                Place::MisdirectedRead,
                rates.misdirected_reads_per_second,
                configuration.misdirect_read_probability,
            ),
            misdirected_write: kind(
                Place::MisdirectedWrite,
                rates.misdirected_writes_per_second,
                configuration.misdirect_write_probability,
            ),
            phantom_write: kind(
                Place::PhantomWrite,
                rates.phantom_writes_per_second,
                configuration.phantom_write_probability,
            ),
            bit_rot: kind(Place::BitRot, rates.bit_rots_per_second, 0.0),
            latent_error: kind(Place::LatentError, rates.latent_errors_per_second, 0.0),
            read_flip: Chance::from_probability(configuration.read_fault_probability),
            write_flip: Chance::from_probability(configuration.write_fault_probability),
            full: kind(Place::Full, rates.full_disks_per_second, 0.0),
            full_nanos: range_nanos(&configuration.full_duration),
            full_until: SimTime::ZERO,
            crash: CrashChances {
                loses: Chance::from_probability(1.0 - configuration.crash.clean_probability),
                mixes: Chance::from_probability(1.0 - configuration.crash.lose_all_probability),
                noise: Chance::from_probability(configuration.crash_fault_probability),
                latent_error: Chance::from_probability(configuration.crash.latent_error_probability),
                atomic_bytes: configuration.atomic_bytes.max(1).next_power_of_two(),
            },
        }
    }

    /// Whether the disk has filled up, whatever its room.
    pub(super) fn is_full<E>(&mut self, kernel: &mut Kernel<E>) -> bool {
        if self.full.acts(self.node, kernel.now, &mut kernel.choices) {
            let place = Place::Full.of(self.node);
            let nanos = kernel.choices.within(ChoiceFamily::Disk, place, self.full_nanos.clone());
            self.full_until = kernel.now.after_nanos(nanos.max(1));
        }
        kernel.now < self.full_until
    }
}

impl Kind {
    /// Whether it acts on an operation now.
    pub(super) fn acts(&mut self, node: NodeId, now: SimTime, choices: &mut Choices) -> bool {
        let place = self.place.of(node);
        self.arrivals.take(now, choices, ChoiceFamily::Disk, place)
            || choices.happens(ChoiceFamily::Disk, place, self.chance)
    }
}
