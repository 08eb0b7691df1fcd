//! The seed's builder: its names, its defaults, its rules.

use std::cell::Cell;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use samestep_provider_traits::workload::{Role, Workload, WorkloadContext, WorkloadResult};
use samestep_provider_traits::{
    NetworkProvider, Providers, TaskProvider, TcpListener, TcpStream, TimeProvider,
};
use samestep_sim::{
    Attrition, FaultContext, FaultFamily, FaultInjector, InvariantCheck, IterationControl, LocalityConfig,
    NetworkConfiguration, Process, ProcessFuture, RebootKind, SimContext, SimulationBuilder,
    WorkloadTopology, buggify, panic_on_assertion_violations, sometimes_assert,
};

type Outcome = Result<(), Box<dyn Error>>;

fn quiet() -> SimulationBuilder {
    SimulationBuilder::new().network(NetworkConfiguration::without_faults()).ignore_environment()
}

const TWO_AND_ONE: WorkloadTopology = WorkloadTopology::ClientServer { clients: 2, servers: 1 };

#[test]
fn each_member_of_the_topology_runs_the_workload() {
    let report = quiet().topology(TWO_AND_ONE).run(|ctx: SimContext| async move {
        let (servers, clients) = (ctx.servers().count(), ctx.clients().count());
        assert_eq!((servers, clients, ctx.peers().count()), (1, 2, 2));
        assert_eq!(ctx.get_peer_by_name("server-0").map(|peer| peer.role), Some(Role::Server));
        assert_eq!(ctx.get_peers_with_prefix("client-").count(), 2);
        ctx.state().publish(ctx.name(), true);
        ctx.sleep(Duration::from_millis(1)).await;
        assert!(ctx.state().contains("client-0") && ctx.state().contains("server-0"));
    });
    assert_eq!((report.iterations, report.successful_runs, report.failed_runs), (1, 1, 0));
    assert!(report.metrics.simulated_time >= Duration::from_millis(1) && report.metrics.events_processed > 5);
    assert!((report.success_rate() - 100.0).abs() < 1e-9);
}

#[test]
fn the_first_client_that_ends_ends_the_run_and_the_others_are_told() {
    let report = quiet().topology(TWO_AND_ONE).run(|ctx: SimContext| async move {
        if ctx.name() == "client-0" {
            ctx.sleep(Duration::from_secs(1)).await;
        } else {
            ctx.shutdown().requested().await;
        }
    });
    let simulated = report.average_simulated_time();
    assert!((Duration::from_secs(1)..Duration::from_secs(2)).contains(&simulated), "{simulated:?}");
}

/// Of 2,000 attempts at the seed's defaults half fail, and half of those never end.
#[test]
fn by_default_half_of_all_connects_fail() {
    let report = SimulationBuilder::new()
        .ignore_environment()
        .run_count(IterationControl::FixedCount(40))
        .topology(WorkloadTopology::ClientServer { clients: 1, servers: 1 })
        .run(|ctx: SimContext| async move {
            if ctx.me().role == Role::Server {
                let listener = ctx.listen(80).await?;
                loop {
                    drop(listener.accept().await?);
                }
            }
            ctx.sleep(Duration::from_millis(10)).await;
            for _ in 0..50 {
                let connecting = ctx.connect("server-0:80");
                let _outcome = ctx.time().timeout(Duration::from_secs(1), connecting).await;
            }
            Ok::<(), Box<dyn Error>>(())
        });
    let refused = report.faults.get(&FaultFamily::ConnectRefused).copied().unwrap_or(0);
    let hung = report.faults.get(&FaultFamily::ConnectHang).copied().unwrap_or(0);
    // Standard deviation of a binomial of 2000 at 1/4: 19; six of them.
    assert!((380..=620).contains(&refused), "{refused}");
    assert!((380..=620).contains(&hung), "{hung}");
    assert!(report.faults.contains_key(&FaultFamily::BuggifiedDelay), "{:?}", report.faults);
}

#[test]
fn a_failing_run_is_loud_and_run_report_only_tells() {
    let workload = |ctx: SimContext| async move {
        ctx.sleep(Duration::from_millis(1)).await;
        Err::<(), _>("no answer")
    };
    let report = quiet().set_iterations(2).run_report(workload);
    assert_eq!((report.failed_runs, report.seeds_failing.len(), report.replays.len()), (2, 2, 2));
    assert!(report.individual_metrics[0].as_ref().unwrap_err().contains("client-0: no answer"), "{report}");
    let loud = std::panic::catch_unwind(|| quiet().run(workload)).unwrap_err();
    let text = loud.downcast_ref::<String>().unwrap();
    assert!(text.contains("no answer") && text.contains("SIM_REPLAY="), "{text}");
}

#[test]
fn seeds_are_those_that_were_set() {
    let seeds = |builder: SimulationBuilder| builder.run(|_| async {}).seeds_used;
    assert_eq!(seeds(quiet().set_seed(7).run_count(IterationControl::FixedCount(1))), [7]);
    let three = seeds(quiet().set_debug_seeds(vec![3, 5]).set_iterations(3));
    assert_eq!((three.len(), &three[..2]), (3, &[3, 5][..]));
    assert_eq!(seeds(quiet().set_iterations(3)), seeds(quiet().set_iterations(3)));
    let in_no_time = seeds(quiet().jobs(1).run_count(IterationControl::TimeLimit(Duration::ZERO)));
    assert_eq!(in_no_time.len(), 1);
}

mod coin {
    use super::sometimes_assert;

    pub(super) fn toss() {
        let side = samestep_sim::sim_random_range(0..8_u64);
        sometimes_assert!(lands_on_seven, side == 7, "one in eight");
    }
}

#[test]
fn runs_go_on_until_all_that_happens_sometimes_has_happened() {
    let until = |control| quiet().jobs(1).run_count(control).run(|_| async { coin::toss() });
    let report = until(IterationControl::UntilAllSometimesReached(1000));
    assert!((1..200).contains(&report.iterations), "{}", report.iterations);
    assert_eq!(report.assertion_results["lands_on_seven"].successes, 1);
    let capped = quiet().jobs(1).run_count(IterationControl::UntilAllSometimesReached(5)).run(|_| async {});
    assert_eq!(capped.iterations, 5);
    let stable = until(IterationControl::UntilCoverageStable { plateau_seeds: 30, max_iterations: 500 });
    assert!((30..500).contains(&stable.iterations), "{}", stable.iterations);
}

#[test]
fn invariants_over_json_are_looked_at_and_violations_panic_on_request() {
    let check: InvariantCheck = Box::new(|states, _| {
        let leaders = states.values().filter(|state| **state == serde_json::json!("leader")).count();
        assert!(leaders < 2, "{leaders} leaders");
    });
    let report =
        quiet().topology(TWO_AND_ONE).with_invariants(vec![check]).run_report(|ctx: SimContext| async move {
            ctx.state().register_state(ctx.name(), serde_json::json!("leader"));
            ctx.sleep(Duration::from_millis(1)).await;
        });
    assert_eq!(report.failed_runs, 1);
    assert!(report.individual_metrics[0].as_ref().unwrap_err().contains("leaders"), "{report}");

    let report = quiet().run_report(|_| async {
        samestep_sim::always_assert!(seven_is_even, 7 % 2 == 0, "it is not");
    });
    assert_eq!(report.failed_runs, 1);
    assert!(std::panic::catch_unwind(|| panic_on_assertion_violations(&report)).is_err());
}

#[test]
fn buggify_places_are_active_in_a_quarter_of_runs_and_listed() {
    let report = quiet().set_iterations(400).run(|_| async {
        for _ in 0..20 {
            let _ = buggify!("slow path");
        }
    });
    let site = report.buggify_sites.iter().find(|site| site.site.name() == "slow path").unwrap();
    assert_eq!(site.calls, 8_000);
    // Standard deviation sqrt(400 * 3/16) = 8.7; six of them.
    assert!((48..=152).contains(&site.active_runs), "{site}");
    assert!(site.to_string().contains("builder.rs:"), "{site}");
    let off = quiet().buggify(0.0, 0.0).run(|_| async { assert!(!buggify!("never")) });
    assert_eq!(off.failed_runs, 0);
}

struct Boots;

impl Process for Boots {
    fn name(&self) -> &str {
        "boots"
    }

    fn run(self: Box<Self>, context: SimContext) -> ProcessFuture {
        Box::pin(async move {
            let key = format!("{} boot {}", context.name(), context.boot());
            context.state().publish(key, context.last_down());
            context.shutdown().requested().await;
            Ok(())
        })
    }
}

struct Plan;

impl FaultInjector for Plan {
    fn name(&self) -> &str {
        "plan"
    }

    fn inject(self: Box<Self>, context: FaultContext) -> Pin<Box<dyn Future<Output = Outcome>>> {
        Box::pin(async move {
            let second = Duration::from_secs(1);
            context.sleep(second).await;
            context.reboot("process-0", RebootKind::Crash, second).await;
            context.reboot("process-1", RebootKind::Graceful, second).await;
            assert_eq!(context.tagged("role", "b").collect::<Vec<_>>(), ["process-1"]);
            context.sleep(second).await;
            context.kill("process-1", RebootKind::CrashAndWipe).await;
            assert_eq!(context.dead_count(), 1);
            context.boot("process-1");
            let isolated = context.isolate("process-0");
            let node = |name: &str| {
                context.world().nodes().into_iter().find(|node| context.world().node_name(*node) == name)
            };
            let (zero, one) = (node("process-0").unwrap(), node("process-1").unwrap());
            assert!(context.world().network().is_partitioned(zero, one));
            context.heal(isolated);
            assert!(!context.world().network().is_partitioned(zero, one));
            context.pause("process-0");
            context.sleep(second).await;
            context.resume("process-0");
            Ok(())
        })
    }
}

#[test]
fn processes_are_killed_by_plan_and_know_how_they_went_down() {
    let report = quiet()
        .processes("process", 2, || Box::new(Boots))
        .tags(&[("role", &["a", "b"])])
        .fault_injector(|| Plan)
        .register_workload("user", |ctx: SimContext| async move {
            ctx.sleep(Duration::from_secs(10)).await;
            let how = |key: &str| ctx.state().get::<Option<RebootKind>>(key);
            assert_eq!(how("process-0 boot 0"), Some(None));
            assert_eq!(how("process-0 boot 1"), Some(Some(RebootKind::Crash)));
            assert_eq!(how("process-1 boot 1"), Some(Some(RebootKind::Graceful)));
            assert_eq!(how("process-1 boot 2"), Some(Some(RebootKind::CrashAndWipe)));
        })
        .run_registered();
    assert_eq!(report.faults[&FaultFamily::Crash], 1);
    assert_eq!(report.faults[&FaultFamily::GracefulReboot], 1);
}

#[test]
fn machines_go_down_together() {
    let attrition = Attrition {
        graceful: 0,
        pause: 0,
        scope: samestep_sim::AttritionScope::PerMachine,
        ..Attrition::default()
    };
    let locality = LocalityConfig { data_centres: 1, zones: 2, machines: 1, processes: 2 };
    let report = quiet()
        .cluster("process", locality, || Box::new(Boots))
        .attrition(attrition)
        .chaos_duration(Duration::from_secs(60))
        .register_workload("user", |ctx: SimContext| async move {
            let zones: Vec<_> = ctx.servers().map(|peer| peer.locality.unwrap().zone).collect();
            assert_eq!(zones, [0, 0, 1, 1]);
            ctx.sleep(Duration::from_secs(60)).await;
        })
        .run_registered();
    let crashes = report.faults[&FaultFamily::Crash];
    assert!(crashes >= 2 && crashes.is_multiple_of(2), "{crashes}");
}

struct Greeter;

impl<P: Providers> Workload<P> for Greeter {
    async fn run(&mut self, context: &WorkloadContext<P>) -> WorkloadResult {
        let listener = context.providers().network().bind(context.me().address()).await?;
        let (stream, _) = listener.accept().await?;
        stream.write_all("hello").await.0?;
        Ok(())
    }
}

thread_local! {
    static CHECKED: Cell<u32> = const { Cell::new(0) };
}

struct Caller;

impl<P: Providers> Workload<P> for Caller {
    async fn setup(&mut self, context: &WorkloadContext<P>) -> WorkloadResult {
        context.providers().task().yield_now().await;
        Ok(())
    }

    async fn run(&mut self, context: &WorkloadContext<P>) -> WorkloadResult {
        context.providers().time().sleep(Duration::from_millis(100)).await;
        let server = context.topology().servers().next().unwrap();
        let stream = context.providers().network().connect(server.address()).await?;
        let (outcome, greeting) = stream.read_exact(vec![0; 5]).await;
        outcome?;
        assert_eq!(greeting, b"hello");
        Ok(())
    }

    async fn check(&mut self, _: &WorkloadContext<P>) -> WorkloadResult {
        CHECKED.set(CHECKED.get() + 1);
        Ok(())
    }
}

/// The workloads of the example in tokio-providers, word for word.
#[test]
fn a_workload_that_runs_on_real_sockets_runs_here() {
    let report = quiet().jobs(1).workloads().servers(1, |_number| Greeter).clients(1, |_number| Caller).run();
    assert_eq!(report.successful_runs, 1);
    assert_eq!(CHECKED.get(), 1);
}
