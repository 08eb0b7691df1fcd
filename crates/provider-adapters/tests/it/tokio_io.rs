//! tokio's traits.

use std::future::{Future, poll_fn};
use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::task::Poll;

use samestep_provider_traits::{Providers, RandomProvider, SeededRandom, TaskProvider};
use samestep_tokio_providers::TokioProviders;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::world::{pair, run};

/// Writes `bytes` in pieces of random lengths, and drops some of the calls after one poll.
async fn send(mut writer: impl AsyncWrite + Unpin, bytes: &[u8], random: &SeededRandom) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let piece = &rest[..random.random_range(1..10_000).min(rest.len())];
        let count = if random.random_bool(0.5) {
            writer.write(piece).await.unwrap()
        } else {
            // What a dropped call took it has told; one that is pending took nothing.
            match poll_once(pin!(writer.write(piece))).await {
                Poll::Ready(count) => count.unwrap(),
                Poll::Pending => {
                    tokio::task::yield_now().await;
                    0
                }
            }
        };
        rest = &rest[count..];
        if random.random_bool(0.1) {
            writer.flush().await.unwrap();
        }
    }
    writer.shutdown().await.unwrap();
}

/// Reads to the end in pieces of random lengths, and drops some of the calls after one poll.
async fn receive(mut reader: impl AsyncRead + Unpin, random: &SeededRandom) -> Vec<u8> {
    let mut received = Vec::new();
    loop {
        let mut piece = vec![0; random.random_range(1..10_000)];
        let count = if random.random_bool(0.5) {
            reader.read(&mut piece).await.unwrap()
        } else {
            match poll_once(pin!(reader.read(&mut piece))).await {
                Poll::Ready(count) => count.unwrap(),
                Poll::Pending => {
                    tokio::task::yield_now().await;
                    continue;
                }
            }
        };
        if count == 0 {
            return received;
        }
        received.extend_from_slice(&piece[..count]);
    }
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

async fn bytes_arrive_in_order(world: TokioProviders, buffer_bytes: usize) {
    let mut bytes = [vec![0; 500_000], vec![0; 300_000]];
    for bytes in &mut bytes {
        world.random().fill_bytes(bytes);
    }
    let [one, two] = bytes;
    let (near, far) = pair(&world, buffer_bytes).await;
    let tasks: Vec<_> = [(near, one.clone(), two.clone(), "near"), (far, two, one, "far")]
        .into_iter()
        .flat_map(|(stream, sent, expected, name)| {
            // Two tasks with wakers of their own.
            let (reader, writer) = tokio::io::split(stream);
            let random = world.random().fork(name);
            let (one, two) = (random.fork("send"), random.fork("receive"));
            [
                world.task().spawn("writer", async move { send(writer, &sent, &one).await }),
                world.task().spawn("reader", async move { assert!(receive(reader, &two).await == expected) }),
            ]
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn bytes_arrive_in_order_both_ways() {
    for buffer_bytes in [1000, 16 * 1024] {
        run(|world| bytes_arrive_in_order(world, buffer_bytes));
    }
}

#[test]
fn lines_are_read() {
    run(|world| async move {
        let (mut near, mut far) = pair(&world, 5).await;
        let slices = ["one\n", "two and more\n", "three"].map(|text| IoSlice::new(text.as_bytes()));
        let count = near.write_vectored(&slices).await.unwrap();
        assert_eq!(count, 5);
        near.write_all(b"wo\nthree").await.unwrap();
        near.shutdown().await.unwrap();
        let mut lines = Vec::new();
        let mut line = String::new();
        while far.read_line(&mut line).await.unwrap() > 0 {
            lines.push(std::mem::take(&mut line));
        }
        assert_eq!(lines, ["one\n", "two\n", "three"]);
    });
}

/// A program that never flushes, as it need not over tokio's own stream.
#[test]
fn an_answer_comes_without_a_flush() {
    run(|world| async move {
        let (mut near, mut far) = pair(&world, 4096).await;
        let server = world.task().spawn("server", async move {
            let mut request = vec![0; 100_000];
            far.read_exact(&mut request).await.unwrap();
            far.write_all(&request).await.unwrap();
            // Reads the end, and sends what is left meanwhile.
            assert_eq!(far.read(&mut request).await.unwrap(), 0);
        });
        near.write_all(&vec![7; 100_000]).await.unwrap();
        let mut answer = vec![0; 100_000];
        near.read_exact(&mut answer).await.unwrap();
        assert!(answer.iter().all(|byte| *byte == 7));
        near.shutdown().await.unwrap();
        server.await.unwrap();
    });
}

#[test]
fn a_write_to_a_peer_that_is_gone_fails_in_the_end() {
    run(|world| async move {
        let (mut near, far) = pair(&world, 1000).await;
        drop(far);
        let mut attempts = 0;
        while near.write_all(&[0; 1000]).await.is_ok() && near.flush().await.is_ok() {
            attempts += 1;
            assert!(attempts < 100_000, "writes to a peer that is gone go well for ever");
            tokio::task::yield_now().await;
        }
        near.flush().await.unwrap_err();
    });
}
