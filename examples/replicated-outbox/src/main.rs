//! Three processes on real TCP, a log on each of their disks, and a client that subscribes, publishes, and kills the
//! leader again and again: every event reaches it, and it processes each once.
//!
//! `cargo run --release -p samestep-replicated-outbox -- --kills 100`
//!
//! Or all of it in simulated worlds, in which more goes wrong, and the same again:
//!
//! `cargo run -p samestep-replicated-outbox -- --simulate 64`
//!
//! Or one script in all worlds, and the same bytes in each:
//!
//! `cargo run -p samestep-replicated-outbox -- --transcript 1`
//!
//! What is in `service` is generic over `Providers`: it knows nothing of tokio or io_uring.
//!
//! # What this program does not do
//!
//! It has no TLS, no discovery and no change of membership.

#![forbid(unsafe_code)]

mod demo;
#[path = "../../../lanes/src/emission/raft/node/mod.rs"]
#[expect(dead_code, reason = "the lanes use more of it")]
mod node;
mod processes;
mod runtime;
mod service;
mod simulate;
#[cfg(test)]
mod tests;
mod transcript;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use samestep_provider_traits::Providers;

use processes::ElectionsName;
use runtime::{Program, RuntimeName};
use service::{Result, server, stage};

#[derive(Debug, Parser)]
#[command(about = "Three nodes, one client, and leaders that are killed", long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    demo: demo::DemoArgs,
    #[command(flatten)]
    simulation: simulate::SimulateArgs,
    #[command(flatten)]
    transcript: transcript::TranscriptArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One node: what the demonstration starts three of.
    Node(NodeArgs),
}

/// Which node.
#[derive(Args, Debug)]
struct NodeArgs {
    /// Its number, from 1.
    #[arg(long)]
    id: u64,
    /// Where its log and snapshots are.
    #[arg(long)]
    dir: PathBuf,
    /// Addresses of all nodes, in the order of their numbers.
    #[arg(long, value_delimiter = ',')]
    nodes: Vec<SocketAddr>,
    /// What it runs on.
    #[arg(long, value_enum, default_value_t = RuntimeName::Tokio)]
    runtime: RuntimeName,
    /// Who calls elections.
    #[arg(long, value_enum, default_value_t = ElectionsName::ByTime)]
    elections: ElectionsName,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match (cli.command, cli.simulation.simulate, cli.transcript.transcript) {
        (Some(Command::Node(args)), ..) => run_node(args),
        (None, Some(seeds), _) => simulate::run(&cli.simulation, seeds),
        (None, None, Some(seed)) => transcript::run(cli.demo.dir.as_deref(), seed),
        (None, None, None) => demo::run(&cli.demo),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run_node(args: NodeArgs) -> Result<()> {
    let dir = args.dir.clone();
    runtime::run(args.runtime, &dir, args.id, args)?
}

impl Program for NodeArgs {
    type Output = Result<()>;

    async fn run<P: Providers>(self, world: P) -> Result<()> {
        let settings = match self.elections {
            ElectionsName::ByTime => server::Settings::default(),
            ElectionsName::OnDemand => stage::directed(),
        };
        server::serve(world, self.id, self.nodes, settings).await
    }
}
