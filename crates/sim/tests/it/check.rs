//! `check`: a test over many seeds fails if anything in any of them does.

use std::io;
use std::time::Duration;

use samestep_provider_traits::{TaskProvider, TcpListener, TcpStream, TimeProvider};
use samestep_sim::{Chaos, Check, Failure, FaultFamily, SimContext, Test};

type Outcome = Result<(), Box<dyn std::error::Error>>;

async fn serve(context: SimContext) -> Outcome {
    let listener = context.listen(80).await?;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        // One that breaks is the client's affair.
        context.task().spawn("echo", async move { echo(&stream).await });
    }
}

async fn echo(stream: &impl TcpStream) -> io::Result<()> {
    loop {
        let (outcome, bytes) = stream.read_exact(vec![0; 8]).await;
        outcome?;
        stream.write_all(bytes).await.0?;
    }
}

/// Asks until it is answered, and gives up a connection that does not answer.
async fn ask(context: &SimContext, question: u64) -> u64 {
    loop {
        let time = *context.time();
        let answer = time.timeout(Duration::from_secs(1), async {
            let stream = context.connect("server:80").await?;
            stream.write_all(Box::new(question.to_le_bytes())).await.0?;
            let (outcome, bytes) = stream.read_exact(Box::new([0; 8])).await;
            outcome?;
            io::Result::Ok(u64::from_le_bytes(*bytes))
        });
        match answer.await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(_)) | Err(_) => context.sleep(Duration::from_millis(50)).await,
        }
    }
}

fn echo_test(test: &mut Test) {
    let _servers = test.node("server", 1..=3, serve);
    test.clients("client", 1..=2, |context| async move {
        for question in 0..20 {
            samestep_sim::assert_always!(ask(&context, question).await == question, "the echo is right");
            context.sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    });
    test.chaos(Chaos::swarm().for_secs(10));
}

#[test]
fn an_echo_passes_under_a_swarm_of_faults() {
    let report = Check::new().without_regressions().ignore_environment().report(echo_test);
    assert!(report.is_ok(), "{}", report.text());
    assert_eq!(report.runs(), 64);
    for family in [
        FaultFamily::Crash,
        FaultFamily::GracefulReboot,
        FaultFamily::Pause,
        FaultFamily::Partition,
        FaultFamily::RandomClose,
        FaultFamily::Clog,
        FaultFamily::ConnectRefused,
        FaultFamily::PartialRead,
        FaultFamily::BuggifiedDelay,
    ] {
        assert!(report.acted(family) > 0, "{family}");
    }
    // Nobody has a file, a datagram, or looks at a clock.
    assert!(report.inert_families().contains(&FaultFamily::ShortIo), "{:?}", report.inert_families());
}

#[test]
fn jobs_do_not_matter() {
    let hashes = |jobs| Check::new().seeds(8).jobs(jobs).without_regressions().report(echo_test).hashes();
    assert_eq!(hashes(1), hashes(2));
}

fn failures_of(define: impl Fn(&mut Test) + Send + Sync) -> Vec<Failure> {
    let check = Check::new().seeds(2).without_regressions().shrink_runs_max(20).ignore_environment();
    let report = check.report(define);
    // Each seed fails, and the second runs although the first did.
    assert_eq!(report.failed_seeds().len(), 2, "{}", report.text());
    report.failures().cloned().collect()
}

fn client(test: &mut Test, run: impl AsyncFn(SimContext) -> Outcome + Clone + 'static) {
    test.client("client", move |context| {
        let run = run.clone();
        async move { run(context).await }
    });
}

#[test]
fn each_way_to_fail_fails_its_seed_and_the_next_seed_runs() {
    let panics = failures_of(|test| client(test, async |_| panic!("boom")));
    assert!(matches!(&panics[0], Failure::Panic(panic) if panic.message == "boom"), "{panics:?}");

    let spawned = failures_of(|test| {
        client(test, async |context| {
            context.task().spawn("child", async { panic!("inner") });
            context.sleep(Duration::from_secs(1)).await;
            Ok(())
        });
    });
    assert!(matches!(&spawned[0], Failure::Panic(panic) if panic.name == "child"), "{spawned:?}");

    let in_node = failures_of(|test| {
        let _node = test.node("server", 1, |_| async { Err("no port".into()) });
        client(test, async |context| {
            context.sleep(Duration::from_secs(1)).await;
            Ok(())
        });
    });
    assert_eq!(in_node[0].to_string(), "server: no port");

    let error = failures_of(|test| client(test, async |_| Err("no answer".into())));
    assert_eq!(error[0].to_string(), "client: no answer");

    let definition = failures_of(|_| panic!("cannot be defined"));
    assert!(matches!(&definition[0], Failure::SetupPanic { .. }), "{definition:?}");

    let stuck = failures_of(|test| client(test, async |_| std::future::pending().await));
    assert_eq!(stuck[0].kind(), "liveness");
    assert!(stuck[0].to_string().contains("client not done 120s"), "{stuck:?}");

    let endless = failures_of(|test| {
        client(test, async |context| {
            loop {
                context.sleep(Duration::from_secs(1)).await;
            }
        });
    });
    assert_eq!(endless[0].kind(), "liveness");

    let always = failures_of(|test| {
        client(test, async |context| {
            samestep_sim::assert_always!(context.number() == 7, "seven", "it is {}", context.number());
            context.sleep(Duration::from_secs(1)).await;
            panic!("the run ends at the end of the instant");
        });
    });
    assert_eq!(always.len(), 2, "{always:?}");
    assert_eq!(always[0].to_string(), "seven: it is 0");

    let at_end = failures_of(|test| {
        client(test, async |_| Ok(()));
        test.at_end("nothing is left", |_| false);
    });
    assert_eq!(at_end[0].kind(), "nothing is left");

    let finally = failures_of(|test| {
        client(test, async |_| Ok(()));
        test.finally("reads all", |_| async { Err("key 7 is gone".into()) });
    });
    assert_eq!(finally[0].to_string(), "reads all: key 7 is gone");

    let state = failures_of(|test| {
        client(test, async |context| {
            context.state().publish("leaders", 2_u32);
            context.sleep(Duration::from_secs(1)).await;
            Ok(())
        });
        test.always("one leader", |view| view.state().get::<u32>("leaders").unwrap_or(0) < 2);
    });
    assert_eq!(state[0].kind(), "one leader");

    let events = failures_of(|test| {
        client(test, async |context| {
            context.note("leader", "b");
            context.sleep(Duration::from_secs(1)).await;
            Ok(())
        });
        test.invariant(samestep_sim::invariant_fn("no b", |view| {
            let is_b = |event: &samestep_sim::TraceEvent| {
                matches!(&event.what, samestep_sim::Traced::Note { name, value } if name == "leader" && value == "b")
            };
            if view.new_events().iter().any(is_b) { Err("b".into()) } else { Ok(()) }
        }));
    });
    assert_eq!(events[0].to_string(), "no b: b");
}

/// Fails if two places misbehave in one run, of the ten that may.
fn two_of_ten(test: &mut Test) {
    let _servers = test.node("server", 1..=3, serve);
    client(test, async |context| {
        let mut fired = [false; 2];
        for _ in 0..10 {
            fired[0] |= samestep_sim::buggify!("first");
            fired[1] |= samestep_sim::buggify!("second");
            let _others = [samestep_sim::buggify!("third"), samestep_sim::buggify!("fourth")];
            context.sleep(Duration::from_millis(100)).await;
        }
        if fired == [true; 2] { Err("both".into()) } else { Ok(()) }
    });
    test.chaos(Chaos::swarm().for_secs(10));
}

#[test]
fn a_bug_of_two_faults_shrinks_to_just_those_two() {
    let check = Check::new().seeds(200).stop_at_first_failure().without_regressions().ignore_environment();
    let report = check.report(two_of_ten);
    let (line, choices) = report.replays().next().expect("one seed in sixteen");
    // Each of the two is active, and fires once.
    assert_eq!(choices, Some(4), "{}", report.text());
    assert_eq!(line.matches("buggify.").count(), 4, "{line}");
    assert_eq!(report.failures().next().unwrap().to_string(), "client: both");
}

#[test]
fn a_failure_is_kept_and_run_first_until_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two.txt");
    let check = || Check::new().regressions(&path).ignore_environment();
    let first = check().seeds(200).stop_at_first_failure().report(two_of_ten);
    assert!(first.runs() > 1 && !first.is_ok());
    let again = check().seeds(1).stop_at_first_failure().report(two_of_ten);
    assert_eq!((again.runs(), again.is_ok()), (1, false), "{}", again.text());
    let mended = check().seeds(1).report(|test| {
        let _servers = test.node("server", 1..=3, serve);
        client(test, async |_| Ok(()));
    });
    assert_eq!((mended.runs(), mended.is_ok()), (2, true), "{}", mended.text());
}

/// Gate 10, of campaigns: on one thread or on several. The number was written down once, and holds on every machine and in
/// every profile; a change of what is simulated changes it.
#[test]
fn hashes_are_the_same_on_any_number_of_threads() {
    let hashes = |jobs| {
        let check =
            Check::new().without_regressions().ignore_environment().check_every(0).seeds(24).jobs(jobs);
        check.report(echo_test).hashes()
    };
    let alone = hashes(1);
    assert_eq!(alone.len(), 24);
    assert_eq!(alone.iter().collect::<std::collections::BTreeSet<_>>().len(), 24, "each seed is another run");
    assert_eq!(hashes(3), alone);
    assert_eq!(hashes(8), alone);
    let all = alone.iter().fold(0_u64, |all, hash| all.rotate_left(7) ^ hash);
    assert_eq!(all, 0xb701_1c74_4aa9_37ca, "{all:#018x}");
}
