//! Sending behind.

use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use samestep_provider_traits::TcpStream;

use crate::operation::{Operation, operation};

/// The sending side of a stream.
pub(super) struct Writing {
    write_all: Box<dyn Operation<()>>,
    /// What was taken and waits behind what is being sent. Never longer than `buffer_bytes`.
    taken: Vec<u8>,
    /// The other buffer, empty; `None` while it is being sent.
    spare: Option<Vec<u8>>,
    buffer_bytes: usize,
    shutdown: Shutdown,
    failure: Option<Failure>,
    /// Whether a poll for writing waits, so that its waker must not be replaced by that of a reader.
    is_awaited: bool,
}

/// How far the end of the stream is.
enum Shutdown {
    /// Not asked for; how to ask.
    Ahead(Option<Box<dyn FnOnce() -> ShutdownFuture>>),
    Underway(ShutdownFuture),
    Done,
}

type ShutdownFuture = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// Why nothing more is sent.
struct Failure {
    /// The error itself, for the first who asks.
    first: Option<io::Error>,
    kind: io::ErrorKind,
    message: String,
}

impl Writing {
    pub(super) fn new<S: TcpStream>(stream: &S, buffer_bytes: usize) -> Self {
        let (writer, ender) = (stream.clone(), stream.clone());
        Self {
            write_all: operation(move |buf| writer.write_all(buf)),
            taken: Vec::with_capacity(buffer_bytes),
            spare: Some(Vec::with_capacity(buffer_bytes)),
            buffer_bytes,
            shutdown: Shutdown::Ahead(Some(Box::new(move || Box::pin(ender.shutdown())))),
            failure: None,
            is_awaited: false,
        }
    }

    /// Takes as much of `slices` as there is room for.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &mut dyn Iterator<Item = &[u8]>,
    ) -> Poll<io::Result<usize>> {
        self.awaited(|writing| {
            if !matches!(writing.shutdown, Shutdown::Ahead(_)) {
                let message = "written to after its end";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, message)));
            }
            if writing.poll_send(cx)?.is_pending() && writing.room() == 0 {
                return Poll::Pending;
            }
            let before = writing.taken.len();
            for slice in slices {
                let count = slice.len().min(writing.room());
                writing.taken.extend_from_slice(&slice[..count]);
            }
            let count = writing.taken.len() - before;
            // Operations begin when they are polled. This one is told of at once if it fails at once.
            let _underway = writing.poll_send(cx)?;
            Poll::Ready(Ok(count))
        })
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.awaited(|writing| writing.poll_send(cx))
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.awaited(|writing| {
            ready!(writing.poll_send(cx))?;
            loop {
                match &mut writing.shutdown {
                    Shutdown::Ahead(begin) => {
                        let begin = begin.take().expect("it is begun once");
                        writing.shutdown = Shutdown::Underway(begin());
                    }
                    Shutdown::Underway(shutdown) => {
                        let outcome = ready!(shutdown.as_mut().poll(cx));
                        writing.shutdown = Shutdown::Done;
                        return Poll::Ready(outcome);
                    }
                    Shutdown::Done => return Poll::Ready(Ok(())),
                }
            }
        })
    }

    /// Goes on with sending if no poll for writing waits. What fails is told to the next of those.
    pub(super) fn help(&mut self, cx: &mut Context<'_>) {
        if !self.is_awaited && self.failure.is_none() {
            // Pending: whoever reads is woken, and helps again.
            let _ = self.poll_sent(cx);
        }
    }

    /// Notes whether `poll` is to be woken.
    fn awaited<T>(&mut self, poll: impl FnOnce(&mut Self) -> Poll<T>) -> Poll<T> {
        let polled = poll(self);
        self.is_awaited = polled.is_pending();
        polled
    }

    /// Sends until all that was taken is sent, and tells what failed.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.failure.is_none() {
            ready!(self.poll_sent(cx));
        }
        Poll::Ready(self.failure.as_mut().map_or(Ok(()), |failure| Err(failure.tell())))
    }

    /// Sends until all that was taken is sent, or sending fails.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.spare.is_none() {
                let (outcome, mut buf) = ready!(self.write_all.poll(cx));
                buf.clear();
                self.spare = Some(buf);
                if let Err(error) = outcome {
                    // Some of the bytes may be gone; what would follow must not be sent behind the gap.
                    self.taken.clear();
                    self.failure = Some(Failure::new(error));
                    return Poll::Ready(());
                }
            }
            match self.spare.take_if(|_| !self.taken.is_empty()) {
                Some(empty) => self.write_all.begin(mem::replace(&mut self.taken, empty)),
                None => return Poll::Ready(()),
            }
        }
    }

    fn room(&self) -> usize {
        self.buffer_bytes - self.taken.len()
    }
}

impl Failure {
    fn new(error: io::Error) -> Self {
        Self { kind: error.kind(), message: error.to_string(), first: Some(error) }
    }

    fn tell(&mut self) -> io::Error {
        self.first.take().unwrap_or_else(|| io::Error::new(self.kind, self.message.clone()))
    }
}
