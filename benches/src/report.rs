//! Tables for people, JSON for programs.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Result;
use crate::machine::Machine;
use crate::rows::{Durability, Work};
use crate::run::{EngineResult, RowResult};

pub(crate) fn print_machine(machine: &Machine, quick: bool) {
    println!("CPU:         {}, {} cores", machine.cpu, machine.cores);
    println!("Kernel:      {}", machine.kernel);
    println!("File system: {}", machine.file_system);
    println!("Compiler:    {}", machine.compiler);
    println!("Commit:      {}", machine.commit);
    if quick {
        println!("\nQuick: everything runs and is checked, at sizes too small to mean anything.");
    }
}

/// Prints the table of one row, as Markdown.
pub(crate) fn print_row(result: &RowResult, elapsed: Duration) {
    let row = &result.row;
    println!("\n### {}: {}\n", row.name, row.title);
    println!("Limit: {}. {} records, {:.0} s in all.\n", row.limit, row.records, elapsed.as_secs_f64());
    let columns = columns(row.work);
    let shown: Vec<&Column> = columns
        .iter()
        .filter(|column| result.engines.iter().any(|engine| (column.cell)(engine, result).is_some()))
        .collect();
    let titles: Vec<&str> = shown.iter().map(|column| column.title).collect();
    println!("| | {} |", titles.join(" | "));
    println!("|---|{}", "---:|".repeat(shown.len()));
    for engine in &result.engines {
        let cells: Vec<String> =
            shown.iter().map(|column| (column.cell)(engine, result).unwrap_or_default()).collect();
        println!("| {} | {} |", engine.engine.title(), cells.join(" | "));
        if let Some(failure) = &engine.failure {
            println!("| | failed: {} |", failure.replace(['|', '\n'], " "));
        }
    }
}

/// Everything, round by round.
pub(crate) fn json(machine: &Machine, results: &[RowResult]) -> Result<String> {
    let rows: Vec<Value> = results
        .iter()
        .map(|result| {
            let engines: Vec<Value> = result
                .engines
                .iter()
                .map(|engine| {
                    json!({
                        "engine": engine.engine.to_string(),
                        "rounds": engine.rounds,
                        "instructions_per_op": engine.instructions,
                        "failure": engine.failure,
                    })
                })
                .collect();
            json!({
                "row": result.row.name,
                "records": result.row.records,
                "payload_bytes": result.row.payload_bytes,
                "writers": result.row.writers,
                "segment_bytes": result.row.segment_bytes,
                "engines": engines,
            })
        })
        .collect();
    let machine = json!({
        "cpu": machine.cpu,
        "cores": machine.cores,
        "kernel": machine.kernel,
        "file_system": machine.file_system,
        "compiler": machine.compiler,
        "commit": machine.commit,
    });
    Ok(serde_json::to_string_pretty(&json!({ "machine": machine, "rows": rows }))?)
}

struct Column {
    title: &'static str,
    cell: fn(&EngineResult, &RowResult) -> Option<String>,
}

fn columns(work: Work) -> Vec<Column> {
    let per_s = Column { title: "median/s", cell: |engine, _| Some(count(median(engine, "per_s")?)) };
    let range = Column { title: "min-max/s", cell: |engine, _| spread(engine, "per_s", count) };
    let to_limit = Column { title: "to the limit", cell: |engine, row| Some(digits(ratio(engine, row)?)) };
    let p50 = Column { title: "p50 us", cell: |engine, _| Some(digits(median(engine, "p50_us")?)) };
    let p99 = Column { title: "p99 us", cell: |engine, _| Some(digits(median(engine, "p99_us")?)) };
    let cpu = Column { title: "CPU us/op", cell: |engine, _| Some(digits(median(engine, "cpu_us_per_op")?)) };
    let allocs = Column {
        title: "allocations/op",
        cell: |engine, _| Some(format!("{:.5}", median(engine, "allocs_per_op")?)),
    };
    let instructions = Column { title: "instructions/op", cell: |engine, _| engine.instructions.map(count) };
    let open = Column { title: "open ms", cell: |engine, _| Some(digits(median(engine, "open_ms")?)) };
    let open_range = Column { title: "min-max ms", cell: |engine, _| spread(engine, "open_ms", digits) };
    let rss = Column { title: "resident MiB", cell: |engine, _| Some(digits(median(engine, "rss_mib")?)) };
    let peak = Column { title: "peak MiB", cell: |engine, _| Some(digits(median(engine, "peak_rss_mib")?)) };
    let disk = Column {
        title: "disk/payload",
        cell: |engine, _| Some(format!("{:.3}", median(engine, "disk_per_payload")?)),
    };
    match work {
        Work::Append(Durability::Synced) => vec![per_s, range, to_limit, p50, p99, cpu, allocs],
        Work::Append(Durability::Unsynced) => vec![per_s, range, to_limit, cpu, instructions, allocs],
        Work::Replay => vec![per_s, range, to_limit, open, cpu, rss, peak],
        Work::Open(_) => vec![open, open_range, rss, peak, disk],
    }
}

/// Median of the ratios to the limit of the same round.
fn ratio(engine: &EngineResult, row: &RowResult) -> Option<f64> {
    let limit = &row.engines.first()?.rounds;
    let ratios = engine
        .rounds
        .iter()
        .zip(limit)
        .filter_map(|(ours, limit)| Some(ours.get("per_s")? / limit.get("per_s")?));
    middle(ratios.collect())
}

fn median(engine: &EngineResult, name: &str) -> Option<f64> {
    middle(values(&engine.rounds, name))
}

fn spread(engine: &EngineResult, name: &str, show: fn(f64) -> String) -> Option<String> {
    let mut values = values(&engine.rounds, name);
    values.sort_by(f64::total_cmp);
    Some(format!("{} to {}", show(*values.first()?), show(*values.last()?)))
}

fn values(rounds: &[BTreeMap<String, f64>], name: &str) -> Vec<f64> {
    rounds.iter().filter_map(|figures| figures.get(name).copied()).collect()
}

fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[half]),
        _ => Some(f64::midpoint(values[half - 1], values[half])),
    }
}

/// A whole number with separators.
fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Three digits that matter.
fn digits(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}
