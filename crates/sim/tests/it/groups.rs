//! Tags and places of members: partitions and attrition that go by them, and configurations drawn for each run.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{File, OpenOptions, StorageProvider, TimeProvider};
use samestep_sim::{
    Attrition, AttritionScope, Chaos, Check, CheckReport, ClockConfiguration, FaultContext, FaultFamily,
    FaultInjector, LocalityConfig, NetworkConfiguration, NetworkFaults, PartitionStrategy, Process,
    ProcessFuture, SimContext, SimulationBuilder, StorageConfiguration, Test,
};

const MS: Duration = Duration::from_millis(1);

fn check(seeds: usize, define: impl Fn(&mut Test) + Send + Sync) -> CheckReport {
    let check = Check::new().seeds(seeds).without_regressions().ignore_environment();
    let report = check.report(define);
    assert!(report.is_ok(), "{}", report.text());
    report
}

async fn idle(context: SimContext) -> Result<(), Box<dyn std::error::Error>> {
    context.shutdown().requested().await;
    Ok(())
}

/// Partitions by group alone, often.
fn by_group() -> NetworkFaults {
    NetworkFaults {
        partitions_per_second: 2.0,
        partition_strategies: vec![PartitionStrategy::Group],
        ..NetworkFaults::default()
    }
}

/// Names of the members on the side of the partition that is, the smaller or, of two equals, the one without `user`.
fn side(context: &FaultContext) -> BTreeSet<String> {
    let (world, network) = (context.world(), context.world().network());
    let node = |name: &str| world.nodes().into_iter().find(|node| world.node_name(*node) == name).unwrap();
    let user = node("user");
    let names = context.members().iter().map(|peer| peer.name.clone());
    names.filter(|name| name != "user" && network.is_partitioned(node(name), user)).collect()
}

/// Looks at the network every 20 ms for 30 s, and tells which sides of partitions it saw.
async fn sides_seen(context: FaultContext, seen: Rc<RefCell<BTreeSet<BTreeSet<String>>>>) {
    while context.sleep(20 * MS).await {
        seen.borrow_mut().insert(side(&context));
    }
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn partitions_by_group_part_the_members_of_one_tag_from_all_others() {
    check(10, |test| {
        let _servers = test.node("server", 4, idle).tag("rack", &["a", "b"]);
        test.client("user", |context| async move {
            context.sleep(Duration::from_secs(30)).await;
            Ok(())
        });
        let seen = Rc::new(RefCell::new(BTreeSet::new()));
        let noted = Rc::clone(&seen);
        test.inject("looks", |context| async move {
            sides_seen(context, noted).await;
            Ok(())
        });
        test.at_end("sides", move |_| {
            let racks = [set([]), set(["server-0", "server-2"]), set(["server-1", "server-3"])];
            assert_eq!(*seen.borrow(), racks.into());
            true
        });
        test.chaos(Chaos::none().network(NetworkConfiguration::without_faults(), by_group()).for_secs(30));
    });
}

struct Idle;

impl Process for Idle {
    fn name(&self) -> &str {
        "idle"
    }

    fn run(self: Box<Self>, context: SimContext) -> ProcessFuture {
        Box::pin(idle(context))
    }
}

struct Looks;

impl FaultInjector for Looks {
    fn name(&self) -> &str {
        "looks"
    }

    fn inject(self: Box<Self>, context: FaultContext) -> ProcessFuture {
        Box::pin(async move {
            let seen = Rc::default();
            sides_seen(context.clone(), Rc::clone(&seen)).await;
            let numbered = |numbers: &[usize]| numbers.iter().map(|n| format!("server-{n}")).collect();
            // Two zones of two machines of one process each; the one data centre is no side, as all are in it but `user`.
            let expected: BTreeSet<BTreeSet<String>> =
                [&[][..], &[0, 1], &[2, 3], &[0], &[1], &[2], &[3], &[0, 1, 2, 3]].map(numbered).into();
            assert!(seen.borrow().is_subset(&expected), "{seen:?}");
            assert!(seen.borrow().len() > 3, "{seen:?}");
            Ok(())
        })
    }
}

#[test]
fn partitions_by_group_part_machines_and_zones() {
    let locality = LocalityConfig { data_centres: 1, zones: 2, machines: 2, processes: 1 };
    let report = SimulationBuilder::new()
        .network(NetworkConfiguration::without_faults())
        .network_faults(by_group())
        .ignore_environment()
        .set_iterations(5)
        .cluster("server", locality, || Box::new(Idle))
        .fault_injector(|| Looks)
        .chaos_duration(Duration::from_secs(30))
        .register_workload("user", |context: SimContext| async move {
            context.sleep(Duration::from_secs(40)).await;
        })
        .run_registered();
    assert_eq!(report.successful_runs, 5);
}

#[test]
fn an_injector_parts_members_by_tag_and_by_place() {
    check(1, |test| {
        let _servers = test.node("server", 4, idle).tag("rack", &["a", "b"]);
        test.client("user", |context| async move {
            context.sleep(Duration::from_secs(1)).await;
            Ok(())
        });
        test.inject("parts", |context| async move {
            let partition = context.part(context.tagged("rack", "b"));
            assert_eq!(side(&context), set(["server-1", "server-3"]));
            context.heal(partition);
            assert_eq!(side(&context), set([]));
            assert_eq!(context.located(|_| true).count(), 0);
            Ok(())
        });
        test.chaos(Chaos::none().for_secs(1));
    });
}

/// Which of four servers, every other one with an old disk, were booted again in any of some runs.
fn rebooted(scope: AttritionScope, tag: Option<(&str, &str)>) -> BTreeSet<String> {
    let tag = tag.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let attrition = Attrition { every: 500 * MS..1_000 * MS, scope, tag, ..Attrition::default() };
    let rebooted = std::sync::Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    check(4, |test| {
        let noted = std::sync::Arc::clone(&rebooted);
        let servers = test.node("server", 4, move |context| {
            if context.boot() > 0 {
                noted.lock().unwrap().insert(context.name().to_owned());
            }
            idle(context)
        });
        let _servers = servers.tag("disk", &["old", "new"]);
        test.client("user", |context| async move {
            context.sleep(Duration::from_secs(20)).await;
            Ok(())
        });
        test.chaos(Chaos::none().attrition(attrition.clone()).for_secs(20));
    });
    rebooted.lock().unwrap().clone()
}

#[test]
fn attrition_by_tag_leaves_others_alone() {
    let each = AttritionScope::PerProcess;
    assert_eq!(rebooted(each, Some(("disk", "old"))), set(["server-0", "server-2"]));
    assert_eq!(rebooted(each, Some(("disk", "new"))), set(["server-1", "server-3"]));
    assert_eq!(rebooted(each, Some(("disk", "none"))), set([]));
    assert_eq!(rebooted(each, None).len(), 4);
}

#[test]
fn disks_are_drawn_for_each_run_of_a_random_configuration() {
    let report = |builder: SimulationBuilder| {
        builder.ignore_environment().set_iterations(40).run_report(|context: SimContext| async move {
            let options = OpenOptions::read_write().create();
            for number in 0..40 {
                let Ok(file) = context.storage().open("file".as_ref(), options).await else {
                    continue;
                };
                let _failed = file.write_all_at(vec![number; 4096], 0).await;
                let _failed = file.sync_data().await;
                let _failed = file.read_exact_at(vec![0; 4096], 0).await;
                context.sleep(500 * MS).await;
            }
        })
    };
    let of_disks = |report: &samestep_sim::SimulationReport| {
        let disks =
            [FaultFamily::ReadError, FaultFamily::WriteError, FaultFamily::SyncFailure, FaultFamily::NoSpace];
        disks.into_iter().filter(|family| report.faults.contains_key(family)).count()
    };
    let random = report(SimulationBuilder::new().use_random_config());
    assert!(of_disks(&random) >= 3, "{random}");
    assert_eq!(of_disks(&report(SimulationBuilder::new())), 0);
    // Disks that the test tells stay as it tells them.
    let told = SimulationBuilder::new().use_random_config().storage(StorageConfiguration::default());
    assert_eq!(of_disks(&report(told)), 0);
}

/// Wall clocks jump while faults act, and not once they are healed.
#[test]
fn no_clock_jumps_once_faults_are_healed() {
    let report = check(10, |test| {
        test.client("user", |context| async move {
            let start = context.time().now();
            let off = |context: &SimContext| {
                let wall = context.time().wall_clock().duration_since(std::time::UNIX_EPOCH);
                wall.unwrap_or_default().as_nanos().wrapping_sub(context.time().now().as_nanos())
            };
            let (mut jumps, mut before, mut late) = (0, off(&context), 0);
            while context.time().now() - start < Duration::from_secs(60) {
                context.sleep(100 * MS).await;
                if off(&context) != before {
                    before = off(&context);
                    jumps += 1;
                    late += u32::from(context.time().now() > Duration::from_millis(10_150));
                }
            }
            assert!(jumps > 3, "{jumps}");
            assert_eq!(late, 0, "of {jumps}");
            Ok(())
        });
        let clocks = ClockConfiguration {
            steps_per_second: 2.0,
            step_max: Duration::from_secs(1),
            ..ClockConfiguration::default()
        };
        test.chaos(Chaos::none().clocks(clocks).for_secs(10));
    });
    assert!(report.acted(FaultFamily::ClockStep) > 30);
}
