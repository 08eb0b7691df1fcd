//! A stream that is polled, and lends its bytes for the poll alone.

mod reading;
#[cfg(test)]
mod tests;
mod writing;

use std::fmt;
use std::io;
use std::task::{Context, Poll};

use samestep_provider_traits::TcpStream;

use reading::Reading;
use writing::Writing;

/// A [`TcpStream`] as other ecosystems know streams: with feature `tokio-io`, `futures-io` or `hyper`, it has
/// their traits for reading and writing.
///
/// Those lend a buffer for the length of a poll, and the stream wants to own one until an operation is over. So
/// bytes are copied through buffers that belong to this value: one for reading, two for writing, of one size.
///
/// - Reading receives ahead, as much as fits its buffer. A read that is dropped loses no byte.
/// - Writing takes bytes as long as there is room, and begins to send them at once; while one buffer is being
///   sent, the other is filled. What was taken is sent by later polls, so **flush** when an answer depends on it;
///   polls for reading help, too, as long as no poll for writing waits. An error is told by the poll that finds
///   it or, if that was none for writing, by the next; all later ones tell it again, as bytes are missing.
/// - Flushing ends when the stream has taken all, shutting down sends all and then ends the stream.
/// - Dropping it drops what was not flushed, in part or whole.
pub struct PollStream<S> {
    stream: S,
    reading: Reading,
    writing: Writing,
}

// Nothing in it is pinned but what is in a box of its own.
impl<S> Unpin for PollStream<S> {}

impl<S: TcpStream> PollStream<S> {
    /// Over `stream`, with buffers of 16 KiB.
    pub fn new(stream: S) -> Self {
        Self::with_buffer_bytes(stream, BUFFER_BYTES)
    }

    /// Over `stream`, with buffers of `buffer_bytes`: three of them, allocated once.
    ///
    /// # Panics
    ///
    /// If that is zero.
    pub fn with_buffer_bytes(stream: S, buffer_bytes: usize) -> Self {
        assert!(buffer_bytes > 0, "no byte moves through buffers without room");
        let reading = Reading::new(&stream, buffer_bytes);
        let writing = Writing::new(&stream, buffer_bytes);
        Self { stream, reading, writing }
    }

    /// What it is over. What is read from there directly is missing here, and may follow what is buffered here.
    pub fn stream(&self) -> &S {
        &self.stream
    }
}

impl<S> PollStream<S> {
    /// Bytes that were received and not consumed; none at the end of the stream.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.writing.help(cx);
        self.reading.poll_fill(cx)
    }

    /// Takes the first `count` bytes as read.
    pub(crate) fn consume(&mut self, count: usize) {
        self.reading.consume(count);
    }

    /// Takes as many of `bytes` as there is room for, at least one unless it is empty.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writing.poll_write(cx, &mut std::iter::once(bytes))
    }

    /// As [`Self::poll_write`], from one slice after the other.
    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writing.poll_write(cx, &mut slices.iter().map(|slice| &**slice))
    }

    /// Ends when all that was taken is sent.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writing.poll_flush(cx)
    }

    /// Ends when all that was taken is sent, and behind it the end of the stream.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writing.poll_shutdown(cx)
    }
}

impl<S: fmt::Debug> fmt::Debug for PollStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PollStream").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// As much as protocols put into one message at most (TLS), and a few network packets.
const BUFFER_BYTES: usize = 16 * 1024;
