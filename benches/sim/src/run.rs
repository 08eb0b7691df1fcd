//! Rounds of measurements, each in a process of its own, in alternating order.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;

/// Measures all rows and prints a line for each. Peers that were not built are left out.
pub(crate) fn run(rounds: usize, quick: bool, counts: bool) -> Result<()> {
    let plans: Vec<&Plan> = ROWS.iter().filter(|plan| plan.program.is_there()).collect();
    let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); plans.len()];
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..plans.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for place in order {
            let plan = plans[place];
            let size = if quick { plan.sizes.0 } else { plan.size };
            seconds[place].push(measure(plan, size)?);
        }
    }
    println!("| row | operations/s, median | x of its limit | instructions |");
    println!("|---|---:|---:|---:|");
    for (place, plan) in plans.iter().enumerate() {
        let limit = plans.iter().position(|other| other.row == plan.limit).unwrap_or(place);
        let ratios = seconds[place].iter().zip(&seconds[limit]).map(|(own, limit)| own / limit).collect();
        let instructions = if counts { format!("{:.0}", instructions(plan)?) } else { "-".to_owned() };
        println!(
            "| {} | {:.0} | {:.2} | {instructions} |",
            plan.row,
            1.0 / median(seconds[place].clone()),
            median(ratios)
        );
    }
    for program in [Program::Peers, Program::Madsim] {
        if !program.is_there() {
            println!("Left out, as it is not built: {}", program.path().display());
        }
    }
    Ok(())
}

/// Seconds an operation.
fn measure(plan: &Plan, size: u64) -> Result<f64> {
    let mut command = Command::new(plan.program.path());
    let output = command.args(plan.arguments(size)).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", plan.row, String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let figures = text.lines().last().and_then(|line| line.split_once(' ')).ok_or("no figures")?;
    let (operations, nanos): (f64, f64) = (figures.0.parse()?, figures.1.parse()?);
    Ok(nanos / operations / 1e9)
}

/// Instructions in user space an operation.
fn instructions(plan: &Plan) -> Result<f64> {
    let (few, many) = (total(plan, plan.sizes.0)?, total(plan, plan.sizes.1)?);
    Ok((many - few) / ((plan.sizes.1 - plan.sizes.0) * plan.operations) as f64)
}

fn total(plan: &Plan, size: u64) -> Result<f64> {
    let out = std::env::temp_dir().join(format!("callgrind.{}.{}", std::process::id(), plan.row));
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    valgrind.arg(plan.program.path()).args(plan.arguments(size));
    let output = valgrind.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("valgrind: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let profile = fs::read_to_string(&out)?;
    fs::remove_file(&out)?;
    let totals = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(totals.ok_or("callgrind wrote no totals")?.trim().parse()?)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How a row is measured.
struct Plan {
    row: &'static str,
    program: Program,
    limit: &'static str,
    size: u64,
    /// For instructions, and the first for `--quick`.
    sizes: (u64, u64),
    /// Operations of a size of 1.
    operations: u64,
}

impl Plan {
    const fn timers(row: &'static str, program: Program) -> Self {
        Self { row, program, limit: "heap-timers", size: 1000, sizes: (20, 120), operations: 1000 }
    }

    const fn requests(row: &'static str, program: Program) -> Self {
        Self { row, program, limit: "heap-requests", size: 25_000, sizes: (500, 2500), operations: 4 }
    }

    fn arguments(&self, size: u64) -> Vec<String> {
        let own = if self.program == Program::Own { vec!["one".to_owned()] } else { Vec::new() };
        own.into_iter().chain([self.row.to_owned(), size.to_string()]).collect()
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

const ROWS: [Plan; 14] = [
    Plan::timers("heap-timers", Program::Own),
    Plan::timers("timers", Program::Own),
    Plan::timers("madsim-timers", Program::Madsim),
    Plan::timers("moonpool-timers", Program::Peers),
    Plan::timers("turmoil-timers", Program::Peers),
    Plan::requests("heap-requests", Program::Own),
    Plan::requests("requests", Program::Own),
    Plan::requests("checked-requests", Program::Own),
    Plan::requests("faulty-requests", Program::Own),
    Plan::requests("madsim-requests", Program::Madsim),
    Plan::requests("moonpool-requests", Program::Peers),
    // Of two clients.
    Plan { operations: 2, ..Plan::requests("moonpool-built-requests", Program::Peers) },
    Plan::requests("turmoil-requests", Program::Peers),
    Plan { row: "kv", program: Program::Own, limit: "kv", size: 100, sizes: (2, 12), operations: 1 },
];
