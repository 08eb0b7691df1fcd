//! madsim at the work that our simulator is measured at: a row and a size, and out come operations and nanoseconds.

#[path = "../../src/draws.rs"]
mod draws;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use madsim::net::{TcpListener, TcpStream};
use madsim::runtime::Runtime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use draws::{Draws, TASKS};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (row, size) = (arguments.next().unwrap_or_default(), arguments.next().unwrap_or_default());
    let size = size.parse().expect("a size");
    let start = Instant::now();
    let operations = match row.as_str() {
        "madsim-requests" => requests(size),
        "madsim-timers" => timers(size),
        _ => panic!("no row {row:?}"),
    };
    println!("{operations} {}", start.elapsed().as_nanos());
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
    let mut stream = loop {
        match TcpStream::connect(address).await {
            Ok(stream) => break stream,
            // The server's first task may run after ours.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                madsim::time::sleep(Duration::from_millis(1)).await;
            }
            Err(error) => return Err(error),
        }
    };
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
