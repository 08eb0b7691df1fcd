//! Receiving ahead.

use std::io;
use std::task::{Context, Poll, ready};

use samestep_provider_traits::TcpStream;

use crate::operation::{Operation, operation};

/// The receiving side of a stream.
pub(super) struct Reading {
    read: Box<dyn Operation<usize>>,
    /// What was received; `None` while a read has it.
    received: Option<Vec<u8>>,
    /// How many bytes of `received` were consumed.
    consumed: usize,
}

impl Reading {
    pub(super) fn new<S: TcpStream>(stream: &S, buffer_bytes: usize) -> Self {
        let stream = stream.clone();
        Self {
            read: operation(move |buf| stream.read(buf)),
            received: Some(Vec::with_capacity(buffer_bytes)),
            consumed: 0,
        }
    }

    /// Bytes that are not consumed. Reads if there are none; none then is the end of the stream.
    ///
    /// The read stays under way between polls, whoever asked for it, so that what it receives is not lost.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        if let Some(mut buf) = self.received.take_if(|buf| buf.len() == self.consumed) {
            buf.clear();
            self.read.begin(buf);
        }
        if self.received.is_none() {
            let (outcome, mut buf) = ready!(self.read.poll(cx));
            self.consumed = 0;
            if outcome.is_err() {
                buf.clear();
            }
            self.received = Some(buf);
            outcome?;
        }
        let received = self.received.as_deref().unwrap_or_default();
        Poll::Ready(Ok(&received[self.consumed..]))
    }

    /// # Panics
    ///
    /// If fewer bytes than that are there.
    pub(super) fn consume(&mut self, count: usize) {
        let rest = self.received.as_ref().map_or(0, Vec::len) - self.consumed;
        assert!(count <= rest, "{count} of {rest} bytes were said to be consumed");
        self.consumed += count;
    }
}
