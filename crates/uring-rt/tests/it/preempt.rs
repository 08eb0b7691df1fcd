//! A task that computes, and something urgent that comes meanwhile.

use std::cell::RefCell;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use samestep_provider_traits::{NetworkProvider, Providers, TaskProvider, TcpListener, TcpStream as _};
use samestep_uring_rt::{Latency, Shares, TaskGroup};

use crate::machine::Machine;

fn now() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap()
}

/// A peer writes to a socket that a task waits on whose latency matters, while another task spins: how soon the
/// spinning one is asked to yield. Without a system call of its own it sees that only by what the kernel shares.
#[test]
fn an_event_is_seen_by_a_task_that_spins() {
    for machine in [Machine::Ring, Machine::Cooperative] {
        an_event_is_seen_on(machine);
    }
}

fn an_event_is_seen_on(machine: Machine) {
    const EVENTS: usize = 200;
    if machine.runtime().is_none() {
        return;
    }
    let delays: Rc<RefCell<Vec<Duration>>> = Rc::default();
    let seen = Rc::clone(&delays);
    machine.world(|world| async move {
        let tasks = world.task().clone();
        let matters = Latency::Matters(Duration::from_millis(100));
        let urgent = tasks.create_queue("urgent", TaskGroup::ROOT, Shares::new(1000), matters);
        let listener =
            world.network().bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_nodelay(true).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let reader = tasks.spawn_into(urgent, "reader", async move {
            let mut buf = vec![0; 1];
            for _ in 0..EVENTS {
                let outcome;
                (outcome, buf) = stream.read_exact(buf).await;
                outcome.unwrap();
            }
        });
        // The reader waits before anything comes.
        tasks.yield_now().await;
        let (go, gone) = mpsc::channel();
        let (written, times) = mpsc::channel();
        #[expect(clippy::disallowed_methods, reason = "the peer is on another core")]
        let peer = thread::spawn(move || {
            while gone.recv().is_ok() {
                // Not before the other spins.
                let start = now();
                while now() < start + Duration::from_micros(100) {}
                peer.write_all(&[1]).unwrap();
                written.send(now()).unwrap();
            }
        });
        for _ in 0..EVENTS {
            go.send(()).unwrap();
            let give_up = now() + Duration::from_secs(5);
            while !tasks.needs_preempt() {
                assert!(now() < give_up, "a task that spins never saw the event");
            }
            let at = now();
            seen.borrow_mut().push(at.saturating_sub(times.recv().unwrap()));
            // The reader gets its byte, and waits again.
            while tasks.needs_preempt() {
                tasks.yield_now().await;
            }
            tasks.yield_now().await;
        }
        drop(go);
        peer.join().unwrap();
        reader.await.unwrap();
    });
    let mut delays = Rc::into_inner(delays).unwrap().into_inner();
    delays.sort();
    let [quick, median, worst] = [0, EVENTS / 2, EVENTS - 1].map(|at| delays[at]);
    println!("{machine:?}: an event is seen after {median:?} at the median, {worst:?} at worst, of {EVENTS}");
    // Of the quickest, as the machine may be busy with other work: `samestep-uring preempt` measures the rest.
    // Without the kernel's flag it would be a tick of some milliseconds, or never.
    assert!(quick < Duration::from_millis(1), "{quick:?}");
}
