//! Rounds of measurements, each in a process of its own, in alternating order.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::callgrind::{self, Counts};

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Whole,
    /// All of it, but no instructions.
    Times,
    /// Tiny sizes: proves that everything runs.
    Quick,
}

/// Measures all rows and prints a table for each kind of work. Peers that were not built are left out.
pub(crate) fn run(rounds: usize, extent: Extent) -> Result<()> {
    let plans: Vec<&Plan> = ROWS.iter().filter(|plan| plan.program.is_there()).collect();
    let mut taken: Vec<Vec<Taken>> = vec![Vec::new(); plans.len()];
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..plans.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for place in order {
            let plan = plans[place];
            let size = if extent == Extent::Quick { plan.sizes.0 } else { plan.size };
            taken[place].push(take(plan, size)?);
        }
    }
    for work in WORKS {
        println!("\n{}", work.header());
        for (place, plan) in plans.iter().enumerate().filter(|(_, plan)| plan.work == work) {
            let counts = if extent == Extent::Whole { Some(counts(plan)?) } else { None };
            let ratio = |base: &str| {
                let base = plans.iter().position(|other| other.row == base)?;
                let rounds = taken[place].iter().zip(&taken[base]);
                Some(median(rounds.map(|(own, base)| own.processor / base.processor).collect()))
            };
            println!(
                "{}",
                line(plan, &taken[place], work.limit().and_then(ratio), ratio(work.ours()), counts)
            );
        }
    }
    for program in [Program::Peers, Program::Madsim] {
        if !program.is_there() {
            println!("\nLeft out, as it is not built: {}", program.path().display());
        }
    }
    Ok(())
}

fn line(
    plan: &Plan,
    taken: &[Taken],
    limit: Option<f64>,
    ours: Option<f64>,
    counts: Option<Counts>,
) -> String {
    let processor = median(taken.iter().map(|taken| taken.processor).collect());
    let rate = median(taken.iter().map(|taken| 1e9 / taken.wall).collect());
    let or_dash = |value: Option<f64>, digits| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    format!(
        "| {} | {rate:.0} | {processor:.0} | {} | {} | {} | {} |",
        plan.row,
        or_dash(limit, 2),
        or_dash(ours, 2),
        or_dash(counts.map(|counts| counts.instructions), 0),
        or_dash(counts.map(|counts| counts.allocations), 4),
    )
}

/// Nanoseconds an operation.
#[derive(Clone, Copy, Debug)]
struct Taken {
    wall: f64,
    processor: f64,
}

fn take(plan: &Plan, size: u64) -> Result<Taken> {
    let output = plan.command(size).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", plan.row, String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let mut figures = text.lines().last().unwrap_or_default().split(' ');
    let mut next = || -> Result<f64> { Ok(figures.next().ok_or("no figures")?.parse()?) };
    let (operations, wall, processor) = (next()?, next()?, next()?);
    let expected = (plan.operations * size) as f64;
    if (operations - expected).abs() > 0.5 {
        return Err(format!("{}: {operations} operations, not {expected}", plan.row).into());
    }
    Ok(Taken { wall: wall / operations, processor: processor / operations })
}

fn counts(plan: &Plan) -> Result<Counts> {
    let (fewer, more) = plan.sizes;
    let counted = |size| callgrind::count(&plan.command(size), plan.row);
    let operations = ((more - fewer) * plan.operations) as f64;
    Ok(Counts::per_operation(counted(fewer)?, counted(more)?, operations))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Timers,
    Requests,
    Store,
}

impl Work {
    /// The row of what does nothing else.
    const fn limit(self) -> Option<&'static str> {
        match self {
            Self::Timers => Some("heap-timers"),
            Self::Requests => Some("heap-requests"),
            Self::Store => None,
        }
    }

    /// The row of ours with which others are compared.
    const fn ours(self) -> &'static str {
        match self {
            Self::Timers => "timers",
            Self::Requests => "checked-requests",
            Self::Store => "kv",
        }
    }

    fn header(self) -> String {
        let name = match self {
            Self::Timers => "timer",
            Self::Requests => "request",
            Self::Store => "seed",
        };
        format!(
            "| row | {name}s/s | processor ns/{name} | times the heap's | times ours | instructions/{name} | \
             allocations/{name} |\n|---|---:|---:|---:|---:|---:|---:|"
        )
    }
}

const WORKS: [Work; 3] = [Work::Timers, Work::Requests, Work::Store];

/// How a row is measured.
struct Plan {
    row: &'static str,
    program: Program,
    work: Work,
    size: u64,
    /// For instructions, and the first for `--quick`.
    sizes: (u64, u64),
    /// Operations of a size of 1.
    operations: u64,
}

impl Plan {
    const fn timers(row: &'static str, program: Program) -> Self {
        Self { row, program, work: Work::Timers, size: 1000, sizes: (20, 120), operations: 1000 }
    }

    const fn requests(row: &'static str, program: Program) -> Self {
        Self { row, program, work: Work::Requests, size: 25_000, sizes: (500, 2500), operations: 4 }
    }

    const fn store(row: &'static str, program: Program) -> Self {
        Self { row, program, work: Work::Store, size: 60, sizes: (2, 6), operations: 1 }
    }

    fn command(&self, size: u64) -> Command {
        let mut command = Command::new(self.program.path());
        if self.program == Program::Own {
            command.arg("one");
        }
        command.arg(self.row).arg(size.to_string());
        command
    }
}

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    /// This program.
    Own,
    /// That in `peers`.
    Peers,
    /// That in `madsim`.
    Madsim,
}

impl Program {
    fn path(self) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        match self {
            Self::Own => std::env::current_exe().unwrap_or_default(),
            Self::Peers => folder.join("peers/target/release/samestep-sim-peers"),
            Self::Madsim => folder.join("madsim/target/release/samestep-sim-madsim"),
        }
    }

    fn is_there(self) -> bool {
        self.path().exists()
    }
}

const ROWS: [Plan; 19] = [
    Plan { size: 4000, ..Plan::timers("heap-timers", Program::Own) },
    Plan::timers("timers", Program::Own),
    Plan::timers("madsim-timers", Program::Madsim),
    Plan::timers("moonpool-timers", Program::Peers),
    Plan::timers("turmoil-timers", Program::Peers),
    Plan { size: 250_000, ..Plan::requests("heap-requests", Program::Own) },
    Plan::requests("requests", Program::Own),
    Plan::requests("checked-requests", Program::Own),
    Plan::requests("faulty-requests", Program::Own),
    Plan::requests("madsim-requests", Program::Madsim),
    Plan::requests("moonpool-requests", Program::Peers),
    // Of two clients, and a run of its builder ends at some time: it fails with 10,000 requests each.
    Plan { operations: 2, size: 5000, ..Plan::requests("moonpool-built-requests", Program::Peers) },
    Plan::requests("turmoil-requests", Program::Peers),
    // Slow, as its default latencies are many of its steps.
    Plan { size: 1000, sizes: (20, 60), ..Plan::requests("turmoil-default-requests", Program::Peers) },
    Plan::store("kv", Program::Own),
    Plan::store("faulty-kv", Program::Own),
    Plan::store("madsim-kv", Program::Madsim),
    Plan::store("moonpool-kv", Program::Peers),
    // Each of seven hosts in each millisecond of nine simulated seconds.
    Plan { size: 10, sizes: (1, 2), ..Plan::store("turmoil-kv", Program::Peers) },
];
