//! Other ecosystems' traits over the ring: HTTP/1.1 by hyper, and the streams of tokio and of futures, over sockets of
//! both kinds that the runtime has.
#![cfg(target_os = "linux")]

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;

use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::rt::Executor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use samestep_provider_adapters::{HyperExecutor, HyperTimer, PollStream};
use samestep_provider_traits::{NetworkProvider, Providers, TaskProvider, TcpListener, TcpStream};
use samestep_uring_rt::{Driver, DriverChoice, Runtime, UringProviders};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Both ends of a connection.
type Ends<S> = (S, S);

#[test]
fn hyper_serves_and_asks_over_tcp() {
    on_each_driver(|world| async move {
        let ends = tcp(&world).await;
        http(&world, ends).await;
    });
}

#[test]
fn hyper_serves_and_asks_over_unix_sockets() {
    on_each_driver(|world| async move {
        let ends = world.network().unix_pair().unwrap();
        http(&world, ends).await;
    });
}

#[test]
fn tokios_streams_carry_bytes_both_ways() {
    on_each_driver(|world| async move {
        let (near, far) = tcp(&world).await;
        tokio_echo(&world, (near, far)).await;
        tokio_echo(&world, world.network().unix_pair().unwrap()).await;
    });
}

#[test]
fn futures_streams_carry_bytes_both_ways() {
    on_each_driver(|world| async move {
        let ends = tcp(&world).await;
        futures_echo(ends).await;
        futures_echo(world.network().unix_pair().unwrap()).await;
    });
}

/// Runs `test` on the ring, if this machine gives one, and on threads; each ends with nothing under way.
fn on_each_driver<Fut: Future<Output = ()>>(test: impl Fn(UringProviders) -> Fut) {
    for driver in [DriverChoice::RingOrThreads, DriverChoice::Threads] {
        let runtime = Runtime::builder().driver(driver).build().expect("threads can be had");
        if driver == DriverChoice::RingOrThreads && runtime.info().driver() != Driver::Ring {
            println!("skipped: no ring");
            continue;
        }
        let world = runtime.providers(".", 1).expect("this folder can be opened");
        runtime.block_on(test(world));
        let stats = runtime.stats();
        assert_eq!((stats.receive_buffers_out, stats.completions_unknown), (0, 0));
        runtime.shutdown().expect("nothing is under way for ever");
    }
}

async fn tcp(
    world: &UringProviders,
) -> Ends<<samestep_uring_rt::UringNetwork as NetworkProvider>::TcpStream> {
    let any_port = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let listener = world.network().bind(any_port).await.unwrap();
    let near = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
    (near, listener.accept().await.unwrap().0)
}

/// Requests with bodies up to more than a socket holds, one after the other on one connection.
async fn http<S: TcpStream>(world: &UringProviders, (near, far): Ends<S>) {
    let timer = HyperTimer::new(world.time().clone());
    let server = world.task().spawn("server", async move {
        let service = service_fn(|request: Request<Incoming>| async move {
            Ok::<_, Infallible>(Response::new(request.into_body()))
        });
        http1::Builder::new().timer(timer).serve_connection(PollStream::new(far), service).await
    });
    let (mut sender, connection) = handshake(PollStream::new(near)).await.unwrap();
    HyperExecutor::new(world.task().clone()).execute(async move { connection.await.unwrap() });
    for len in [0, 1, 1000, 100_000, 3_000_000] {
        let body: Bytes = (0..=250).cycle().take(len).collect();
        let request = Request::post("/").body(Full::new(body.clone())).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert!(response.into_body().collect().await.unwrap().to_bytes() == body, "{len} bytes");
    }
    drop(sender);
    server.await.unwrap().unwrap();
}

async fn tokio_echo<S: TcpStream>(world: &UringProviders, (near, far): Ends<S>) {
    let echo = world.task().spawn("echo", async move {
        let (mut read, mut write) = tokio::io::split(PollStream::new(far));
        let count = tokio::io::copy(&mut read, &mut write).await.unwrap();
        write.shutdown().await.unwrap();
        count
    });
    let bytes: Vec<u8> = (0..=250).cycle().take(1_000_000).collect();
    let (mut read, mut write) = tokio::io::split(PollStream::new(near));
    let writer = {
        let bytes = bytes.clone();
        world.task().spawn("writer", async move {
            write.write_all(&bytes).await.unwrap();
            write.shutdown().await.unwrap();
        })
    };
    let mut back = Vec::new();
    read.read_to_end(&mut back).await.unwrap();
    assert!(back == bytes);
    writer.await.unwrap();
    assert_eq!(echo.await.unwrap(), bytes.len() as u64);
}

async fn futures_echo<S: TcpStream>((near, far): Ends<S>) {
    let (mut near, mut far) = (PollStream::new(near), PollStream::new(far));
    for piece in [&b"to"[..], b"and", b"fro"] {
        let mut sent = 0;
        while sent < piece.len() {
            sent +=
                poll_fn(|cx| AsyncWrite::poll_write(Pin::new(&mut near), cx, &piece[sent..])).await.unwrap();
        }
        poll_fn(|cx| AsyncWrite::poll_flush(Pin::new(&mut near), cx)).await.unwrap();
        let (mut buf, mut received) = ([0; 8], 0);
        while received < piece.len() {
            let read = poll_fn(|cx| AsyncRead::poll_read(Pin::new(&mut far), cx, &mut buf[received..]));
            received += read.await.unwrap();
        }
        assert_eq!(&buf[..received], piece);
        std::mem::swap(&mut near, &mut far);
    }
    poll_fn(|cx| AsyncWrite::poll_close(Pin::new(&mut near), cx)).await.unwrap();
    let mut buf = [0; 8];
    assert_eq!(poll_fn(|cx| AsyncRead::poll_read(Pin::new(&mut far), cx, &mut buf)).await.unwrap(), 0);
}
