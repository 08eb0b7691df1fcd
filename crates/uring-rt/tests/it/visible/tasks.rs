//! What tasks wait for, as a list tells it.

use std::future::{Future, pending, poll_fn};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use samestep_provider_traits::{
    NetworkProvider, Providers, TaskProvider, TcpListener, TcpStream, TimeProvider, UdpSocket,
};
use samestep_uring_rt::sync::{
    Barrier, CancelToken, Gate, Mutex, Notify, OnceCell, RwLock, Semaphore, broadcast, channel, watch,
};
use samestep_uring_rt::{TaskList, UringProviders, run_shards, shard_channel};

use crate::machine::ALL;
use crate::shards::builders;

/// What the task of this name waits for.
fn waits_for(tasks: &TaskList, name: &str) -> Vec<String> {
    let task = tasks.iter().find(|task| task.name == name).unwrap_or_else(|| panic!("no {name} in\n{tasks}"));
    assert!(!task.is_ready, "{tasks}");
    task.waits_for.clone()
}

/// A task that waits for `future`, and what is then told of it.
async fn told<F: Future + 'static>(
    world: &UringProviders,
    tasks: &impl Fn() -> TaskList,
    future: F,
) -> Vec<String> {
    let task = world.task().spawn("waits", async move {
        future.await;
    });
    // It is polled, and whatever it needs from elsewhere is under way.
    for _ in 0..3 {
        world.task().yield_now().await;
    }
    let told = waits_for(&tasks(), "waits");
    samestep_provider_traits::JoinHandle::abort(&task);
    let _ = task.await;
    told
}

type Waiting = Pin<Box<dyn Future<Output = ()>>>;

fn loopback() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
}

#[test]
fn sockets_timers_and_tasks_are_told() {
    for machine in ALL {
        let root = tempfile::tempdir().unwrap();
        let Some(runtime) = machine.runtime() else { continue };
        let (world, reader) = (runtime.providers(root.path(), 1).unwrap(), runtime.stats_reader());
        runtime.block_on(async {
            let tasks = || reader.tasks();
            let listener = world.network().bind(loopback()).await.unwrap();
            let address = listener.local_addr().unwrap();
            let here = world.network().connect(address).await.unwrap();
            let (there, _) = listener.accept().await.unwrap();
            let socket = world.network().bind_udp(loopback()).await.unwrap();

            let read = told(&world, &tasks, async move { here.read(vec![0; 1]).await.0 }).await;
            assert!(read.len() == 1 && read[0].starts_with("recv of descriptor "), "{read:?}");
            let accept = told(&world, &tasks, async move { listener.accept().await.map(|_| ()) }).await;
            assert!(accept.len() == 1 && accept[0].starts_with("accept of descriptor "), "{accept:?}");
            let datagram = told(&world, &tasks, async move { socket.recv_from(vec![0; 1]).await.0 }).await;
            assert!(datagram.len() == 1 && datagram[0].starts_with("recvmsg of descriptor "), "{datagram:?}");
            // Until the peer's window is full: nobody reads.
            let other = there.clone();
            let writes =
                world.task().spawn("writes", async move { other.write_all(vec![0; 64 << 20]).await.0 });
            let read = told(&world, &tasks, async move { there.read(vec![0; 1]).await.0 }).await;
            assert!(read.len() == 1 && read[0].starts_with("recv of descriptor "), "told once: {read:?}");
            let send = waits_for(&tasks(), "writes");
            assert!(send.len() == 1 && send[0].starts_with("send of descriptor "), "{send:?}");
            drop(writes);

            let timer = told(&world, &tasks, world.time().sleep(Duration::from_secs(3600))).await;
            let left = timer[0].strip_prefix("a timer in ").and_then(|left| left.strip_suffix(" s"));
            let left: f64 = left.unwrap().parse().unwrap();
            assert!(timer.len() == 1 && (3000.0..=3600.0).contains(&left), "{timer:?}");
            let target = world.task().spawn("target", pending::<()>());
            let join = told(&world, &tasks, target).await;
            assert_eq!(join, ["the end of task target"]);
            let both = told(&world, &tasks, {
                let (timer, time) = (world.time().sleep(Duration::from_secs(9)), world.time().clone());
                async move { time.timeout(Duration::from_secs(5), timer).await }
            });
            assert_eq!(both.await.len(), 2, "whoever waits for two is told to");
            assert_eq!(told(&world, &tasks, pending::<()>()).await, Vec::<String>::new());
        });
    }
}

/// Each kind of waiting on one shard has its words.
#[test]
fn locks_signals_and_channels_are_told() {
    let runtime = crate::machine::Machine::Threads.runtime().unwrap();
    let root = tempfile::tempdir().unwrap();
    let (world, reader) = (runtime.providers(root.path(), 1).unwrap(), runtime.stats_reader());
    runtime.block_on(async {
        let tasks = || reader.tasks();
        let semaphore = Semaphore::new(1);
        let mutex = Rc::new(Mutex::new(()));
        let held = mutex.lock().await;
        let rw_lock = Rc::new(RwLock::new(()));
        let written = rw_lock.write().await;
        let gate = Gate::new();
        let pass = gate.enter().unwrap();
        let (full, _kept) = channel(1);
        full.try_send(1).unwrap();
        let (_sender, mut receiver) = channel::<()>(1);
        let (_said, mut says) = broadcast::<()>(1);
        let (_changes, mut changed) = watch(());
        let (mut there, _from_here) = shard_channel(1);
        there.try_send(1).unwrap();
        let (_back, mut from_there) = shard_channel::<()>(1);
        let (lock, wants) = (Rc::clone(&mutex), Rc::clone(&rw_lock));
        let cell = Rc::new(OnceCell::<()>::new());
        let fills = {
            let cell = Rc::clone(&cell);
            world.task().spawn("fills", async move { cell.get_or_init(pending).await.to_owned() })
        };
        world.task().yield_now().await;
        let all: [(&str, Waiting); 13] = [
            ("permits of a semaphore", Box::pin(async move { drop(semaphore.acquire(2).await) })),
            ("a mutex", Box::pin(async move { drop(lock.lock().await) })),
            ("a lock for readers and writers", Box::pin(async move { drop(wants.read().await) })),
            ("everybody to leave a gate", Box::pin(gate.close())),
            ("a signal", Box::pin(async move { Notify::new().notified().await })),
            ("a cell that another task fills", Box::pin(async move { *cell.get_or_init(pending).await })),
            ("others at a barrier", Box::pin(async move { _ = Barrier::new(2).wait().await })),
            ("a value to change", Box::pin(async move { _ = changed.changed().await })),
            ("a broadcast", Box::pin(async move { _ = says.recv().await })),
            ("a cancellation", Box::pin(CancelToken::new().cancelled())),
            ("a value from a channel", Box::pin(async move { _ = receiver.recv().await })),
            ("room in a channel", Box::pin(async move { _ = full.send(2).await })),
            ("a value from another shard", Box::pin(async move { _ = from_there.recv().await })),
        ];
        for (words, future) in all {
            assert_eq!(told(&world, &tasks, future).await, [words]);
        }
        let sends = told(&world, &tasks, async move { there.send(2).await });
        assert_eq!(sends.await, ["room in a channel to another shard"]);
        drop((held, written, pass, fills));
    });
}

/// What was waited for before is not told of a task that waits for something else now.
#[test]
fn a_note_is_of_the_last_poll() {
    let runtime = crate::machine::Machine::Threads.runtime().unwrap();
    let root = tempfile::tempdir().unwrap();
    let (world, reader) = (runtime.providers(root.path(), 1).unwrap(), runtime.stats_reader());
    runtime.block_on(async {
        let signal = Rc::new(Notify::new());
        let waits = {
            let signal = Rc::clone(&signal);
            world.task().spawn("waits", async move {
                signal.notified().await;
                poll_fn(|_| Poll::<()>::Pending).await;
            })
        };
        world.task().yield_now().await;
        assert_eq!(waits_for(&reader.tasks(), "waits"), ["a signal"]);
        signal.notify_one();
        let tasks = reader.tasks();
        assert!(tasks.iter().any(|task| task.name == "waits" && task.is_ready), "{tasks}");
        assert!(tasks.to_string().contains("its turn"), "{tasks}");
        world.task().yield_now().await;
        assert_eq!(waits_for(&reader.tasks(), "waits"), Vec::<String>::new());
        drop(waits);
    });
}

/// A thread that is no shard, or another shard, asks for the list, which is a table of one line a task.
#[test]
fn other_shards_are_asked_for_their_tasks() {
    for builder in builders() {
        let tables = run_shards(2, &builder, |shard| async move {
            if shard.number() == 1 {
                return None;
            }
            let caller = shard.caller();
            let named = caller.submit_to(1, || async {});
            named.await.unwrap();
            let stats = caller.stats_of(1).await.unwrap();
            assert!(stats.tasks_spawned > 0);
            let tasks = caller.tasks_of(1).await.unwrap();
            let inbox = tasks.iter().find(|task| task.name == "inbox").unwrap();
            assert!(inbox.is_ready || inbox.waits_for == ["calls of other shards"], "{tasks}");
            let table = tasks.to_string();
            assert_eq!(table.lines().count(), tasks.len() + 1, "{table}");
            Some(table)
        });
        let table = tables.unwrap().remove(0).unwrap();
        assert!(table.starts_with("task ") && table.contains("\ninbox "), "{table}");
    }
}
