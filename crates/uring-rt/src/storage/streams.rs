//! A file from front to back: read ahead, and written behind.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use samestep_provider_traits::{File, IoBuf};

use super::file::UringFile;
use super::many::{Merging, ReadMany, ReadView};
use crate::sys::DmaBuffer;

/// How a stream goes through a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streaming {
    /// Bytes of each read or write but the last; rounded up to the file's alignment.
    pub chunk_bytes: usize,
    /// Reads or writes under way at a time, at least 1: how far a reader reads ahead and a writer writes behind.
    pub chunks_max: usize,
}

/// Reads a file from front to back, ahead of whoever takes the bytes: from [`UringFile::stream_reader`].
#[derive(Debug)]
pub struct StreamReader {
    chunks: ReadMany,
    /// What is left of the last chunk.
    rest: Option<ReadView>,
    is_over: bool,
}

/// Writes a file from front to back, behind whoever gives the bytes: from [`UringFile::stream_writer`].
///
/// What was given is in the file after [`Self::finish`]. Dropped before, what was started may land.
pub struct StreamWriter {
    file: UringFile,
    streaming: Streaming,
    /// Where the chunk that is being filled goes.
    chunk_start: u64,
    chunk: DmaBuffer,
    filled: usize,
    writes: VecDeque<Write>,
    spare: Vec<DmaBuffer>,
    failure: Option<(io::ErrorKind, String)>,
}

/// A write of one chunk.
enum Write {
    UnderWay(Pin<Box<dyn Future<Output = Ended>>>),
    Ended(Ended),
}

/// How a write went, and its buffer.
type Ended = (io::Result<()>, DmaBuffer);

impl UringFile {
    /// Reads `range` of the file, or less if it ends before. Offsets need no alignment.
    pub fn stream_reader(&self, range: Range<u64>, streaming: Streaming) -> StreamReader {
        let streaming = streaming.aligned_for(self);
        let chunk_bytes = streaming.chunk_bytes as u64;
        let Range { mut start, end } = range;
        let ranges = std::iter::from_fn(move || {
            // The first chunk ends where one would that had begun at 0.
            let next = (start - start % chunk_bytes).saturating_add(chunk_bytes).min(end);
            let chunk = (start < next).then_some(start..next);
            start = next;
            chunk
        });
        let merging = Merging { joined_bytes_max: 0, gap_bytes_max: 0, reads_max: streaming.chunks_max };
        StreamReader { chunks: self.read_many(ranges, merging), rest: None, is_over: false }
    }

    /// Writes from the front of the file, whose length becomes that of what was written.
    pub fn stream_writer(&self, streaming: Streaming) -> StreamWriter {
        let streaming = streaming.aligned_for(self);
        StreamWriter {
            chunk: self.buffer(streaming.chunk_bytes),
            file: self.clone(),
            streaming,
            chunk_start: 0,
            filled: 0,
            writes: VecDeque::new(),
            spare: Vec::new(),
            failure: None,
        }
    }
}

impl Streaming {
    fn aligned_for(self, file: &UringFile) -> Self {
        let unit = usize::try_from(file.alignment().offset_bytes).expect("alignments are small");
        Self {
            chunk_bytes: self.chunk_bytes.max(1).next_multiple_of(unit),
            chunks_max: self.chunks_max.max(1),
        }
    }
}

impl StreamReader {
    /// The next bytes, as many as one read gave, without a copy; `None` at the end of the range or of the file.
    ///
    /// # Errors
    ///
    /// That of the read, after which the stream is over.
    pub async fn next_chunk(&mut self) -> Option<io::Result<ReadView>> {
        if let Some(rest) = self.rest.take().filter(|rest| !rest.is_empty()) {
            return Some(Ok(rest));
        }
        if self.is_over {
            return None;
        }
        let Some((wanted, chunk)) = self.chunks.next().await else {
            self.is_over = true;
            return None;
        };
        match chunk {
            Ok(chunk) => {
                // The file ends here, and what was read ahead is nothing.
                self.is_over = (chunk.len() as u64) < wanted.end - wanted.start;
                (!chunk.is_empty()).then_some(Ok(chunk))
            }
            Err(error) => {
                self.is_over = true;
                Some(Err(error))
            }
        }
    }

    /// Copies the next bytes to the front of `out` and tells how many; 0 at the end, or if there is no room.
    ///
    /// # Errors
    ///
    /// As [`Self::next_chunk`].
    pub async fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let Some(chunk) = self.next_chunk().await else { return Ok(0) };
        let chunk = chunk?;
        let count = chunk.len().min(out.len());
        out[..count].copy_from_slice(&chunk[..count]);
        self.rest = Some(chunk.slice(count..chunk.len()));
        Ok(count)
    }
}

impl StreamWriter {
    /// Takes all of `bytes`. Waits only while as many writes are under way as may be.
    ///
    /// # Errors
    ///
    /// That of a write that was started by this call or an earlier one; all later calls fail, too.
    pub async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        while !bytes.is_empty() {
            let count = bytes.len().min(self.chunk.len() - self.filled);
            self.chunk[self.filled..self.filled + count].copy_from_slice(&bytes[..count]);
            self.filled += count;
            bytes = &bytes[count..];
            if self.filled == self.chunk.len() {
                self.start_write().await?;
            }
        }
        Ok(())
    }

    /// Bytes that were taken so far.
    pub fn position(&self) -> u64 {
        self.chunk_start + self.filled as u64
    }

    /// Waits until all that was taken is in the file and durable, and cuts the file there. Of a direct file the last
    /// write is filled up with zeros to a unit, which the cut then takes away.
    ///
    /// # Errors
    ///
    /// That of any write, or of the cut or the sync. What the file then has is unknown.
    pub async fn finish(mut self) -> io::Result<()> {
        self.check()?;
        let length = self.position();
        if self.filled > 0 {
            let unit = usize::try_from(self.file.alignment().offset_bytes).expect("alignments are small");
            let padded = self.filled.next_multiple_of(unit);
            self.chunk[self.filled..].fill(0);
            self.filled = padded;
            self.start_write().await?;
        }
        while !self.writes.is_empty() {
            self.end_write().await?;
        }
        self.file.set_len(length).await?;
        self.file.sync_all().await
    }

    /// Starts the write of the chunk, once there is room for it.
    async fn start_write(&mut self) -> io::Result<()> {
        while self.writes.len() >= self.streaming.chunks_max {
            self.end_write().await?;
        }
        let chunk_bytes = self.streaming.chunk_bytes;
        let fresh = self.spare.pop().unwrap_or_else(|| self.file.buffer(chunk_bytes));
        let (chunk, len, at) = (std::mem::replace(&mut self.chunk, fresh), self.filled, self.chunk_start);
        self.chunk_start += len as u64;
        self.filled = 0;
        let file = self.file.clone();
        let mut write = Write::UnderWay(Box::pin(async move {
            let (outcome, chunk) = file.write_all_at(chunk.slice(0..len), at).await;
            (outcome, chunk.into_inner())
        }));
        // It begins when it is first polled.
        poll_fn(|cx| {
            write.advance(cx);
            Poll::Ready(())
        })
        .await;
        self.writes.push_back(write);
        Ok(())
    }

    /// Waits for the oldest write, while the others go on.
    async fn end_write(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            // Writes that were short go on here, too.
            self.writes.iter_mut().for_each(|write| write.advance(cx));
            if matches!(self.writes.front(), Some(Write::UnderWay(_))) {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
        let Some(Write::Ended((outcome, chunk))) = self.writes.pop_front() else { return Ok(()) };
        self.spare.push(chunk);
        outcome.inspect_err(|error| self.failure = Some((error.kind(), error.to_string())))
    }

    fn check(&self) -> io::Result<()> {
        let Some((kind, message)) = &self.failure else { return Ok(()) };
        Err(io::Error::new(*kind, format!("an earlier write of this stream failed: {message}")))
    }
}

impl Write {
    fn advance(&mut self, cx: &mut Context<'_>) {
        if let Self::UnderWay(writing) = self
            && let Poll::Ready(ended) = writing.as_mut().poll(cx)
        {
            *self = Self::Ended(ended);
        }
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamWriter")
            .field("file", &self.file)
            .field("position", &self.position())
            .field("under_way", &self.writes.len())
            .finish_non_exhaustive()
    }
}
