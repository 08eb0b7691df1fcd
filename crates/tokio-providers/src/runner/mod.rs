//! Runs workloads on real sockets and files.

mod members;
mod report;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use samestep_provider_traits::workload::{Shutdown, Topology, Workload, WorkloadContext};
use samestep_provider_traits::{Providers, TimeProvider};
use tokio::net::TcpSocket;

use crate::{TokioProviders, TokioRuntime};
use members::{AnyWorkload, Run, Running};
pub use report::{MemberOutcome, MemberReport, Phase, TokioReport};

/// Runs the [workloads](samestep_provider_traits::workload) of a simulation on loopback sockets and real files.
///
/// ```
/// use samestep_provider_traits::workload::{Workload, WorkloadContext, WorkloadResult};
/// use samestep_provider_traits::{NetworkProvider, Providers, TcpListener, TcpStream};
/// use samestep_tokio_providers::TokioRunner;
///
/// struct Greeter;
///
/// impl<P: Providers> Workload<P> for Greeter {
///     async fn run(&mut self, context: &WorkloadContext<P>) -> WorkloadResult {
///         let listener = context.providers().network().bind(context.me().address()).await?;
///         let (stream, _) = listener.accept().await?;
///         stream.write_all("hello").await.0?;
///         Ok(())
///     }
/// }
///
/// struct Caller;
///
/// impl<P: Providers> Workload<P> for Caller {
///     async fn run(&mut self, context: &WorkloadContext<P>) -> WorkloadResult {
///         let server = context.topology().servers().next().unwrap();
///         let stream = context.providers().network().connect(server.address()).await?;
///         let (outcome, greeting) = stream.read_exact(vec![0; 5]).await;
///         outcome?;
///         assert_eq!(greeting, b"hello");
///         Ok(())
///     }
/// }
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// # let root = folder.path();
/// let report = TokioRunner::new(root, 7).servers(1, |_number| Greeter).clients(1, |_number| Caller).run()?;
/// assert!(report.is_ok(), "{report}");
/// # Ok(())
/// # }
/// ```
pub struct TokioRunner {
    root: PathBuf,
    seed: u64,
    servers: Vec<Box<dyn AnyWorkload>>,
    clients: Vec<Box<dyn AnyWorkload>>,
    grace: Duration,
    time_limit: Duration,
}

impl TokioRunner {
    /// A runner without members, which keeps their files below the folder `root`, in one named after each
    /// member, and forks their random streams from `seed` by their names.
    ///
    /// The folders are created if need be, and left as they are after the run.
    pub fn new(root: impl Into<PathBuf>, seed: u64) -> Self {
        Self {
            root: root.into(),
            seed,
            servers: Vec::new(),
            clients: Vec::new(),
            grace: Duration::from_secs(5),
            time_limit: Duration::from_secs(60),
        }
    }

    /// Adds `count` servers, which `make` makes from each one's number among all servers, from 0.
    pub fn servers<W: Workload<TokioProviders>>(
        mut self,
        count: usize,
        make: impl FnMut(usize) -> W,
    ) -> Self {
        add(&mut self.servers, count, make);
        self
    }

    /// Adds `count` clients, which `make` makes from each one's number among all clients, from 0.
    pub fn clients<W: Workload<TokioProviders>>(
        mut self,
        count: usize,
        make: impl FnMut(usize) -> W,
    ) -> Self {
        add(&mut self.clients, count, make);
        self
    }

    /// How long servers may take to end once they are told to; then they are dropped. 5 seconds unless told.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long the whole may take; then whoever has not ended is dropped, which fails the run unless it is a
    /// server. 60 seconds unless told. A member that blocks the thread cannot be stopped.
    pub fn time_limit(mut self, time_limit: Duration) -> Self {
        self.time_limit = time_limit;
        self
    }

    /// Runs all members, on this thread, and tells how each ended.
    ///
    /// They are set up in order; if that fails for one, none runs. All run at once; when every client has ended,
    /// in whatever way, the servers are told to. Then those that did not fail are checked, in order. Each has an
    /// address of its own on 127.0.0.1. What members spawned and did not join is dropped in the end.
    ///
    /// # Errors
    ///
    /// If there is no runtime, no folder or no free port to be had. What goes wrong in members is in the report.
    ///
    /// # Panics
    ///
    /// If this thread runs a runtime already.
    pub fn run(self) -> io::Result<TokioReport> {
        TokioRuntime::new()?.block_on(self.run_on_runtime())
    }

    async fn run_on_runtime(self) -> io::Result<TokioReport> {
        let (servers, clients) = (self.servers.len(), self.clients.len());
        let ports = (0..servers + clients).map(|_| ReservedPort::take()).collect::<io::Result<Vec<_>>>()?;
        let topology = Topology::client_server(servers, clients, |place| ports[place].address);
        let world = TokioProviders::new(&self.root, self.seed);
        let shutdown = Shutdown::new();
        let mut members = Vec::with_capacity(ports.len());
        for (place, workload) in self.servers.into_iter().chain(self.clients).enumerate() {
            let name = topology.members()[place].name();
            let root = self.root.join(name);
            std::fs::create_dir_all(&root)?;
            let providers = world.for_member(root, name);
            let context = WorkloadContext::new(providers, topology.clone(), place, shutdown.clone());
            members.push(Running::new(workload, context));
        }
        let run = Run {
            members,
            time: world.time().clone(),
            shutdown,
            grace: self.grace,
            deadline: world.time().now().saturating_add(self.time_limit),
        };
        let members = run.drive().await;
        Ok(TokioReport { seed: self.seed, members, elapsed: world.time().now() })
    }
}

impl fmt::Debug for TokioRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokioRunner")
            .field("root", &self.root)
            .field("seed", &self.seed)
            .field("servers", &self.servers.len())
            .field("clients", &self.clients.len())
            .field("grace", &self.grace)
            .field("time_limit", &self.time_limit)
            .finish()
    }
}

fn add<W: Workload<TokioProviders>>(
    members: &mut Vec<Box<dyn AnyWorkload>>,
    count: usize,
    mut make: impl FnMut(usize) -> W,
) {
    let numbers = members.len()..members.len() + count;
    members.extend(numbers.map(|number| Box::new(make(number)) as Box<dyn AnyWorkload>));
}

/// An address on loopback that nobody else is given during a run.
///
/// A socket that is bound and does not listen keeps the port from those who ask for any. On Linux a listener may
/// bind beside it, as both may reuse addresses; elsewhere the port must be given up first, and somebody else may
/// get it.
struct ReservedPort {
    address: SocketAddr,
    _holder: Option<TcpSocket>,
}

impl ReservedPort {
    fn take() -> io::Result<Self> {
        let holder = TcpSocket::new_v4()?;
        holder.set_reuseaddr(true)?;
        holder.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = holder.local_addr()?;
        Ok(Self { address, _holder: cfg!(target_os = "linux").then_some(holder) })
    }
}
