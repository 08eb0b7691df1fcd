//! Faults: their families, and the log of those that acted.
//!
//! A fault is logged when it changes what a program sees, with what it changed; being switched on, rolled or
//! scheduled is not enough. So a family that is on and has a count of 0 tests nothing, and is reported.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::kernel::NodeId;
use crate::time::SimTime;

/// Families of faults. Each has a counter, and switches of its own in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
#[repr(u8)]
pub enum FaultFamily {
    /// A connection closed by the network: one direction or both, told or not.
    RandomClose,
    /// Bits of a stream's bytes turned over.
    BitFlip,
    /// An attempt to connect refused.
    ConnectRefused,
    /// An attempt to connect that never ends.
    ConnectHang,
    /// A write that took fewer bytes than it was given.
    PartialWrite,
    /// A read that gave fewer bytes than there were.
    PartialRead,
    /// A connection that stood still for a time.
    Clog,
    /// Bytes, attempts or datagrams held back or dropped by a partition.
    Partition,
    /// A peer that went silently: half-open connections.
    HalfOpen,
    /// A datagram lost.
    DatagramLoss,
    /// A datagram that came twice.
    DatagramDuplicate,
    /// A datagram that overtook another.
    DatagramReorder,
    /// A message that a slow link delayed.
    SlowLink,
    /// A name that could not be looked up.
    LookupFailure,
    /// A sleep that took longer.
    BuggifiedDelay,
    /// A wall clock that went faster or slower, or stood off.
    ClockDrift,
    /// A wall clock that jumped.
    ClockStep,
    /// A crash of a node.
    Crash,
    /// A crash that also wiped the node's disk.
    CrashAndWipe,
    /// A shutdown that the node was told of.
    GracefulReboot,
    /// A node that stood still for a time.
    Pause,
    /// Bytes that were not synced, and a crash lost or mixed up.
    TornWrite,
    /// Names that were not synced, and a crash lost.
    LostName,
    /// A sector that a crash filled with noise.
    CrashGarbage,
    /// A sector that cannot be read after a crash.
    LatentError,
    /// A read that failed.
    ReadError,
    /// A write that failed.
    WriteError,
    /// A sync that failed, and whose bytes are lost.
    SyncFailure,
    /// A disk that was full.
    NoSpace,
    /// A read or write that moved fewer bytes than asked for.
    ShortIo,
    /// A read that gave another place's bytes.
    MisdirectedRead,
    /// A write that landed in another place.
    MisdirectedWrite,
    /// A write that was acknowledged and never landed.
    PhantomWrite,
    /// Bits of durable bytes turned over.
    BitRot,
    /// A disk that stood still for a time.
    DiskStall,
    /// A disk that was slow for a time.
    DiskThrottle,
}

impl FaultFamily {
    /// All families, in order.
    pub const ALL: [Self; 36] = [
        Self::RandomClose,
        Self::BitFlip,
        Self::ConnectRefused,
        Self::ConnectHang,
        Self::PartialWrite,
        Self::PartialRead,
        Self::Clog,
        Self::Partition,
        Self::HalfOpen,
        Self::DatagramLoss,
        Self::DatagramDuplicate,
        Self::DatagramReorder,
        Self::SlowLink,
        Self::LookupFailure,
        Self::BuggifiedDelay,
        Self::ClockDrift,
        Self::ClockStep,
        Self::Crash,
        Self::CrashAndWipe,
        Self::GracefulReboot,
        Self::Pause,
        Self::TornWrite,
        Self::LostName,
        Self::CrashGarbage,
        Self::LatentError,
        Self::ReadError,
        Self::WriteError,
        Self::SyncFailure,
        Self::NoSpace,
        Self::ShortIo,
        Self::MisdirectedRead,
        Self::MisdirectedWrite,
        Self::PhantomWrite,
        Self::BitRot,
        Self::DiskStall,
        Self::DiskThrottle,
    ];

    /// Its name in reports: lower-case words joined by hyphens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RandomClose => "random-close",
            Self::BitFlip => "bit-flip",
            Self::ConnectRefused => "connect-refused",
            Self::ConnectHang => "connect-hang",
            Self::PartialWrite => "partial-write",
            Self::PartialRead => "partial-read",
            Self::Clog => "clog",
            Self::Partition => "partition",
            Self::HalfOpen => "half-open",
            Self::DatagramLoss => "datagram-loss",
            Self::DatagramDuplicate => "datagram-duplicate",
            Self::DatagramReorder => "datagram-reorder",
            Self::SlowLink => "slow-link",
            Self::LookupFailure => "lookup-failure",
            Self::BuggifiedDelay => "buggified-delay",
            Self::ClockDrift => "clock-drift",
            Self::ClockStep => "clock-step",
            Self::Crash => "crash",
            Self::CrashAndWipe => "crash-and-wipe",
            Self::GracefulReboot => "graceful-reboot",
            Self::Pause => "pause",
            Self::TornWrite => "torn-write",
            Self::LostName => "lost-name",
            Self::CrashGarbage => "crash-garbage",
            Self::LatentError => "latent-error",
            Self::ReadError => "read-error",
            Self::WriteError => "write-error",
            Self::SyncFailure => "sync-failure",
            Self::NoSpace => "no-space",
            Self::ShortIo => "short-io",
            Self::MisdirectedRead => "misdirected-read",
            Self::MisdirectedWrite => "misdirected-write",
            Self::PhantomWrite => "phantom-write",
            Self::BitRot => "bit-rot",
            Self::DiskStall => "disk-stall",
            Self::DiskThrottle => "disk-throttle",
        }
    }
}

impl fmt::Display for FaultFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One fault that acted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultEvent {
    /// When.
    pub time: SimTime,
    /// Which kind.
    pub family: FaultFamily,
    /// On which node, if on one.
    pub node: Option<NodeId>,
    /// What it did: a connection's or file's name, offsets, lengths. For people and for oracles.
    pub detail: String,
}

/// The faults that acted in a run: a counter a family, and, if asked for, each of them.
#[derive(Clone, Debug)]
pub struct FaultLog {
    counts: [u64; FaultFamily::ALL.len()],
    events: Option<Vec<FaultEvent>>,
}

impl FaultLog {
    /// Counts only.
    pub(crate) fn counting() -> Self {
        Self { counts: [0; FaultFamily::ALL.len()], events: None }
    }

    /// Counts, and keeps each.
    pub(crate) fn keeping() -> Self {
        Self { events: Some(Vec::new()), ..Self::counting() }
    }

    /// A fault of `family` acted; `detail` is asked for only if events are kept.
    pub(crate) fn acted(
        &mut self,
        time: SimTime,
        family: FaultFamily,
        node: Option<NodeId>,
        detail: impl FnOnce() -> String,
    ) {
        self.counts[family as usize] += 1;
        if let Some(events) = &mut self.events {
            events.push(FaultEvent { time, family, node, detail: detail() });
        }
    }

    /// How often `family` acted.
    pub fn count(&self, family: FaultFamily) -> u64 {
        self.counts[family as usize]
    }

    /// The faults in the order in which they acted; empty unless they were kept.
    pub fn events(&self) -> &[FaultEvent] {
        self.events.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::FaultFamily;

    #[test]
    fn families_are_in_order_and_named_apart() {
        for (place, family) in FaultFamily::ALL.into_iter().enumerate() {
            assert_eq!(family as usize, place, "{family}");
        }
        let mut names: Vec<_> = FaultFamily::ALL.iter().map(|family| family.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FaultFamily::ALL.len());
    }
}
