//! Seeds of a small key-value store: what a second of testing is worth.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use samestep_provider_traits::{TcpListener, TcpStream, TimeProvider};
use samestep_sim::{Chaos, Check, SimContext, Test};

/// Five servers, of which a client writes to all and reads from each, for ten simulated seconds of chaos.
pub(crate) fn run(seeds: u64) -> u64 {
    let count = usize::try_from(seeds).unwrap_or(usize::MAX);
    let check = Check::new().ignore_environment().without_regressions().check_every(0).jobs(1);
    check.seeds(count).run(|test: &mut Test| {
        let _servers = test.node("server", 5..=5, serve);
        test.clients("client", 2..=2, |context| async move {
            for round in 0..20_u64 {
                for server in 0..5 {
                    // What fails is given up: the store promises nothing here.
                    let limit = Duration::from_millis(500);
                    drop(context.time().timeout(limit, put_and_get(&context, server, round)).await);
                }
                context.sleep(Duration::from_millis(400)).await;
            }
            Ok(())
        });
        test.chaos(Chaos::swarm().for_secs(10));
    });
    seeds
}

async fn put_and_get(context: &SimContext, server: u64, value: u64) -> io::Result<()> {
    let stream = context.connect(&format!("server-{server}:80")).await?;
    for operation in [PUT, GET] {
        let mut message = [0; 17];
        message[0] = operation;
        message[1..9].copy_from_slice(&server.to_le_bytes());
        message[9..].copy_from_slice(&value.to_le_bytes());
        stream.write_all(Box::new(message)).await.0?;
        stream.read_exact(Box::new([0; 8])).await.0?;
    }
    Ok(())
}

async fn serve(context: SimContext) -> Result<(), Box<dyn std::error::Error>> {
    let listener = context.listen(80).await?;
    let mut values = BTreeMap::<u64, u64>::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        loop {
            let (outcome, message) = stream.read_exact(Box::new([0_u8; 17])).await;
            if outcome.is_err() {
                break;
            }
            let word = |at: usize| {
                message[at..].first_chunk().map_or(0, |bytes: &[u8; 8]| u64::from_le_bytes(*bytes))
            };
            if message[0] == PUT {
                values.insert(word(1), word(9));
            }
            let value = values.get(&word(1)).copied().unwrap_or(0);
            if stream.write_all(Box::new(value.to_le_bytes())).await.0.is_err() {
                break;
            }
        }
    }
}

const PUT: u8 = 0;
const GET: u8 = 1;
