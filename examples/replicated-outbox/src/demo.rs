//! Starts three processes and a client, and kills leaders.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use samestep_provider_traits::{JoinHandle, Providers, TaskProvider, TimeProvider};

use crate::processes::{ElectionsName, Nodes};
use crate::runtime::{self, Program, RuntimeName};
use crate::service::Result;
use crate::service::client::{self, Conduct, Progress};
use crate::service::script::Stage;

/// What to show.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// How many leaders are killed, one after another.
    #[arg(long, default_value_t = 3)]
    kills: u64,
    /// What nodes and client run on.
    #[arg(long, value_enum, default_value_t = RuntimeName::Tokio)]
    runtime: RuntimeName,
    /// Where the nodes keep their logs: a folder in it, removed afterwards. Default: the system's temporary folder.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
}

pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    let scratch = match &args.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let (runtime, why) = runtime::look(args.runtime);
    if let Some(why) = why {
        println!("{why}\nGoing on with {runtime}.\n");
    }
    let show = Show { dir: scratch.path(), kills: args.kills, runtime };
    runtime::run(runtime, &scratch.path().join("client"), 0, show)?
}

struct Show<'a> {
    dir: &'a Path,
    kills: u64,
    runtime: RuntimeName,
}

impl Program for Show<'_> {
    type Output = Result<()>;

    async fn run<P: Providers>(self, world: P) -> Result<()> {
        show(world, self).await
    }
}

async fn show<P: Providers>(world: P, Show { dir, kills, runtime }: Show<'_>) -> Result<()> {
    let time = world.time();
    let mut nodes = Nodes::start(dir, runtime, ElectionsName::ByTime)?;
    println!("three nodes on {runtime} at {:?}, a log on each disk", nodes.addresses());
    let progress = Rc::new(RefCell::new(Progress::default()));
    let running = client::run(world.clone(), nodes.addresses(), Conduct::default(), Rc::clone(&progress));
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
        Stage::start(&mut nodes, leader)?;
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

/// Events that are processed between two kills, at least.
const EVENTS_BETWEEN: u64 = 10;
/// An election takes half a second; a machine under load may take longer.
const STUCK: Duration = Duration::from_secs(60);
