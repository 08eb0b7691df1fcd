//! Connections as queues of frames: what is put in is sent, what came is taken out.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{NetworkProvider, Providers, TaskProvider, TcpStream, TimeProvider};

use crate::wire::FRAME_BYTES_MAX;

type StreamOf<P> = <<P as Providers>::Network as NetworkProvider>::TcpStream;

/// One connection. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Link {
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    to_send: VecDeque<Vec<u8>>,
    came: VecDeque<Vec<u8>>,
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
    }
}

impl Link {
    /// A link over `stream`, served by two tasks until it ends.
    pub(crate) fn over<P: Providers>(world: &P, stream: StreamOf<P>) -> Self {
        let link = Self::default();
        link.serve(world, stream);
        link
    }

    /// A link to `address` that is made anew whenever it ends, until it is closed. What was not sent then is lost.
    pub(crate) fn to<P: Providers>(world: &P, address: SocketAddr) -> Self {
        let link = Self::default();
        let (world_of_task, same) = (world.clone(), link.clone());
        drop(world.task().spawn("connect", async move {
            while !same.state.borrow().is_closed {
                if !same.is_open()
                    && let Ok(stream) = world_of_task.network().connect(address).await
                {
                    same.state.borrow_mut().to_send.clear();
                    same.serve(&world_of_task, stream);
                }
                world_of_task.time().sleep(RETRY).await;
            }
        }));
        link
    }

    pub(crate) fn send(&self, frame: Vec<u8>) {
        let mut state = self.state.borrow_mut();
        // A peer that is down or slow: what is lost is sent again by those above.
        if state.is_open && state.to_send.len() < QUEUE_FRAMES_MAX {
            state.to_send.push_back(frame);
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
        (state.is_closed, state.is_open) = (true, false);
    }

    fn serve<P: Providers>(&self, world: &P, stream: StreamOf<P>) {
        let connection = {
            let mut state = self.state.borrow_mut();
            state.connection += 1;
            state.is_open = !state.is_closed;
            state.connection
        };
        let (state, reader) = (Rc::clone(&self.state), stream.clone());
        drop(world.task().spawn("read", async move {
            while let Ok(frame) = read_frame(&reader).await {
                state.borrow_mut().came.push_back(frame);
            }
            state.borrow_mut().end(connection);
        }));
        let (state, time) = (Rc::clone(&self.state), world.time().clone());
        drop(world.task().spawn("write", async move {
            while state.borrow().is_served(connection) {
                let next = state.borrow_mut().to_send.pop_front();
                match next {
                    Some(frame) => {
                        if stream.write_all(frame).await.0.is_err() {
                            state.borrow_mut().end(connection);
                        }
                    }
                    None => time.sleep(POLL).await,
                }
            }
            let _gone = stream.shutdown().await;
        }));
    }
}

async fn read_frame<S: TcpStream>(stream: &S) -> std::io::Result<Vec<u8>> {
    let (read, len) = stream.read_exact(vec![0; 4]).await;
    read?;
    let len = u32::from_le_bytes(*len.first_chunk().expect("four bytes were read")) as usize;
    if len > FRAME_BYTES_MAX {
        return Err(std::io::ErrorKind::InvalidData.into());
    }
    let (read, frame) = stream.read_exact(vec![0; len]).await;
    read.map(|()| frame)
}

/// How often what is to be sent is looked for.
pub(crate) const POLL: Duration = Duration::from_millis(1);
/// How soon a lost connection is made again.
const RETRY: Duration = Duration::from_millis(20);
const QUEUE_FRAMES_MAX: usize = 4096;
