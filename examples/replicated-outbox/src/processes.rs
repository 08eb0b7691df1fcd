//! Three processes, a node each.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use clap::ValueEnum;

use crate::runtime::RuntimeName;
use crate::service::script::Stage;
use crate::service::{Result, addresses};

/// The processes. Dropping them kills them.
pub(crate) struct Nodes {
    dir: PathBuf,
    runtime: RuntimeName,
    elections: ElectionsName,
    addresses: Vec<SocketAddr>,
    processes: Vec<Child>,
}

/// Who calls elections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ElectionsName {
    /// Each node, when it has not heard of a leader for long enough.
    ByTime,
    /// A director.
    OnDemand,
}

impl Nodes {
    /// Three nodes with their logs below `dir`.
    pub(crate) fn start(dir: &Path, runtime: RuntimeName, elections: ElectionsName) -> Result<Self> {
        let addresses = addresses::free(3)?;
        let mut nodes = Self { dir: dir.to_owned(), runtime, elections, addresses, processes: Vec::new() };
        for id in 1..=3 {
            let process = nodes.spawn(id)?;
            nodes.processes.push(process);
        }
        Ok(nodes)
    }

    fn spawn(&self, id: u64) -> Result<Child> {
        let dir = self.dir.join(format!("node-{id}"));
        std::fs::create_dir_all(&dir)?;
        let nodes: Vec<String> = self.addresses.iter().map(SocketAddr::to_string).collect();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["node", "--id", &id.to_string(), "--nodes", &nodes.join(",")]);
        command
            .args(["--runtime", &name(&self.runtime), "--elections", &name(&self.elections), "--dir"])
            .arg(dir);
        Ok(command.stdin(Stdio::null()).spawn()?)
    }
}

impl Stage for Nodes {
    /// With SIGKILL: it has no time for anything.
    fn kill(&mut self, node: u64) -> Result<()> {
        let process = &mut self.processes[usize::try_from(node - 1)?];
        process.kill()?;
        process.wait()?;
        Ok(())
    }

    fn start(&mut self, node: u64) -> Result<()> {
        self.processes[usize::try_from(node - 1)?] = self.spawn(node)?;
        Ok(())
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
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

/// As it stands on the command line.
fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().expect("none is hidden").get_name().to_owned()
}
