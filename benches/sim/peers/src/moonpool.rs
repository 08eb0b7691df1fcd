//! moonpool-sim.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use futures::{AsyncReadExt, AsyncWriteExt};
use moonpool_sim::executor::{Executor, JoinHandle, spawn, until_stalled};
use moonpool_sim::{
    ChaosConfiguration, NetworkConfiguration, NetworkProvider, Process, SimContext, SimWorld,
    SimulationBuilder, SimulationError, SimulationResult, TcpListenerTrait, TimeProvider, Workload,
};

use crate::draws::{Draws, TASKS};
use crate::store::{self, Store};

/// 4 clients and a server in a bare world, `each` requests of 64 bytes each, at its default latencies and no faults.
pub(crate) fn requests(each: u64) -> u64 {
    Executor::new(1).block_on(async move {
        let mut world = world();
        let network = world.network_provider();
        drop(spawn("server", serve(network.clone(), ADDRESS.to_owned())));
        let mut clients = spawn("clients", async move {
            let mut clients = Vec::new();
            for _ in 0..CLIENTS {
                // One after the other: of two that wait to be accepted, the first would wait for ever.
                let mut stream = network.connect(ADDRESS).await?;
                ask(&mut stream, 1).await?;
                clients.push(spawn("client", async move { ask(&mut stream, each).await }));
            }
            for client in clients {
                client.await.map_err(io::Error::other)??;
            }
            io::Result::Ok(())
        });
        drive(&mut world, &mut clients).await.expect("each is answered");
    });
    CLIENTS * each
}

/// 2 clients and a server through its builder, which is declared stuck with 4.
pub(crate) fn built_requests(each: u64) -> u64 {
    let builder = SimulationBuilder::new().set_iterations(1).set_debug_seeds(vec![1]);
    let report = builder
        .processes(1, || Box::new(Server))
        .workload(Client { name: "client-0", each })
        .workload(Client { name: "client-1", each })
        .run();
    assert_eq!(report.successful_runs, 1, "{report:?}");
    2 * each
}

struct Server;

#[async_trait]
impl Process for Server {
    fn name(&self) -> &str {
        "server"
    }

    async fn run(&mut self, context: &SimContext) -> SimulationResult<()> {
        let end = context.shutdown().clone();
        let address = format!("{}:80", context.my_ip());
        let serve = serve(context.network().clone(), address);
        futures::pin_mut!(serve);
        let end = end.cancelled();
        futures::pin_mut!(end);
        futures::future::select(serve, end).await;
        Ok(())
    }
}

struct Client {
    name: &'static str,
    each: u64,
}

#[async_trait]
impl Workload for Client {
    fn name(&self) -> &str {
        self.name
    }

    async fn run(&mut self, context: &SimContext) -> SimulationResult<()> {
        let server =
            context.peer("server").ok_or_else(|| SimulationError::InvalidState("no server".into()))?;
        // One after the other, as above.
        context.time().sleep(Duration::from_millis(100 * context.client_id() as u64)).await.ok();
        let address = if server.contains(':') { server } else { format!("{server}:80") };
        let outcome = async {
            let mut stream = context.network().connect(&address).await?;
            ask(&mut stream, self.each).await
        };
        outcome.await.map_err(|error: io::Error| SimulationError::InvalidState(error.to_string()))
    }
}

async fn serve<N: NetworkProvider>(network: N, address: String) -> io::Result<()> {
    let listener = network.bind(&address).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        drop(spawn("echo", async move {
            let mut bytes = [0; 64];
            while stream.read_exact(&mut bytes).await.is_ok() {
                if stream.write_all(&bytes).await.is_err() {
                    break;
                }
            }
        }));
    }
}

async fn ask(
    stream: &mut (impl futures::AsyncRead + futures::AsyncWrite + Unpin),
    each: u64,
) -> io::Result<()> {
    let mut bytes = [7; 64];
    for number in 0..each {
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        stream.write_all(&bytes).await?;
        stream.read_exact(&mut bytes).await?;
        assert_eq!(bytes[..8], number.to_le_bytes(), "the answer to this request");
    }
    Ok(())
}

/// 1000 tasks, each of which sleeps `each` times.
pub(crate) fn timers(each: u64) -> u64 {
    Executor::new(1).block_on(async move {
        let mut world = world();
        let time = world.time_provider();
        let mut sleepers = spawn("sleepers", async move {
            let sleepers: Vec<_> = (0..TASKS)
                .map(|task| {
                    let time = time.clone();
                    spawn("sleeper", async move {
                        let mut draws = Draws::new(task);
                        for _ in 0..each {
                            time.sleep(Duration::from_micros(draws.next_micros())).await.expect("it sleeps");
                        }
                    })
                })
                .collect();
            for sleeper in sleepers {
                sleeper.await.map_err(io::Error::other)?;
            }
            io::Result::Ok(())
        });
        drive(&mut world, &mut sleepers).await.expect("every task slept to its end");
    });
    TASKS * each
}

/// `seeds` seeds of the key-value store in bare worlds, in which every request is answered.
pub(crate) fn kv(seeds: u64) -> u64 {
    for seed in 0..seeds {
        Executor::new(seed).block_on(async move {
            let mut world = world_of(seed);
            let (network, time) = (world.network_provider(), world.time_provider());
            for server in 0..store::SERVERS {
                drop(spawn("server", store_values(network.clone(), address_of(server))));
            }
            let mut clients = spawn("clients", async move {
                let clients: Vec<_> = (0..store::CLIENTS)
                    .map(|number| {
                        let (network, time) = (network.clone(), time.clone());
                        spawn("client", ask_all(network, time, number))
                    })
                    .collect();
                let mut answered = 0;
                for client in clients {
                    answered += client.await.map_err(io::Error::other)??;
                }
                assert_eq!(answered, store::REQUESTS, "each request is answered");
                io::Result::Ok(())
            });
            drive(&mut world, &mut clients).await.expect("each is answered");
        });
    }
    seeds
}

async fn ask_all<N: NetworkProvider, T: TimeProvider>(network: N, time: T, number: u64) -> io::Result<u64> {
    let mut answered = 0;
    time.sleep(store::start_of(number)).await.map_err(io::Error::other)?;
    for round in 0..store::ROUNDS {
        for server in 0..store::SERVERS {
            let asked = put_and_get(&network, number, server, round);
            time.timeout(store::LIMIT, asked).await.map_err(io::Error::other)??;
            answered += 2;
        }
        time.sleep(store::PAUSE).await.map_err(io::Error::other)?;
    }
    Ok(answered)
}

async fn put_and_get<N: NetworkProvider>(
    network: &N,
    client: u64,
    server: u64,
    value: u64,
) -> io::Result<()> {
    let mut stream = network.connect(&address_of(server)).await?;
    for operation in store::OPERATIONS {
        let message = store::request(operation, store::key_of(client, server), value);
        stream.write_all(&message).await?;
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).await?;
        assert_eq!(answer, value.to_le_bytes(), "the value that was put");
    }
    Ok(())
}

async fn store_values<N: NetworkProvider>(network: N, address: String) -> io::Result<()> {
    let listener = network.bind(&address).await?;
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

fn address_of(server: u64) -> String {
    format!("10.0.2.{}:80", server + 1)
}

fn world() -> SimWorld {
    world_of(1)
}

fn world_of(seed: u64) -> SimWorld {
    let network =
        NetworkConfiguration { chaos: ChaosConfiguration::disabled(), ..NetworkConfiguration::default() };
    SimWorld::new_with_network_config_and_seed(network, seed)
}

/// Steps, and lets tasks run, until `main` has ended.
async fn drive(world: &mut SimWorld, main: &mut JoinHandle<io::Result<()>>) -> io::Result<()> {
    until_stalled().await;
    while !main.is_finished() {
        assert!(world.has_pending_events(), "it is stuck");
        world.step();
        until_stalled().await;
    }
    main.await.map_err(io::Error::other)?
}

const CLIENTS: u64 = 4;
const ADDRESS: &str = "10.0.0.1:80";
