//! turmoil.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use turmoil::net::{TcpListener, TcpStream};

use crate::draws::{Draws, TASKS};
use crate::store::{self, Store};

/// How long messages take.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Latency {
    /// Up to a millisecond, which is a step.
    Least,
    /// Up to 100 milliseconds, through each of which it goes step by step.
    Default,
}

/// 4 clients and a server, `each` requests of 64 bytes each.
pub(crate) fn requests(each: u64, latency: Latency) -> u64 {
    let mut simulation = builder(1, latency).build();
    simulation.host("server", || async { Ok(serve().await?) });
    for number in 0..CLIENTS {
        simulation.client(format!("client-{number}"), async move { Ok(ask(each).await?) });
    }
    simulation.run().expect("it runs to its end");
    CLIENTS * each
}

fn builder(seed: u64, latency: Latency) -> turmoil::Builder {
    let mut builder = turmoil::Builder::new();
    builder.simulation_duration(FOR_EVER).rng_seed(seed);
    if matches!(latency, Latency::Least) {
        builder.min_message_latency(Duration::ZERO).max_message_latency(Duration::from_millis(1));
    }
    builder
}

async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", 80)).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut bytes = [0; 64];
            while stream.read_exact(&mut bytes).await.is_ok() {
                if stream.write_all(&bytes).await.is_err() {
                    break;
                }
            }
        });
    }
}

async fn ask(each: u64) -> io::Result<()> {
    let mut stream = TcpStream::connect(("server", 80)).await?;
    let mut bytes = [7; 64];
    for number in 0..each {
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        stream.write_all(&bytes).await?;
        stream.read_exact(&mut bytes).await?;
        assert_eq!(bytes[..8], number.to_le_bytes(), "the answer to this request");
    }
    Ok(())
}

/// 1000 tasks on one host, each of which sleeps `each` times.
pub(crate) fn timers(each: u64) -> u64 {
    let mut simulation = builder(1, Latency::Default).build();
    simulation.client("node", async move {
        let sleepers: Vec<_> = (0..TASKS)
            .map(|task| {
                tokio::spawn(async move {
                    let mut draws = Draws::new(task);
                    for _ in 0..each {
                        tokio::time::sleep(Duration::from_micros(draws.next_micros())).await;
                    }
                })
            })
            .collect();
        for sleeper in sleepers {
            sleeper.await?;
        }
        Ok(())
    });
    simulation.run().expect("it runs to its end");
    TASKS * each
}

/// `seeds` seeds of the key-value store, in which every request is answered, at the least latency.
pub(crate) fn kv(seeds: u64) -> u64 {
    for seed in 0..seeds {
        let mut simulation = builder(seed, Latency::Least).build();
        for server in 0..store::SERVERS {
            simulation.host(format!("server-{server}"), || async { Ok(store_values().await?) });
        }
        let answered = Rc::new(Cell::new(0));
        for number in 0..store::CLIENTS {
            let answered = Rc::clone(&answered);
            simulation.client(format!("client-{number}"), async move {
                sleep(store::start_of(number)).await;
                for round in 0..store::ROUNDS {
                    for server in 0..store::SERVERS {
                        timeout(store::LIMIT, put_and_get(number, server, round)).await??;
                        answered.set(answered.get() + 2);
                    }
                    sleep(store::PAUSE).await;
                }
                Ok(())
            });
        }
        simulation.run().expect("it runs to its end");
        assert_eq!(answered.get(), store::REQUESTS, "each request is answered");
    }
    seeds
}

async fn put_and_get(client: u64, server: u64, value: u64) -> io::Result<()> {
    let mut stream = TcpStream::connect((format!("server-{server}"), 80)).await?;
    for operation in store::OPERATIONS {
        let message = store::request(operation, store::key_of(client, server), value);
        stream.write_all(&message).await?;
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).await?;
        assert_eq!(answer, value.to_le_bytes(), "the value that was put");
    }
    Ok(())
}

async fn store_values() -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", 80)).await?;
    let mut values = Store::default();
    loop {
        let (mut stream, _) = listener.accept().await?;
        let mut message = [0; 17];
        while stream.read_exact(&mut message).await.is_ok() {
            if stream.write_all(&values.answer(&message)).await.is_err() {
                break;
            }
        }
    }
}

const CLIENTS: u64 = 4;
const FOR_EVER: Duration = Duration::from_secs(1 << 20);
