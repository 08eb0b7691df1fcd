//! Many reads of one file: neighbours are joined, and some are under way at a time.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::ops::{Deref, Range};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use samestep_provider_traits::{Alignment, File, IoBuf, IoBufMut};

use super::file::UringFile;
use crate::sys::DmaBuffer;

/// Which reads are joined into one, and how many are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merging {
    /// The longest read that comes of joining, in bytes. A range that is longer by itself is read in one go.
    pub joined_bytes_max: usize,
    /// How many bytes that nobody asked for may lie between two that are joined; 0 joins what touches or overlaps.
    pub gap_bytes_max: usize,
    /// Reads under way at a time, at least 1.
    pub reads_max: usize,
}

/// Reads under way, whose results come in the order of the ranges: from [`UringFile::read_many`].
///
/// Dropped early it leaves the reads that were started to end by themselves.
pub struct ReadMany {
    file: UringFile,
    ranges: Box<dyn Iterator<Item = Range<u64>>>,
    /// The range that did not fit into the last read.
    next: Option<Range<u64>>,
    merging: Merging,
    reads: VecDeque<Read>,
}

/// One read, and the ranges that it is for.
pub(super) struct Read {
    start: u64,
    wanted: VecDeque<Range<u64>>,
    state: State,
}

enum State {
    UnderWay(Pin<Box<dyn Future<Output = Ended>>>),
    Done(Rc<DmaBuffer>, usize),
    Failed(io::ErrorKind, Option<i32>, String),
}

/// How a read went, its buffer, and how many bytes it has.
type Ended = (io::Result<()>, DmaBuffer, usize);

/// Bytes that were read; several may lie in one buffer. Clones are handles to the same bytes.
#[derive(Clone)]
pub struct ReadView {
    buf: Rc<DmaBuffer>,
    range: Range<usize>,
}

impl UringFile {
    /// Reads the ranges of bytes, in the order given: those that follow each other closely in one read, as `merging`
    /// says, and some reads at a time. No order is made for them: ranges that come sorted join best. Offsets and
    /// lengths need no alignment, also of a direct file.
    ///
    /// # Panics
    ///
    /// If a range ends before it starts.
    pub fn read_many(
        &self,
        ranges: impl IntoIterator<Item = Range<u64>, IntoIter: 'static>,
        merging: Merging,
    ) -> ReadMany {
        let merging = Merging { reads_max: merging.reads_max.max(1), ..merging };
        let ranges = Box::new(ranges.into_iter());
        ReadMany { file: self.clone(), ranges, next: None, merging, reads: VecDeque::new() }
    }

    /// Reads a range of bytes, without regard to alignment. It is shorter at the end of the file.
    ///
    /// # Panics
    ///
    /// If the range ends before it starts.
    pub async fn read_range(&self, range: Range<u64>) -> io::Result<ReadView> {
        let merging = Merging { joined_bytes_max: 0, gap_bytes_max: 0, reads_max: 1 };
        let mut reads = self.read_many([range], merging);
        reads.next().await.expect("there is one range").1
    }
}

impl ReadMany {
    /// The next range and its bytes, fewer at the end of the file, or the error of the read that it was part of; `None`
    /// behind the last. After an error the others go on.
    pub async fn next(&mut self) -> Option<(Range<u64>, io::Result<ReadView>)> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Self::next`].
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Range<u64>, io::Result<ReadView>)>> {
        self.start_reads();
        for read in &mut self.reads {
            read.advance(cx);
        }
        let Some(first) = self.reads.front_mut() else { return Poll::Ready(None) };
        let Some(result) = first.take() else { return Poll::Pending };
        if first.wanted.is_empty() {
            self.reads.pop_front();
            // Whoever takes its time between two calls has the next reads under way meanwhile.
            self.start_reads();
            for read in &mut self.reads {
                read.advance(cx);
            }
        }
        Poll::Ready(Some(result))
    }

    fn start_reads(&mut self) {
        while self.reads.len() < self.merging.reads_max {
            let Some((start, end, wanted)) = self.join() else { return };
            self.reads.push_back(Read::new(&self.file, start..end, wanted));
        }
    }

    /// The next ranges that make one read, from where to where.
    fn join(&mut self) -> Option<(u64, u64, VecDeque<Range<u64>>)> {
        let first = self.next.take().or_else(|| self.ranges.next())?;
        assert!(first.start <= first.end, "{first:?} ends before it starts");
        let (mut start, mut end) = (first.start, first.end);
        let mut wanted = VecDeque::from([first]);
        for range in self.ranges.by_ref() {
            assert!(range.start <= range.end, "{range:?} ends before it starts");
            let is_near = range.start <= end.saturating_add(self.merging.gap_bytes_max as u64)
                && range.end.saturating_add(self.merging.gap_bytes_max as u64) >= start;
            let joined = start.min(range.start)..end.max(range.end);
            if !is_near || joined.end - joined.start > self.merging.joined_bytes_max as u64 {
                self.next = Some(range);
                break;
            }
            (start, end) = (joined.start, joined.end);
            wanted.push_back(range);
        }
        Some((start, end, wanted))
    }
}

impl Read {
    /// One of `range`, made longer at both ends as the file demands.
    pub(super) fn new(file: &UringFile, range: Range<u64>, wanted: VecDeque<Range<u64>>) -> Self {
        let Alignment { offset_bytes, .. } = file.alignment();
        let start = range.start - range.start % offset_bytes;
        let len = range
            .end
            .checked_next_multiple_of(offset_bytes)
            .and_then(|end| usize::try_from(end - start).ok());
        let file = file.clone();
        let reading = async move {
            let nothing = || file.core().dma.heap().take(0, 1);
            if range.is_empty() {
                return (Ok(()), nothing(), 0);
            }
            let Some(len) = len else {
                let error = io::Error::new(io::ErrorKind::InvalidInput, "a range behind the largest offset");
                return (Err(error), nothing(), 0);
            };
            read_to_end(&file, file.buffer(len), start).await
        };
        Self { start, wanted, state: State::UnderWay(Box::pin(reading)) }
    }

    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.state, State::UnderWay(_))
    }

    /// Goes on with it, and wakes `cx` when that is worth doing again.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>) {
        let State::UnderWay(reading) = &mut self.state else { return };
        let Poll::Ready((outcome, buf, count)) = reading.as_mut().poll(cx) else { return };
        self.state = match outcome {
            Ok(()) => State::Done(Rc::new(buf), count),
            Err(error) => State::Failed(error.kind(), error.raw_os_error(), error.to_string()),
        };
    }

    /// The next range, if the read is over.
    fn take(&mut self) -> Option<(Range<u64>, io::Result<ReadView>)> {
        let range = self.wanted.front().expect("a read is gone with its last range");
        let view = self.view(range)?;
        Some((self.wanted.pop_front()?, view))
    }

    /// What it brought of `range`, if it is over.
    pub(super) fn view(&self, range: &Range<u64>) -> Option<io::Result<ReadView>> {
        Some(match &self.state {
            State::UnderWay(_) => return None,
            State::Done(buf, count) => {
                let within =
                    |at: u64| usize::try_from(at.saturating_sub(self.start)).unwrap_or(*count).min(*count);
                Ok(ReadView { buf: Rc::clone(buf), range: within(range.start)..within(range.end) })
            }
            State::Failed(_, Some(number), _) => Err(io::Error::from_raw_os_error(*number)),
            State::Failed(kind, None, message) => Err(io::Error::new(*kind, message.clone())),
        })
    }
}

impl ReadView {
    /// A part of it.
    ///
    /// # Panics
    ///
    /// If `range` is not within it.
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} of {} bytes", self.len());
        let start = self.range.start;
        Self { buf: Rc::clone(&self.buf), range: start + range.start..start + range.end }
    }
}

impl Deref for ReadView {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buf[self.range.clone()]
    }
}

impl fmt::Debug for ReadView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadView").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ReadMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, merging, reads, .. } = self;
        f.debug_struct("ReadMany")
            .field("file", file)
            .field("merging", merging)
            .field("under_way", &reads.len())
            .finish_non_exhaustive()
    }
}

/// Fills the buffer, or reads up to the end of the file, and tells how many bytes that were.
async fn read_to_end(file: &UringFile, mut buf: DmaBuffer, start: u64) -> Ended {
    let (total, unit) = (buf.bytes_total(), file.alignment().offset_bytes);
    let mut count = 0;
    while count < total {
        let (outcome, rest) = file.read_at(buf.slice_mut(count..total), start + count as u64).await;
        buf = rest.into_inner();
        match outcome {
            Ok(0) => break,
            Ok(read) => count += read,
            Err(error) => return (Err(error), buf, count),
        }
        // A direct read ends between two of its units only where the file does.
        if !(count as u64).is_multiple_of(unit) {
            break;
        }
    }
    debug_assert!(buf.bytes_init() >= count, "the buffer has what was read");
    (Ok(()), buf, count)
}
