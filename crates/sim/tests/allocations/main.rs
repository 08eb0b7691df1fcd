//! A world in its stride allocates nothing: not for a timer, a wake, a turn, a message or a decision.

mod alloc;

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{
    File, JoinHandle, NetworkProvider, OpenOptions, RandomProvider, StorageProvider, TaskProvider,
    TcpListener, TcpStream, TimeProvider,
};
use samestep_sim::{SimProviders, SimTime, SimWorld, WorldConfig};

use crate::alloc::allocations;

/// Runs `world` from `start` to `end`, and tells what happened and what was allocated then.
fn events_and_allocations(world: &SimWorld, start: Duration, end: Duration) -> (u64, u64) {
    world.run_until(SimTime::ZERO.after(start));
    let before = (world.trace_count(), allocations());
    world.run_until(SimTime::ZERO.after(end));
    (world.trace_count() - before.0, allocations() - before.1)
}

fn world_of_nodes<const N: usize>() -> (SimWorld, [SimProviders; N]) {
    let world = SimWorld::with_config(WorldConfig::new(1));
    let nodes = std::array::from_fn(|number| {
        let ip = IpAddr::from([10, 0, 0, 1 + u8::try_from(number).unwrap()]);
        world.providers(world.add_node(&format!("node-{number}"), ip))
    });
    (world, nodes)
}

#[test]
fn timers_and_turns_allocate_nothing() {
    let (world, [node]) = world_of_nodes();
    for number in 0..100 {
        let inside = node.clone();
        let random = node.random().fork(&number.to_string());
        let endless = async move {
            loop {
                let pause = Duration::from_micros(random.random_range(1..1000));
                // A limit that does not pass leaves a timer to be taken away.
                let limited = inside.time().timeout(Duration::from_secs(1), inside.time().sleep(pause));
                limited.await.unwrap();
                inside.task().yield_now().await;
            }
        };
        drop(node.task().spawn("sleeper", endless));
    }
    let (events, allocations) =
        events_and_allocations(&world, Duration::from_secs(1), Duration::from_secs(2));
    assert!(events > 500_000, "{events}");
    assert_eq!(allocations, 0, "in {events} events");
}

async fn echo(server: SimProviders, address: SocketAddr) {
    let listener = server.network().bind(address).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut bytes = Box::new([0; 64]);
    loop {
        let outcome;
        (outcome, bytes) = stream.read_exact(bytes).await;
        outcome.unwrap();
        let outcome;
        (outcome, bytes) = stream.write_all(bytes).await;
        outcome.unwrap();
    }
}

async fn ask(client: SimProviders, address: SocketAddr) {
    client.time().sleep(Duration::from_millis(10)).await;
    let stream = client.network().connect(address).await.unwrap();
    let mut bytes = Box::new([7; 64]);
    loop {
        let outcome;
        (outcome, bytes) = stream.write_all(bytes).await;
        outcome.unwrap();
        let outcome;
        (outcome, bytes) = stream.read_exact(bytes).await;
        outcome.unwrap();
    }
}

#[test]
fn requests_over_tcp_allocate_nothing() {
    let (world, [server, client]) = world_of_nodes();
    let address = SocketAddr::from(([10, 0, 0, 1], 80));
    let tasks = [
        server.task().spawn("echo", echo(server.clone(), address)),
        client.task().spawn("ask", ask(client.clone(), address)),
    ];
    let (events, allocations) =
        events_and_allocations(&world, Duration::from_secs(2), Duration::from_secs(4));
    assert!(tasks.iter().all(|task| !task.is_finished()));
    assert!(events > 10_000, "{events}");
    assert_eq!(allocations, 0, "in {events} events");
}

#[test]
fn a_write_allocates_room_for_its_bytes_and_a_read_and_a_sync_nothing() {
    let (world, [node]) = world_of_nodes();
    let inside = node.clone();
    let writes = Rc::new(Cell::new(0));
    let counted = Rc::clone(&writes);
    let endless = async move {
        let options = OpenOptions::read_write().create();
        let file = inside.storage().open("file".as_ref(), options).await.unwrap();
        let mut bytes = vec![7; 512];
        loop {
            let outcome;
            (outcome, bytes) = file.write_all_at(bytes, 0).await;
            outcome.unwrap();
            counted.set(counted.get() + 1);
            file.sync_data().await.unwrap();
            let outcome;
            (outcome, bytes) = file.read_at(bytes, 0).await;
            assert_eq!(outcome.unwrap(), 512);
        }
    };
    let task = node.task().spawn("writer", endless);
    world.run_until(SimTime::ZERO.after(Duration::from_secs(5)));
    let before = writes.get();
    let (events, allocations) =
        events_and_allocations(&world, Duration::from_secs(5), Duration::from_secs(10));
    let written = writes.get() - before;
    assert!(!task.is_finished());
    assert!(written > 1000 && events >= 3 * written, "{written} writes, {events} events");
    // One that began before the end may not be counted yet.
    assert!(allocations <= written + 1, "{allocations} for {written} writes");
}
