//! Starts three processes and a client, and kills leaders.

use std::cell::RefCell;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use samestep_provider_traits::{JoinHandle, Providers, TaskProvider, TimeProvider};
use samestep_tokio_providers::{TokioProviders, TokioRuntime};

use crate::service::Result;
use crate::service::client::{self, Conduct, Progress};

/// What to show.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// How many leaders are killed, one after another.
    #[arg(long, default_value_t = 3)]
    kills: u64,
    /// Where the nodes keep their logs: a folder in it, removed afterwards. Default: the system's temporary folder.
    #[arg(long)]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    let scratch = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let world = TokioProviders::new(scratch.path().join("client"), 0);
    TokioRuntime::new()?.block_on(show(world, scratch.path(), args.kills))
}

async fn show<P: Providers>(world: P, dir: &Path, kills: u64) -> Result<()> {
    let time = world.time();
    let mut nodes = Nodes::start(dir)?;
    println!("three nodes at {:?}, a log on each disk", nodes.addresses);
    let progress = Rc::new(RefCell::new(Progress::default()));
    let running =
        client::run(world.clone(), nodes.addresses.clone(), Conduct::default(), Rc::clone(&progress));
    let client =
        world.task().spawn("client", async move { running.await.map_err(|error| error.to_string()) });
    let started = time.now();
    for kill in 1..=kills {
        // A leader, and some events from it.
        let (leader, term) = loop {
            wait(&world, &client, &progress, |progress| progress.leader.is_some()).await?;
            let (found, processed) = (progress.borrow().leader, progress.borrow().processed);
            if let Some(leader) = found {
                let far = processed + EVENTS_BETWEEN;
                wait(&world, &client, &progress, |progress| {
                    progress.processed >= far || progress.leader != Some(leader)
                })
                .await?;
                if progress.borrow().leader == Some(leader) {
                    break leader;
                }
            }
        };
        nodes.kill(leader)?;
        let died = time.now();
        wait(&world, &client, &progress, |progress| progress.leader.is_some_and(|(_, found)| found > term))
            .await?;
        let took = time.now().saturating_sub(died).as_millis();
        nodes.restart(leader)?;
        let now = progress.borrow();
        let next = now.leader.map_or(0, |(node, _)| node);
        println!(
            "kill {kill:>3}: node {leader} (term {term}) -> node {next} after {took} ms; {} processed, {} duplicates dropped",
            now.processed, now.duplicates
        );
    }
    progress.borrow_mut().is_ending = true;
    wait(&world, &client, &progress, Progress::is_done).await?;
    client.await??;
    let took = time.now().saturating_sub(started).as_secs_f64();
    let now = progress.borrow();
    println!(
        "\n{kills} leaders killed in {took:.1} s: {} events published, {} processed, each once and in order",
        now.published, now.processed
    );
    println!(
        "0 lost, 0 doubled; {} duplicates and {} late leaders' deliveries were dropped",
        now.duplicates, now.fenced
    );
    if now.processed == now.published { Ok(()) } else { Err("not everything was processed".into()) }
}

/// Waits until `holds`, or the client has failed, or nothing goes on for too long.
async fn wait<P: Providers>(
    world: &P,
    client: &impl JoinHandle<std::result::Result<(), String>>,
    progress: &Rc<RefCell<Progress>>,
    holds: impl Fn(&Progress) -> bool,
) -> Result<()> {
    let deadline = world.time().now() + STUCK;
    while !holds(&progress.borrow()) {
        if client.is_finished() && !progress.borrow().is_ending {
            return Err("the client failed".into());
        }
        if world.time().now() > deadline {
            return Err(format!("nothing goes on: {:?}", progress.borrow()).into());
        }
        world.time().sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// The processes. Dropping them kills them.
struct Nodes {
    dir: PathBuf,
    addresses: Vec<SocketAddr>,
    processes: Vec<Child>,
}

impl Nodes {
    fn start(dir: &Path) -> Result<Self> {
        // Free ports: taken, and given back together.
        let taken = (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<Vec<_>>>()?;
        let addresses = taken.iter().map(TcpListener::local_addr).collect::<std::io::Result<Vec<_>>>()?;
        drop(taken);
        let mut nodes = Self { dir: dir.to_owned(), addresses, processes: Vec::new() };
        for id in 1..=3 {
            let process = nodes.spawn(id)?;
            nodes.processes.push(process);
        }
        Ok(nodes)
    }

    /// With SIGKILL: it has no time for anything.
    fn kill(&mut self, id: u64) -> Result<()> {
        let process = &mut self.processes[usize::try_from(id - 1)?];
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    fn restart(&mut self, id: u64) -> Result<()> {
        self.processes[usize::try_from(id - 1)?] = self.spawn(id)?;
        Ok(())
    }

    fn spawn(&self, id: u64) -> Result<Child> {
        let dir = self.dir.join(format!("node-{id}"));
        std::fs::create_dir_all(&dir)?;
        let nodes: Vec<String> = self.addresses.iter().map(SocketAddr::to_string).collect();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["node", "--id", &id.to_string(), "--nodes", &nodes.join(","), "--dir"]).arg(dir);
        Ok(command.stdin(Stdio::null()).spawn()?)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _gone = process.kill();
            let _gone = process.wait();
        }
    }
}

/// Events that are processed between two kills, at least.
const EVENTS_BETWEEN: u64 = 10;
/// An election takes half a second; a machine under load may take longer.
const STUCK: Duration = Duration::from_secs(60);
