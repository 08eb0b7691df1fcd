//! One script, performed in simulated worlds, on tokio and on uring-rt: one source, one transcript.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use samestep_provider_traits::{Providers, TimeProvider};
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};
use samestep_sim::WorldConfig;
use samestep_tokio_providers::{TokioProviders, TokioRuntime};

use super::service::script::{Script, Stage, Told, perform};
use super::service::stage::{directed, perform_simulated, troubled};
use super::service::{addresses, server};
use crate::scenario::Scenario;

/// What the client processes, line by line, in each world.
pub(crate) const ONE_TRANSCRIPT: Scenario = Scenario {
    name: "emission/outbox-one-transcript",
    about: "one script of events and killed nodes in simulated worlds, on tokio and on uring-rt: what the client processes is the same bytes",
    run: one_transcript,
};

fn one_transcript(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    if !cfg!(target_os = "linux") {
        return Err(LaneError::skipped("uring-rt is for Linux"));
    }
    let failed = |world: &str, error: &dyn Error| LaneError::failed(format!("{world}: {error}"));
    let script = Script::new(context.seed().get());
    let told = Event::new("script").field("events", script.events()).field("killed", script.deaths());
    transcript.event(&told.field("leaders", script.leaders()));
    let honest = perform_simulated(WorldConfig::new(1), &script);
    let honest = honest.map_err(|error| failed("simulated", error.as_ref()))?;
    String::from_utf8_lossy(&honest.lines).lines().for_each(|line| transcript.line(line));
    let mut compare = |world: &str, told: &Told| {
        transcript.event(&Event::new(world).field("lines", format_args!("{:016x}", told.digest)));
        super::super::expect(
            world,
            &String::from_utf8_lossy(&told.lines),
            &String::from_utf8_lossy(&honest.lines),
        )
    };
    compare("simulated", &honest)?;
    for world in 1..=TROUBLED {
        let told = perform_simulated(troubled(world), &script);
        compare("troubled", &told.map_err(|error| failed("troubled", error.as_ref()))?)?;
    }
    for (name, on) in [("tokio", On::Tokio), ("uring", On::Uring)] {
        let told = perform_on_threads(on, &context.scratch().join(name), &script);
        compare(name, &told.map_err(|error| failed(name, error.as_ref()))?)?;
    }
    Ok(())
}

/// A runtime of real sockets and files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Tokio,
    /// On threads where io_uring is blocked: the bytes are the same.
    Uring,
}

/// Performs `script` with each node on a thread of its own, and the client on this one.
fn perform_on_threads(on: On, dir: &Path, script: &Script) -> Result<Told, Box<dyn Error>> {
    thread::scope(|scope| {
        let mut stage =
            Threads { scope, on, dir: dir.to_owned(), addresses: addresses::free(NODES)?, nodes: Vec::new() };
        for number in 1..=NODES as u64 {
            let node = stage.spawn(number)?;
            stage.nodes.push(Some(node));
        }
        let told = run(on, &dir.join("client"), Client { stage: &mut stage, script })?;
        for number in 1..=NODES as u64 {
            stage.kill(number)?;
        }
        told
    })
}

struct Client<'a, 'scope, 'env> {
    stage: &'a mut Threads<'scope, 'env>,
    script: &'a Script,
}

impl Program for Client<'_, '_, '_> {
    type Output = Result<Told, Box<dyn Error>>;

    async fn run<P: Providers>(self, world: P) -> Self::Output {
        perform(&world, self.stage, self.script).await
    }
}

/// Nodes on threads. One that is killed ends between two of its steps, and drops what it has.
struct Threads<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    on: On,
    dir: PathBuf,
    addresses: Vec<SocketAddr>,
    nodes: Vec<Option<Running<'scope>>>,
}

struct Running<'scope> {
    is_over: Arc<AtomicBool>,
    thread: ScopedJoinHandle<'scope, Result<(), String>>,
}

impl<'scope> Threads<'scope, '_> {
    fn spawn(&self, number: u64) -> Result<Running<'scope>, Box<dyn Error>> {
        let dir = self.dir.join(format!("node-{number}"));
        std::fs::create_dir_all(&dir)?;
        let (on, addresses, is_over) = (self.on, self.addresses.clone(), Arc::new(AtomicBool::new(false)));
        let node = Node { number, addresses, is_over: Arc::clone(&is_over) };
        let thread = self.scope.spawn(move || {
            let ended = run(on, &dir, node);
            ended.and_then(|ended| ended).map_err(|error| error.to_string())
        });
        Ok(Running { is_over, thread })
    }
}

impl Stage for Threads<'_, '_> {
    fn kill(&mut self, node: u64) -> Result<(), Box<dyn Error>> {
        let running = self.nodes[usize::try_from(node - 1)?].take().ok_or("it is not there")?;
        running.is_over.store(true, Ordering::Relaxed);
        Ok(running.thread.join().map_err(|_| "a node panicked")??)
    }

    fn start(&mut self, node: u64) -> Result<(), Box<dyn Error>> {
        self.nodes[usize::try_from(node - 1)?] = Some(self.spawn(node)?);
        Ok(())
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }
}

/// If the script fails, the threads are still waited for.
impl Drop for Threads<'_, '_> {
    fn drop(&mut self) {
        for running in self.nodes.iter().flatten() {
            running.is_over.store(true, Ordering::Relaxed);
        }
    }
}

struct Node {
    number: u64,
    addresses: Vec<SocketAddr>,
    is_over: Arc<AtomicBool>,
}

impl Program for Node {
    type Output = Result<(), Box<dyn Error>>;

    async fn run<P: Providers>(self, world: P) -> Self::Output {
        let time = world.time().clone();
        let mut over = pin!(async {
            while !self.is_over.load(Ordering::Relaxed) {
                time.sleep(LOOK).await;
            }
        });
        let mut serving = pin!(server::serve(world, self.number, self.addresses, directed()));
        poll_fn(|cx| match over.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => serving.as_mut().poll(cx),
        })
        .await
    }
}

/// Something to run on either.
trait Program {
    type Output;
    async fn run<P: Providers>(self, world: P) -> Self::Output;
}

fn run<T: Program>(on: On, root: &Path, program: T) -> Result<T::Output, Box<dyn Error>> {
    std::fs::create_dir_all(root)?;
    match on {
        On::Tokio => Ok(TokioRuntime::new()?.block_on(program.run(TokioProviders::new(root, 0)))),
        On::Uring => run_on_uring(root, program),
    }
}

#[cfg(target_os = "linux")]
fn run_on_uring<T: Program>(root: &Path, program: T) -> Result<T::Output, Box<dyn Error>> {
    use samestep_uring_rt::{DriverChoice, Runtime};

    let runtime = Runtime::builder().driver(DriverChoice::RingOrThreads).build()?;
    let world = runtime.providers(root, 0)?;
    let output = runtime.block_on(program.run(world));
    runtime.shutdown()?;
    Ok(output)
}

#[cfg(not(target_os = "linux"))]
fn run_on_uring<T: Program>(_: &Path, _: T) -> Result<T::Output, Box<dyn Error>> {
    Err("uring-rt is for Linux".into())
}

const NODES: usize = 3;
/// Worlds whose network is in trouble.
const TROUBLED: u64 = 3;
/// How soon a node is gone that is killed.
const LOOK: Duration = Duration::from_millis(1);
