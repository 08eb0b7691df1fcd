//! The builder's report, in numbers.

use std::time::Duration;

use samestep_sim::{
    IterationControl, NetworkConfiguration, SimContext, SimulationBuilder, SimulationMetrics,
    SimulationReport, WorkloadTopology,
};

fn quiet() -> SimulationBuilder {
    SimulationBuilder::new().network(NetworkConfiguration::without_faults()).ignore_environment()
}

#[test]
fn metrics_tell_simulated_time_wall_time_and_events_run_by_run() {
    let report: SimulationReport = quiet().set_iterations(3).run_report(|context: SimContext| async move {
        context.sleep(Duration::from_secs(60)).await;
    });
    assert_eq!((report.iterations, report.successful_runs + report.failed_runs), (3, 3));
    let each: Vec<SimulationMetrics> = report.individual_metrics.iter().flatten().copied().collect();
    assert_eq!(each.len(), 3);
    for metrics in &each {
        assert!(metrics.simulated_time >= Duration::from_secs(60), "{metrics:?}");
        assert!(metrics.wall_time < metrics.simulated_time && metrics.events_processed > 3, "{metrics:?}");
    }
    let events: u64 = each.iter().map(|metrics| metrics.events_processed).sum();
    assert_eq!(report.metrics.events_processed, events);
    assert!(report.to_string().starts_with("3 runs, 0 failed; "), "{report}");
}

/// It goes on while there is time, and no run begins when it is over.
#[test]
fn a_time_limit_ends_a_campaign_by_the_wall_clock() {
    let limit = Duration::from_millis(300);
    let report = quiet().jobs(1).run_count(IterationControl::TimeLimit(limit)).run(|_| async {});
    assert!(report.iterations > 10, "{}", report.iterations);
    let most = report.individual_metrics.iter().flatten().map(|one| one.wall_time).max().unwrap();
    assert!(report.metrics.wall_time <= limit + most, "{report}");
}

#[test]
fn a_topology_has_so_many_clients_and_servers() {
    for (clients, servers) in [(1, 0), (3, 2)] {
        let topology = WorkloadTopology::ClientServer { clients, servers };
        let report = quiet().topology(topology).run(move |context: SimContext| async move {
            assert_eq!((context.clients().count(), context.servers().count()), (clients, servers));
            context.state().publish(context.name(), ());
            context.sleep(Duration::from_millis(1)).await;
            let all = context.clients().chain(context.servers());
            assert!(all.map(|peer| &peer.name).all(|name| context.state().contains(name)));
        });
        assert_eq!(report.successful_runs, 1);
    }
}
