//! The network: what TCP, datagrams and names do, and what faults do to them.

mod configuration;
mod control;
mod crashes;
mod families;
mod integrity;
mod names;
mod partitions;
mod shapes;
mod streams;
mod udp;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use samestep_provider_traits::{IoBuf, NetworkProvider, TaskProvider, TcpListener, TcpStream, TimeProvider};
use samestep_sim::{NodeId, SimProviders, SimTcpListener, SimTcpStream, SimWorld, WorldConfig};

/// A world of `count` nodes `node-0`, `node-1` and so on, at 10.0.0.1, 10.0.0.2 and so on.
fn world_of(config: WorldConfig, count: u8) -> (SimWorld, Vec<NodeId>) {
    let world = SimWorld::with_config(config);
    let nodes = (0..count).map(|number| world.add_node(&format!("node-{number}"), ip(number))).collect();
    (world, nodes)
}

const fn ip(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, number + 1))
}

const fn address(number: u8, port: u16) -> SocketAddr {
    SocketAddr::new(ip(number), port)
}

/// Runs `future` on `node` until it ends.
#[track_caller]
fn on<T: 'static>(world: &SimWorld, node: NodeId, future: impl Future<Output = T> + 'static) -> T {
    let mut task = world.spawn(Some(node), "test", future);
    match world.block_on(&mut task) {
        Some(Ok(output)) => output,
        other => panic!("{:?}", other.map(|end| end.map(|_| ()))),
    }
}

/// A stream from `node-0` to `node-1`, and its other end.
#[track_caller]
fn pair(world: &SimWorld, nodes: &[NodeId]) -> (SimTcpStream, SimTcpStream, SimTcpListener) {
    let (one, two) = (world.providers(nodes[0]), world.providers(nodes[1]));
    let listener = on(world, nodes[1], async move { two.network().bind(address(1, 80)).await.unwrap() });
    let mut accepting = world.spawn(Some(nodes[1]), "accept", {
        let accept = listener.accept();
        async move { accept.await.unwrap().0 }
    });
    let near = on(world, nodes[0], async move { one.network().connect(address(1, 80)).await.unwrap() });
    let far = world.block_on(&mut accepting).unwrap().unwrap();
    (near, far, listener)
}

/// What a stream still gives, and how it ends.
async fn read_to_end(stream: &SimTcpStream) -> (Vec<u8>, std::io::Result<()>) {
    let mut all = Vec::new();
    loop {
        let (count, buf) = stream.read(Vec::with_capacity(4096)).await;
        match count {
            Ok(0) => return (all, Ok(())),
            Ok(_) => all.extend(buf),
            Err(error) => return (all, Err(error)),
        }
    }
}

async fn write_all(stream: &SimTcpStream, bytes: impl IoBuf) {
    stream.write_all(bytes).await.0.unwrap();
}

/// `future`, or none when it is not over after `limit`.
async fn within<T>(world: &SimProviders, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    world.time().timeout(limit, future).await.ok()
}

/// Starts `server` on a node for each connection that comes to its port 80.
fn serve<Fut: Future<Output = ()> + 'static>(
    world: &SimWorld,
    node: NodeId,
    server: impl Fn(SimTcpStream) -> Fut + 'static,
) {
    let providers = world.providers(node);
    let listening = SocketAddr::new(world.node_ip(node), 80);
    world.spawn(Some(node), "server", async move {
        let listener = providers.network().bind(listening).await.unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            drop(providers.task().spawn("connection", server(stream)));
        }
    });
}

/// The seeds of a test: `usual` of them, or as many as `SIM_SEEDS` says.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    0..crate::seeds::count(usual)
}
