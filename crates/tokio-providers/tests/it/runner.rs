//! Workloads on real sockets, those that misbehave included.

use std::cell::RefCell;
use std::future::pending;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::workload::{Workload, WorkloadContext, WorkloadResult};
use samestep_provider_traits::{
    File, NetworkProvider, OpenOptions, Providers, RandomProvider, StorageProvider, TaskProvider,
    TcpListener, TcpStream, TimeProvider,
};
use samestep_tokio_providers::{MemberOutcome, MemberReport, Phase, TokioReport, TokioRunner};

/// Sends back what it receives, until it is told to end.
struct Echo;

impl<P: Providers> Workload<P> for Echo {
    async fn run(&mut self, context: &WorkloadContext<P>) -> WorkloadResult {
        let listener = context.providers().network().bind(context.me().address()).await?;
        let serve = {
            let tasks = context.providers().task().clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    drop(tasks.spawn("echo", async move {
                        let mut buf = Vec::with_capacity(1024);
                        while let (Ok(1..), received) = stream.read(buf).await {
                            buf = stream.write_all(received).await.1;
                        }
                    }));
                }
            }
        };
        drop(context.providers().task().spawn("serve", serve));
        context.shutdown().requested().await;
        Ok(())
    }
}

/// Expects back what it sends.
#[derive(Default)]
struct Caller {
    echoed_count: usize,
}

impl<P: Providers> Workload<P> for Caller {
    async fn setup(&mut self, context: &WorkloadContext<P>) -> WorkloadResult {
        let storage = context.providers().storage();
        assert!(storage.list(Path::new("")).await?.is_empty(), "another member's files are seen");
        let file = storage.open(Path::new("mine"), OpenOptions::read_write().create_new()).await?;
        file.write_all_at(context.me().name().to_owned().into_bytes(), 0).await.0?;
        Ok(file.close().await?)
    }

    async fn run(&mut self, context: &WorkloadContext<P>) -> WorkloadResult {
        let server = context.topology().servers().next().ok_or("no server")?;
        let time = context.providers().time();
        let stream = loop {
            match context.providers().network().connect(server.address()).await {
                Ok(stream) => break stream,
                // Servers and clients start at the same time.
                Err(_) => time.sleep(Duration::from_millis(1)).await,
            }
        };
        for _ in 0..20 {
            let mut sent = vec![0; 100];
            context.providers().random().fill_bytes(&mut sent);
            let (outcome, sent) = stream.write_all(sent).await;
            outcome?;
            let (outcome, received) = stream.read_exact(vec![0; 100]).await;
            outcome?;
            assert_eq!(sent, received);
            self.echoed_count += 1;
        }
        Ok(())
    }

    async fn check(&mut self, context: &WorkloadContext<P>) -> WorkloadResult {
        assert_eq!(self.echoed_count, 20);
        let file = context.providers().storage().open(Path::new("mine"), OpenOptions::read_only()).await?;
        let (outcome, name) = file.read_exact_at(vec![0; context.me().name().len()], 0).await;
        outcome?;
        assert_eq!(name, context.me().name().as_bytes());
        Ok(())
    }
}

/// Does what it is made for.
enum Odd {
    Fails(Phase),
    Panics(Phase),
    RunsForever(Phase),
    Ends,
}

impl Odd {
    async fn enter(&self, current: Phase) -> WorkloadResult {
        match self {
            Self::Fails(phase) if *phase == current => Err(std::io::Error::other(std::fmt::Error).into()),
            Self::Panics(phase) if *phase == current => panic!("as it was made to"),
            Self::RunsForever(phase) if *phase == current => pending().await,
            _ => Ok(()),
        }
    }
}

impl<P: Providers> Workload<P> for Odd {
    async fn setup(&mut self, _: &WorkloadContext<P>) -> WorkloadResult {
        self.enter(Phase::Setup).await
    }

    async fn run(&mut self, _: &WorkloadContext<P>) -> WorkloadResult {
        self.enter(Phase::Run).await
    }

    async fn check(&mut self, _: &WorkloadContext<P>) -> WorkloadResult {
        self.enter(Phase::Check).await
    }
}

/// Hears no signal, and notes when it is checked.
struct Deaf(Rc<RefCell<Vec<String>>>);

impl<P: Providers> Workload<P> for Deaf {
    async fn run(&mut self, _: &WorkloadContext<P>) -> WorkloadResult {
        pending().await
    }

    async fn check(&mut self, context: &WorkloadContext<P>) -> WorkloadResult {
        self.0.borrow_mut().push(context.me().name().to_owned());
        Ok(())
    }
}

/// Runs in a fresh root, with limits that a busy machine keeps.
fn run(build: impl FnOnce(TokioRunner) -> TokioRunner) -> TokioReport {
    let root = tempfile::tempdir().unwrap();
    let report = build(TokioRunner::new(root.path(), 7)).run().unwrap();
    println!("{report}");
    report
}

fn outcome(report: &TokioReport, name: &str) -> MemberOutcome {
    report.member(name).unwrap().outcome().clone()
}

#[test]
fn three_clients_are_echoed() {
    let report = run(|runner| runner.servers(1, |_| Echo).clients(3, |_| Caller::default()));
    assert!(report.is_ok(), "{report}");
    let names: Vec<_> = report.members().iter().map(MemberReport::name).collect();
    assert_eq!(names, ["server-0", "client-0", "client-1", "client-2"]);
    assert!(report.members().iter().all(|member| *member.outcome() == MemberOutcome::Ended));
    assert!(report.members().iter().all(|member| Duration::ZERO < member.elapsed()));
    assert!(report.members().iter().all(|member| member.elapsed() <= report.elapsed()));
}

#[test]
fn a_failing_client_is_reported_with_the_cause() {
    let report = run(|runner| {
        runner.servers(1, |_| Echo).clients(1, |_| Caller::default()).clients(1, |_| Odd::Fails(Phase::Run))
    });
    assert!(!report.is_ok());
    let MemberOutcome::Failed { phase: Phase::Run, message } = outcome(&report, "client-1") else {
        panic!("{report}")
    };
    assert!(message.contains("formatting"), "{message}");
    assert_eq!(outcome(&report, "client-0"), MemberOutcome::Ended);
    assert_eq!(outcome(&report, "server-0"), MemberOutcome::Ended);
}

#[test]
fn a_panicking_server_is_reported() {
    let report = run(|runner| runner.servers(1, |_| Odd::Panics(Phase::Run)).clients(1, |_| Odd::Ends));
    let message = "as it was made to".to_owned();
    assert_eq!(outcome(&report, "server-0"), MemberOutcome::Panicked { phase: Phase::Run, message });
    assert_eq!(outcome(&report, "client-0"), MemberOutcome::Ended);
    assert!(!report.is_ok());
    assert!(report.to_string().contains("server-0: panicked in run: as it was made to"), "{report}");
}

#[test]
fn a_server_that_ignores_the_signal_is_stopped_and_checked() {
    let checked = Rc::new(RefCell::new(Vec::new()));
    let report = run(|runner| {
        let runner = runner.servers(2, |_| Deaf(Rc::clone(&checked))).clients(1, |_| Odd::Ends);
        runner.grace(Duration::from_millis(20))
    });
    assert_eq!(outcome(&report, "server-1"), MemberOutcome::Stopped);
    assert!(report.is_ok(), "a server may run for ever");
    assert_eq!(*checked.borrow(), ["server-0", "server-1"]);
}

#[test]
fn a_client_out_of_time_is_stopped() {
    for phase in [Phase::Setup, Phase::Run, Phase::Check] {
        let report = run(|runner| {
            let runner = runner.servers(1, |_| Echo).clients(1, move |_| Odd::RunsForever(phase));
            runner.time_limit(Duration::from_millis(200))
        });
        assert_eq!(outcome(&report, "client-0"), MemberOutcome::TimedOut { phase });
        assert!(!report.is_ok());
    }
}

#[test]
fn nobody_runs_if_one_cannot_be_set_up() {
    for odd in [Odd::Fails, Odd::Panics] {
        let report = run(|runner| {
            runner.servers(1, |_| Odd::Panics(Phase::Run)).clients(2, move |_| odd(Phase::Setup))
        });
        assert_eq!(outcome(&report, "server-0"), MemberOutcome::NotRun);
        assert!(!outcome(&report, "client-0").is_ok());
        assert_eq!(outcome(&report, "client-1"), MemberOutcome::NotRun);
    }
}

#[test]
fn a_check_that_fails_is_reported() {
    let report = run(|runner| {
        runner.servers(1, |_| Odd::Panics(Phase::Check)).clients(1, |_| Odd::Fails(Phase::Check))
    });
    assert!(matches!(outcome(&report, "server-0"), MemberOutcome::Panicked { phase: Phase::Check, .. }));
    assert!(matches!(outcome(&report, "client-0"), MemberOutcome::Failed { phase: Phase::Check, .. }));
}

/// The same seed and name, the same numbers; another name, others.
#[test]
fn members_have_random_streams_of_their_own() {
    struct Draws(Rc<RefCell<Vec<u64>>>);
    impl<P: Providers> Workload<P> for Draws {
        async fn run(&mut self, context: &WorkloadContext<P>) -> WorkloadResult {
            self.0.borrow_mut().push(context.providers().random().next_u64());
            Ok(())
        }
    }
    let drawn = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..2 {
        run(|runner| runner.clients(2, |_| Draws(Rc::clone(&drawn))));
    }
    let drawn = drawn.take();
    assert_eq!(drawn[..2], drawn[2..]);
    assert_ne!(drawn[0], drawn[1]);
}
