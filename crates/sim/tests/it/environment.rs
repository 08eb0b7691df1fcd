//! Variables of the environment, each set for a process of its own, and what it does there.

use std::path::Path;
use std::process::{Command, Output};

/// Runs the test of `name` in [`child`] alone, with these variables set and no others of ours.
fn child_with(name: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("environment::child::{name}"), "--nocapture"]);
    for name in
        ["SIM_SEED", "SIM_SEEDS", "SIM_JOBS", "SIM_CHECK", "SIM_REPLAY", "SIM_UNTIL_EVENT", "SIM_TIMELINE"]
    {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).output().unwrap()
}

/// What it wrote, if it passed.
#[track_caller]
fn said(name: &str, variables: &[(&str, &str)]) -> String {
    let output = child_with(name, variables);
    let text = text_of(&output);
    assert!(output.status.success(), "{text}");
    text
}

/// What it wrote, if it failed.
#[track_caller]
fn complained(name: &str, variables: &[(&str, &str)]) -> String {
    let output = child_with(name, variables);
    let text = text_of(&output);
    assert!(!output.status.success(), "{text}");
    text
}

fn text_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The words behind `key: ` in what the child says.
fn told<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    let line = text.lines().find_map(|line| line.split_once(&format!("{key}: ")));
    line.unwrap_or_else(|| panic!("no {key} in {text}")).1.split_whitespace().collect()
}

#[test]
fn without_variables_a_check_runs_64_seeds_and_one_in_16_twice() {
    let text = said("counts", &[]);
    assert_eq!((told(&text, "seeds"), told(&text, "runs")), (vec!["64"], vec!["68"]));
}

#[test]
fn sim_seeds_is_how_many_seeds_are_run() {
    let text = said("counts", &[("SIM_SEEDS", "5")]);
    assert_eq!((told(&text, "seeds"), told(&text, "runs")), (vec!["5"], vec!["6"]));
    assert_eq!(told(&said("builds", &[("SIM_SEEDS", "7")]), "seeds").len(), 7);
}

#[test]
fn sim_jobs_is_on_how_many_threads() {
    let threads = |jobs| told(&said("counts", &[("SIM_JOBS", jobs), ("SIM_CHECK", "0")]), "threads").len();
    assert_eq!(threads("1"), 1);
    // One of them might get no run of 64.
    assert!((2..=3).contains(&threads("3")));
}

#[test]
fn sim_check_is_how_many_seeds_are_run_twice() {
    let runs = |every| told(&said("counts", &[("SIM_CHECK", every)]), "runs")[0].to_owned();
    assert_eq!(["0", "1", "32"].map(runs), ["64", "128", "66"]);
    let text = complained("diverges", &[("SIM_CHECK", "1")]);
    assert!(text.contains("differ: something is not decided by the seed"), "{text}");
    assert!(said("diverges", &[("SIM_CHECK", "0")]).contains("1 passed"));
}

#[test]
fn sim_seed_is_the_one_seed_that_is_run() {
    let text = said("counts", &[("SIM_SEED", "7")]);
    assert!(text.contains("seed 7: ended at "), "{text}");
    let hash = |text: &str| text.split("hash ").nth(1).map(|rest| rest[..16].to_owned()).unwrap();
    assert_eq!(hash(&text), hash(&said("counts", &[("SIM_SEED", "0x7")])));
    assert_ne!(hash(&text), hash(&said("counts", &[("SIM_SEED", "8")])));
    assert_eq!(told(&said("builds", &[("SIM_SEED", "7")]), "seeds"), ["7"]);
    assert_eq!(told(&said("workloads", &[("SIM_SEED", "7")]), "seeds"), ["7"]);
}

/// A campaign fails, and the line that it printed is the run that it shrank to.
#[test]
fn sim_replay_is_the_run_that_a_failure_printed() {
    let text = complained("fails", &[]);
    let line =
        text.split("repeat it:   SIM_REPLAY='").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    assert!(line.ends_with("=1"), "{line}");
    let again = complained("fails", &[("SIM_REPLAY", line)]);
    assert!(again.contains("it was unlucky") && again.contains("failed"), "{again}");
    assert!(!again.contains("runs failed"), "a campaign was made: {again}");
    // With no decision left that is not plain it passes.
    let plain = format!("{}:", line.split(':').next().unwrap());
    assert!(said("fails", &[("SIM_REPLAY", &plain)]).contains("ended at "));
    let builds = said("builds", &[("SIM_REPLAY", "9:")]);
    assert_eq!(told(&builds, "seeds"), ["9"]);
}

#[test]
fn sim_until_event_ends_the_run_and_dumps_its_tasks() {
    let text = said("counts", &[("SIM_SEED", "7"), ("SIM_UNTIL_EVENT", "12")]);
    assert!(text.contains("event 11 at ") && text.contains("these tasks are there:"), "{text}");
    assert!(text.contains("waits for a timer until"), "{text}");
}

#[test]
fn sim_timeline_writes_the_run_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let path = folder.path().join(name);
        said("counts", &[("SIM_SEED", "7"), ("SIM_TIMELINE", path.to_str().unwrap())]);
        std::fs::read_to_string(path).unwrap()
    };
    assert!(write("run.html").starts_with("<!doctype html>"));
    let json: serde_json::Value = serde_json::from_str(&write("run.json")).unwrap();
    assert!(json["traceEvents"].as_array().unwrap().len() > 5);
    let missing = Path::new("no/such/folder/run.html");
    let text = said("counts", &[("SIM_SEED", "7"), ("SIM_TIMELINE", missing.to_str().unwrap())]);
    assert!(text.contains("run.html: "), "{text}");
}

#[test]
fn a_value_that_cannot_be_used_fails_the_test_and_is_named() {
    for (variables, expected) in [
        (&[("SIM_SEED", "seven")][..], "SIM_SEED=\"seven\": no number from 0 to 2^64 - 1"),
        (&[("SIM_SEEDS", "0")], "SIM_SEEDS=\"0\": none at all would test nothing"),
        (&[("SIM_JOBS", "many")], "SIM_JOBS=\"many\": no number"),
        (&[("SIM_CHECK", "1.5")], "SIM_CHECK=\"1.5\": no number"),
        (&[("SIM_REPLAY", "1@x")], "SIM_REPLAY=\"1@x\": no configuration: \"x\" is no hexadecimal number"),
        (
            &[("SIM_TIMELINE", "run.html")],
            "SIM_TIMELINE is about one run: set SIM_SEED or SIM_REPLAY as well",
        ),
        (&[("SIM_UNTIL_EVENT", "9")], "SIM_UNTIL_EVENT is about one run"),
        (&[("SIM_SEED", "1"), ("SIM_REPLAY", "1")], "SIM_SEED and SIM_REPLAY each name a run"),
        (&[("SIM_FRESH_RUN", "1")], "SIM_FRESH_RUN is for processes that a check starts"),
    ] {
        let text = complained("counts", variables);
        assert!(text.contains(expected), "{variables:?}: {text}");
    }
}

/// Values that only another process has: where its statics lie, and its number.
#[test]
#[expect(clippy::disallowed_methods, reason = "the planted bug")]
fn what_only_another_process_sees_is_found() {
    use samestep_sim::{Check, Test};

    let check = || Check::new().seeds(20).without_regressions().ignore_environment();
    let define = |test: &mut Test| {
        test.client("client", |context| async move {
            context.note("before", "the same in all processes");
            context.sleep(std::time::Duration::from_millis(u64::from(std::process::id()))).await;
            Ok(())
        });
    };
    let report = check().report(define);
    assert!(report.text().contains("in a process of its own"), "{}", report.text());
    // Both sides are told, and what came before.
    for expected in
        ["  both    event ", "  first   event ", "  second  event ", "TimerFired", "value: \"the same"]
    {
        assert!(report.text().contains(expected), "{expected} is not in {}", report.text());
    }
    assert_eq!(report.failed_seeds().len(), 1, "one seed alone is run there: {}", report.text());
    assert!(check().without_process().report(define).is_ok());
    assert!(check().check_every(0).report(define).is_ok());
}

/// A test that does not come to its check when it is run again passes, and says so.
#[test]
fn a_test_that_cannot_be_run_twice_says_so() {
    if is_started_by_a_check() {
        return;
    }
    let check = samestep_sim::Check::new().seeds(2).without_regressions().ignore_environment();
    let report = check.report(|test| test.client("client", |_| async { Ok(()) }));
    assert!(report.is_ok(), "{}", report.text());
    assert!(report.text().contains("run alone, did not come to its check number 0"), "{}", report.text());
}

#[expect(clippy::disallowed_methods, reason = "it is what tells processes apart")]
fn is_started_by_a_check() -> bool {
    std::env::var_os("SIM_FRESH_RUN").is_some()
}

/// What the tests above run in processes of their own. Each is a test in its own right as well.
mod child {
    use std::collections::BTreeSet;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use samestep_provider_traits::workload::{Workload, WorkloadContext, WorkloadResult};
    use samestep_provider_traits::{Providers, RandomProvider, TimeProvider};
    use samestep_sim::{Check, NetworkConfiguration, SimulationBuilder, Test};

    fn sleeper(test: &mut Test) {
        test.client("client", |context| async move {
            for _ in 0..5 {
                context.sleep(Duration::from_micros(context.random().random_range(1..1_000_000))).await;
            }
            Ok(())
        });
    }

    /// Tells how many seeds were run, in how many runs, on which threads.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the threads are what is counted")]
    fn counts() {
        let (runs, threads) = (AtomicU64::new(0), Mutex::new(BTreeSet::new()));
        let define = |test: &mut Test| {
            runs.fetch_add(1, Ordering::Relaxed);
            threads.lock().unwrap().insert(format!("{:?}", std::thread::current().id()));
            std::thread::sleep(Duration::from_millis(1));
            sleeper(test);
        };
        let check = Check::new().without_regressions().without_process();
        if std::env::var_os("SIM_SEED").is_some() || std::env::var_os("SIM_REPLAY").is_some() {
            return check.run(define);
        }
        let report = check.report(define);
        assert!(report.is_ok(), "{}", report.text());
        println!("\nseeds: {}\nruns: {}", report.runs(), runs.into_inner());
        let threads = threads.into_inner().unwrap();
        println!(
            "threads: {}",
            threads.into_iter().map(|id| id.replace(' ', "")).collect::<Vec<_>>().join(" ")
        );
    }

    /// Passes unless it is run twice.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "its bug is to be found when it is asked for")]
    fn diverges() {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let every = if std::env::var_os("SIM_CHECK").is_some() { 16 } else { 0 };
        Check::new().without_regressions().check_every(every).seeds(3).run(|test| {
            test.client("client", |context| async move {
                let runs = RUNS.fetch_add(1, Ordering::Relaxed);
                context.sleep(Duration::from_micros(runs)).await;
                Ok(())
            });
        });
    }

    /// Fails in half of all seeds, if this process is to see it fail.
    #[test]
    fn fails() {
        let is_child = std::env::args().any(|argument| argument == "environment::child::fails");
        let bound = if is_child { 2 } else { 1 };
        Check::new().without_regressions().without_process().run(|test| {
            let luck = test.pick(bound);
            test.client("client", move |_| async move {
                if luck == 1 { Err("it was unlucky".into()) } else { Ok(()) }
            });
        });
    }

    fn quiet() -> SimulationBuilder {
        SimulationBuilder::new().network(NetworkConfiguration::without_faults())
    }

    fn tell(seeds: &[u64]) {
        println!("\nseeds: {}", seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(" "));
    }

    #[test]
    fn builds() {
        tell(&quiet().run(|context| async move { context.sleep(Duration::from_millis(1)).await }).seeds_used);
    }

    struct Sleeps;

    impl<P: Providers> Workload<P> for Sleeps {
        async fn run(&mut self, context: &WorkloadContext<P>) -> WorkloadResult {
            context.providers().time().sleep(Duration::from_millis(1)).await;
            Ok(())
        }
    }

    #[test]
    fn workloads() {
        tell(&quiet().workloads().clients(1, |_| Sleeps).run().seeds_used);
    }
}
