//! Measures how soon a task that computes is asked to yield.

use std::cell::Cell;
use std::fmt;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use samestep_provider_traits::{
    NetworkProvider, Providers, TaskProvider, TcpListener, TcpStream as _, TimeProvider,
};

use super::CommandError;
use crate::clock::monotonic;
use crate::{Latency, Runtime, Shares, TaskGroup, TaskRun, UringProviders, UringTasks};

/// Prints, for an event that a task of a queue with latency waits for and for that queue's turn being due, how long it
/// takes until a spinning task sees that it should yield; in each mode of the ring.
pub(super) fn run(events: usize) -> Result<(), CommandError> {
    let events = events.max(1);
    let folder = std::env::current_dir()?;
    for (mode, name) in [(TaskRun::Deferred, "deferred"), (TaskRun::Cooperative, "cooperative")] {
        let before = Stolen::read();
        let runtime = Runtime::builder().task_run(mode).build()?;
        let world = runtime.providers(&folder, 1)?;
        let delays = runtime.block_on(on_events(world.clone(), events))?;
        print!("an event on the latency ring, {name} task run\n{delays}");
        let late = runtime.block_on(on_time(world.task(), events))?;
        print!("a turn that is due, beyond its {PERIOD:?}, {name} task run\n{late}");
        runtime.shutdown()?;
        println!("meanwhile {}", Stolen::read().since(&before));
    }
    // Without a latency ring nothing interrupts a task but its own yields.
    println!("without a latency ring a task is not asked: it yields by itself");
    Ok(())
}

/// A thread on another core writes to a socket that a task waits on.
async fn on_events(world: UringProviders, events: usize) -> Result<Delays, CommandError> {
    let tasks = world.task().clone();
    let urgent = urgent(&tasks, Duration::from_millis(100));
    let listener = world.network().bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).await?;
    let mut peer = TcpStream::connect(listener.local_addr()?)?;
    peer.set_nodelay(true)?;
    let (stream, _) = listener.accept().await?;
    let came = Rc::new(Cell::new(0));
    let counted = Rc::clone(&came);
    let reader = tasks.spawn_into(urgent, "reader", async move {
        let mut buf = vec![0; 1];
        for _ in 0..events {
            let outcome;
            (outcome, buf) = stream.read_exact(buf).await;
            outcome?;
            counted.set(counted.get() + 1);
        }
        Ok::<_, std::io::Error>(())
    });
    // The reader waits before anything comes.
    world.time().sleep(Duration::from_millis(1)).await;
    let (go, gone) = mpsc::channel();
    let (written, times) = mpsc::channel();
    #[expect(clippy::disallowed_methods, reason = "the peer is on another core")]
    let peer = thread::spawn(move || {
        while gone.recv().is_ok() {
            // Not before the other spins.
            let start = monotonic();
            while monotonic() < start + Duration::from_micros(100) {}
            // The write brings the byte about, and may return after it was seen.
            let began = monotonic();
            if peer.write_all(&[1]).is_err() || written.send(began).is_err() {
                return;
            }
        }
    });
    let mut delays = Delays::default();
    for number in 0..events {
        let lost = switches();
        go.send(()).map_err(|_| CommandError::new("the peer is gone"))?;
        spin(&tasks)?;
        let seen = monotonic();
        let written = times.recv().map_err(|_| CommandError::new("the peer is gone"))?;
        delays.push(seen.saturating_sub(written), switches() == lost);
        // The reader gets its byte, and waits again.
        while came.get() <= number {
            tasks.yield_now().await;
        }
    }
    drop(go);
    peer.join().map_err(|_| CommandError::new("the peer panicked"))?;
    reader.await.map_err(std::io::Error::other)??;
    Ok(delays)
}

/// A task wakes one of a queue with latency, and spins.
async fn on_time(tasks: &UringTasks, events: usize) -> Result<Delays, CommandError> {
    let urgent = urgent(tasks, PERIOD);
    let mut late = Delays::default();
    for _ in 0..events {
        let (lost, has_run) = (switches(), Rc::new(Cell::new(false)));
        let start = monotonic();
        let waiting = {
            let has_run = Rc::clone(&has_run);
            tasks.spawn_into(urgent, "waits", async move { has_run.set(true) })
        };
        spin(tasks)?;
        late.push((monotonic() - start).saturating_sub(PERIOD), switches() == lost);
        waiting.await.map_err(std::io::Error::other)?;
    }
    Ok(late)
}

/// Computes until it is asked to yield.
fn spin(tasks: &UringTasks) -> Result<(), CommandError> {
    let start = monotonic();
    while !tasks.needs_preempt() {
        if monotonic() > start + GIVE_UP {
            return Err(CommandError::new("a task that computes was never asked to yield"));
        }
    }
    Ok(())
}

fn urgent(tasks: &UringTasks, within: Duration) -> crate::TaskQueue {
    tasks.create_queue("urgent", TaskGroup::ROOT, Shares::new(1000), Latency::Matters(within))
}

/// Some durations, to be told by their ranks: all, and those in which this thread kept its processor, which are the
/// runtime's own.
#[derive(Default)]
struct Delays {
    all: Vec<Duration>,
    undisturbed: Vec<Duration>,
}

impl Delays {
    fn push(&mut self, delay: Duration, is_undisturbed: bool) {
        self.all.push(delay);
        if is_undisturbed {
            self.undisturbed.push(delay);
        }
    }
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, delays) in [("all", &self.all), ("undisturbed", &self.undisturbed)] {
            let mut sorted = delays.clone();
            sorted.sort();
            let Some(worst) = sorted.last() else { continue };
            let [p50, p99, p999] =
                [500, 990, 999].map(|per_mille| sorted[(sorted.len() - 1) * per_mille / 1000]);
            let of = sorted.len();
            writeln!(f, "  {name:<12} p50 {p50:?}, p99 {p99:?}, p99.9 {p999:?}, worst {worst:?} of {of}")?;
        }
        Ok(())
    }
}

/// How often another thread got this one's processor.
fn switches() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

/// Time that this machine, or this thread, did not have.
pub(super) struct Stolen {
    /// By the hypervisor, in ticks of all processors; see proc(5).
    steal_ticks: u64,
    all_ticks: u64,
    /// Times another thread got this one's processor.
    switches: u64,
}

impl Stolen {
    pub(super) fn read() -> Self {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let ticks = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
        let ticks: Vec<u64> = ticks.filter_map(|number| number.parse().ok()).collect();
        Self {
            steal_ticks: ticks.get(7).copied().unwrap_or(0),
            // Guests are counted among users.
            all_ticks: ticks.iter().take(8).sum(),
            switches: switches(),
        }
    }

    pub(super) fn since(&self, before: &Self) -> String {
        let (steal, all) = (self.steal_ticks - before.steal_ticks, self.all_ticks - before.all_ticks);
        let per_mille = steal * 1000 / all.max(1);
        let (percent, tenth) = (per_mille / 10, per_mille % 10);
        let switches = self.switches - before.switches;
        format!(
            "{percent}.{tenth} % of the machine's time was stolen, and this thread lost its processor {switches} times"
        )
    }
}

const PERIOD: Duration = Duration::from_millis(1);
const GIVE_UP: Duration = Duration::from_secs(10);
