//! Three processes on real TCP, a log on each of their disks, and a client that subscribes, publishes, and kills the
//! leader again and again: every event reaches it, and it processes each once.
//!
//! `cargo run --release -p samestep-replicated-outbox -- --kills 100`
//!
//! The node in `server` and the client in `client` are generic over `Providers`: they know nothing of tokio.
//!
//! # What this program does not do
//!
//! It has no TLS, no discovery and no change of membership; connections are polled, for brevity.

#![forbid(unsafe_code)]

mod client;
mod demo;
mod link;
#[path = "../../../lanes/src/emission/raft/node/mod.rs"]
#[expect(dead_code, reason = "the lanes use more of it")]
mod node;
mod server;
mod wire;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use samestep_tokio_providers::{TokioProviders, TokioRuntime};

/// Fails with whatever went wrong, in words.
pub(crate) type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

#[derive(Debug, Parser)]
#[command(about = "Three nodes, one client, and leaders that are killed", long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    demo: demo::DemoArgs,
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
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Some(Command::Node(args)) => run_node(args),
        None => demo::run(&cli.demo),
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
    let world = TokioProviders::new(&args.dir, args.id);
    TokioRuntime::new()?.block_on(server::serve(world, args.id, args.nodes))
}
