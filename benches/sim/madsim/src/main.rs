//! madsim at the work that our simulator is measured at: a row and a size, and out come operations and nanoseconds.

#[cfg(not(madsim))]
compile_error!("build it in its own folder, whose `.cargo/config.toml` passes `--cfg madsim`");

#[path = "../../src/draws.rs"]
mod draws;
#[path = "../../src/measure.rs"]
mod measure;
#[path = "../../src/store.rs"]
mod store;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use madsim::net::{TcpListener, TcpStream};
use madsim::runtime::Runtime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use draws::{Draws, TASKS};
use store::Store;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (row, size) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let size = size.parse().expect("a size");
    measure::measure(|| match row.as_str() {
        "madsim-requests" => requests(size),
        "madsim-timers" => timers(size),
        "madsim-kv" => kv(size),
        _ => panic!("no row {row:?}"),
    });
}

/// 4 clients and a server, `each` requests of 64 bytes each, at its default latencies.
fn requests(each: u64) -> u64 {
    let runtime = Runtime::with_seed_and_config(1, madsim::Config::default());
    let address = SocketAddr::from(([10, 0, 0, 1], 80));
    let server = runtime.create_node().name("server").ip(address.ip()).build();
    server.spawn(async move { serve(address).await.expect("it serves") });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let ip = IpAddr::from([10, 0, 1, number]);
            let node = runtime.create_node().name(format!("client-{number}")).ip(ip).build();
            node.spawn(ask(address, each))
        })
        .collect();
    runtime.block_on(async move {
        for client in clients {
            client.await.expect("it ends").expect("it is answered");
        }
    });
    u64::from(CLIENTS) * each
}

async fn serve(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        madsim::task::spawn(async move {
            let mut bytes = [0; 64];
            while stream.read_exact(&mut bytes).await.is_ok() {
                let answered = stream.write_all(&bytes).await;
                if answered.is_err() || stream.flush().await.is_err() {
                    break;
                }
            }
        });
    }
}

async fn ask(address: SocketAddr, each: u64) -> io::Result<()> {
    let mut stream = connect(address).await?;
    let mut bytes = [7; 64];
    for number in 0..each {
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        stream.write_all(&bytes).await?;
        stream.flush().await?;
        stream.read_exact(&mut bytes).await?;
        assert_eq!(bytes[..8], number.to_le_bytes(), "the answer to this request");
    }
    Ok(())
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    loop {
        match TcpStream::connect(address).await {
            // The server's first task may run after ours.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                madsim::time::sleep(Duration::from_millis(1)).await;
            }
            outcome => return outcome,
        }
    }
}

/// `seeds` seeds of the key-value store, in which every request is answered, at its default latencies.
fn kv(seeds: u64) -> u64 {
    for seed in 0..seeds {
        let runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
        for server in 0..store::SERVERS {
            let address = address_of(server);
            let node = runtime.create_node().name(format!("server-{server}")).ip(address.ip()).build();
            node.spawn(async move { store_values(address).await.expect("it serves") });
        }
        let clients: Vec<_> = (0..store::CLIENTS)
            .map(|number| {
                let ip = IpAddr::from([10, 0, 1, 1 + u8::try_from(number).expect("few clients")]);
                let node = runtime.create_node().name(format!("client-{number}")).ip(ip).build();
                node.spawn(ask_all(number))
            })
            .collect();
        runtime.block_on(async move {
            let mut answered = 0;
            for client in clients {
                answered += client.await.expect("it ends").expect("it is answered");
            }
            assert_eq!(answered, store::REQUESTS, "each request is answered");
        });
    }
    seeds
}

async fn ask_all(number: u64) -> io::Result<u64> {
    let mut answered = 0;
    madsim::time::sleep(store::start_of(number)).await;
    for round in 0..store::ROUNDS {
        for server in 0..store::SERVERS {
            let asked = put_and_get(number, server, round);
            madsim::time::timeout(store::LIMIT, asked).await.map_err(io::Error::other)??;
            answered += 2;
        }
        madsim::time::sleep(store::PAUSE).await;
    }
    Ok(answered)
}

async fn put_and_get(client: u64, server: u64, value: u64) -> io::Result<()> {
    let mut stream = TcpStream::connect(address_of(server)).await?;
    for operation in store::OPERATIONS {
        let message = store::request(operation, store::key_of(client, server), value);
        stream.write_all(&message).await?;
        stream.flush().await?;
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).await?;
        assert_eq!(answer, value.to_le_bytes(), "the value that was put");
    }
    Ok(())
}

async fn store_values(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let mut values = Store::default();
    loop {
        let (mut stream, _) = listener.accept().await?;
        let mut message = [0; 17];
        while stream.read_exact(&mut message).await.is_ok() {
            let answered = stream.write_all(&values.answer(&message)).await;
            if answered.is_err() || stream.flush().await.is_err() {
                break;
            }
        }
    }
}

fn address_of(server: u64) -> SocketAddr {
    SocketAddr::from(([10, 0, 2, 1 + u8::try_from(server).expect("few servers")], 80))
}

/// 1000 tasks, each of which sleeps `each` times.
fn timers(each: u64) -> u64 {
    let runtime = Runtime::with_seed_and_config(1, madsim::Config::default());
    runtime.block_on(async move {
        let sleepers: Vec<_> = (0..TASKS)
            .map(|task| {
                madsim::task::spawn(async move {
                    let mut draws = Draws::new(task);
                    for _ in 0..each {
                        madsim::time::sleep(Duration::from_micros(draws.next_micros())).await;
                    }
                })
            })
            .collect();
        for sleeper in sleepers {
            sleeper.await.expect("it slept to its end");
        }
    });
    TASKS * each
}

const CLIENTS: u8 = 4;
