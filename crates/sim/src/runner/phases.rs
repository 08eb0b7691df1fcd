//! The phases of a run: what happens while faults act, what must come right after them, and what is looked at then.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::workload::{Role, Shutdown};

use crate::chaos::{Checks, InvariantView, Invariants, Scope, disable_buggify};
use crate::choice::Choices;
use crate::disk::{DiskFaultRates, StorageConfiguration};
use crate::runner::attrition;
use crate::runner::builder::Finishers;
use crate::runner::chaos::{Chaos, Faults};
use crate::runner::cluster::{Cluster, with_causes};
use crate::runner::inject::FaultContext;
use crate::runner::panics::quiet;
use crate::runner::scenario::{Outcome, Request};
use crate::runner::test::{Auditor, EndCheck, EndRule, Injector, Test};
use crate::runner::{Failure, RunPlan, RunReport, run_one};
use crate::trace::Keep;
use crate::world::registry::make_current;
use crate::world::tasks::panic_message;
use crate::world::timers::TimeChaos;
use crate::world::{SimWorld, WorldConfig};

/// Runs the test that `define` defines, once.
pub(crate) fn run_test(define: &dyn Fn(&mut Test), request: &Request) -> Outcome {
    let choices = match request.tape.as_ref().or(request.setup.as_ref()) {
        Some(tape) => Choices::taped(request.seed, tape.clone()),
        None if request.keeps_tape => Choices::recorded(request.seed),
        None => Choices::drawn(request.seed),
    };
    let mut test = Test::new(choices);
    let _quiet = quiet();
    let defined = catch_unwind(AssertUnwindSafe(|| define(&mut test)));
    let chaos = test.chaos.clone();
    let faults = chaos.clone().unwrap_or_else(Chaos::quiet).resolve(&mut test.choices);
    let families_on = faults.families();
    let config = xxhash_rust::xxh3::xxh3_64(test.description.as_bytes());
    let setup_tape = test.choices.tape();

    let mut plan = RunPlan::new(world_config(request, &faults, &test));
    plan.stop_at_event = request.until_event;
    plan.time_limit = chaos.as_ref().map_or(Duration::ZERO, Chaos::duration) + 4 * test.liveness_limit;
    let checks = Rc::new(RefCell::new(Checks::new(faults.buggify)));
    let mut watch = Watch {
        invariants: Invariants::new(std::mem::take(&mut test.invariants)),
        state: test.state.clone(),
        nodes: Vec::new(),
        until_event: request.until_event,
        dump: None,
    };
    let scope = Scope::enter(&checks);
    let setup = |world: &SimWorld| {
        if let Err(payload) = defined {
            panic!("the test's definition panicked: {}", panic_message(&*payload));
        }
        let cluster = Cluster::new(world, std::mem::take(&mut test.members), test.state.clone());
        let phases = Phases {
            cluster,
            duration: chaos.map(|chaos| chaos.duration()),
            attrition: faults.attrition,
            storage: faults.storage,
            injectors: test.injectors,
            auditors: test.auditors,
            at_end: test.at_end,
            liveness_limit: test.liveness_limit,
            end_rule: test.end_rule,
            finishers: test.finishers,
        };
        world.spawn(None, "test", phases.run())
    };
    let mut report = run_one(&plan, setup, &mut |world| watch.look(world));
    drop(scope);
    report.tape.extend(setup_tape);
    finish(report, checks, config, families_on, watch)
}

fn world_config(request: &Request, faults: &Faults, test: &Test) -> WorldConfig {
    let mut config = faults.configure(WorldConfig::new(request.seed));
    config.plain = request.plain;
    if let Some(tape) = &request.tape {
        config = config.replay(tape.clone());
    } else if request.keeps_tape {
        config = config.keep_tape();
    }
    let wants_events = test.invariants.iter().any(|invariant| invariant.wants_events());
    config.keep(if wants_events { Keep::All } else { request.keep.clone() })
}

pub(crate) fn finish(
    report: RunReport,
    checks: Rc<RefCell<Checks>>,
    config: u64,
    families_on: Vec<crate::fault::FaultFamily>,
    watch: Watch,
) -> Outcome {
    let checks = Rc::into_inner(checks).expect("the scope has ended").into_inner();
    let Watch { nodes, dump, state, .. } = watch;
    let states = state.get_all_states();
    Outcome { report, checks, config, families_on, nodes, dump, states, notes: Vec::new() }
}

/// Looks at a world after each instant.
pub(crate) struct Watch {
    pub(crate) invariants: Invariants,
    pub(crate) state: crate::chaos::StateRegistry,
    pub(crate) nodes: Vec<String>,
    pub(crate) until_event: Option<u64>,
    pub(crate) dump: Option<String>,
}

impl Watch {
    pub(crate) fn look(&mut self, world: &SimWorld) {
        if self.nodes.is_empty() {
            self.nodes = world.nodes().into_iter().map(|node| world.node_name(node)).collect();
        }
        // Their failures are this world's.
        let _current = make_current(world.shared.id);
        self.invariants.observe(world, &self.state);
        if self.until_event.is_some_and(|until| world.trace_count() >= until) && self.dump.is_none() {
            self.dump = Some(world.task_dump());
        }
    }
}

struct Phases {
    cluster: Cluster,
    duration: Option<Duration>,
    attrition: Option<attrition::Attrition>,
    storage: StorageConfiguration,
    injectors: Vec<(String, Injector)>,
    auditors: Vec<(String, Auditor)>,
    at_end: Vec<(String, EndCheck)>,
    liveness_limit: Duration,
    end_rule: EndRule,
    finishers: Finishers,
}

impl Phases {
    async fn run(mut self) -> Result<(), String> {
        let have_ended = self.safety().await;
        self.heal();
        if !have_ended {
            self.liveness().await;
        }
        self.wind_up().await?;
        self.audit().await?;
        self.check();
        self.cluster.request_shutdown();
        Ok(())
    }

    /// While faults act; tells whether all clients ended.
    async fn safety(&mut self) -> bool {
        self.cluster.start_all(Role::Server);
        self.cluster.start_all(Role::Client);
        let Some(duration) = self.duration else { return false };
        let Some(world) = self.cluster.world() else { return false };
        if let Some(attrition) = &self.attrition {
            attrition::start(&world, &self.cluster, attrition);
        }
        for (name, injector) in self.injectors.drain(..) {
            let injected = injector(FaultContext::new(self.cluster.clone()));
            let weak = world.downgrade();
            drop(world.spawn(None, &name.clone(), async move {
                if let (Err(error), Ok(world)) = (injected.await, weak.upgrade()) {
                    world
                        .fail(Failure::Error { message: format!("{name}: {}", with_causes(error.as_ref())) });
                }
            }));
        }
        drop(world);
        self.work_ends_within(duration).await
    }

    async fn work_ends_within(&self, limit: Duration) -> bool {
        match self.end_rule {
            EndRule::AllClients => self.cluster.clients_end_within(limit).await,
            EndRule::FirstClient => self.cluster.any_ends_within(limit).await,
        }
    }

    /// Tells those that are still at work to end, and lets those that have ended check.
    async fn wind_up(&self) -> Result<(), String> {
        let is_told = self.end_rule == EndRule::FirstClient || !self.finishers.borrow().is_empty();
        if !is_told {
            return Ok(());
        }
        self.cluster.request_shutdown();
        self.cluster.all_end_within(GRACE).await;
        let finishers = std::mem::take(&mut *self.finishers.borrow_mut());
        for (place, finisher) in finishers {
            let Some(world) = self.cluster.world() else { return Ok(()) };
            let name = self.cluster.peer(place).name.clone();
            let task = world.spawn(Some(self.cluster.node(place)), &name, async move {
                finisher.await.map_err(|error| with_causes(error.as_ref()))
            });
            drop(world);
            if let Ok(outcome) = task.await {
                outcome.map_err(|error| format!("{name}: {error}"))?;
            }
        }
        Ok(())
    }

    /// Ends all faults.
    fn heal(&self) {
        let Some(world) = self.cluster.world() else { return };
        end_faults(&world, &self.storage);
        self.cluster.heal();
    }

    async fn liveness(&self) {
        if !self.work_ends_within(self.liveness_limit).await {
            let Some(world) = self.cluster.world() else { return };
            let clients = self.cluster.clients_at_work().join(", ");
            let (limit, dump) = (self.liveness_limit, world.task_dump());
            let message = format!(
                "{clients} not done {limit:?} after all faults were healed; these tasks are there:\n{dump}"
            );
            world.fail(Failure::Check { name: "liveness".to_owned(), message });
        }
    }

    async fn audit(&mut self) -> Result<(), String> {
        let place = self.cluster.auditor();
        for (name, auditor) in std::mem::take(&mut self.auditors) {
            let (Some(place), Some(world)) = (place, self.cluster.world()) else { return Ok(()) };
            let audit = auditor(self.cluster.context(&world, place, Shutdown::new()));
            let node = self.cluster.node(place);
            let task = world.spawn(Some(node), &name, async move {
                audit.await.map_err(|error| with_causes(error.as_ref()))
            });
            drop(world);
            if let Ok(outcome) = task.await {
                outcome.map_err(|error| format!("{name}: {error}"))?;
            }
        }
        Ok(())
    }

    fn check(&mut self) {
        let Some(world) = self.cluster.world() else { return };
        let events = world.trace();
        let view = InvariantView { time: world.time(), events: &events, state: self.cluster.state() };
        for (name, holds) in self.at_end.drain(..) {
            if let Err(message) = holds(&view) {
                world.fail(Failure::Check { name, message });
            }
        }
    }
}

/// How long members have to end when they are told to.
const GRACE: Duration = Duration::from_secs(5);

/// Ends what goes wrong by itself: on the network, on disks, with timers, and in the program.
pub(crate) fn end_faults(world: &SimWorld, storage: &StorageConfiguration) {
    let healthy = StorageConfiguration {
        rates: DiskFaultRates::default(),
        read_fault_probability: 0.0,
        write_fault_probability: 0.0,
        misdirect_read_probability: 0.0,
        misdirect_write_probability: 0.0,
        phantom_write_probability: 0.0,
        sync_failure_probability: 0.0,
        ..storage.clone()
    };
    world.nodes().into_iter().for_each(|node| world.configure_storage(node, &healthy));
    world.end_clock_steps();
    disable_buggify();
    let core = &mut *world.shared.core.borrow_mut();
    core.time_chaos = TimeChaos::none();
    core.network.end_faults(&mut core.kernel);
}
