//! The whole check: chooses the lanes, has them run, judges them, reports, and blesses.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a command: it reads its environment"
)]

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use samestep_replay_traits::Seed;

use crate::cli::{MergeArgs, RunArgs, ShowArgs};
use crate::drive::{Observer, Plan, drive};
use crate::lock::Lock;
use crate::lock_file::{LockFile, workspace_root};
use crate::merge;
use crate::process::{Print, Spawner};
use crate::progress::{Progress, print};
use crate::record::{FORMAT, LaneRecord, Machine, Part, Record};
use crate::report::{Judged, LaneReport, ReportFile, Setting, kept_path, layout_note};
use crate::suite::{Suite, add_canary};
use crate::tally::{Finding, Locked, Outcome, Skips, Tally, Verdict};
use crate::variation::Variation;
use crate::worker::cpu_count;

/// What the check has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Each lane does the same each time.
    Same,
    /// Some lane does not, or nothing was shown.
    NotSame,
}

/// Runs lanes and compares their transcripts.
pub(crate) fn check(suite: &Suite<'_>, args: &RunArgs) -> Result<Shown, Box<dyn Error>> {
    let started = Instant::now();
    let mut lanes = suite.select(&args.lanes)?;
    if args.variations.is_empty() {
        add_canary(&mut lanes);
    }
    let skips = required_skips()?;
    let here = std::env::current_dir()?;
    let lock_file = LockFile::open(args.lock.as_deref(), &here)?;
    let spawner = Spawner::new(args.timeout, Print::Kept)?;
    let spawner = match &args.worker {
        Some(worker) => spawner.with_worker(worker),
        None => spawner,
    };
    let iterations = match args.shard {
        Some(shard) => shard.iterations(args.iterations)?,
        None => 0..args.iterations,
    };
    let variations =
        if args.variations.is_empty() { iterations.clone().collect() } else { args.variations.clone() };
    let plan = Plan {
        lanes: lanes.iter().map(|lane| (*lane, seed_of(args.seed, &lock_file, lane.name()))).collect(),
        job_count: args.jobs.map_or_else(available_jobs, usize::from),
        variations,
        cpu_count: cpu_count(),
    };

    print_notes(&lock_file, suite, args);
    let part = Part {
        machine: machine_of(plan.cpu_count, plan.job_count),
        command: command(),
        lock_path: lock_file.path().to_owned(),
        first: iterations.start,
        end: iterations.end,
        wall_ns: 0,
    };
    let mut judge = Judge {
        plan: &plan,
        lock_file: &lock_file,
        setting: Setting::new(std::slice::from_ref(&part)),
        keep: args.keep.clone().unwrap_or_else(|| workspace_root(&here).join(KEEP_FOLDER)),
        skips,
        blessed: args.bless.then(|| lock_file.lock().cloned().unwrap_or_default()),
        lanes: Vec::new(),
        progress: Progress::new(plan.lanes.len(), plan.lanes.len() * plan.variations.len()),
    };
    drive(&plan, &spawner, &mut judge)?;
    judge.progress.finish();

    let Judge { lanes, blessed, setting, .. } = judge;
    let (lanes, reports) = in_order_of_names(lanes);
    let mut repeated = args.variations.clone();
    repeated.sort_unstable();
    let wall_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let record = Record {
        format: FORMAT.to_owned(),
        iterations: args.iterations,
        repeated,
        shard: args.shard,
        skips,
        parts: vec![Part { wall_ns, ..part }],
        lanes,
    };
    let shown = conclude(&Judged::new(&record, setting, reports), &args.reports)?;
    if let Some(lock) = blessed {
        bless(&lock_file, &lock, shown)?;
    }
    Ok(shown)
}

/// Joins the reports of shards, and says of the whole what a check would have said.
pub(crate) fn merge(args: &MergeArgs) -> Result<Shown, Box<dyn Error>> {
    let parts = args.files.iter().map(|path| merge::read(path)).collect::<Result<Vec<_>, _>>()?;
    let record = merge::merge(parts)?;
    let setting = Setting::new(&record.parts);
    let folder = match &args.keep {
        Some(folder) => folder.clone(),
        None => workspace_root(&std::env::current_dir()?).join(KEEP_FOLDER),
    };
    let report = |lane: &LaneRecord| {
        let verdict = lane.judge(record.skips);
        let kept = keep(&folder, &lane.name, &verdict)?;
        let report = LaneReport::new(lane, verdict, kept);
        print(&report.render(&setting));
        Ok(report)
    };
    let lanes = record.lanes.iter().map(report).collect::<io::Result<Vec<_>>>()?;
    conclude(&Judged::new(&record, setting, lanes), &args.reports)
}

/// Says what the lanes amount to, and writes the reports that were asked for.
fn conclude(judged: &Judged<'_>, files: &[ReportFile]) -> Result<Shown, Box<dyn Error>> {
    let choice = judged.record.choice();
    print(&judged.render_end());
    for file in files {
        file.write(judged)?;
        print(&format!("wrote {}\n", file.path().display()));
    }
    Ok(if judged.summary.has_held(choice) { Shown::Same } else { Shown::NotSame })
}

/// Runs one lane once and prints its transcript.
pub(crate) fn show(suite: &Suite<'_>, args: &ShowArgs) -> Result<Shown, Box<dyn Error>> {
    let lane = suite.find(&args.lane)?;
    let lock_file = LockFile::open(args.lock.as_deref(), &std::env::current_dir()?)?;
    let seed = seed_of(args.seed, &lock_file, lane.name());
    let spawner = Spawner::new(args.timeout, Print::Shown)?;
    match spawner.run(lane.name(), seed, &Variation::draw(args.variation, cpu_count()))? {
        Outcome::Transcript(text) => {
            print(&text);
            Ok(Shown::Same)
        }
        Outcome::Skipped { reason } => {
            eprintln!("{} was skipped: {reason}", args.lane);
            Ok(Shown::NotSame)
        }
        Outcome::Failed(failure) => {
            eprintln!("{}: {}", args.lane, failure.what);
            Ok(Shown::NotSame)
        }
    }
}

/// Lists the lanes.
pub(crate) fn list(suite: &Suite<'_>, args: &RunArgs) -> Result<Shown, Box<dyn Error>> {
    let lanes = suite.select(&args.lanes)?;
    let width = lanes.iter().map(|lane| lane.name().len()).max().unwrap_or_default();
    for lane in lanes {
        print(&format!("{:<width$}  {}\n", lane.name(), lane.about()));
    }
    Ok(Shown::Same)
}

/// Judges each lane as it finishes, reports it, and keeps what somebody will want to see.
struct Judge<'a> {
    plan: &'a Plan<'a>,
    lock_file: &'a LockFile,
    setting: Setting,
    keep: PathBuf,
    skips: Skips,
    /// The lock to be written, if there is to be one.
    blessed: Option<Lock>,
    /// What is finished, in the order in which it was.
    lanes: Vec<(LaneRecord, LaneReport)>,
    progress: Progress,
}

impl Observer for Judge<'_> {
    fn handle_progress(&mut self, ended_count: usize, total_count: usize) {
        self.progress.handle_progress(ended_count, total_count);
    }

    fn handle_lane(&mut self, lane: usize, tally: Tally) -> io::Result<()> {
        let (lane, seed) = self.plan.lanes[lane];
        let name = lane.name().to_owned();
        let locked = match (&self.blessed, self.lock_file.lock().and_then(|lock| lock.entry(&name))) {
            (Some(_), _) => Locked::Blessing,
            (None, Some(entry)) => Locked::Entry(entry),
            (None, None) => Locked::Absent,
        };
        let lane = LaneRecord { name, about: lane.about().to_owned(), seed, locked, tally };
        let verdict = lane.judge(self.skips);
        if let (Some(lock), Verdict::Held { entry, .. }) = (&mut self.blessed, &verdict) {
            lock.insert(&lane.name, *entry);
        }
        let kept = keep(&self.keep, &lane.name, &verdict)?;
        let report = LaneReport::new(&lane, verdict, kept);
        self.progress.print(&report.render(&self.setting));
        self.lanes.push((lane, report));
        Ok(())
    }
}

fn in_order_of_names(mut lanes: Vec<(LaneRecord, LaneReport)>) -> (Vec<LaneRecord>, Vec<LaneReport>) {
    lanes.sort_by(|(left, _), (right, _)| left.name.cmp(&right.name));
    lanes.into_iter().unzip()
}

/// As many workers as there are CPUs.
pub(crate) fn available_jobs() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// This machine.
pub(crate) fn machine_of(cpu_count: usize, job_count: usize) -> Machine {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    Machine { name, system, cpu_count, job_count }
}

/// The current folder.
pub(crate) fn here() -> io::Result<PathBuf> {
    std::env::current_dir()
}

/// Writes the new lock file, unless something is wrong: what is signed off must have held.
fn bless(lock_file: &LockFile, lock: &Lock, shown: Shown) -> Result<(), Box<dyn Error>> {
    let path = lock_file.path().display();
    if shown == Shown::NotSame {
        print(&format!("{path} was NOT written: bless only what has held\n"));
    } else if lock_file.lock() == Some(lock) {
        print(&format!("{path} is as it was\n"));
    } else {
        lock_file.replace(lock)?;
        print(&format!("wrote {path}: read the difference, and commit it with its reason\n"));
    }
    Ok(())
}

/// Keeps the transcripts and the output that a verdict speaks of, and says where.
fn keep(folder: &Path, lane: &str, verdict: &Verdict) -> io::Result<Vec<PathBuf>> {
    let files: Vec<(u32, &str, &str)> = match verdict {
        Verdict::Failed(Finding::Diverged(found)) => {
            let [first, second] = [&found.first, &found.second];
            [first, second].map(|group| (group.variation, "transcript", group.text.as_str())).to_vec()
        }
        Verdict::Failed(Finding::NotAsLocked { group, .. }) => {
            vec![(group.variation, "transcript", group.text.as_str())]
        }
        Verdict::Failed(Finding::Run { variation, failure }) => {
            vec![(*variation, "output", failure.output_tail.as_str())]
        }
        _ => Vec::new(),
    };
    let keep_one = |(variation, what, text): (u32, &str, &str)| {
        let path = kept_path(folder, lane, variation, what);
        fs::create_dir_all(path.parent().expect("it stands in a folder"))?;
        fs::write(&path, text)?;
        Ok(path)
    };
    files.into_iter().map(keep_one).collect()
}

/// Says what the reader should know before the results.
fn print_notes(lock_file: &LockFile, suite: &Suite<'_>, args: &RunArgs) {
    let read = |path: &str| fs::read_to_string(path).ok();
    let layout = layout_note(
        read("/proc/sys/kernel/randomize_va_space").as_deref(),
        read("/proc/self/personality").as_deref(),
    );
    if let Some(note) = layout {
        eprintln!("{note}");
    }
    let path = lock_file.path().display();
    match lock_file.lock() {
        None if !args.bless => {
            eprintln!("note: there is no {path}: `--bless` writes it, once all lanes hold");
        }
        None => {}
        Some(lock) => {
            let is_lane = |name: &str| suite.lanes().iter().any(|lane| lane.name() == name);
            for name in lock.names().filter(|name| !is_lane(name)) {
                eprintln!(
                    "note: {path} has a line for {name}, which is no lane here: remove it if it is stale"
                );
            }
        }
    }
}

fn seed_of(asked: Option<Seed>, lock_file: &LockFile, lane: &str) -> Seed {
    let locked = || Some(lock_file.lock()?.entry(lane)?.seed);
    asked.or_else(locked).unwrap_or(SEED_DEFAULT)
}

/// The command that runs these lanes, as somebody would type it.
pub(crate) fn command() -> String {
    let program = || std::env::args().next().unwrap_or_else(|| "lanes".to_owned());
    std::env::var("SAMESTEP_COMMAND").unwrap_or_else(|_| program())
}

/// What the environment says about lanes that cannot run here.
pub(crate) fn required_skips() -> Result<Skips, UnknownRequire> {
    match std::env::var("SAMESTEP_REQUIRE").unwrap_or_default().as_str() {
        "" => Ok(Skips::Allowed),
        "all" => Ok(Skips::Refused),
        other => Err(UnknownRequire(other.to_owned())),
    }
}

/// `SAMESTEP_REQUIRE` has a value that says nothing.
#[derive(Debug, thiserror::Error)]
#[error("SAMESTEP_REQUIRE is {0:?}: expected `all`, or nothing")]
pub(crate) struct UnknownRequire(String);

const SEED_DEFAULT: Seed = Seed::new(1);
const KEEP_FOLDER: &str = "target/determinism";
