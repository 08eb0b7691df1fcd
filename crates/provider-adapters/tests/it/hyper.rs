//! HTTP/1.1 by hyper: client and server over one connection.

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Empty, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::rt::{Executor, Sleep, Timer};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use samestep_provider_adapters::{HyperExecutor, HyperTimer, PollStream};
use samestep_provider_traits::{
    JoinHandle, NetworkProvider, Providers, TaskProvider, TcpListener, TcpStream, TimeProvider,
};
use samestep_tokio_providers::{TokioJoinHandle, TokioProviders, TokioTimeProvider};

use crate::world::run;

/// Sends back the body of a POST, as it comes; greets all others.
async fn serve(request: Request<Incoming>) -> Result<Response<Either<Incoming, Full<Bytes>>>, Infallible> {
    Ok(Response::new(match *request.method() {
        Method::POST => Either::Left(request.into_body()),
        _ => Either::Right(Full::new(Bytes::from(format!("you asked for {}", request.uri().path())))),
    }))
}

type Server = TokioJoinHandle<hyper::Result<()>>;

/// A client of one connection, and the task that serves it.
async fn connect<B>(world: &TokioProviders) -> (SendRequest<B>, Server)
where
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + 'static,
{
    let listener = world.network().bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let stream = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let timer = HyperTimer::new(world.time().clone());
    let server = world.task().spawn("server", async move {
        let service = service_fn(serve);
        http1::Builder::new()
            .timer(timer)
            .header_read_timeout(Duration::from_secs(30))
            .serve_connection(PollStream::new(accepted), service)
            .await
    });
    let (sender, connection) = handshake(PollStream::new(stream)).await.unwrap();
    HyperExecutor::new(*world.task()).execute(async move { connection.await.unwrap() });
    (sender, server)
}

async fn collect(response: Response<Incoming>) -> Bytes {
    assert_eq!(response.status(), StatusCode::OK);
    response.into_body().collect().await.unwrap().to_bytes()
}

#[test]
fn one_connection_serves_several_requests() {
    run(|world| async move {
        let (mut client, server) = connect(&world).await;
        for path in ["/one", "/two", "/three"] {
            client.ready().await.unwrap();
            let response = client.send_request(Request::get(path).body(Empty::<Bytes>::new()).unwrap()).await;
            assert_eq!(collect(response.unwrap()).await, format!("you asked for {path}"));
        }
        assert!(!server.is_finished(), "the connection was not kept");
        drop(client);
        server.await.unwrap().unwrap();
    });
}

#[test]
fn a_body_of_a_mebibyte_goes_both_ways() {
    run(|world| async move {
        let body: Vec<u8> = (0..=250).cycle().take(1 << 20).collect();
        let (mut client, server) = connect(&world).await;
        for _ in 0..3 {
            client.ready().await.unwrap();
            let request = Request::post("/echo").body(Full::new(Bytes::from(body.clone()))).unwrap();
            let response = client.send_request(request).await.unwrap();
            assert!(collect(response).await == body);
        }
        drop(client);
        server.await.unwrap().unwrap();
    });
}

/// Frames that are made one after the other, each some time after the last.
struct Ticks {
    time: HyperTimer<TokioTimeProvider>,
    sleep: Pin<Box<dyn Sleep>>,
    next: u8,
}

impl Body for Ticks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.next == TICK_COUNT {
            return Poll::Ready(None);
        }
        ready!(self.sleep.as_mut().poll(cx));
        let deadline = self.time.now() + Duration::from_millis(1);
        self.sleep = self.time.sleep_until(deadline);
        let frame = Bytes::from(vec![self.next; 1000]);
        self.next += 1;
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }
}

const TICK_COUNT: u8 = 20;

/// The answer begins while the request is still being made.
#[test]
fn a_body_is_streamed() {
    run(|world| async move {
        let (mut client, server) = connect(&world).await;
        let time = HyperTimer::new(world.time().clone());
        let body = Ticks { sleep: time.sleep(Duration::from_millis(1)), time, next: 0 };
        let response = client.send_request(Request::post("/echo").body(body).unwrap()).await.unwrap();
        let mut echoed = response.into_body();
        let first = echoed.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(!first.is_empty());
        let mut all = first.to_vec();
        all.extend_from_slice(&echoed.collect().await.unwrap().to_bytes());
        let expected: Vec<u8> = (0..TICK_COUNT).flat_map(|tick| [tick; 1000]).collect();
        assert!(all == expected);
        drop(client);
        server.await.unwrap().unwrap();
    });
}

/// A client that connects and says nothing does not hold its connection for ever.
#[test]
fn a_silent_client_is_timed_out() {
    run(|world| async move {
        let listener = world.network().bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let silent = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let limit = Duration::from_millis(30);
        let start = world.time().now();
        let served = http1::Builder::new()
            .timer(HyperTimer::new(world.time().clone()))
            .header_read_timeout(limit)
            .serve_connection(PollStream::new(accepted), service_fn(serve))
            .await;
        assert!(served.unwrap_err().is_timeout());
        assert!(world.time().now() - start >= limit, "it was timed out early");
        drop(silent);
    });
}

#[test]
fn a_client_that_leaves_ends_its_connection() {
    run(|world| async move {
        let listener = world.network().bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let leaving = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        leaving.write_all("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.0.unwrap();
        let server = http1::Builder::new().serve_connection(PollStream::new(accepted), service_fn(serve));
        let server = world.task().spawn("server", server);
        let mut answer = Vec::new();
        while let (Ok(1..), part) = leaving.read(Vec::with_capacity(100)).await {
            answer.extend(part);
        }
        assert!(answer.ends_with(b"you asked for /"), "{}", answer.escape_ascii());
        server.await.unwrap().unwrap();
    });
}

#[test]
fn instants_follow_the_provider() {
    run(|world| async move {
        let timer = HyperTimer::new(world.time().clone());
        let start = world.time().now();
        let before = timer.now();
        timer.sleep(Duration::from_millis(3)).await;
        let passed = timer.now() - before;
        assert!(passed >= Duration::from_millis(3));
        assert!(world.time().now() - start >= passed);
        // A deadline that has passed.
        timer.clone().sleep_until(before).await;
        let mut sleep = timer.sleep(Duration::from_secs(3600));
        timer.reset(&mut sleep, before);
        sleep.await;
        world.time().timeout(Duration::ZERO, pending::<()>()).await.unwrap_err();
    });
}
