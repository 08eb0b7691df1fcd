//! How long operations take, of every so many.

use crate::histogram::Histogram;
use crate::latencies::{OperationKind, Sampler};
use crate::slots::Key;
use crate::sys::sqe::Op;

/// The operations that are looked at, and what they took.
pub(super) struct Samples {
    sampler: Sampler,
    /// When the operation in each slot began, or zero if it is not looked at.
    began_ns: Vec<u64>,
    histograms: [Histogram; OperationKind::ALL.len()],
}

impl Samples {
    pub(super) fn new(sampler: Sampler) -> Self {
        Self { sampler, began_ns: Vec::new(), histograms: OperationKind::ALL.map(|_| Histogram::new()) }
    }

    /// An operation begins. Allocates only as the table of operations grows.
    pub(super) fn begin(&mut self, key: Key) {
        let began_ns = self.sampler.draw().unwrap_or(0);
        let slot = key.slot();
        if slot >= self.began_ns.len() {
            self.began_ns.resize(slot + 1, 0);
        }
        self.began_ns[slot] = began_ns;
    }

    /// An operation has its first completion, or is over.
    pub(super) fn end(&mut self, key: Key, op: &Op) {
        let Some(began_ns @ 1..) = self.began_ns.get_mut(key.slot()).map(std::mem::take) else { return };
        if let Some(kind) = kind_of(op) {
            self.histograms[kind as usize].record(self.sampler.now_ns().saturating_sub(began_ns));
        }
    }

    pub(super) fn histograms(&self) -> impl Iterator<Item = (OperationKind, &Histogram)> {
        OperationKind::ALL.into_iter().zip(&self.histograms)
    }
}

/// `None` of the runtime's own.
fn kind_of(op: &Op) -> Option<OperationKind> {
    Some(match op {
        Op::Read { .. } => OperationKind::Read,
        Op::Write { .. } => OperationKind::Write,
        Op::Fsync { .. } => OperationKind::Sync,
        Op::Send { .. } | Op::SendZeroCopy { .. } | Op::SendMsg { .. } => OperationKind::Send,
        Op::Recv { .. } | Op::RecvMulti { .. } | Op::RecvMsg { .. } => OperationKind::Receive,
        Op::AcceptMulti { .. } => OperationKind::Accept,
        Op::Connect { .. } => OperationKind::Connect,
        Op::Fallocate { .. }
        | Op::Deallocate { .. }
        | Op::Truncate { .. }
        | Op::LinkAt { .. }
        | Op::OpenAt { .. }
        | Op::RenameAt { .. }
        | Op::UnlinkAt { .. }
        | Op::MkDirAt { .. }
        | Op::Statx { .. }
        | Op::Close { .. } => OperationKind::Metadata,
        Op::ReadEvent { .. } | Op::Timeout { .. } | Op::Cancel { .. } | Op::CancelAll => return None,
    })
}
