//! Draws new seeds without end for the lanes that do something else with each, and keeps those that fail.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a command: it runs for a time, on threads, with seeds that nobody chose"
)]

mod count;
mod seeds;

use std::error::Error;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use samestep_replay_traits::{Lane, Seed, Seeding};

use crate::check::{Shown, here, machine_of, required_skips};
use crate::lock_file::workspace_root;
use crate::process::{Print, Spawner};
use crate::progress::print;
use crate::record::{LaneRecord, Part};
use crate::report::{LaneReport, Setting};
use crate::soak::count::Count;
use crate::soak::seeds::{SEEDS_FILE_NAME, SeedsFile};
use crate::suite::Suite;
use crate::tally::{Locked, Outcome, Skips, Tally, Verdict};
use crate::variation::Variation;
use crate::worker::cpu_count;

/// For how long, and what.
#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    /// How long to draw new seeds: 90s, 30m, 2h. The saved ones run first, and all of them
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    time: Duration,
    /// Only this lane, or, if NAME ends in `/`, all lanes that begin with it. May be repeated
    #[arg(long = "lane", value_name = "NAME")]
    lanes: Vec<String>,
    /// Where the drawn seeds come from [default: the time of day]
    #[arg(long, value_name = "N")]
    seed: Option<Seed>,
    /// How many processes run side by side [default: the number of CPUs]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Seconds after which a run counts as hung and is killed
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = crate::cli::parse_seconds)]
    timeout: Duration,
    /// The file of saved seeds [default: determinism.seeds, in the workspace]
    #[arg(long, value_name = "PATH")]
    seeds: Option<PathBuf>,
}

/// Runs the saved seeds, and then new ones until the time is over. Each seed runs twice, in surroundings that differ.
pub(crate) fn soak(suite: &Suite<'_>, args: &SoakArgs) -> Result<Shown, Box<dyn Error>> {
    let mut lanes = suite.select(&args.lanes)?;
    lanes.retain(|lane| lane.seeding() == Seeding::Random);
    if lanes.is_empty() {
        return Err(NoRandomLane.into());
    }
    let here = here()?;
    let path = args.seeds.clone().unwrap_or_else(|| workspace_root(&here).join(SEEDS_FILE_NAME));
    let seeds = SeedsFile::open(path)?;
    let base = args.seed.unwrap_or_else(seed_of_today);
    let job_count = args.jobs.map_or_else(crate::check::available_jobs, usize::from);
    let mut saved = Vec::new();
    for (name, seed) in seeds.seeds() {
        match lanes.iter().find(|lane| lane.name() == name) {
            Some(lane) => saved.push((*lane, *seed)),
            None if args.lanes.is_empty() => {
                print(&format!("note: {name} {seed} is saved, and {name} draws nothing\n"));
            }
            None => {}
        }
    }
    print(&format!(
        "{} lanes, {} saved seeds; new seeds come from --seed {base}\n",
        lanes.len(),
        saved.len()
    ));
    let soak = Soak {
        draws: Draws { lanes, base, saved, time: args.time },
        spawner: Spawner::new(args.timeout, Print::Kept)?,
        cpu_count: cpu_count(),
        skips: required_skips()?,
        setting: setting(job_count),
        started: Instant::now(),
        shared: Mutex::new(Shared {
            next: 0,
            count: Count::default(),
            seeds,
            error: None,
            line: Line::new(),
        }),
    };
    thread::scope(|scope| {
        for _ in 0..job_count {
            scope.spawn(|| soak.work());
        }
    });
    let shared = soak.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = shared.error {
        return Err(error);
    }
    shared.line.finish();
    print(&format!("{}\n", shared.count.render(soak.started.elapsed(), None)));
    Ok(if shared.count.has_held() { Shown::Same } else { Shown::NotSame })
}

/// The seeds to run, one after the other.
struct Draws<'a> {
    lanes: Vec<&'a dyn Lane>,
    base: Seed,
    saved: Vec<(&'a dyn Lane, Seed)>,
    time: Duration,
}

impl<'a> Draws<'a> {
    /// The seed with this number, or `None` if the time for drawing is over.
    fn draw(&self, number: usize, elapsed: Duration) -> Option<(&'a dyn Lane, Seed)> {
        if let Some(saved) = self.saved.get(number) {
            return Some(*saved);
        }
        let lane = self.lanes[number % self.lanes.len()];
        let fork = format!("{} {number}", lane.name());
        (elapsed < self.time).then(|| (lane, self.base.fork(&fork)))
    }
}

struct Soak<'a> {
    draws: Draws<'a>,
    spawner: Spawner,
    cpu_count: usize,
    skips: Skips,
    setting: Setting,
    started: Instant,
    shared: Mutex<Shared>,
}

struct Shared {
    next: usize,
    count: Count,
    seeds: SeedsFile,
    error: Option<Box<dyn Error + Send + Sync>>,
    line: Line,
}

impl Soak<'_> {
    fn work(&self) {
        loop {
            let (number, drawn) = {
                let mut shared = self.lock();
                let number = shared.next;
                shared.next += 1;
                let drawn = self.draws.draw(number, self.started.elapsed());
                (number, drawn.filter(|_| shared.error.is_none()))
            };
            let Some((lane, seed)) = drawn else { return };
            if let Err(error) = self.run(lane, seed, number) {
                self.lock().error.get_or_insert(error);
            }
        }
    }

    fn run(&self, lane: &dyn Lane, seed: Seed, number: usize) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut tally = Tally::new(lane.expectation());
        let mut text = String::new();
        let first = u32::try_from(number % VARIATIONS).expect("it is small");
        for variation in [first, first + 1] {
            let started = Instant::now();
            let outcome = self.spawner.run(lane.name(), seed, &Variation::draw(variation, self.cpu_count))?;
            if let Outcome::Transcript(written) = &outcome {
                text.clone_from(written);
            }
            tally.handle_run(variation, outcome, started.elapsed());
            if tally.is_settled() {
                break;
            }
        }
        let about = lane.about().to_owned();
        let record =
            LaneRecord { name: lane.name().to_owned(), about, seed, locked: Locked::Blessing, tally };
        let verdict = record.judge(self.skips);
        let mut shared = self.lock();
        let shared = &mut *shared;
        shared.count.handle_seed(lane.name(), &verdict, &text);
        if matches!(verdict, Verdict::Failed(_)) {
            let report = LaneReport::new(&record, verdict, Vec::new());
            shared.line.print(&report.render(&self.setting));
            if shared.seeds.save(lane.name(), seed)? {
                shared.line.print(&format!(
                    "  saved:  {} {seed} in {}\n",
                    lane.name(),
                    shared.seeds.path().display()
                ));
            }
        }
        let elapsed = self.started.elapsed();
        shared.line.show(|| shared.count.render(elapsed, Some(self.draws.time.saturating_sub(elapsed))));
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line that is always the latest; a new one now and then where there is no terminal.
enum Line {
    Terminal(ProgressBar),
    Plain { last: Instant },
}

impl Line {
    fn new() -> Self {
        if !io::stderr().is_terminal() || std::env::var_os("CI").is_some() {
            return Self::Plain { last: Instant::now() };
        }
        let style =
            ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is well-formed");
        Self::Terminal(ProgressBar::new_spinner().with_style(style))
    }

    fn show(&mut self, text: impl FnOnce() -> String) {
        match self {
            Self::Terminal(bar) => {
                bar.set_message(text());
                bar.tick();
            }
            Self::Plain { last } if last.elapsed() >= LINE_EVERY => {
                *last = Instant::now();
                eprintln!("{}", text());
            }
            Self::Plain { .. } => {}
        }
    }

    fn print(&self, text: &str) {
        match self {
            Self::Terminal(bar) => bar.suspend(|| print(text)),
            Self::Plain { .. } => print(text),
        }
    }

    fn finish(&self) {
        if let Self::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn setting(job_count: usize) -> Setting {
    Setting::new(&[Part {
        machine: machine_of(cpu_count(), job_count),
        command: crate::check::command(),
        lock_path: PathBuf::new(),
        first: 0,
        end: 0,
        wall_ns: 0,
    }])
}

fn seed_of_today() -> Seed {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Seed::new(now.as_secs())
}

/// A number and its unit: `90s`, `30m`, `2h`.
fn parse_time(text: &str) -> Result<Duration, String> {
    let unit = text.chars().last().and_then(|unit| UNITS.iter().find(|(name, _)| *name == unit));
    let (_, seconds) = unit.ok_or("expected a number and s, m or h, like 30m")?;
    let number: u64 =
        text[..text.len() - 1].parse().map_err(|_| "expected a whole number before the unit")?;
    let whole = number.checked_mul(*seconds).ok_or("nobody waits that long")?;
    Ok(Duration::from_secs(whole))
}

/// No lane draws from its seed.
#[derive(Debug, thiserror::Error)]
#[error("no chosen lane says that another seed is another workload: see `Lane::seeding`")]
struct NoRandomLane;

const UNITS: [(char, u64); 3] = [('s', 1), ('m', 60), ('h', 3600)];
const LINE_EVERY: Duration = Duration::from_secs(10);
/// As many as a whole check has, so that what is printed as the way to repeat a run is short.
const VARIATIONS: usize = 100;

#[cfg(test)]
mod tests {
    use super::parse_time;

    #[test]
    fn times_have_a_unit() {
        let seconds = |text: &str| parse_time(text).map(|time| time.as_secs()).ok();
        assert_eq!([seconds("90s"), seconds("30m"), seconds("2h")], [Some(90), Some(1800), Some(7200)]);
        for text in
            ["", "h", "2", "2d", "-1s", "1.5h", "\u{20ac}", "99999999999999999999h", "5124095576030432h"]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
