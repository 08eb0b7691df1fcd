//! The builder that programs written for the seed know.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use samestep_provider_traits::workload::{Role, Shutdown, Topology, Workload, WorkloadContext};

use crate::chaos::{InvariantCheck, JsonInvariant, publish_checks};
use crate::disk::StorageConfiguration;
use crate::net::{NetworkConfiguration, NetworkFaults};
use crate::providers::SimProviders;
use crate::runner::attrition::Attrition;
use crate::runner::campaign::{self, CampaignPlan, IterationControl};
use crate::runner::chaos::Chaos;
use crate::runner::check::{one_run, test_scenario};
use crate::runner::context::{LocalityInfo, SimContext};
use crate::runner::environment::{Environment, TestName};
use crate::runner::explain::failure_text;
use crate::runner::fresh::{Part, take_part};
use crate::runner::inject::FaultInjector;
use crate::runner::jobs_of_machine;
use crate::runner::metrics::SimulationReport;
use crate::runner::scenario::Scenario;
use crate::runner::test::{Count, EndRule, Test};

/// Who takes part in a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkloadTopology {
    /// Servers called `server-0` and so on, and clients called `client-0` and so on.
    ClientServer {
        /// How many clients.
        clients: usize,
        /// How many servers.
        servers: usize,
    },
}

/// What a workload that is a closure may return.
pub trait IntoOutcome {
    /// An error fails the run.
    fn into_outcome(self) -> Result<(), Box<dyn Error>>;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<(), Box<dyn Error>> {
        Ok(())
    }
}

impl<T, E: Into<Box<dyn Error>>> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Result<(), Box<dyn Error>> {
        self.map(drop).map_err(Into::into)
    }
}

/// A program that is started at each boot of its node; what it keeps over reboots is in its files.
pub trait Process: 'static {
    /// Its name in reports.
    fn name(&self) -> &str;

    /// Does its work.
    fn run(self: Box<Self>, context: SimContext) -> ProcessFuture;
}

/// A [`Process`] at work.
pub type ProcessFuture = Pin<Box<dyn Future<Output = Result<(), Box<dyn Error>>>>>;

/// How many processes there are, and how they are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalityConfig {
    /// Data centres.
    pub data_centres: usize,
    /// Zones in each of them.
    pub zones: usize,
    /// Machines in each zone.
    pub machines: usize,
    /// Processes on each machine.
    pub processes: usize,
}

/// Simulations as the seed builds them: its names, its defaults, its rules.
///
/// Beware of the defaults, which are the seed's: **half of all attempts to connect fail** (half of those are refused
/// and half never end), bits turn over, connections close; and **the first client that ends without an error ends the
/// run** for all others. New tests are better written with [`check`](crate::check).
///
/// ```
/// use samestep_sim::{SimulationBuilder, WorkloadTopology};
///
/// SimulationBuilder::new()
///     .topology(WorkloadTopology::ClientServer { clients: 2, servers: 1 })
///     .run(|ctx| async move {
///         // Your workload here: it runs on each member, and `ctx` tells which one it is.
///         let _ = ctx.name();
///     });
/// ```
///
/// Many seeds, until each `sometimes` check has held, but at most 1000:
///
/// ```
/// use samestep_sim::{IterationControl, SimulationBuilder, sim_random_range, sometimes_assert};
///
/// # let workload = |_ctx| async {
/// #     sometimes_assert!(rolls_a_six, sim_random_range(1..7) == 6, "a six comes");
/// # };
/// let report = SimulationBuilder::new()
///     .run_count(IterationControl::UntilAllSometimesReached(1000))
///     .run(workload);
/// assert!(report.iterations < 1000);
/// ```
///
/// One seed that failed:
///
/// ```
/// use samestep_sim::{IterationControl, SimulationBuilder};
///
/// # let workload = |_ctx| async {};
/// # let failing_seed = 7;
/// let report = SimulationBuilder::new()
///     .set_seed(failing_seed)
///     .run_count(IterationControl::FixedCount(1))
///     .run(workload);
/// assert_eq!(report.seeds_used, [7]);
/// ```
pub struct SimulationBuilder {
    settings: Settings,
    members: Vec<Members>,
    injectors: Vec<Arc<dyn Fn() -> Box<dyn FaultInjector> + Send + Sync>>,
    invariants: Vec<Arc<InvariantCheck>>,
    topology: WorkloadTopology,
}

#[derive(Clone, Debug)]
struct Settings {
    control: IterationControl,
    seeds: Vec<u64>,
    master_seed: u64,
    network: NetworkConfiguration,
    network_faults: NetworkFaults,
    storage: Option<StorageConfiguration>,
    attrition: Option<Attrition>,
    has_random_config: bool,
    buggify: (f64, f64),
    chaos_duration: Option<Duration>,
    jobs: usize,
    reads_environment: bool,
    shrink_runs_max: u32,
}

/// Members of one kind.
#[derive(Clone)]
struct Members {
    role: Role,
    name: String,
    count: Count,
    make: Arc<dyn Fn() -> Rc<dyn Fn(SimContext) -> ProcessFuture> + Send + Sync>,
    tags: Vec<(String, Vec<String>)>,
    locality: Option<LocalityConfig>,
}

impl SimulationBuilder {
    /// One run of one client, with the seed's faults.
    pub fn new() -> Self {
        Self {
            settings: Settings {
                control: IterationControl::FixedCount(1),
                seeds: Vec::new(),
                master_seed: 0,
                network: NetworkConfiguration::default(),
                network_faults: NetworkFaults::default(),
                storage: None,
                attrition: None,
                has_random_config: false,
                buggify: (0.25, 0.25),
                chaos_duration: None,
                jobs: jobs_of_machine(),
                reads_environment: true,
                shrink_runs_max: 500,
            },
            members: Vec::new(),
            injectors: Vec::new(),
            invariants: Vec::new(),
            topology: WorkloadTopology::ClientServer { clients: 1, servers: 0 },
        }
    }

    /// Who runs the workload of [`Self::run`].
    pub fn topology(mut self, topology: WorkloadTopology) -> Self {
        self.topology = topology;
        self
    }

    /// How many runs are made; one unless told.
    pub fn run_count(self, control: IterationControl) -> Self {
        self.set_iteration_control(control)
    }

    /// As [`Self::run_count`].
    pub fn set_iteration_control(mut self, control: IterationControl) -> Self {
        self.settings.control = control;
        self
    }

    /// So many runs.
    pub fn set_iterations(self, count: usize) -> Self {
        self.run_count(IterationControl::FixedCount(count))
    }

    /// The first run's seed; those of further runs are drawn from it.
    pub fn set_seed(mut self, seed: u64) -> Self {
        self.settings.seeds = vec![seed];
        self.settings.master_seed = seed;
        self
    }

    /// The seeds of the first runs.
    pub fn set_debug_seeds(mut self, seeds: Vec<u64>) -> Self {
        self.settings.seeds = seeds;
        self
    }

    /// The network's latencies and faults, in place of the seed's defaults.
    pub fn network(mut self, configuration: NetworkConfiguration) -> Self {
        self.settings.network = configuration;
        self
    }

    /// Faults of the network that come by themselves; none unless told.
    pub fn network_faults(mut self, faults: NetworkFaults) -> Self {
        self.settings.network_faults = faults;
        self
    }

    /// The disks' speed and faults.
    pub fn storage(mut self, configuration: StorageConfiguration) -> Self {
        self.settings.storage = Some(configuration);
        self
    }

    /// Draws the network's configuration for each run, in the seed's ranges, and that of the disks, unless
    /// [`storage`](Self::storage) tells it.
    pub fn use_random_config(mut self) -> Self {
        self.settings.has_random_config = true;
        self
    }

    /// With which chances `buggify` places are active, and active ones fire; a quarter each unless told.
    pub fn buggify(mut self, activation_probability: f64, firing_probability: f64) -> Self {
        self.settings.buggify = (activation_probability, firing_probability);
        self
    }

    /// How servers are killed; they are not unless told.
    pub fn attrition(mut self, attrition: Attrition) -> Self {
        self.settings.attrition = Some(attrition);
        self
    }

    /// All faults end after so much simulated time; they do not unless told.
    pub fn chaos_duration(mut self, duration: Duration) -> Self {
        self.settings.chaos_duration = Some(duration);
        self
    }

    /// On so many threads; as many as the machine has unless told.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.settings.jobs = jobs;
        self
    }

    /// Hears nothing of the environment.
    pub fn ignore_environment(mut self) -> Self {
        self.settings.reads_environment = false;
        self
    }

    /// What must hold of the JSON state that members show, after each instant that changed it.
    pub fn with_invariants(mut self, invariants: Vec<InvariantCheck>) -> Self {
        self.invariants.extend(invariants.into_iter().map(Arc::new));
        self
    }

    /// Does things to the system by plan.
    pub fn fault_injector<I: FaultInjector + 'static>(
        mut self,
        make: impl Fn() -> I + Send + Sync + 'static,
    ) -> Self {
        self.injectors.push(Arc::new(move || Box::new(make())));
        self
    }

    /// Adds a member called `name` whose workload is a closure; it counts as a client.
    pub fn register_workload<F, R>(self, name: &str, workload: F) -> Self
    where
        F: Fn(SimContext) -> R + Send + Sync + Clone + 'static,
        R: Future + 'static,
        R::Output: IntoOutcome,
    {
        self.add(Role::Client, name, Count::from(1), closure(workload))
    }

    /// Adds processes, which count as servers: as many as told, or another number in each run.
    pub fn processes(
        self,
        name: &str,
        count: impl Into<Count>,
        make: impl Fn() -> Box<dyn Process> + Send + Sync + Clone + 'static,
    ) -> Self {
        let make = move || -> Rc<dyn Fn(SimContext) -> ProcessFuture> {
            let make = make.clone();
            Rc::new(move |context| make().run(context))
        };
        self.add(Role::Server, name, count.into(), make)
    }

    /// Gives the processes that were added last tags: each the next of a key's values, round and round.
    pub fn tags(mut self, tags: &[(&str, &[&str])]) -> Self {
        if let Some(members) = self.members.last_mut() {
            let owned = |values: &[&str]| values.iter().map(ToString::to_string).collect();
            members.tags.extend(tags.iter().map(|(key, values)| ((*key).to_owned(), owned(values))));
        }
        self
    }

    /// Adds processes that are spread over machines, zones and data centres.
    pub fn cluster(
        self,
        name: &str,
        locality: LocalityConfig,
        make: impl Fn() -> Box<dyn Process> + Send + Sync + Clone + 'static,
    ) -> Self {
        let LocalityConfig { data_centres, zones, machines, processes } = locality;
        let mut builder = self.processes(name, data_centres * zones * machines * processes, make);
        if let Some(members) = builder.members.last_mut() {
            members.locality = Some(locality);
        }
        builder
    }

    /// Runs `workload` on each member of the topology, beside all that was added.
    ///
    /// # Panics
    ///
    /// If a run fails; [`Self::run_report`] does not.
    pub fn run<F, R>(self, workload: F) -> SimulationReport
    where
        F: Fn(SimContext) -> R + Send + Sync + Clone + 'static,
        R: Future + 'static,
        R::Output: IntoOutcome,
    {
        self.with_topology(workload).run_registered()
    }

    /// As [`Self::run`], and only tells of runs that failed.
    pub fn run_report<F, R>(self, workload: F) -> SimulationReport
    where
        F: Fn(SimContext) -> R + Send + Sync + Clone + 'static,
        R: Future + 'static,
        R::Output: IntoOutcome,
    {
        self.with_topology(workload).run_registered_report()
    }

    /// Runs what was added.
    ///
    /// # Panics
    ///
    /// If a run fails.
    pub fn run_registered(self) -> SimulationReport {
        let define = |test: &mut Test| self.define(test);
        self.simulate(&test_scenario(&define), Loudness::Loud)
    }

    /// As [`Self::run_registered`], and only tells of runs that failed.
    pub fn run_registered_report(self) -> SimulationReport {
        let define = |test: &mut Test| self.define(test);
        self.simulate(&test_scenario(&define), Loudness::Quiet)
    }

    /// Runs workloads that know nothing of simulations, as `TokioRunner` of tokio-providers runs them on real sockets:
    /// all are set up in order, then run, then checked in order; the run is over when all clients have ended.
    pub fn workloads(self) -> WorkloadRunner {
        WorkloadRunner { builder: self, servers: None, clients: None }
    }

    fn with_topology<F, R>(self, workload: F) -> Self
    where
        F: Fn(SimContext) -> R + Send + Sync + Clone + 'static,
        R: Future + 'static,
        R::Output: IntoOutcome,
    {
        let WorkloadTopology::ClientServer { clients, servers } = self.topology;
        let numbered = |count: usize| Count::from(count..=count);
        self.add(Role::Server, "server", numbered(servers), closure(workload.clone())).add(
            Role::Client,
            "client",
            numbered(clients),
            closure(workload),
        )
    }

    fn add(
        mut self,
        role: Role,
        name: &str,
        count: Count,
        make: impl Fn() -> Rc<dyn Fn(SimContext) -> ProcessFuture> + Send + Sync + 'static,
    ) -> Self {
        let (name, make) = (name.to_owned(), Arc::new(make));
        self.members.push(Members { role, name, count, make, tags: Vec::new(), locality: None });
        self
    }

    fn define(&self, test: &mut Test) {
        let settings = &self.settings;
        let (mut network, mut storage) = (settings.network.clone(), settings.storage.clone());
        if settings.has_random_config {
            network = NetworkConfiguration::random_by(&mut |bound| test.pick_setup(bound));
            if storage.is_none() {
                storage = Some(StorageConfiguration::random_by(&mut |bound| test.pick_setup(bound)));
            }
        }
        let (activation, firing) = settings.buggify;
        let mut chaos = Chaos::none()
            .network(network, settings.network_faults.clone())
            .buggify(activation, firing)
            .for_duration(settings.chaos_duration.unwrap_or(RUN_LIMIT));
        if let Some(storage) = storage {
            chaos = chaos.storage(storage);
        }
        if let Some(attrition) = &settings.attrition {
            chaos = chaos.attrition(attrition.clone());
        }
        test.chaos(chaos);
        test.end_rule = EndRule::FirstClient;
        for members in &self.members {
            let first = test.members.len();
            let body = (members.make)();
            test.add(&members.name, members.count, members.role, move |context| body(context));
            for (number, plan) in test.members[first..].iter_mut().enumerate() {
                let tag = |(key, values): &(String, Vec<String>)| {
                    values.get(number % values.len().max(1)).map(|value| (key.clone(), value.clone()))
                };
                plan.peer.tags = members.tags.iter().filter_map(tag).collect();
                plan.peer.locality = members.locality.map(|locality| locality_of(number, locality));
            }
        }
        for injector in &self.injectors {
            let injector = injector();
            let name = injector.name().to_owned();
            test.inject(&name, |context| injector.inject(context));
        }
        for (number, check) in self.invariants.iter().enumerate() {
            let name = format!("invariant {number}");
            test.invariant(JsonInvariant { name, check: Arc::clone(check) });
        }
    }

    fn simulate(&self, scenario: &dyn Scenario, loudness: Loudness) -> SimulationReport {
        let test = TestName::current();
        let Part::Own(process) = take_part(&test, scenario) else { return SimulationReport::default() };
        let settings = &self.settings;
        let environment =
            if settings.reads_environment { Environment::read() } else { Environment::default() };
        let only = environment.one_run();
        if let (Some(replay), Loudness::Loud) = (&only, loudness) {
            one_run(scenario, replay, &environment, process.as_ref());
        }
        let seeds = environment.seeds.map(|seeds| usize::try_from(seeds).unwrap_or(usize::MAX));
        let name = test.test.clone().unwrap_or_else(|| "simulation".to_owned());
        let plan = CampaignPlan {
            name: name.clone(),
            seeds: settings.seeds.clone(),
            master_seed: settings.master_seed,
            control: seeds.map_or(settings.control, IterationControl::FixedCount),
            jobs: environment.jobs.unwrap_or(settings.jobs),
            regressions: None,
            shrink_runs_max: settings.shrink_runs_max,
            stops_at_first_failure: false,
            check_every: environment.check_every.unwrap_or(0),
            process,
            only,
        };
        let report = campaign::run(&plan, scenario);
        publish_checks(&report.checks);
        let is_well = loudness == Loudness::Quiet || report.failed.is_empty();
        assert!(is_well, "{}", failure_text(&name, &test, scenario, &report));
        SimulationReport::of(&report)
    }
}

/// Whether a run that failed panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loudness {
    Loud,
    Quiet,
}

impl Default for SimulationBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SimulationBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<_> = self.members.iter().map(|members| &members.name).collect();
        f.debug_struct("SimulationBuilder")
            .field("settings", &self.settings)
            .field("members", &members)
            .finish_non_exhaustive()
    }
}

/// Runs [`Workload`]s; see [`SimulationBuilder::workloads`].
pub struct WorkloadRunner {
    builder: SimulationBuilder,
    servers: Option<Workloads>,
    clients: Option<Workloads>,
}

/// How many workloads there are, and how one is made from its number.
type Workloads = (usize, Arc<dyn Fn(usize) -> Box<dyn AnyWorkload> + Send + Sync>);

impl WorkloadRunner {
    /// Adds `count` servers, which `make` makes from each one's number.
    pub fn servers<W: Workload<SimProviders>>(
        mut self,
        count: usize,
        make: impl Fn(usize) -> W + Send + Sync + 'static,
    ) -> Self {
        self.servers = Some((count, Arc::new(move |number| Box::new(make(number)))));
        self
    }

    /// Adds `count` clients, which `make` makes from each one's number.
    pub fn clients<W: Workload<SimProviders>>(
        mut self,
        count: usize,
        make: impl Fn(usize) -> W + Send + Sync + 'static,
    ) -> Self {
        self.clients = Some((count, Arc::new(move |number| Box::new(make(number)))));
        self
    }

    /// Runs them.
    ///
    /// # Panics
    ///
    /// If a run fails.
    pub fn run(self) -> SimulationReport {
        let define = |test: &mut Test| self.define(test);
        self.builder.simulate(&test_scenario(&define), Loudness::Loud)
    }

    /// As [`Self::run`], and only tells of runs that failed.
    pub fn run_report(self) -> SimulationReport {
        let define = |test: &mut Test| self.define(test);
        self.builder.simulate(&test_scenario(&define), Loudness::Quiet)
    }

    fn define(&self, test: &mut Test) {
        self.builder.define(test);
        test.end_rule = EndRule::AllClients;
        let count = |workloads: &Option<Workloads>| workloads.as_ref().map_or(0, |(count, _)| *count);
        let (servers, clients) = (count(&self.servers), count(&self.clients));
        let stage = Rc::new(Stage {
            set_up: (0..servers + clients).map(|_| Shutdown::new()).collect(),
            checks: Rc::clone(&test.finishers),
        });
        let kinds = [(Role::Server, &self.servers), (Role::Client, &self.clients)];
        for (role, workloads) in kinds {
            let Some((count, make)) = workloads else { continue };
            let (make, stage) = (Arc::clone(make), Rc::clone(&stage));
            let name = role.to_string();
            test.add(&name, Count::from(*count..=*count), role, move |context| {
                let workload = make(context.number());
                let place = context.number() + if role == Role::Client { servers } else { 0 };
                Rc::clone(&stage).play(workload, context, (servers, clients), place)
            });
        }
    }
}

impl fmt::Debug for WorkloadRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadRunner").field("builder", &self.builder).finish_non_exhaustive()
    }
}

/// A [`Workload`] of any type.
trait AnyWorkload {
    fn enter<'a>(&'a mut self, phase: Phase, context: &'a WorkloadContext<SimProviders>) -> PhaseFuture<'a>;
}

/// A [`Workload`] in one of its phases.
type PhaseFuture<'a> = Pin<Box<dyn Future<Output = Result<(), Box<dyn Error>>> + 'a>>;

#[derive(Clone, Copy)]
enum Phase {
    Setup,
    Run,
    Check,
}

impl<W: Workload<SimProviders>> AnyWorkload for W {
    fn enter<'a>(&'a mut self, phase: Phase, context: &'a WorkloadContext<SimProviders>) -> PhaseFuture<'a> {
        match phase {
            Phase::Setup => Box::pin(self.setup(context)),
            Phase::Run => Box::pin(self.run(context)),
            Phase::Check => Box::pin(self.check(context)),
        }
    }
}

/// Keeps members in step: all are set up in order before any runs.
struct Stage {
    set_up: Vec<Shutdown>,
    checks: Finishers,
}

/// What members do in the end, by place.
pub(crate) type Finishers = Rc<RefCell<BTreeMap<usize, ProcessFuture>>>;

impl Stage {
    async fn play(
        self: Rc<Self>,
        mut workload: Box<dyn AnyWorkload>,
        context: SimContext,
        (servers, clients): (usize, usize),
        place: usize,
    ) -> Result<(), Box<dyn Error>> {
        let ips: Vec<_> = context.servers().chain(context.clients()).map(|peer| peer.ip).collect();
        let topology = Topology::client_server(servers, clients, |place| SocketAddr::new(ips[place], PORT));
        let shutdown = context.shutdown().clone();
        let context = WorkloadContext::new(context.providers(), topology, place, shutdown);
        if let Some(before) = place.checked_sub(1) {
            self.set_up[before].requested().await;
        }
        workload.enter(Phase::Setup, &context).await?;
        self.set_up[place].request();
        if let Some(last) = self.set_up.last() {
            last.requested().await;
        }
        workload.enter(Phase::Run, &context).await?;
        let check = Box::pin(async move { workload.enter(Phase::Check, &context).await });
        let before = self.checks.borrow_mut().insert(place, check);
        drop(before);
        Ok(())
    }
}

fn closure<F, R>(workload: F) -> impl Fn() -> Rc<dyn Fn(SimContext) -> ProcessFuture> + Send + Sync + 'static
where
    F: Fn(SimContext) -> R + Send + Sync + Clone + 'static,
    R: Future + 'static,
    R::Output: IntoOutcome,
{
    move || {
        let workload = workload.clone();
        Rc::new(move |context| {
            let work = workload(context);
            Box::pin(async move { work.await.into_outcome() })
        })
    }
}

fn locality_of(number: usize, locality: LocalityConfig) -> LocalityInfo {
    let machine = number / locality.processes.max(1);
    let zone = machine / locality.machines.max(1);
    LocalityInfo {
        data_centre: zone / locality.zones.max(1),
        zone: zone % locality.zones.max(1),
        machine: machine % locality.machines.max(1),
    }
}

/// Where workloads listen.
const PORT: u16 = 4500;
/// Simulated time in which a run must end.
const RUN_LIMIT: Duration = Duration::from_secs(3_600);
