//! Who owns what while operations are under way, on rings that end them as late and as oddly as they may.

use std::cell::Cell;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use proptest::prelude::*;
use samestep_provider_traits::{
    File, GuardedBuf, IoBuf, NetworkProvider, OpenOptions, Providers, StorageProvider, TaskProvider,
    TcpListener, TcpStream, TimeProvider, UdpSocket,
};

use super::{runtime, world};
use crate::sys::Adversary;
use crate::{DmaBuffer, ShutdownError, UringProviders};

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// An operation, and whether its future is dropped before it ends.
#[derive(Clone, Copy, Debug)]
struct Step {
    what: What,
    is_dropped: bool,
    /// Turns of the loop before that.
    turns: u8,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Read,
    Write,
    WriteAndSync,
    SyncData,
    SyncAll,
    Allocate,
    SetLen,
    Metadata,
    Open,
    Rename,
    List,
    Send,
    SendZeroCopy,
    Receive,
    Accept,
    Connect,
    SendTo,
    ReceiveFrom,
    Sleep,
    ReadArena,
    WriteArena,
    Deallocate,
    HardLink,
    Folder,
    AcceptUnix,
    ConnectUnix,
    SendUnix,
    ReceiveUnix,
    SendUnixDatagram,
    ReceiveUnixDatagram,
    ReadShared,
}

const ALL: [What; 31] = [
    What::Read,
    What::Write,
    What::WriteAndSync,
    What::SyncData,
    What::SyncAll,
    What::Allocate,
    What::SetLen,
    What::Metadata,
    What::Open,
    What::Rename,
    What::List,
    What::Send,
    What::SendZeroCopy,
    What::Receive,
    What::Accept,
    What::Connect,
    What::SendTo,
    What::ReceiveFrom,
    What::Sleep,
    What::ReadArena,
    What::WriteArena,
    What::Deallocate,
    What::HardLink,
    What::Folder,
    What::AcceptUnix,
    What::ConnectUnix,
    What::SendUnix,
    What::ReceiveUnix,
    What::SendUnixDatagram,
    What::ReceiveUnixDatagram,
    What::ReadShared,
];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (prop::sample::select(&ALL[..]), any::<bool>(), 0..6_u8);
    let step = step.prop_map(|(what, is_dropped, turns)| Step { what, is_dropped, turns });
    prop::collection::vec(step, 1..40)
}

/// Polls `future` to its end, or for some turns of the loop and drops it then. Those that wait for a peer are given
/// up in the end.
async fn perform<F: Future>(world: &UringProviders, step: Step, future: F) {
    let mut future = Box::pin(future);
    if !step.is_dropped {
        let _ = world.time().timeout(Duration::from_millis(8), future.as_mut()).await;
        return;
    }
    let mut cx = Context::from_waker(Waker::noop());
    let _ = future.as_mut().poll(&mut cx);
    for _ in 0..step.turns {
        world.task().yield_now().await;
    }
}

/// What the steps work on.
struct Things {
    file: crate::UringFile,
    listener: crate::UringListener,
    near: crate::UringStream,
    far: crate::UringStream,
    socket: crate::UringSocket,
    unix_path: std::path::PathBuf,
    unix_listener: crate::UringUnixListener,
    unix: (crate::UringUnixStream, crate::UringUnixStream),
    datagrams: (crate::UringUnixDatagram, crate::UringUnixDatagram),
}

async fn do_step(
    world: &UringProviders,
    things: &Things,
    freed: &Rc<Cell<usize>>,
    number: usize,
    step: Step,
) {
    let filling = u8::try_from(number % 200).unwrap() + 1;
    let guarded = |len| GuardedBuf::new(len, filling, freed);
    let (storage, file) = (world.storage(), &things.file);
    let address = things.listener.local_addr().unwrap();
    match step.what {
        What::Read => perform(world, step, file.read_at(guarded(700), 100)).await,
        What::Write => perform(world, step, file.write_all_at(guarded(300), 300 * number as u64)).await,
        What::WriteAndSync => {
            perform(world, step, file.write_all_and_sync(guarded(300), 300 * number as u64)).await;
        }
        What::SyncData => perform(world, step, file.sync_data()).await,
        What::SyncAll => perform(world, step, file.sync_all()).await,
        What::Allocate => perform(world, step, file.allocate(10_000)).await,
        What::SetLen => perform(world, step, file.set_len(15_000)).await,
        What::Metadata => perform(world, step, file.metadata()).await,
        What::Open => {
            perform(world, step, storage.open(Path::new("g"), OpenOptions::read_write().create())).await;
        }
        What::Rename => perform(world, step, storage.rename(Path::new("g"), Path::new("h"))).await,
        What::List => perform(world, step, storage.list(Path::new(""))).await,
        What::Send => perform(world, step, things.near.write(guarded(900))).await,
        What::SendZeroCopy => perform(world, step, things.near.write(guarded(2500))).await,
        What::Receive => perform(world, step, things.far.read(guarded(80))).await,
        What::Accept => perform(world, step, things.listener.accept()).await,
        What::Connect => perform(world, step, world.network().connect(address)).await,
        What::SendTo => {
            let to = things.socket.local_addr().unwrap();
            perform(world, step, things.socket.send_to(guarded(50), to)).await;
        }
        What::ReceiveFrom => perform(world, step, things.socket.recv_from(guarded(50))).await,
        What::Sleep => perform(world, step, world.time().sleep(Duration::from_micros(500))).await,
        What::ReadArena => perform(world, step, file.read_at(storage.alloc_dma(700), 100)).await,
        What::WriteArena => {
            let mut buf = storage.alloc_dma(300);
            buf.fill(filling);
            perform(world, step, file.write_all_at(buf, 300 * number as u64)).await;
        }
        What::AcceptUnix => perform(world, step, things.unix_listener.accept()).await,
        What::ConnectUnix => {
            perform(world, step, world.network().connect_unix(&things.unix_path)).await;
        }
        What::SendUnix => perform(world, step, things.unix.0.write(guarded(2500))).await,
        What::ReceiveUnix => perform(world, step, things.unix.1.read(guarded(80))).await,
        What::SendUnixDatagram => perform(world, step, things.datagrams.0.send(guarded(90))).await,
        What::ReceiveUnixDatagram => perform(world, step, things.datagrams.1.recv_from(guarded(80))).await,
        What::ReadShared => perform(world, step, file.read_shared(50..1700)).await,
        What::Deallocate => perform(world, step, file.deallocate(1000..9000)).await,
        What::HardLink => perform(world, step, storage.hard_link(Path::new("f"), Path::new("l"))).await,
        What::Folder => {
            perform(world, step, storage.create_dir_all(Path::new("d"))).await;
            perform(world, step, storage.remove_dir(Path::new("d"))).await;
        }
    }
    check_arena(storage);
}

/// How many buffers these steps give away.
fn buffers(steps: &[Step]) -> usize {
    let has_one = |step: &&Step| {
        let what = step.what;
        matches!(what, What::Read | What::Write | What::WriteAndSync | What::Send | What::SendZeroCopy)
            || matches!(what, What::SendUnix | What::ReceiveUnix)
            || matches!(what, What::SendUnixDatagram | What::ReceiveUnixDatagram)
            || matches!(what, What::Receive | What::SendTo | What::ReceiveFrom)
    };
    steps.iter().filter(has_one).count()
}

/// What of the arena is nobody's now, as far as the arena knows, is written over: an operation whose buffer went back
/// too early would then write that to the file, or read into it.
fn check_arena(storage: &crate::UringStorage) {
    let free: Vec<_> = std::iter::repeat_with(|| storage.alloc_dma(1))
        .take_while(DmaBuffer::is_in_arena)
        .map(|mut buffer| {
            buffer.fill(GuardedBuf::POISON);
            buffer
        })
        .collect();
    assert!(free.iter().all(|buffer| buffer[..] == [GuardedBuf::POISON]));
}

/// No byte of the file is one that its write's buffer did not hold while the write was under way.
fn check_file(root: &Path) {
    let stored = std::fs::read(root.join("f")).unwrap();
    assert!(!stored.contains(&GuardedBuf::POISON), "a buffer was freed while a write read it");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Every operation, ended or given up at any time, in any order: every buffer is freed once the world is gone, and
    /// none before the kernel was done with it.
    #[test]
    fn every_operation_gives_back_what_it_owned(steps in steps(), seed in any::<u64>()) {
        let root = tempfile::tempdir().unwrap();
        let freed = Rc::new(Cell::new(0));
        let (runtime, _) = runtime(Adversary::new(seed), Duration::from_secs(5));
        let world = runtime.providers(root.path(), seed).unwrap();
        runtime.block_on(async {
            let file = world.storage().open(Path::new("f"), OpenOptions::read_write().create()).await.unwrap();
            let listener = world.network().bind(ANY_PORT).await.unwrap();
            let near = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
            let (far, _) = listener.accept().await.unwrap();
            let socket = world.network().bind_udp(ANY_PORT).await.unwrap();
            let unix_path = root.path().join("s");
            let unix_listener = world.network().bind_unix(&unix_path).await.unwrap();
            let unix = world.network().unix_pair().unwrap();
            let datagrams = world.network().unix_datagram_pair().unwrap();
            let things =
                Things { file, listener, near, far, socket, unix_path, unix_listener, unix, datagrams };
            for (number, step) in steps.iter().enumerate() {
                do_step(&world, &things, &freed, number, *step).await;
            }
        });
        prop_assert_eq!(runtime.stats().completions_unknown, 0);
        drop(world);
        let core = Rc::downgrade(runtime.core());
        prop_assert_eq!(runtime.shutdown(), Ok(()));
        prop_assert!(core.upgrade().is_none(), "something still holds the runtime");
        prop_assert_eq!(freed.get(), buffers(&steps));
        check_file(root.path());
    }
}

/// Connections that come while accepts are given up are each served once.
#[test]
fn no_connection_is_lost_on_a_hostile_ring() {
    for seed in 0..8 {
        let served = world(Adversary::new(seed), |world| async move {
            let listener = world.network().bind(ANY_PORT).await.unwrap();
            let address = listener.local_addr().unwrap();
            let client = {
                let world = world.clone();
                world.clone().task().spawn("client", async move {
                    for number in 0..30_u8 {
                        let stream = world.network().connect(address).await.unwrap();
                        stream.write_all(vec![number]).await.0.unwrap();
                        let (count, _) = stream.read(vec![0; 1]).await;
                        assert_eq!(count.unwrap(), 1, "connection {number} was not served");
                    }
                })
            };
            for number in 0..30_u8 {
                let (stream, _) = loop {
                    let accept = world.time().timeout(Duration::from_micros(50), listener.accept());
                    if let Ok(accepted) = accept.await {
                        break accepted.unwrap();
                    }
                };
                let buf = loop {
                    let read = world.time().timeout(Duration::from_micros(50), stream.read(vec![0; 1]));
                    if let Ok((count, buf)) = read.await {
                        assert_eq!(count.unwrap(), 1);
                        break buf;
                    }
                };
                assert_eq!(buf, [number]);
                stream.write_all(buf).await.0.unwrap();
            }
            client.await.unwrap();
        });
        served.unwrap();
    }
}

/// Bytes arrive whole and in order through receives that are short, end early, and find no buffer.
#[test]
fn no_byte_is_lost_on_a_hostile_ring() {
    for seed in 0..6 {
        let kept = world(Adversary::new(seed), |world| async move {
            let listener = world.network().bind(ANY_PORT).await.unwrap();
            let near = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
            let (far, _) = listener.accept().await.unwrap();
            let sent: Vec<u8> = (0..=250).cycle().take(20_000).collect();
            let writer = {
                let sent = sent.clone();
                world.task().spawn("writer", async move {
                    near.write_all(sent).await.0.unwrap();
                    near.shutdown().await.unwrap();
                })
            };
            let mut received = Vec::new();
            loop {
                let read = world.time().timeout(Duration::from_micros(30), far.read(Vec::with_capacity(37)));
                match read.await {
                    Ok((Ok(0), _)) => break,
                    Ok((count, buf)) => {
                        assert_eq!(count.unwrap(), buf.len());
                        received.extend(buf);
                    }
                    Err(_) => {}
                }
            }
            assert!(received == sent, "other bytes arrived than were sent");
            writer.await.unwrap();
        });
        kept.unwrap();
    }
}

/// A ring on which nothing ends: shutting down gives up in time, says how much is under way, and frees nothing of it.
#[test]
fn what_cannot_be_drained_is_leaked_and_said() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), [1; 4096]).unwrap();
    let freed = Rc::new(Cell::new(0));
    let stuck = Adversary { is_stuck: true, ..Adversary::new(1) };
    let (runtime, _) = runtime(stuck, Duration::from_millis(120));
    let world = runtime.providers(root.path(), 1).unwrap();
    runtime.block_on(async {
        let socket = world.network().bind_udp(ANY_PORT).await.unwrap();
        let to = socket.local_addr().unwrap();
        for _ in 0..3 {
            let mut send = pin!(socket.send_to(GuardedBuf::new(10, 1, &freed), to));
            assert!(send.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        world.task().yield_now().await;
    });
    drop(world);
    let error = runtime.shutdown().unwrap_err();
    assert_eq!(error, ShutdownError::StillInFlight { operations: 3, waited: Duration::from_millis(120) });
    assert_eq!(freed.get(), 0, "a buffer was freed that the kernel may write to");
}

/// A zero-copy send gives its buffer back when the kernel is done with it, not when it told how much was sent.
#[test]
fn a_zero_copy_send_keeps_its_buffer_until_the_notification() {
    for seed in 0..10 {
        let kept = world(Adversary { shortness: 0, ..Adversary::new(seed) }, |world| async move {
            let listener = world.network().bind(ANY_PORT).await.unwrap();
            let near = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
            let (far, _) = listener.accept().await.unwrap();
            let (count, buf) = near.write(vec![7; 5000]).await;
            assert_eq!((count.unwrap(), buf.len()), (5000, 5000));
            let (outcome, buf) = far.read_exact(vec![0; 5000]).await;
            outcome.unwrap();
            assert!(buf.as_bytes().iter().all(|byte| *byte == 7));
        });
        kept.unwrap();
    }
}
