//! The traits of the `futures` family, polled by hand: their extension methods are in a crate of their own.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use samestep_provider_adapters::PollStream;
use samestep_provider_traits::{Providers, RandomProvider, SeededRandom, TaskProvider};
use samestep_tokio_providers::{TokioProviders, TokioTcpStream};

use crate::world::{pair, run};

type Stream = PollStream<TokioTcpStream>;

/// Sends `sent`, and receives to the end: as one task, in random turns and pieces.
async fn exchange(mut stream: Stream, sent: Vec<u8>, random: SeededRandom) -> Vec<u8> {
    let mut received = Vec::new();
    let (mut sent_count, mut is_closed, mut has_ended) = (0, false, false);
    let mut piece = vec![0; 5000];
    poll_fn(|cx| {
        // As long as either direction moves; pending only if both are.
        loop {
            let mut moved = false;
            if !is_closed && random.random_bool(0.7) {
                let rest = &sent[sent_count..];
                let rest = &rest[..rest.len().min(random.random_range(1..5000))];
                if rest.is_empty() {
                    is_closed = Pin::new(&mut stream).poll_close(cx)?.is_ready();
                    moved |= is_closed;
                } else if let Poll::Ready(count) = Pin::new(&mut stream).poll_write(cx, rest)? {
                    sent_count += count;
                    moved = true;
                }
            }
            if !has_ended {
                let room = random.random_range(1..piece.len());
                if let Poll::Ready(count) = Pin::new(&mut stream).poll_read(cx, &mut piece[..room])? {
                    received.extend_from_slice(&piece[..count]);
                    has_ended = count == 0;
                    moved = true;
                }
            }
            if is_closed && has_ended {
                return Poll::Ready(io::Result::Ok(()));
            }
            if !moved {
                if !is_closed {
                    // The turn may have been skipped, so that nobody waits for it.
                    cx.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
        }
    })
    .await
    .unwrap();
    received
}

async fn bytes_arrive_in_order(world: TokioProviders, buffer_bytes: usize) {
    let mut bytes = [vec![0; 500_000], vec![0; 300_000]];
    for bytes in &mut bytes {
        world.random().fill_bytes(bytes);
    }
    let [one, two] = bytes;
    let (near, far) = pair(&world, buffer_bytes).await;
    let near = world.task().spawn("near", exchange(near, one.clone(), world.random().fork("near")));
    let far = world.task().spawn("far", exchange(far, two.clone(), world.random().fork("far")));
    assert!(near.await.unwrap() == two);
    assert!(far.await.unwrap() == one);
}

#[test]
fn bytes_arrive_in_order_both_ways() {
    for buffer_bytes in [1000, 16 * 1024] {
        run(|world| bytes_arrive_in_order(world, buffer_bytes));
    }
}

#[test]
fn the_buffer_is_lent() {
    run(|world| async move {
        let (mut near, mut far) = pair(&world, 8).await;
        poll_fn(|cx| Pin::new(&mut near).poll_write(cx, b"lent")).await.unwrap();
        poll_fn(|cx| Pin::new(&mut near).poll_flush(cx)).await.unwrap();
        for expected in [b"lent".as_slice(), b"ent", b"nt"] {
            let seen = poll_fn(|cx| Pin::new(&mut far).poll_fill_buf(cx).map_ok(<[u8]>::to_vec)).await;
            assert_eq!(seen.unwrap(), expected);
            Pin::new(&mut far).consume(1);
        }
    });
}
