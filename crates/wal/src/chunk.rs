//! Bytes of a segment in memory: read into a buffer that is used again, or mapped.

use std::ops::RangeBounds;
use std::sync::Arc;

use bytes::Bytes;

/// Some bytes of a segment. Shares of them may outlive it.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    bytes: Bytes,
    /// The buffer behind `bytes`, unless that is mapped. Used again once nobody else has a share of it.
    owner: Option<Arc<Vec<u8>>>,
}

impl Chunk {
    /// Memory that is never read into.
    pub(crate) fn mapped(bytes: Bytes) -> Self {
        Self { bytes, owner: None }
    }

    /// No bytes, and the buffer kept for the next read.
    pub(crate) fn cleared(mut self) -> Self {
        self.bytes = Bytes::new();
        self
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A share of the bytes in `range`. No copy and no allocation.
    pub(crate) fn share(&self, range: impl RangeBounds<usize>) -> Bytes {
        self.bytes.slice(range)
    }

    /// A buffer of `len` bytes, whatever is in them: the one behind this chunk if nobody has a share of it.
    pub(crate) fn take_buf(&mut self, len: usize) -> Vec<u8> {
        self.bytes = Bytes::new();
        match self.owner.take().and_then(Arc::into_inner) {
            Some(mut buf) if buf.capacity() >= len => {
                buf.resize(len, 0);
                buf
            }
            // Asked for as zeros, fresh memory is not written before the read writes it.
            _ => vec![0; len],
        }
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(buf: Vec<u8>) -> Self {
        let owner = Arc::new(buf);
        Self { bytes: Bytes::from_owner(Shared(Arc::clone(&owner))), owner: Some(owner) }
    }
}

struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
