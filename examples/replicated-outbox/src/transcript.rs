//! One script in all worlds: simulated, on tokio and on uring-rt. What the client processes must be the same bytes.

use std::path::Path;

use clap::Args;
use samestep_provider_traits::Providers;
use samestep_sim::WorldConfig;

use crate::processes::{ElectionsName, Nodes};
use crate::runtime::{self, Program, RuntimeName};
use crate::service::Result;
use crate::service::script::{Script, Told, perform};
use crate::service::stage::{perform_simulated, troubled};

/// Which script.
#[derive(Args, Debug)]
pub(crate) struct TranscriptArgs {
    /// Perform the script of this seed in each world, and compare what the client processes.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["kills", "runtime", "simulate"])]
    pub(crate) transcript: Option<u64>,
}

/// Performs the script of `seed` everywhere, and prints its lines.
///
/// # Errors
///
/// If a world tells another transcript, or something is lost, doubled or out of order.
pub(crate) fn run(dir: Option<&Path>, seed: u64) -> Result<()> {
    let script = Script::new(seed);
    println!(
        "the script of seed {seed}: {} events, {} leaders and {} other nodes killed",
        script.events(),
        script.leaders(),
        script.deaths() - script.leaders()
    );
    let first = perform_simulated(WorldConfig::new(seed), &script)?;
    print!("\n{}\n", String::from_utf8_lossy(&first.lines));
    tell("simulated, honest network", &first, &first)?;
    for world in 1..=3 {
        let told = perform_simulated(troubled(world), &script)?;
        tell(&format!("simulated, network troubles of seed {world}"), &first, &told)?;
    }
    for wanted in [RuntimeName::Tokio, RuntimeName::Uring] {
        let (runtime, why) = runtime::look(wanted);
        if let Some(why) = why {
            println!("{why}");
        }
        let scratch = match dir {
            Some(dir) => tempfile::tempdir_in(dir)?,
            None => tempfile::tempdir()?,
        };
        let on_processes = OnProcesses { dir: scratch.path(), runtime, script: &script };
        let told = runtime::run(runtime, &scratch.path().join("client"), 0, on_processes)??;
        tell(&format!("three processes on {runtime}, SIGKILL"), &first, &told)?;
    }
    println!("\none transcript");
    Ok(())
}

fn tell(world: &str, first: &Told, told: &Told) -> Result<()> {
    println!("{:016x}  {world}; {} duplicates dropped", told.digest, told.duplicates);
    if told.lines == first.lines {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&told.lines);
    Err(format!("{world}: another transcript:\n{text}").into())
}

struct OnProcesses<'a> {
    dir: &'a Path,
    runtime: RuntimeName,
    script: &'a Script,
}

impl Program for OnProcesses<'_> {
    type Output = Result<Told>;

    async fn run<P: Providers>(self, world: P) -> Result<Told> {
        let mut nodes = Nodes::start(self.dir, self.runtime, ElectionsName::OnDemand)?;
        perform(&world, &mut nodes, self.script).await
    }
}
