//! Connections as queues of frames: what is put in is sent, what came is taken out.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use samestep_provider_traits::{NetworkProvider, Providers, TaskProvider, TcpStream, TimeProvider};

use super::wire::FRAME_BYTES_MAX;

type StreamOf<P> = <<P as Providers>::Network as NetworkProvider>::TcpStream;

/// One connection. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Link {
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    to_send: VecDeque<Vec<u8>>,
    /// Rung when there is something to send, or nothing any more; of one connection.
    outgoing: Bell,
    came: VecDeque<Vec<u8>>,
    /// Rung when something came, and when a connection began or ended.
    news: Bell,
    is_open: bool,
    /// Counts connections, so that a task of an old one does not take the new one for its own.
    connection: u64,
    /// Nobody wants it any more.
    is_closed: bool,
}

impl State {
    fn is_served(&self, connection: u64) -> bool {
        self.is_open && self.connection == connection
    }

    fn end(&mut self, connection: u64) {
        if self.connection == connection {
            self.is_open = false;
        }
        self.outgoing.ring();
        self.news.ring();
    }
}

/// Wakes the one who waits for it, or who will. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Bell {
    state: Rc<RefCell<BellState>>,
}

#[derive(Default)]
struct BellState {
    has_rung: bool,
    waits: Option<Waker>,
}

impl Bell {
    pub(crate) fn ring(&self) {
        let waits = {
            let mut state = self.state.borrow_mut();
            state.has_rung = true;
            state.waits.take()
        };
        if let Some(waker) = waits {
            waker.wake();
        }
    }

    /// Ends when it has rung since it was last heard.
    pub(crate) async fn heard(&self) {
        poll_fn(|cx| {
            let mut state = self.state.borrow_mut();
            if std::mem::take(&mut state.has_rung) {
                return Poll::Ready(());
            }
            state.waits = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Link {
    /// A link over `stream`, served by two tasks until it ends. `news` is rung for what comes.
    pub(crate) fn over<P: Providers>(world: &P, stream: StreamOf<P>, news: &Bell) -> Self {
        let link = Self::telling(news);
        link.serve(world, stream);
        link
    }

    /// A link to `address` that is made anew whenever it ends, until it is closed. What was not sent then is lost.
    pub(crate) fn to<P: Providers>(world: &P, address: SocketAddr, news: &Bell) -> Self {
        let link = Self::telling(news);
        let (world_of_task, same) = (world.clone(), link.clone());
        drop(world.task().spawn("connect", async move {
            let time = world_of_task.time();
            while !same.state.borrow().is_closed {
                // Some attempts would never end.
                if !same.is_open()
                    && let Ok(Ok(stream)) =
                        time.timeout(SILENCE, world_of_task.network().connect(address)).await
                {
                    same.state.borrow_mut().to_send.clear();
                    same.serve(&world_of_task, stream);
                }
                time.sleep(RETRY).await;
            }
        }));
        link
    }

    fn telling(news: &Bell) -> Self {
        let state = State { news: news.clone(), ..State::default() };
        Self { state: Rc::new(RefCell::new(state)) }
    }

    pub(crate) fn send(&self, frame: Vec<u8>) {
        let mut state = self.state.borrow_mut();
        // A peer that is down or slow: what is lost is sent again by those above.
        if state.is_open && state.to_send.len() < QUEUE_FRAMES_MAX {
            state.to_send.push_back(frame);
            state.outgoing.ring();
        }
    }

    /// The next frame that came, without its length.
    pub(crate) fn take(&self) -> Option<Vec<u8>> {
        self.state.borrow_mut().came.pop_front()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.borrow().is_open
    }

    /// Ends the connection, and makes no other.
    pub(crate) fn close(&self) {
        let mut state = self.state.borrow_mut();
        state.is_closed = true;
        let connection = state.connection;
        state.end(connection);
    }

    /// Both ends say something now and then, so that each finds out when the other is gone without a word.
    fn serve<P: Providers>(&self, world: &P, stream: StreamOf<P>) {
        let outgoing = Bell::default();
        let connection = {
            let mut state = self.state.borrow_mut();
            state.connection += 1;
            state.is_open = !state.is_closed;
            state.outgoing = outgoing.clone();
            state.news.ring();
            state.connection
        };
        let (state, time, reader) = (Rc::clone(&self.state), world.time().clone(), stream.clone());
        drop(world.task().spawn("read", async move {
            while let Ok(Ok(frame)) = time.timeout(SILENCE, read_frame(&reader)).await {
                let mut state = state.borrow_mut();
                if !state.is_served(connection) {
                    break;
                }
                if !frame.is_empty() {
                    state.came.push_back(frame);
                    state.news.ring();
                }
            }
            state.borrow_mut().end(connection);
        }));
        let (state, time) = (Rc::clone(&self.state), world.time().clone());
        drop(world.task().spawn("write", async move {
            while state.borrow().is_served(connection) {
                let next = state.borrow_mut().to_send.pop_front();
                let frame = match next {
                    Some(frame) => frame,
                    None if time.timeout(BEAT, outgoing.heard()).await.is_ok() => continue,
                    None => EMPTY_FRAME.to_vec(),
                };
                match time.timeout(SILENCE, stream.write_all(frame)).await {
                    Ok((Ok(()), _)) => {}
                    _ => state.borrow_mut().end(connection),
                }
            }
            let _gone = time.timeout(SILENCE, stream.shutdown()).await;
        }));
    }
}

async fn read_frame<S: TcpStream>(stream: &S) -> io::Result<Vec<u8>> {
    let (read, len) = stream.read_exact(vec![0; 4]).await;
    read?;
    let len = u32::from_le_bytes(*len.first_chunk().expect("four bytes were read")) as usize;
    if len > FRAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let (read, frame) = stream.read_exact(vec![0; len]).await;
    read.map(|()| frame)
}

/// How soon a lost connection is made again.
const RETRY: Duration = Duration::from_millis(20);
/// After how long without anything to say an empty frame says that this end is there.
const BEAT: Duration = Duration::from_millis(200);
/// After how long without a frame the other end is taken for gone.
const SILENCE: Duration = Duration::from_secs(1);
const EMPTY_FRAME: [u8; 4] = [0; 4];
const QUEUE_FRAMES_MAX: usize = 4096;
