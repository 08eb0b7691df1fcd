//! HTTP/1.1 by hyper, client and server, over the simulated network: each answer is right, or there is an error.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::rt::Executor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use samestep_provider_adapters::{HyperExecutor, HyperTimer, PollStream};
use samestep_provider_traits::{NetworkProvider, TaskProvider, TcpListener, TimeProvider};
use samestep_sim::{
    ChaosConfiguration, FaultFamily, NetworkConfiguration, NetworkFaults, NetworkLimits, SimProviders,
    SimWorld, WorldConfig,
};

#[test]
fn requests_are_answered() {
    for seed in 0..10 {
        let (world, outcome) = run(WorldConfig::new(seed));
        assert_eq!(outcome, Outcome { answered: CLIENTS * REQUESTS, failed: 0 }, "seed {seed}");
        assert_eq!(run(WorldConfig::new(seed)).0.trace_hash(), world.trace_hash(), "seed {seed}");
    }
}

/// Every fault of the network but bits turned over, which TCP's checksum would keep from HTTP.
#[test]
fn under_faults_answers_are_right_or_errors() {
    let chaos = ChaosConfiguration {
        bit_flip_probability: 0.0,
        random_close_probability: 0.002,
        random_close_cooldown: Duration::from_millis(100),
        clog_probability: 0.01,
        partition_probability: 0.005,
        ..ChaosConfiguration::default()
    };
    let faults = NetworkFaults {
        partitions_per_second: 1.0,
        cuts_per_second: 1.0,
        closes_per_second: 1.0,
        half_opens_per_second: 0.5,
        ..NetworkFaults::default()
    };
    let network = NetworkConfiguration { chaos, ..NetworkConfiguration::default() };
    let mut total = Outcome::default();
    let mut acted = [0; FaultFamily::ALL.len()];
    for seed in 0..40 {
        let config = WorldConfig::new(seed).network(network.clone()).network_faults(faults.clone());
        let (world, outcome) = run(config);
        total.answered += outcome.answered;
        total.failed += outcome.failed;
        for (family, count) in FaultFamily::ALL.into_iter().zip(&mut acted) {
            *count += world.faults().count(family);
        }
    }
    assert!(total.answered > 10 * CLIENTS * REQUESTS, "{total:?}");
    assert!(total.failed > 20, "{total:?}");
    for family in [
        FaultFamily::PartialRead,
        FaultFamily::PartialWrite,
        FaultFamily::RandomClose,
        FaultFamily::ConnectRefused,
        FaultFamily::ConnectHang,
        FaultFamily::Partition,
        FaultFamily::Clog,
    ] {
        assert!(acted[family as usize] > 0, "{family} never acted");
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outcome {
    answered: usize,
    failed: usize,
}

/// One server and some clients, each with requests one after the other, on as few connections as it can.
fn run(config: WorldConfig) -> (SimWorld, Outcome) {
    let limits = NetworkLimits {
        connect_timeout: Duration::from_secs(2),
        retransmission_timeout: Duration::from_secs(2),
        keep_alive_timeout: Duration::from_secs(4),
        ..NetworkLimits::default()
    };
    let world = SimWorld::with_config(config.network_limits(limits));
    let server = world.add_node("server", SERVER.ip());
    world.spawn(Some(server), "server", serve(world.providers(server)));
    let outcome = Rc::new(Cell::new(Outcome::default()));
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let last = u8::try_from(number + 1).expect("a few clients");
            let node = world.add_node(&format!("client-{number}"), IpAddr::V4(Ipv4Addr::new(10, 0, 1, last)));
            let client = request_all(world.providers(node), number, Rc::clone(&outcome));
            world.spawn(Some(node), "client", client)
        })
        .collect();
    for client in &mut clients {
        world.block_on(client).expect("clients end").expect("clients do not panic");
    }
    (world, outcome.get())
}

async fn serve(world: SimProviders) {
    let listener = world.network().bind(SERVER).await.expect("a fresh node has free ports");
    let timer = HyperTimer::new(*world.time());
    while let Ok((stream, _)) = listener.accept().await {
        let timer = timer.clone();
        drop(world.task().spawn("connection", async move {
            let connection = http1::Builder::new()
                .timer(timer)
                .header_read_timeout(Duration::from_secs(30))
                // The date is the machine's, and none of the seed's.
                .auto_date_header(false)
                .serve_connection(PollStream::new(stream), service_fn(answer));
            // What a fault did to it, its client sees as well.
            let _ = connection.await;
        }));
    }
}

/// Sends back the body of a POST, as it comes; greets all others.
async fn answer(request: Request<Incoming>) -> Result<Response<Either<Incoming, Full<Bytes>>>, Infallible> {
    Ok(Response::new(match *request.method() {
        Method::POST => Either::Left(request.into_body()),
        _ => Either::Right(Full::new(Bytes::from(format!("you asked for {}", request.uri().path())))),
    }))
}

async fn request_all(world: SimProviders, client: usize, outcome: Rc<Cell<Outcome>>) {
    // The server binds first.
    world.time().sleep(Duration::from_millis(1)).await;
    let mut connection = None;
    for number in 0..REQUESTS {
        let answered =
            world.time().timeout(Duration::from_secs(3), ask(&world, &mut connection, client, number));
        let mut now = outcome.get();
        if answered.await.ok().flatten().is_some() {
            now.answered = outcome.get().answered + 1;
            now.failed = outcome.get().failed;
        } else {
            connection = None;
            now = outcome.get();
            now.failed += 1;
        }
        outcome.set(now);
    }
}

/// One request and its answer, which is checked; none if there is no answer.
async fn ask(
    world: &SimProviders,
    connection: &mut Option<SendRequest<Full<Bytes>>>,
    client: usize,
    number: usize,
) -> Option<()> {
    let sender = match connection {
        Some(sender) => sender,
        None => connection.insert(connect(world).await?),
    };
    sender.ready().await.ok()?;
    let path = format!("/{client}/{number}");
    let (request, expected) = if number.is_multiple_of(2) {
        let body = format!("you asked for {path}");
        (Request::get(&path).body(Full::default()), Bytes::from(body))
    } else {
        let body: Bytes = (0..=250).cycle().skip(client * 7 + number).take(5_000 * number).collect();
        (Request::post(&path).body(Full::new(body.clone())), body)
    };
    let response = sender.send_request(request.expect("the path is valid")).await.ok()?;
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.ok()?.to_bytes();
    assert!(body == expected, "another answer than to {path}");
    Some(())
}

async fn connect(world: &SimProviders) -> Option<SendRequest<Full<Bytes>>> {
    let stream = world.network().connect(SERVER).await.ok()?;
    let (sender, connection) = handshake(PollStream::new(stream)).await.ok()?;
    HyperExecutor::new(*world.task()).execute(async move {
        // What a fault did to it, its requests see as well.
        let _ = connection.await;
    });
    Some(sender)
}

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 80);
const CLIENTS: usize = 3;
const REQUESTS: usize = 8;
