//! turmoil.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use turmoil::net::{TcpListener, TcpStream};

use crate::draws::{Draws, TASKS};

/// 4 clients and a server, `each` requests of 64 bytes each, at the least latency: at its default ones it goes through
/// every millisecond of a simulated quarter of an hour, which measures that.
pub(crate) fn requests(each: u64) -> u64 {
    let mut simulation = turmoil::Builder::new()
        .simulation_duration(FOR_EVER)
        .min_message_latency(Duration::ZERO)
        .max_message_latency(Duration::from_millis(1))
        .rng_seed(1)
        .build();
    simulation.host("server", || async { Ok(serve().await?) });
    for number in 0..CLIENTS {
        simulation.client(format!("client-{number}"), async move { Ok(ask(each).await?) });
    }
    simulation.run().expect("it runs to its end");
    CLIENTS * each
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
    let mut simulation = turmoil::Builder::new().simulation_duration(FOR_EVER).rng_seed(1).build();
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

const CLIENTS: u64 = 4;
const FOR_EVER: Duration = Duration::from_secs(1 << 20);
