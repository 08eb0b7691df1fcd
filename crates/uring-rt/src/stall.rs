//! A loop that has not turned for long: noticed by a thread that watches, and told with the stack.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::clock::monotonic;
use crate::maps::Maps;
use crate::sys::{Moment, Pulse, default_signal};

/// Whether and how a runtime is watched for stalls: times in which its loop does not turn although it should, as a task
/// computes or waits in a system call.
///
/// A thread looks twice within the bound. When the loop stands still it sends the shard's thread a signal, whose handler
/// notes which task runs and where, by following frame pointers on the thread's stack and nothing else. Code that was
/// compiled without frame pointers, as release builds are unless `RUSTFLAGS` has `-Cforce-frame-pointers=yes`, shows
/// where it stands and then fewer frames than there are, or none; those that are shown may then be wrong.
///
/// The signal is a real-time one that is rarely used, `SIGRTMIN + 10`, unless [`Self::signal`] says otherwise. A program
/// that handles or blocks it has to name another. System calls that it interrupts go on, but those that never do, such
/// as sleeping: see signal(7).
#[derive(Clone)]
#[must_use = "it watches nothing by itself"]
pub struct StallDetection {
    longer_than: Duration,
    reports_per_minute: u32,
    signal: i32,
    on_stall: Arc<OnStall>,
}

type OnStall = dyn Fn(&StallReport) + Send + Sync + UnwindSafe + RefUnwindSafe;

impl StallDetection {
    /// Reports, on stderr, what takes longer; at least 2 ms.
    pub fn longer_than(bound: Duration) -> Self {
        Self {
            longer_than: bound.max(Duration::from_millis(2)),
            reports_per_minute: 10,
            signal: default_signal(),
            on_stall: Arc::new(|report| eprintln!("samestep-uring-rt: {report}")),
        }
    }

    /// Gives reports to `tell`, on the thread that watches, which does nothing else meanwhile; the runtime does not end
    /// before it has returned.
    pub fn on_stall(self, tell: impl Fn(&StallReport) + Send + Sync + 'static) -> Self {
        // Called on a thread of its own, which no panic of whoever has the builder unwinds.
        let tell = AssertUnwindSafe(tell);
        let on_stall = move |report: &StallReport| {
            let AssertUnwindSafe(tell) = &tell;
            tell(report);
        };
        Self { on_stall: Arc::new(on_stall), ..self }
    }

    /// How many reports a minute at most, 10 by default, at least 1. The others are counted.
    pub fn reports_per_minute(self, at_most: u32) -> Self {
        Self { reports_per_minute: at_most.max(1), ..self }
    }

    /// Another signal, which nobody else handles and no thread of a shard blocks.
    pub fn signal(self, signal: i32) -> Self {
        Self { signal, ..self }
    }

    pub(crate) fn signal_number(&self) -> i32 {
        self.signal
    }
}

impl fmt::Debug for StallDetection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StallDetection")
            .field("longer_than", &self.longer_than)
            .field("signal", &self.signal)
            .finish_non_exhaustive()
    }
}

/// A loop that has not turned. Shows itself in several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StallReport {
    /// The name of the shard's thread, if it has one.
    pub shard: String,
    /// For how long, at least.
    pub lasts: Duration,
    /// The task that ran when it was looked at, and its queue; `None` if the loop itself stood still, or did not answer.
    pub task: Option<(String, String)>,
    /// Where it was, innermost first. Empty if the thread did not answer the signal: it blocks it, or is deep in the
    /// kernel.
    pub stack: Vec<StackFrame>,
    /// Reports that were left out before this one, as there were too many.
    pub suppressed: u64,
}

/// A place in the code.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackFrame {
    /// The address: of the instruction to come, or of the one behind a call.
    pub address: usize,
    /// The file it is from, and where in that, as `addr2line -e` takes it.
    pub file: Option<(String, usize)>,
    /// The function, with feature `stall-symbols`, if the file has symbols; several if some were inlined.
    pub functions: Vec<String>,
}

impl fmt::Display for StallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has not turned for {:?}: ", self.shard, self.lasts)?;
        match &self.task {
            Some((task, queue)) => write!(f, "task {task:?} of queue {queue:?} runs")?,
            None => f.write_str("no task runs")?,
        }
        if self.suppressed > 0 {
            write!(f, "; {} reports were left out", self.suppressed)?;
        }
        for frame in &self.stack {
            write!(f, "\n  {frame}")?;
        }
        Ok(())
    }
}

impl fmt::Display for StackFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some((file, offset)) => write!(f, "{file} {offset:#x}")?,
            None => write!(f, "{:#x}", self.address)?,
        }
        self.functions.iter().try_for_each(|function| write!(f, " {function}"))
    }
}

/// The thread that watches one shard. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    stop: Arc<Stop>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Stop {
    is_stopped: Mutex<bool>,
    changed: Condvar,
}

impl Watcher {
    /// Watches a shard of this thread.
    pub(crate) fn start(pulse: Arc<Pulse>, detection: StallDetection) -> io::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "the thread's name is told to people")]
        let shard = thread::current().name().unwrap_or("a shard").to_owned();
        let stop = Arc::new(Stop::default());
        let thread = thread::Builder::new().name("uring-rt stalls".into());
        let watch = Watch { pulse, shard, stop: Arc::clone(&stop), detection };
        #[expect(clippy::disallowed_methods, reason = "who watches a thread is another")]
        let thread = thread.spawn(move || watch.run())?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        *self.stop.is_stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.changed.notify_all();
        // A panic of whoever is told was printed, and is not the runtime's.
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

impl Stop {
    /// Waits, and tells whether it is over.
    fn wait(&self, at_most: Duration) -> bool {
        let is_stopped = self.is_stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(is_stopped, at_most, |is_stopped| !*is_stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

struct Watch {
    pulse: Arc<Pulse>,
    shard: String,
    stop: Arc<Stop>,
    detection: StallDetection,
}

impl Watch {
    fn run(&self) {
        let bound = self.detection.longer_than;
        let mut vigil = Vigil::new(bound, self.detection.reports_per_minute);
        while !self.stop.wait(bound / 2) {
            let found = vigil.look(monotonic(), self.pulse.turns());
            if matches!(found, Some(Finding { is_new: true, .. })) {
                self.pulse.count_stall();
            }
            if let Some(Finding { lasts, report: Some(suppressed), .. }) = found {
                let Moment { task, frames } = self.ask();
                let (shard, stack) = (self.shard.clone(), resolve(&frames));
                (self.detection.on_stall)(&StallReport { shard, lasts, task, stack, suppressed });
            }
        }
    }

    fn ask(&self) -> Moment {
        self.pulse.ask(self.detection.signal);
        for _ in 0..ANSWER_WAITS_MAX {
            if let Some(moment) = self.pulse.answer() {
                return moment;
            }
            if self.stop.wait(ANSWER_WAIT) {
                break;
            }
        }
        Moment::default()
    }
}

/// When a loop has stood still for too long, and whether that is to be told. Knows no clock.
#[derive(Debug)]
struct Vigil {
    bound: Duration,
    reports_per_minute: u32,
    /// How often the loop had turned, when it was first seen so.
    seen: Option<(u64, Duration)>,
    /// How long the stall may last before it is told, again if it was.
    tell_after: Duration,
    /// The begin of a minute, and the reports in it.
    minute: (Duration, u32),
    suppressed: u64,
}

/// A stall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Finding {
    lasts: Duration,
    /// It was not there before.
    is_new: bool,
    /// If it is to be told: how many were not.
    report: Option<u64>,
}

impl Vigil {
    fn new(bound: Duration, reports_per_minute: u32) -> Self {
        let (seen, minute) = (None, (Duration::ZERO, 0));
        Self { bound, reports_per_minute, seen, tell_after: bound, minute, suppressed: 0 }
    }

    /// Looks at how often the loop has turned, `None` if it sleeps. A stall is told when it has lasted longer than the
    /// bound, and again each time it has doubled.
    fn look(&mut self, now: Duration, turns: Option<u64>) -> Option<Finding> {
        let Some(turns) = turns else {
            self.seen = None;
            return None;
        };
        let since = match self.seen {
            Some((seen, since)) if seen == turns => since,
            _ => {
                self.seen = Some((turns, now));
                self.tell_after = self.bound;
                return None;
            }
        };
        let lasts = now.saturating_sub(since);
        if lasts < self.tell_after {
            return None;
        }
        let is_new = self.tell_after == self.bound;
        self.tell_after = lasts.saturating_mul(2);
        if now.saturating_sub(self.minute.0) >= MINUTE {
            self.minute = (now, 0);
        }
        if self.minute.1 >= self.reports_per_minute {
            self.suppressed += 1;
            return Some(Finding { lasts, is_new, report: None });
        }
        self.minute.1 += 1;
        Some(Finding { lasts, is_new, report: Some(std::mem::take(&mut self.suppressed)) })
    }
}

/// From which files they are, and which functions. What lies in no code is no frame, and what is behind it neither.
fn resolve(addresses: &[usize]) -> Vec<StackFrame> {
    let maps = Maps::parse(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default());
    let frames = addresses.iter().enumerate().map_while(|(depth, address)| {
        // A call may be the last of its function, and then what is behind it is of another.
        let inside = if depth == 0 { *address } else { address - 1 };
        let found = maps.find(inside);
        if found.is_none() && depth > 0 {
            return None;
        }
        let file = found.map(|(path, offset)| (path.to_owned(), offset));
        Some(StackFrame { address: *address, file, functions: functions(inside) })
    });
    frames.collect()
}

#[cfg(feature = "stall-symbols")]
fn functions(address: usize) -> Vec<String> {
    let mut functions = Vec::new();
    backtrace::resolve(std::ptr::without_provenance_mut(address), |symbol| {
        functions.extend(symbol.name().map(|name| format!("{name:#}")));
    });
    functions
}

#[cfg(not(feature = "stall-symbols"))]
fn functions(_: usize) -> Vec<String> {
    Vec::new()
}

const MINUTE: Duration = Duration::from_secs(60);
/// The thread may wait for a processor before it handles the signal.
const ANSWER_WAIT: Duration = Duration::from_millis(1);
const ANSWER_WAITS_MAX: u32 = 500;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Finding, Vigil};

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// When stalls are found, and how long they are then, as somebody looks each 5 ms at a bound of 10 ms.
    fn found(turns: impl Fn(u64) -> Option<u64>) -> Vec<(u64, u128, bool)> {
        let mut vigil = Vigil::new(ms(10), 100);
        let look = |at| {
            vigil.look(ms(at), turns(at)).map(|Finding { lasts, is_new, .. }| (at, lasts.as_millis(), is_new))
        };
        (0..=100).step_by(5).filter_map(look).collect()
    }

    #[test]
    fn a_loop_that_turns_or_sleeps_is_no_stall() {
        assert_eq!(found(Some), [], "it turns each time");
        assert_eq!(found(|at| Some(at / 10)), [], "and now and then");
        assert_eq!(found(|_| None), []);
        assert_eq!(found(|at| (at % 10 == 0).then_some(7)), [], "it was asleep in between");
    }

    #[test]
    fn a_loop_that_stands_still_is_told_of_and_again_when_it_has_doubled() {
        assert_eq!(found(|_| Some(7)), [(10, 10, true), (20, 20, false), (40, 40, false), (80, 80, false)]);
        // It turned at 50: that is another one.
        let two = found(|at| Some(at / 50));
        assert_eq!(
            two,
            [
                (10, 10, true),
                (20, 20, false),
                (40, 40, false),
                (60, 10, true),
                (70, 20, false),
                (90, 40, false)
            ]
        );
    }

    #[test]
    fn too_many_reports_are_counted_and_left_out() {
        let mut vigil = Vigil::new(ms(10), 2);
        let mut reports = Vec::new();
        // A stall of 10 ms each 20 ms, for longer than a minute.
        for stall in 0..3100 {
            assert_eq!(vigil.look(ms(stall * 20), Some(stall)), None);
            let finding = vigil.look(ms(stall * 20 + 10), Some(stall)).unwrap();
            assert!(finding.is_new);
            reports.extend(finding.report.map(|suppressed| (stall, suppressed)));
        }
        let [first, second, third, fourth] = reports[..] else { panic!("{reports:?}") };
        assert_eq!([first, second, fourth], [(0, 0), (1, 0), (third.0 + 1, 0)]);
        assert_eq!(third.1, third.0 - 2, "all in between were left out");
    }
}
