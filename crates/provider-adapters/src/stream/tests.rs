//! The stream over one whose operations wait, fall short and fail when they are to.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use samestep_provider_traits::{BufResult, IoBuf, IoBufMut, TcpStream};

use super::PollStream;

/// The other end, and what it lets through.
#[derive(Default)]
struct Peer {
    to_read: VecDeque<io::Result<Vec<u8>>>,
    /// How many bytes may be written before writes wait; each write takes three at most.
    window: usize,
    write_failure: Option<ErrorKind>,
    written: Vec<u8>,
    is_shut: bool,
    /// Where the buffers of all operations were.
    buffers: BTreeSet<usize>,
}

#[derive(Clone, Default)]
struct Scripted(Rc<RefCell<Peer>>);

impl TcpStream for Scripted {
    fn read<B: IoBufMut>(&self, mut buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let peer = Rc::clone(&self.0);
        async move {
            let next = poll_fn(|_| peer.borrow_mut().to_read.pop_front().map_or(Poll::Pending, Poll::Ready));
            let outcome = next.await.map(|bytes| {
                assert!(bytes.len() <= buf.bytes_total(), "the script gives more than fits");
                buf.fill_from(&bytes)
            });
            peer.borrow_mut().buffers.insert(buf.stable_ptr().addr());
            (outcome, buf)
        }
    }

    fn write<B: IoBuf>(&self, buf: B) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let peer = Rc::clone(&self.0);
        async move {
            let outcome = poll_fn(|_| {
                let mut peer = peer.borrow_mut();
                if let Some(kind) = peer.write_failure {
                    return Poll::Ready(Err(kind.into()));
                }
                let count = buf.bytes_init().min(peer.window).min(3);
                if count == 0 {
                    return Poll::Pending;
                }
                peer.window -= count;
                peer.buffers.insert(buf.stable_ptr().addr());
                peer.written.extend_from_slice(&buf.as_bytes()[..count]);
                Poll::Ready(Ok(count))
            });
            let outcome = outcome.await;
            (outcome, buf)
        }
    }

    fn shutdown(&self) -> impl Future<Output = io::Result<()>> + use<> {
        let peer = Rc::clone(&self.0);
        async move {
            peer.borrow_mut().is_shut = true;
            Ok(())
        }
    }

    async fn close(self) -> io::Result<()> {
        Ok(())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(ErrorKind::Unsupported.into())
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Err(ErrorKind::Unsupported.into())
    }
}

fn scripted(window: usize, buffer_bytes: usize) -> (PollStream<Scripted>, Rc<RefCell<Peer>>) {
    let stream = Scripted::default();
    stream.0.borrow_mut().window = window;
    let peer = Rc::clone(&stream.0);
    (PollStream::with_buffer_bytes(stream, buffer_bytes), peer)
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Takes the outcome of a poll that is over, with errors as their kinds.
fn over<T>(polled: Poll<io::Result<T>>) -> Result<T, ErrorKind> {
    match polled {
        Poll::Ready(outcome) => outcome.map_err(|error| error.kind()),
        Poll::Pending => panic!("still pending"),
    }
}

fn written(peer: &RefCell<Peer>) -> String {
    String::from_utf8(peer.borrow().written.clone()).unwrap()
}

#[test]
fn a_write_takes_what_there_is_room_for() {
    let (mut stream, peer) = scripted(0, 4);
    // One buffer is being sent, the other is full: then there is no room.
    assert_eq!(over(stream.poll_write(&mut cx(), b"abcdef")), Ok(4));
    assert_eq!(over(stream.poll_write(&mut cx(), b"ef")), Ok(2));
    assert_eq!(over(stream.poll_write(&mut cx(), b"ghij")), Ok(2));
    assert!(stream.poll_write(&mut cx(), b"ij").is_pending());
    assert!(stream.poll_flush(&mut cx()).is_pending());
    peer.borrow_mut().window = 5;
    assert_eq!(over(stream.poll_write(&mut cx(), b"ij")), Ok(2));
    assert_eq!(written(&peer), "abcde");
    peer.borrow_mut().window = 100;
    assert_eq!(over(stream.poll_flush(&mut cx())), Ok(()));
    assert_eq!(written(&peer), "abcdefghij");
}

#[test]
fn slices_are_taken_in_order() {
    let (mut stream, peer) = scripted(100, 4);
    let slices = [b"a".as_slice(), b"", b"bc", b"defg"].map(io::IoSlice::new);
    assert_eq!(over(stream.poll_write_vectored(&mut cx(), &slices)), Ok(4));
    assert_eq!(over(stream.poll_write(&mut cx(), b"")), Ok(0));
    assert_eq!(written(&peer), "abcd");
}

#[test]
fn a_shutdown_comes_behind_all_that_was_taken() {
    let (mut stream, peer) = scripted(1, 8);
    assert_eq!(over(stream.poll_write(&mut cx(), b"abc")), Ok(3));
    assert!(stream.poll_shutdown(&mut cx()).is_pending());
    assert!(!peer.borrow().is_shut);
    peer.borrow_mut().window = 100;
    assert_eq!(over(stream.poll_shutdown(&mut cx())), Ok(()));
    assert!(peer.borrow().is_shut);
    assert_eq!(written(&peer), "abc");
    assert_eq!(over(stream.poll_shutdown(&mut cx())), Ok(()), "asked for twice");
    assert_eq!(over(stream.poll_write(&mut cx(), b"d")), Err(ErrorKind::BrokenPipe));
}

#[test]
fn an_error_is_told_by_the_next_poll_and_by_all_later_ones() {
    let (mut stream, peer) = scripted(1, 4);
    assert_eq!(over(stream.poll_write(&mut cx(), b"abcd")), Ok(4));
    assert_eq!(over(stream.poll_write(&mut cx(), b"efgh")), Ok(4));
    peer.borrow_mut().write_failure = Some(ErrorKind::ConnectionReset);
    assert_eq!(over(stream.poll_flush(&mut cx())), Err(ErrorKind::ConnectionReset));
    // As if the peer were there again: what follows a gap must not be sent.
    peer.borrow_mut().write_failure = None;
    peer.borrow_mut().window = 100;
    assert_eq!(over(stream.poll_write(&mut cx(), b"x")), Err(ErrorKind::ConnectionReset));
    assert_eq!(over(stream.poll_flush(&mut cx())), Err(ErrorKind::ConnectionReset));
    assert_eq!(over(stream.poll_shutdown(&mut cx())), Err(ErrorKind::ConnectionReset));
    assert_eq!(written(&peer), "a");
}

#[test]
fn an_error_that_a_reader_met_is_told_to_the_writer() {
    let (mut stream, peer) = scripted(0, 4);
    assert_eq!(over(stream.poll_write(&mut cx(), b"abcd")), Ok(4));
    peer.borrow_mut().write_failure = Some(ErrorKind::ConnectionReset);
    peer.borrow_mut().to_read.push_back(Ok(b"fine".to_vec()));
    assert_eq!(over(stream.poll_fill(&mut cx()).map_ok(<[u8]>::to_vec)), Ok(b"fine".to_vec()));
    assert_eq!(over(stream.poll_flush(&mut cx())), Err(ErrorKind::ConnectionReset));
}

/// Who writes a request and waits for the answer without flushing gets it all the same.
#[test]
fn a_reader_helps_to_send_unless_a_writer_waits() {
    let (mut stream, peer) = scripted(0, 8);
    assert_eq!(over(stream.poll_write(&mut cx(), b"abc")), Ok(3));
    peer.borrow_mut().window = 2;
    assert!(stream.poll_fill(&mut cx()).is_pending());
    assert_eq!(written(&peer), "ab");
    assert!(stream.poll_flush(&mut cx()).is_pending());
    peer.borrow_mut().window = 2;
    assert!(stream.poll_fill(&mut cx()).is_pending());
    assert_eq!(written(&peer), "ab", "the writer's waker was replaced by the reader's");
    assert_eq!(over(stream.poll_flush(&mut cx())), Ok(()));
    assert_eq!(written(&peer), "abc");
}

#[test]
fn what_was_received_is_given_out_in_parts() {
    let (mut stream, peer) = scripted(0, 8);
    assert!(stream.poll_fill(&mut cx()).is_pending());
    peer.borrow_mut().to_read.extend([Ok(b"abc".to_vec()), Ok(b"de".to_vec()), Ok(Vec::new())]);
    for expected in ["abc", "bc", "c", "de", "e", "", ""] {
        let seen = over(stream.poll_fill(&mut cx()).map_ok(<[u8]>::to_vec)).unwrap();
        assert_eq!(seen, expected.as_bytes());
        stream.consume(seen.len().min(1));
        peer.borrow_mut().to_read.push_back(Ok(Vec::new()));
    }
}

#[test]
fn a_read_that_fails_may_be_repeated() {
    let (mut stream, peer) = scripted(0, 8);
    let script = [Err(ErrorKind::ConnectionReset.into()), Ok(b"a".to_vec())];
    peer.borrow_mut().to_read.extend(script);
    assert_eq!(over(stream.poll_fill(&mut cx()).map_ok(<[u8]>::to_vec)), Err(ErrorKind::ConnectionReset));
    assert_eq!(over(stream.poll_fill(&mut cx()).map_ok(<[u8]>::to_vec)), Ok(b"a".to_vec()));
}

/// Two take turns.
#[test]
fn the_same_buffers_are_sent_again() {
    let (mut stream, peer) = scripted(1000, 8);
    for _ in 0..50 {
        assert_eq!(over(stream.poll_write(&mut cx(), b"abc")), Ok(3));
        assert_eq!(over(stream.poll_flush(&mut cx())), Ok(()));
    }
    assert_eq!(peer.borrow().buffers.len(), 2);
}

#[test]
fn the_same_buffer_is_read_into_again() {
    let (mut stream, peer) = scripted(0, 8);
    for _ in 0..50 {
        peer.borrow_mut().to_read.push_back(Ok(b"abcdefgh".to_vec()));
        let len = over(stream.poll_fill(&mut cx()).map_ok(<[u8]>::len)).unwrap();
        stream.consume(len);
    }
    assert_eq!(peer.borrow().buffers.len(), 1);
}
