//! The members of a run, and the order in which they are driven.

use std::cell::Cell;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use samestep_provider_traits::workload::{Role, Shutdown, Workload, WorkloadContext, WorkloadResult};
use samestep_provider_traits::{JoinError, Providers, TaskProvider, TimeProvider};

use super::report::{MemberOutcome, MemberReport, Phase};
use crate::{TokioJoinHandle, TokioProviders, TokioTimeProvider};

type Context = WorkloadContext<TokioProviders>;

/// A [`Workload`] of any type.
pub(super) trait AnyWorkload {
    fn enter<'a>(
        &'a mut self,
        phase: Phase,
        context: &'a Context,
    ) -> Pin<Box<dyn Future<Output = WorkloadResult> + 'a>>;
}

impl<W: Workload<TokioProviders>> AnyWorkload for W {
    fn enter<'a>(
        &'a mut self,
        phase: Phase,
        context: &'a Context,
    ) -> Pin<Box<dyn Future<Output = WorkloadResult> + 'a>> {
        match phase {
            Phase::Setup => Box::pin(self.setup(context)),
            Phase::Run => Box::pin(self.run(context)),
            Phase::Check => Box::pin(self.check(context)),
        }
    }
}

/// One run of a topology.
pub(super) struct Run {
    /// Servers first.
    pub(super) members: Vec<Running>,
    pub(super) time: TokioTimeProvider,
    /// Tells servers to end.
    pub(super) shutdown: Shutdown,
    pub(super) grace: Duration,
    pub(super) deadline: Duration,
}

impl Run {
    /// Drives all members through all phases.
    pub(super) async fn drive(mut self) -> Vec<MemberReport> {
        if self.set_up().await {
            self.run().await;
            self.check().await;
        }
        self.members.into_iter().map(Running::into_report).collect()
    }

    /// Sets up one after the other, and tells whether all are.
    async fn set_up(&mut self) -> bool {
        for member in &mut self.members {
            member.start(Phase::Setup);
            let rest = self.deadline.saturating_sub(self.time.now());
            if self.time.timeout(rest, member.join()).await.is_err() {
                member.stop(MemberOutcome::TimedOut { phase: Phase::Setup }).await;
            }
            if !member.outcome.is_ok() {
                // What was set up has not run, which is no success.
                for other in self.members.iter_mut().filter(|other| other.outcome.is_ok()) {
                    other.outcome = MemberOutcome::NotRun;
                }
                return false;
            }
        }
        true
    }

    /// Runs all at once, until the clients have ended and the servers have been told to.
    async fn run(&mut self) {
        for member in &mut self.members {
            member.start(Phase::Run);
        }
        let (servers, clients): (Vec<_>, Vec<_>) =
            self.members.iter_mut().partition(|member| member.context.me().role() == Role::Server);
        let limit = self.deadline.saturating_sub(self.time.now());
        end_within(&self.time, limit, clients, &MemberOutcome::TimedOut { phase: Phase::Run }).await;
        self.shutdown.request();
        let grace = self.grace.min(self.deadline.saturating_sub(self.time.now()));
        end_within(&self.time, grace, servers, &MemberOutcome::Stopped).await;
    }

    /// Checks those that did not fail, one after the other.
    async fn check(&mut self) {
        for member in self.members.iter_mut().filter(|member| member.outcome.is_ok()) {
            let ran = member.outcome.clone();
            member.start(Phase::Check);
            let rest = self.deadline.saturating_sub(self.time.now());
            if self.time.timeout(rest, member.join()).await.is_err() {
                member.stop(MemberOutcome::TimedOut { phase: Phase::Check }).await;
            }
            if member.outcome == MemberOutcome::Ended {
                member.outcome = ran;
            }
        }
    }
}

/// Waits until all `members` have ended, and drops those that have not when `limit` passes.
async fn end_within(
    time: &TokioTimeProvider,
    limit: Duration,
    mut members: Vec<&mut Running>,
    dropped: &MemberOutcome,
) {
    let all = async {
        for member in &mut members {
            member.join().await;
        }
    };
    if time.timeout(limit, all).await.is_err() {
        for member in members {
            member.stop(dropped.clone()).await;
        }
    }
}

/// One member of a run.
pub(super) struct Running {
    context: Context,
    /// `None` while a phase has it, and after one that panicked.
    workload: Option<Box<dyn AnyWorkload>>,
    phase: Option<Current>,
    outcome: MemberOutcome,
    elapsed: Rc<Cell<Duration>>,
}

/// A phase that a member is in.
struct Current {
    phase: Phase,
    task: TokioJoinHandle<(Box<dyn AnyWorkload>, Option<WorkloadResult>)>,
    /// Drops what the workload does, but not the workload, which is still to be checked.
    stop: Shutdown,
}

impl Running {
    pub(super) fn new(workload: Box<dyn AnyWorkload>, context: Context) -> Self {
        let outcome = MemberOutcome::NotRun;
        Self { context, workload: Some(workload), phase: None, outcome, elapsed: Rc::default() }
    }

    /// Starts a phase as a task, which contains its panics.
    fn start(&mut self, phase: Phase) {
        let mut workload = self.workload.take().expect("a member that did not fail has its workload");
        let (context, stop) = (self.context.clone(), Shutdown::new());
        let stopped = stop.requested();
        let elapsed = (phase == Phase::Run).then(|| Rc::clone(&self.elapsed));
        let body = async move {
            let _stopwatch = Stopwatch::start(context.providers().time().clone(), elapsed);
            let mut stopped = pin!(stopped);
            let mut work = workload.enter(phase, &context);
            let ended = poll_fn(|cx| match work.as_mut().poll(cx) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending => stopped.as_mut().poll(cx).map(|()| None),
            });
            let ended = ended.await;
            drop(work);
            (workload, ended)
        };
        let task = self.context.providers().task().spawn(self.context.me().name(), body);
        self.phase = Some(Current { phase, task, stop });
    }

    /// Waits for the phase to end, if it is in one. A dropped call loses nothing.
    async fn join(&mut self) {
        self.join_or(MemberOutcome::NotRun).await;
    }

    /// Ends the phase, if it is still in one, with `outcome`.
    async fn stop(&mut self, outcome: MemberOutcome) {
        if let Some(current) = &self.phase {
            current.stop.request();
        }
        self.join_or(outcome).await;
    }

    async fn join_or(&mut self, stopped: MemberOutcome) {
        let Some(current) = &mut self.phase else { return };
        let joined = (&mut current.task).await;
        let phase = current.phase;
        self.phase = None;
        self.outcome = match joined {
            Ok((workload, ended)) => {
                self.workload = Some(workload);
                match ended {
                    None => stopped,
                    Some(Ok(())) => MemberOutcome::Ended,
                    Some(Err(error)) => MemberOutcome::Failed { phase, message: with_causes(&*error) },
                }
            }
            Err(JoinError::Panicked { message }) => MemberOutcome::Panicked { phase, message },
            Err(JoinError::Cancelled) => unreachable!("nobody aborts a member's task"),
        };
    }

    fn into_report(self) -> MemberReport {
        let me = self.context.me();
        MemberReport {
            name: me.name().to_owned(),
            role: me.role(),
            outcome: self.outcome,
            elapsed: self.elapsed.get(),
        }
    }
}

/// Tells how long it lived, also if that ends in a panic.
struct Stopwatch {
    time: TokioTimeProvider,
    start: Duration,
    elapsed: Option<Rc<Cell<Duration>>>,
}

impl Stopwatch {
    fn start(time: TokioTimeProvider, elapsed: Option<Rc<Cell<Duration>>>) -> Self {
        let start = time.now();
        Self { time, start, elapsed }
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        if let Some(elapsed) = &self.elapsed {
            elapsed.set(self.time.now() - self.start);
        }
    }
}

/// The error, and what it was caused by.
fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    message
}
