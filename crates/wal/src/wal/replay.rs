//! Replay by several threads: each verifies segments of its own, the caller gets the entries in order.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use samestep_replay_traits::Index;

use crate::cursor::{Cursor, entry_ref};
use crate::disk::Disk;
use crate::error::ReadError;
use crate::format::to_usize;
use crate::frame::{FRAME_HEADER_BYTES, FrameHeader};
use crate::log::{Log, Span};
use crate::record::EntryRef;
use crate::wal::{Wal, reads};

impl<D: Disk + Send> Wal<D> {
    /// Calls `visit` with every entry from `from` on (or from the first that is not pruned), oldest first, each
    /// verified, until it breaks. What is only staged is written first, not synced.
    ///
    /// Whole segments are read and verified ahead by `threads` threads, which end before this returns; `visit` runs
    /// on the caller's. What it sees, and the order, are those of [`Self::reader`]. At most 64 MiB per thread are
    /// held in memory, and a chunk of 1 MiB (or a larger frame) more.
    ///
    /// # Errors
    ///
    /// See [`ReadError`]: the first in the order of the log, after all entries before it were visited.
    pub fn replay_parallel<B>(
        &self,
        from: Index,
        threads: NonZeroUsize,
        mut visit: impl FnMut(EntryRef<'_>) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, ReadError> {
        let spans = self.written(Log::has_unwritten)?.log.spans(from);
        let files = self.reads().disk.reader();
        let pool = Pool::new(spans.len(), threads.get().saturating_mul(BYTES_AHEAD_PER_THREAD));
        std::thread::scope(|scope| {
            // However the visit ends, by a panic too, the threads learn of it and end.
            let _stop = StopOnDrop(&pool);
            for _ in 0..threads.get().min(spans.len()) {
                let (pool, spans, disk) = (&pool, &spans, files.reader());
                scope.spawn(move || pool.work(spans, disk));
            }
            for number in 0..spans.len() {
                loop {
                    match pool.take(number) {
                        Taken::Piece(piece) => {
                            if let ControlFlow::Break(value) = piece.visit(&mut visit) {
                                return Ok(ControlFlow::Break(value));
                            }
                        }
                        Taken::End(result) => {
                            result?;
                            break;
                        }
                        // A thread panicked: the scope passes it on.
                        Taken::Stopped => return Ok(ControlFlow::Continue(())),
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// Verified entries of one chunk.
#[derive(Default)]
struct Piece {
    chunk: Bytes,
    /// Where the frames of live entries start in the chunk.
    frames: Vec<usize>,
}

impl Piece {
    fn visit<B>(&self, visit: &mut impl FnMut(EntryRef<'_>) -> ControlFlow<B>) -> ControlFlow<B> {
        for &at in &self.frames {
            let frame = &self.chunk[at..];
            let header = FrameHeader::of_verified_entry(frame);
            let payload = &frame[FRAME_HEADER_BYTES..][..to_usize(u64::from(header.payload_bytes))];
            visit(entry_ref(&header, payload))?;
        }
        ControlFlow::Continue(())
    }
}

/// What the threads and the caller share.
struct Pool {
    state: Mutex<State>,
    changed: Condvar,
    bytes_max: usize,
}

struct State {
    /// The segment that the next free thread takes.
    next: usize,
    /// The segment that the caller is at.
    current: usize,
    /// Bytes of chunks that are verified and not visited.
    bytes: usize,
    queues: Vec<Queue>,
    is_stopped: bool,
}

#[derive(Default)]
struct Queue {
    pieces: VecDeque<Piece>,
    end: Option<Result<(), ReadError>>,
}

enum Taken {
    Piece(Piece),
    End(Result<(), ReadError>),
    Stopped,
}

impl Pool {
    fn new(segments: usize, bytes_max: usize) -> Self {
        let queues = (0..segments).map(|_| Queue::default()).collect();
        let state = State { next: 0, current: 0, bytes: 0, queues, is_stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), bytes_max }
    }

    /// A thread's life: segment after segment, until there is none or the caller has enough.
    fn work(&self, spans: &[Span], mut disk: impl Disk) {
        // If this thread panics, the caller must not wait for it.
        let stop = StopOnDrop(self);
        loop {
            let number = {
                let mut state = self.lock();
                let number = state.next;
                state.next += 1;
                if state.is_stopped || number >= spans.len() {
                    break;
                }
                number
            };
            let result = verify(spans[number].clone(), &mut disk, |piece| self.put(number, piece));
            self.lock().queues[number].end = Some(result);
            self.changed.notify_all();
        }
        std::mem::forget(stop);
    }

    /// Queues a piece when there is room, or when the caller waits for it. Breaks when it is of no use any more.
    fn put(&self, number: usize, piece: Piece) -> ControlFlow<()> {
        let mut state = self.lock();
        while state.bytes >= self.bytes_max && state.current != number && !state.is_stopped {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_stopped {
            return ControlFlow::Break(());
        }
        state.bytes += piece.chunk.len();
        state.queues[number].pieces.push_back(piece);
        drop(state);
        self.changed.notify_all();
        ControlFlow::Continue(())
    }

    /// The next piece of a segment, once it is there, or how the segment ended.
    fn take(&self, number: usize) -> Taken {
        let mut state = self.lock();
        if state.current != number {
            state.current = number;
            self.changed.notify_all();
        }
        loop {
            let state_now = &mut *state;
            let queue = &mut state_now.queues[number];
            if let Some(piece) = queue.pieces.pop_front() {
                state_now.bytes -= piece.chunk.len();
                self.changed.notify_all();
                return Taken::Piece(piece);
            }
            if let Some(result) = queue.end.take() {
                return Taken::End(result);
            }
            if state_now.is_stopped {
                return Taken::Stopped;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No code that can panic runs under the lock, so a poisoned one is still whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells everybody to stop when it is dropped.
struct StopOnDrop<'a>(&'a Pool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.lock().is_stopped = true;
        self.0.changed.notify_all();
    }
}

/// Reads and verifies the wanted entries of a segment, and passes them on chunk by chunk.
fn verify(
    span: Span,
    disk: &mut impl Disk,
    mut put: impl FnMut(Piece) -> ControlFlow<()>,
) -> Result<(), ReadError> {
    let mut cursor = Cursor::new(vec![span]);
    let mut piece = Piece { chunk: Bytes::new(), frames: Vec::new() };
    loop {
        let sought = cursor.seek();
        let is_entry = matches!(sought, Ok(None)) && cursor.is_ready();
        // Anything but an entry leaves the chunk. Its entries come before an error behind them.
        if !is_entry && !piece.frames.is_empty() && put(std::mem::take(&mut piece)).is_break() {
            return Ok(());
        }
        if let Some(op) = sought? {
            reads::perform(&mut cursor, disk, op)?;
            continue;
        }
        match cursor.take_position() {
            Ok(Some(position)) => {
                if piece.frames.is_empty() {
                    piece.chunk = cursor.share_chunk();
                }
                piece.frames.push(position);
            }
            end => {
                if !piece.frames.is_empty() {
                    let _stopped = put(piece);
                }
                return end.map(drop);
            }
        }
    }
}

/// How far a thread may be ahead of the caller: a segment of the default size.
const BYTES_AHEAD_PER_THREAD: usize = 64 << 20;
