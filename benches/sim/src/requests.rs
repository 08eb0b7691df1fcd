//! Requests and answers of 64 bytes over TCP.

use std::io;
use std::net::{IpAddr, SocketAddr};

use samestep_provider_traits::{NetworkProvider, TaskProvider, TcpListener, TcpStream};
use samestep_sim::{
    Check, NetworkConfiguration, NetworkFaults, SimContext, SimProviders, SimWorld, Test, WorldConfig,
};

/// In a bare world.
pub(crate) fn bare(each: u64) -> u64 {
    let world = SimWorld::with_config(WorldConfig::new(1));
    let address = SocketAddr::from(([10, 0, 0, 1], PORT));
    let server = world.add_node("server", address.ip());
    drop(world.spawn(Some(server), "server", serve(world.providers(server), address)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let ip = IpAddr::from([10, 0, 1, number]);
            let node = world.add_node(&format!("client-{number}"), ip);
            world.spawn(Some(node), "client", ask(world.providers(node), address, each))
        })
        .collect();
    for mut client in clients {
        let end = world.block_on(&mut client);
        assert!(matches!(end, Some(Ok(Ok(())))), "{end:?}");
    }
    u64::from(CLIENTS) * each
}

/// Through `check`, no faults.
pub(crate) fn checked(each: u64) -> u64 {
    let check = Check::new().ignore_environment().without_regressions().seeds(1).check_every(0).jobs(1);
    check.run(|test: &mut Test| fill(test, each, |_| ()));
    u64::from(CLIENTS) * each
}

/// Through `check`, with the default faults of the network but those that end connections or change bytes, as nobody
/// here connects anew.
pub(crate) fn faulty(each: u64) -> u64 {
    let check = Check::new().ignore_environment().without_regressions().seeds(1).check_every(0).jobs(1);
    check.run(|test: &mut Test| {
        fill(test, each, |test| {
            let mut network = NetworkConfiguration::default();
            network.chaos.connect_failure_mode = samestep_sim::ConnectFailureMode::Disabled;
            network.chaos.random_close_probability = 0.0;
            network.chaos.bit_flip_probability = 0.0;
            test.chaos(samestep_sim::Chaos::none().network(network, NetworkFaults::default()).for_secs(3600));
        });
    });
    u64::from(CLIENTS) * each
}

fn fill(test: &mut Test, each: u64, chaos: impl FnOnce(&mut Test)) {
    let _servers = test.node("server", 1..=1, |context: SimContext| async move {
        serve(context.providers(), SocketAddr::new(context.my_ip(), PORT)).await?;
        Ok(())
    });
    let clients = usize::from(CLIENTS);
    test.clients("client", clients..=clients, move |context| async move {
        let server = context.servers().next().ok_or("no server")?.ip;
        ask(context.providers(), SocketAddr::new(server, PORT), each).await?;
        Ok(())
    });
    chaos(test);
}

async fn serve(node: SimProviders, address: SocketAddr) -> io::Result<()> {
    let listener = node.network().bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let echo = async move {
            let mut bytes = Box::new([0; 64]);
            loop {
                let outcome;
                (outcome, bytes) = stream.read_exact(bytes).await;
                if outcome.is_err() {
                    break;
                }
                let outcome;
                (outcome, bytes) = stream.write_all(bytes).await;
                if outcome.is_err() {
                    break;
                }
            }
        };
        drop(node.task().spawn("echo", echo));
    }
}

async fn ask(node: SimProviders, address: SocketAddr, each: u64) -> io::Result<()> {
    let stream = loop {
        match node.network().connect(address).await {
            Ok(stream) => break stream,
            // The server's first task may run after ours.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => node.task().yield_now().await,
            Err(error) => return Err(error),
        }
    };
    let mut bytes = Box::new([7; 64]);
    for number in 0..each {
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        let outcome;
        (outcome, bytes) = stream.write_all(bytes).await;
        outcome?;
        let outcome;
        (outcome, bytes) = stream.read_exact(bytes).await;
        outcome?;
        assert_eq!(bytes[..8], number.to_le_bytes(), "the answer to this request");
    }
    Ok(())
}

const CLIENTS: u8 = 4;
const PORT: u16 = 80;
