//! Rounds of measurements, each in a process of its own, in alternating order.

use std::fs;
use std::process::{Command, Stdio};

use clap::ValueEnum;

use crate::{Result, Row};

/// Measures all rows and prints a line for each.
pub(crate) fn run(rounds: usize, quick: bool, counts: bool) -> Result<()> {
    let mut seconds: Vec<Vec<f64>> = vec![Vec::new(); ROWS.len()];
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..ROWS.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for place in order {
            let plan = &ROWS[place];
            let size = if quick { plan.sizes.0 } else { plan.size };
            seconds[place].push(measure(plan.row, size)?);
        }
    }
    println!("| row | operations/s, median | x of its limit | instructions |");
    println!("|---|---:|---:|---:|");
    for (place, plan) in ROWS.iter().enumerate() {
        let limit = ROWS.iter().position(|other| other.row == plan.limit).unwrap_or(place);
        let ratios = seconds[place].iter().zip(&seconds[limit]).map(|(own, limit)| own / limit).collect();
        let instructions = if counts { format!("{:.0}", instructions(plan)?) } else { "-".to_owned() };
        let name = name(plan.row);
        println!(
            "| {name} | {:.0} | {:.2} | {instructions} |",
            1.0 / median(seconds[place].clone()),
            median(ratios)
        );
    }
    Ok(())
}

/// Seconds an operation.
fn measure(row: Row, size: u64) -> Result<f64> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(["one", &name(row), &size.to_string()]).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("{}: {}", name(row), String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let figures = text.lines().last().and_then(|line| line.split_once(' ')).ok_or("no figures")?;
    let (operations, nanos): (f64, f64) = (figures.0.parse()?, figures.1.parse()?);
    Ok(nanos / operations / 1e9)
}

/// Instructions in user space an operation.
fn instructions(plan: &Plan) -> Result<f64> {
    let (few, many) = (total(plan.row, plan.sizes.0)?, total(plan.row, plan.sizes.1)?);
    Ok((many - few) / ((plan.sizes.1 - plan.sizes.0) * plan.operations) as f64)
}

fn total(row: Row, size: u64) -> Result<f64> {
    let out = std::env::temp_dir().join(format!("callgrind.{}.{}", std::process::id(), name(row)));
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    valgrind.arg(std::env::current_exe()?).args(["one", &name(row), &size.to_string()]);
    let output = valgrind.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("valgrind: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let profile = fs::read_to_string(&out)?;
    fs::remove_file(&out)?;
    let totals = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(totals.ok_or("callgrind wrote no totals")?.trim().parse()?)
}

fn name(row: Row) -> String {
    row.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How a row is measured.
struct Plan {
    row: Row,
    limit: Row,
    size: u64,
    /// For instructions, and the first for `--quick`.
    sizes: (u64, u64),
    /// Operations of a size of 1.
    operations: u64,
}

const ROWS: [Plan; 7] = [
    Plan { row: Row::HeapTimers, limit: Row::HeapTimers, size: 1000, sizes: (20, 120), operations: 1000 },
    Plan { row: Row::Timers, limit: Row::HeapTimers, size: 1000, sizes: (20, 120), operations: 1000 },
    Plan {
        row: Row::HeapRequests,
        limit: Row::HeapRequests,
        size: 25_000,
        sizes: (500, 2500),
        operations: 4,
    },
    Plan { row: Row::Requests, limit: Row::HeapRequests, size: 25_000, sizes: (500, 2500), operations: 4 },
    Plan {
        row: Row::CheckedRequests,
        limit: Row::HeapRequests,
        size: 25_000,
        sizes: (500, 2500),
        operations: 4,
    },
    Plan {
        row: Row::FaultyRequests,
        limit: Row::HeapRequests,
        size: 25_000,
        sizes: (500, 2500),
        operations: 4,
    },
    Plan { row: Row::Kv, limit: Row::Kv, size: 100, sizes: (2, 12), operations: 1 },
];
