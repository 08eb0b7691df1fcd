//! One program, written against the traits, in every world there is.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{
    NetworkProvider, Providers, RandomProvider, SeededRandom, TaskProvider, TcpListener, TcpStream,
    TimeProvider,
};
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};
use samestep_sim::SimWorld;
use samestep_tokio_providers::{TokioProviders, TokioRuntime};
use samestep_uring_rt::DriverChoice;

use super::on_driver;
use crate::scenario::{Random, Scenario};

/// A server that gives up waiting all the time, and clients that want every byte back.
pub(crate) const ECHO: Random = Random(Scenario {
    name: "uring/echo",
    about: "an echo server whose accepts and reads are given up all the time, and its clients: one transcript in sim, \
            on tokio, on io_uring and on threads",
    run: echo_everywhere,
});

/// Of one connection, in the order in which they are said.
type Script = Vec<Vec<u8>>;

fn echo_everywhere(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let seed = context.seed().get();
    let scripts = scripts(&SeededRandom::new(seed));
    let simulated = in_simulation(seed, &scripts)?;
    let root = context.scratch().join("tokio");
    std::fs::create_dir(&root)?;
    let world = TokioProviders::new(&root, seed);
    let on_tokio =
        TokioRuntime::new()?.block_on(program(world.clone(), world, LOCALHOST, scripts.clone()))?;
    expect_same("tokio", &on_tokio, &simulated)?;
    for (name, driver) in [("threads", DriverChoice::Threads), ("ring", DriverChoice::Ring)] {
        let scripts = scripts.clone();
        let root = context.scratch().join(name);
        let lines =
            on_driver(driver, &root, seed, |world| program(world.clone(), world, LOCALHOST, scripts))??;
        expect_same(name, &lines, &simulated)?;
    }
    for line in &simulated {
        transcript.line(line);
    }
    Ok(())
}

fn expect_same(name: &str, seen: &[String], simulated: &[String]) -> Result<(), LaneError> {
    if seen == simulated {
        return Ok(());
    }
    let differing = seen.iter().zip(simulated).find(|(one, other)| one != other);
    Err(LaneError::failed(format!("{name} and sim differ, first in {differing:?}")))
}

/// What the clients say.
fn scripts(random: &SeededRandom) -> Vec<Script> {
    let client = |number: usize| {
        let random = random.fork(&format!("client {number}"));
        let message = |_| {
            // Short ones, and some that fit no socket's buffer.
            let len = random.random_range(1..if random.random_bool(0.1) { 200_000 } else { 100_usize });
            let mut bytes = vec![0; len];
            random.fill_bytes(&mut bytes);
            bytes
        };
        (0..random.random_range(1..12_usize)).map(message).collect()
    };
    (0..CLIENTS).map(client).collect()
}

fn in_simulation(seed: u64, scripts: &[Script]) -> Result<Vec<String>, LaneError> {
    let world = SimWorld::new_with_seed(seed);
    let ip = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
    let [server, clients] =
        [("server", 1), ("clients", 2)].map(|(name, last)| world.add_node(name, ip(last)));
    let program = program(world.providers(server), world.providers(clients), ip(1), scripts.to_vec());
    let mut task = world.spawn(Some(server), "program", program);
    match world.block_on(&mut task) {
        Some(ended) => Ok(ended??),
        None => Err(LaneError::failed("the program waits for something that never comes")),
    }
}

/// Serves and asks, and tells what came back: each client's story by itself, as they talk at the same time.
async fn program<P: Providers>(
    server: P,
    clients: P,
    ip: IpAddr,
    scripts: Vec<Script>,
) -> io::Result<Vec<String>> {
    let listener = server.network().bind(SocketAddr::new(ip, 0)).await?;
    let address = listener.local_addr()?;
    let count = scripts.len();
    let serving = {
        let inner = server.clone();
        server.task().spawn("server", async move { serve(inner, listener, count).await })
    };
    let mut asking = Vec::new();
    for (number, script) in scripts.into_iter().enumerate() {
        let story = Rc::new(RefCell::new(Vec::new()));
        let client = {
            let (world, story) = (clients.clone(), Rc::clone(&story));
            clients.task().spawn("client", async move { ask(world, address, script, &story).await })
        };
        asking.push((number, client, story));
    }
    let mut told = Vec::new();
    for (number, client, story) in asking {
        client.await.map_err(io::Error::other)??;
        told.extend(
            story.take().into_iter().map(|event: Event| format!("client={number} {}", event.as_str())),
        );
    }
    serving.await.map_err(io::Error::other)??;
    Ok(told)
}

/// Accepts are given up until one comes in time: none may be lost by that.
async fn serve<P: Providers>(
    world: P,
    listener: <P::Network as NetworkProvider>::TcpListener,
    count: usize,
) -> io::Result<()> {
    let mut echoes = Vec::new();
    while echoes.len() < count {
        if let Ok(accepted) = world.time().timeout(PATIENCE, listener.accept()).await {
            let (stream, _) = accepted?;
            let inner = world.clone();
            echoes.push(world.task().spawn("echo", async move { echo(inner, stream).await }));
        }
    }
    for echo in echoes {
        echo.await.map_err(io::Error::other)??;
    }
    listener.close().await
}

/// Sends back what comes, and at the end how much it was.
async fn echo<P: Providers>(world: P, stream: <P::Network as NetworkProvider>::TcpStream) -> io::Result<()> {
    let mut total = 0_u64;
    loop {
        // A read that is given up must leave its bytes to the next.
        let read = stream.read(Vec::with_capacity(4096));
        let Ok((outcome, bytes)) = world.time().timeout(PATIENCE, read).await else { continue };
        let count = outcome?;
        if count == 0 {
            break;
        }
        total += count as u64;
        stream.write_all(bytes).await.0?;
    }
    stream.write_all(total.to_le_bytes().to_vec()).await.0?;
    stream.shutdown().await?;
    stream.close().await
}

async fn ask<P: Providers>(
    world: P,
    server: SocketAddr,
    script: Script,
    story: &RefCell<Vec<Event>>,
) -> io::Result<()> {
    let stream = world.network().connect(server).await?;
    let mut sent = 0_u64;
    for message in script {
        sent += message.len() as u64;
        // Both at once: an echo that nobody reads would keep the server from reading.
        let writing = {
            let (stream, message) = (stream.clone(), message.clone());
            world.task().spawn("writer", async move { stream.write_all(message).await.0 })
        };
        let (outcome, back) = stream.read_exact(vec![0; message.len()]).await;
        outcome?;
        writing.await.map_err(io::Error::other)??;
        let is_same = back == message;
        let event = Event::new("echoed").field("bytes", back.len()).field("same", is_same);
        story.borrow_mut().push(event.bytes("first", &back[..back.len().min(8)]));
    }
    stream.shutdown().await?;
    let (outcome, total) = stream.read_exact(vec![0; 8]).await;
    outcome?;
    let (outcome, rest) = stream.read(vec![0; 1]).await;
    let total = u64::from_le_bytes(total.try_into().expect("eight bytes were asked for"));
    let end = Event::new("end").field("sent", sent).field("counted", total);
    story.borrow_mut().push(end.field("behind", outcome?).field("bytes", rest.len()));
    stream.close().await
}

const CLIENTS: usize = 5;
/// Longer than some answers take in each of the worlds, and shorter than others.
const PATIENCE: Duration = Duration::from_micros(200);
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
