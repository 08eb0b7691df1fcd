//! How the network's events are recorded.

use super::connection::PieceKind;
use crate::kernel::{Kernel, NodeId};
use crate::trace::Traced;

/// `connection` sets out from the current node for `to`.
pub(super) fn connecting<E>(kernel: &mut Kernel<E>, connection: u64, to: Option<NodeId>) {
    let place = to.map_or(u64::MAX, |node| u64::from(node.0));
    kernel.record([CONNECTING, connection, place, 0], || Traced::Connecting { connection, to });
}

/// `connection` is there, as its end at `node` sees it.
pub(super) fn connected<E>(kernel: &mut Kernel<E>, node: NodeId, connection: u64) {
    kernel.record_on(Some(node), [CONNECTED, connection, 0, 0], || Traced::Connected { connection });
}

/// `node` sends a message.
#[inline]
pub(super) fn sent<E>(kernel: &mut Kernel<E>, node: NodeId, message: &SentMessage) {
    let &SentMessage { number, connection, kind, to, bytes, digest } = message;
    let kind = u64::from(kind.map_or(u8::MAX, |kind| kind as u8));
    let place = to.map_or(u64::from(u32::MAX), |node| u64::from(node.0));
    let words =
        [SENT | (kind << 16) | (place << 32), number, connection.unwrap_or(u64::MAX) ^ (bytes << 40), digest];
    kernel.record_on(Some(node), words, || Traced::Sent { message: number, connection, to, bytes, digest });
}

/// What there is to tell of a message.
pub(super) struct SentMessage {
    pub(super) number: u64,
    pub(super) connection: Option<u64>,
    pub(super) kind: Option<PieceKind>,
    pub(super) to: Option<NodeId>,
    pub(super) bytes: u64,
    pub(super) digest: u64,
}

/// A message came to `node`.
#[inline]
pub(super) fn delivered<E>(kernel: &mut Kernel<E>, node: NodeId, message: u64, digest: u64) {
    kernel.record_on(Some(node), [DELIVERED, message, digest, 0], || Traced::Delivered { message, digest });
}

/// A message to `node` will not come.
pub(super) fn dropped<E>(kernel: &mut Kernel<E>, node: Option<NodeId>, message: u64) {
    kernel.record_on(node, [DROPPED, message, 0, 0], || Traced::Dropped { message });
}

/// The end of `connection` at `node` is no more.
pub(super) fn closed<E>(kernel: &mut Kernel<E>, node: NodeId, connection: u64, reset: bool) {
    kernel.record_on(Some(node), [CLOSED, connection, u64::from(reset), 0], || Traced::Closed {
        connection,
        reset,
    });
}

const CONNECTING: u64 = 0x4e01;
const CONNECTED: u64 = 0x4e02;
const SENT: u64 = 0x4e03;
const DELIVERED: u64 = 0x4e04;
const DROPPED: u64 = 0x4e05;
const CLOSED: u64 = 0x4e06;
