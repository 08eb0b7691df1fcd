//! `play`: replays a pier on the reference machine, and shows how it goes.

use std::cell::Cell;
use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use samestep_noun::Watch;
use serde_json::json;

use super::events::date;
use super::{Failed, Outcome, PierArgs, of_log, of_pier, print_json, progress_bar};
use crate::machine::{Budget, FailureKind, NockMachine, NockMachineError, Reclaim};
use crate::play::{
    End, EventAt, MugCheck, Notice, Observer, PlayError, PlayOptions, PlayReport, Prepared, Replay,
    ReplayFailure, Start, log_tag, play, prepare,
};
use crate::rock::RockError;
use crate::snapshot::{SnapshotError, SnapshotStore};
use crate::vere::{Access, Job, Survey};

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags are flags")]
pub(super) struct Args {
    #[command(flatten)]
    pier: PierArgs,
    /// Stop exactly behind event N. Without it, with 0, or behind the end, the whole log.
    #[arg(short = 'n', long, value_name = "N")]
    replay_to: Option<u64>,
    /// Start with the first event, whatever states there are, and go through all epochs.
    #[arg(short, long, conflicts_with = "from_rock")]
    full: bool,
    /// Start from the rock of event N, .urb/roc/N.jam.
    #[arg(short = 'r', long, value_name = "N")]
    from_rock: Option<u64>,
    /// Save the state in DIR/*.snapshot, at the end, when stopped, and as --snap-at says; start from it next time.
    ///
    /// Without it nothing is saved: a replay changes nothing in PIER.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Save the state after every N events too.
    #[arg(short, long, value_name = "N", requires = "state", value_parser = clap::value_parser!(u64).range(1..))]
    snap_at: Option<u64>,
    /// Memory for kernel and event, in bits: 31 is 2 GiB.
    #[arg(long, value_name = "BITS", default_value_t = 31, value_parser = clap::value_parser!(u32).range(20..=34))]
    loom: u32,
    /// Go on when a mug differs from the recorded one.
    #[arg(long)]
    soft_mugs: bool,
    /// When memory is short, share equal parts of the kernel before the event is tried again.
    #[arg(long)]
    auto_meld: bool,
    /// At the end, look for nouns that are kept and belong to nothing.
    #[arg(short, long)]
    gc: bool,
    /// As --gc, and fail if there are any.
    #[arg(long)]
    gc_abort: bool,
    /// End when one event takes longer than this.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// End when one event takes more reductions than this.
    #[arg(long, value_name = "REDUCTIONS")]
    fuel: Option<u64>,
    /// Boot with the first N events instead of as many as META's life says.
    #[arg(long, value_name = "N")]
    boot: Option<u64>,
    /// Only say from where to where the replay would go.
    #[arg(short = 'D', long)]
    dry_run: bool,
    /// Print a line for each event: its number and the mug behind it.
    #[arg(long, conflicts_with = "json")]
    mugs: bool,
    /// Understood and without effect: states are read whole in any case.
    #[arg(long)]
    no_demand: bool,
    /// Understood and without effect: no epoch is ever begun by a replay.
    #[arg(short, long)]
    yolo: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failed> {
    let pier = args.pier.open(Access::Read)?;
    let survey = Survey::of(&pier)?;
    let store = match &args.state {
        Some(dir) => Some(SnapshotStore::new(dir, log_tag(&pier)?)),
        None => None,
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // A second signal ends the process at once, as somebody who asks twice wants.
        signal_hook::flag::register_conditional_shutdown(signal, STOPPED_TWICE, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let last = args.target().or(survey.last()).unwrap_or(0);
    let mut screen = Screen::new(args, last, Arc::clone(&stop));
    let options = args.options();
    let machine = NockMachine::new(args.budget()?).with_watch(screen.watch(args.timeout));
    if args.dry_run {
        return match prepare(&pier, machine, store.as_ref(), &options, &mut screen) {
            Ok(prepared) => report_plan(args, &prepared),
            Err(error) => report_failure(args, &screen, &error),
        };
    }
    let outcome = play(&pier, machine, store.as_ref(), &options, &mut screen);
    screen.finish()?;
    match outcome {
        Ok((replay, report)) => report_end(args, &screen, &replay, &report),
        Err(error) => {
            let outcome = report_failure(args, &screen, &error);
            screen.tell_state();
            outcome
        }
    }
}

fn report_failure(
    args: &Args,
    screen: &Screen,
    error: &PlayError<NockMachineError>,
) -> Result<Outcome, Failed> {
    if args.pier.json {
        print_json(&json!({ "error": chain(error), "state": screen.last, "saved": screen.saved }))?;
    }
    eprintln!("samestep-lmdb: {}", chain(error));
    Ok(of_play(error))
}

fn report_plan(args: &Args, prepared: &Prepared<NockMachine>) -> Result<Outcome, Failed> {
    let (start, target) = (prepared.replay.number(), prepared.target);
    if args.pier.json {
        let started_from = &prepared.started_from;
        print_json(&json!({ "started_from": started_from, "start": start, "target": target }))?;
    } else {
        let until =
            target.map_or_else(|| "where the log can no longer be read".to_owned(), |n| n.to_string());
        writeln!(io::stdout().lock(), "would replay from {} to {until}", prepared.started_from)?;
    }
    Ok(Outcome::Sound)
}

impl Args {
    fn options(&self) -> PlayOptions {
        PlayOptions {
            target: self.target(),
            start: match self.from_rock {
                Some(number) => Start::Rock(number),
                None if self.full => Start::First,
                None => Start::Nearest,
            },
            boot_events: self.boot,
            mugs: if self.soft_mugs { MugCheck::Soft } else { MugCheck::Strict },
            reclaim: if self.auto_meld { Reclaim::Meld } else { Reclaim::Pack },
            snapshot_every: self.snap_at,
        }
    }

    fn target(&self) -> Option<u64> {
        self.replay_to.filter(|target| *target > 0)
    }

    fn budget(&self) -> Result<Budget, Failed> {
        let bytes = 1_usize.checked_shl(self.loom);
        let bytes = bytes.ok_or_else(|| Failed::Usage("this machine has no such addresses".into()))?;
        let budget = Budget::default().with_memory_bytes_max(bytes);
        Ok(self.fuel.map_or(budget.clone(), |fuel| budget.with_fuel(fuel)))
    }
}

fn report_end(
    args: &Args,
    screen: &Screen,
    replay: &Replay<NockMachine>,
    report: &PlayReport,
) -> Result<Outcome, Failed> {
    let PlayReport { replay: found, started_from, log_last } = report;
    let leaks = (args.gc || args.gc_abort).then(|| replay.machine().leaks());
    let is_stopped = found.end == End::Interrupted;
    if args.pier.json {
        let first = found.first_divergence.map(|first| {
            json!({ "event": first.number, "expected": hex(first.expected), "found": hex(first.found) })
        });
        print_json(&json!({
            "started_from": started_from,
            "start": found.start,
            "state": found.number,
            "log_last": log_last,
            "mug": hex(found.mug),
            "applied": found.applied,
            "verified": found.verified,
            "unverifiable": found.unverifiable,
            "diverged": found.diverged,
            "first_divergence": first,
            "retries": found.retries,
            "interrupted": is_stopped,
            "saved": screen.saved,
            "leaked_bytes": leaks.map(|leaks| leaks.live_bytes.saturating_sub(leaks.reachable_bytes)),
        }))?;
    } else if !args.mugs {
        let mut out = io::stdout().lock();
        writeln!(out, "started  from {started_from}")?;
        writeln!(out, "state    event {}, mug {}", found.number, hex(found.mug))?;
        writeln!(
            out,
            "events   {} applied: {} mugs agree, {} differ, {} events have none",
            found.applied, found.verified, found.diverged, found.unverifiable
        )?;
        if let Some(first) = found.first_divergence {
            writeln!(out, "first    {first}")?;
        }
    }
    if is_stopped {
        eprintln!("samestep-lmdb: stopped behind event {}", found.number);
        screen.tell_state();
        return Ok(Outcome::Replay);
    }
    if let Some(leaks) = leaks.filter(|leaks| !leaks.is_clean()) {
        eprintln!(
            "samestep-lmdb: nouns take {} bytes, but the state has {}",
            leaks.live_bytes, leaks.reachable_bytes
        );
        if args.gc_abort {
            return Ok(Outcome::Replay);
        }
    }
    Ok(if found.diverged > 0 { Outcome::Findings } else { Outcome::Sound })
}

/// What is shown while a replay runs.
struct Screen {
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
    /// When the event under way began.
    began: Rc<Cell<Duration>>,
    clock: Clock,
    shown: Duration,
    mugs: Option<BufWriter<io::Stdout>>,
    mugs_failed: Option<io::Error>,
    last: u64,
    saved: Option<u64>,
}

impl Screen {
    fn new(args: &Args, last: u64, stop: Arc<AtomicBool>) -> Self {
        let bar = progress_bar(last);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {per_sec} {eta}  {msg}");
        bar.set_style(style.expect("the template is right"));
        Self {
            bar,
            stop,
            began: Rc::default(),
            clock: Clock::start(),
            shown: Duration::ZERO,
            mugs: args.mugs.then(|| BufWriter::new(io::stdout())),
            mugs_failed: None,
            last: 0,
            saved: None,
        }
    }

    /// A watcher of one event's time, and of signals.
    fn watch(&self, timeout_seconds: Option<u64>) -> Rc<dyn Fn() -> Watch> {
        let (stop, began, clock) = (Arc::clone(&self.stop), Rc::clone(&self.began), self.clock);
        let timeout = timeout_seconds.map(Duration::from_secs);
        Rc::new(move || {
            if stop.load(Ordering::Relaxed) {
                Watch::Interrupt
            } else if timeout.is_some_and(|timeout| clock.now().saturating_sub(began.get()) > timeout) {
                Watch::Deadline
            } else {
                Watch::Continue
            }
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        self.bar.finish_and_clear();
        if let Some(error) = self.mugs_failed.take() {
            return Err(error);
        }
        self.mugs.as_mut().map_or(Ok(()), Write::flush)
    }

    fn tell_state(&self) {
        match self.saved {
            Some(number) => {
                eprintln!("samestep-lmdb: the state after event {number} is saved: run again to go on");
            }
            None => eprintln!(
                "samestep-lmdb: nothing is saved, as --state gives no folder or nothing was applied"
            ),
        }
    }

    /// Shows which event is under way, so that one that takes for ever can be told.
    fn show(&mut self, event: &EventAt<'_>) {
        self.shown = self.began.get();
        self.bar.set_position(event.number);
        let job = Job::cue(event.payload).ok();
        let what = job.map(|job| format!("{} {} %{}", date(&job), job.wire_text(), job.tag_text()));
        self.bar.set_message(what.unwrap_or_default());
    }
}

impl Observer for Screen {
    fn starting(&mut self, event: &EventAt<'_>) -> ControlFlow<()> {
        if self.stop.load(Ordering::Relaxed) || self.mugs_failed.is_some() {
            return ControlFlow::Break(());
        }
        self.began.set(self.clock.now());
        if !self.bar.is_hidden() && self.began.get().saturating_sub(self.shown) >= SHOW_EVERY {
            self.show(event);
        }
        ControlFlow::Continue(())
    }

    fn applied(&mut self, event: &EventAt<'_>, mug: u32) {
        self.last = event.number;
        if let Some(out) = &mut self.mugs
            && let Err(error) = writeln!(out, "{} {}", event.number, hex(mug))
        {
            self.mugs_failed = Some(error);
        }
    }

    fn booted(&mut self, count: u64, _: u32) {
        self.last = count;
    }

    fn saved(&mut self, number: u64, _: &Path) {
        self.saved = Some(number);
    }

    fn notice(&mut self, notice: &Notice<'_>) {
        self.bar.suspend(|| eprintln!("samestep-lmdb: {notice}"));
    }
}

/// The machine's clock, from when it was started.
#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "how long an event may take is real time")]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn now(self) -> Duration {
        self.0.elapsed()
    }
}

#[expect(
    clippy::disallowed_types,
    reason = "what people are shown, and how long an event may take, is real time"
)]
type Instant = std::time::Instant;

/// The exit code of a replay that ended with an error.
pub(super) fn of_play(error: &PlayError<NockMachineError>) -> Outcome {
    match error {
        PlayError::NoStart { .. } | PlayError::BehindTarget { .. } => Outcome::Usage,
        PlayError::Pier(error) => of_pier(error),
        PlayError::Log(error) => of_log(error),
        PlayError::Replay(failure) => match failure {
            ReplayFailure::TargetInBoot { .. } => Outcome::Usage,
            ReplayFailure::Snapshot(error) => of_snapshot(error),
            ReplayFailure::Event { kind: FailureKind::Unreadable, .. } | ReplayFailure::Value { .. } => {
                Outcome::Findings
            }
            _ => Outcome::Replay,
        },
        PlayError::Snapshot(error) => of_snapshot(error),
        PlayError::Rock(RockError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Outcome::Usage
        }
        PlayError::Rock(RockError::Io { .. }) | PlayError::Io { .. } => Outcome::Disk,
        PlayError::Empty | PlayError::NoLife | PlayError::Ahead { .. } | PlayError::Rock(_) => {
            Outcome::Findings
        }
    }
}

fn of_snapshot(error: &SnapshotError) -> Outcome {
    match error {
        SnapshotError::Io { .. } => Outcome::Disk,
        SnapshotError::OtherLog { .. } => Outcome::Usage,
        SnapshotError::Damaged { .. } => Outcome::Findings,
    }
}

/// The message of an error with its causes.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn hex(mug: u32) -> String {
    format!("{mug:08x}")
}

const SHOW_EVERY: Duration = Duration::from_millis(100);
/// What shells give for a process that SIGINT ended.
const STOPPED_TWICE: i32 = 130;
