//! Rounds of measurements, each in a process of its own, in alternating order.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::Args;

use crate::figures::Figures;
use crate::report::{self, Measured};
use crate::rows::{ALL, ROWS, Row, Who};
use crate::{Result, counts, files, machine, one};

/// What is to be run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only this row; may be given often.
    #[arg(long = "row", value_parser = crate::row_named)]
    rows: Vec<&'static Row>,
    /// Only this peer, beside the limit; may be given often.
    #[arg(long = "peer", value_parser = crate::who_named)]
    peers: Vec<Who>,
    /// Rounds. Figures are medians over them.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Tiny sizes, one round: proves that everything runs. The figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Count no instructions and no system calls, for which valgrind and strace are needed.
    #[arg(long)]
    no_counts: bool,
    /// Where files are made: on the disk that is to be measured.
    #[arg(long, default_value = "target/files")]
    folder: PathBuf,
}

/// Measures, and prints a table for each row. What is not there is left out, and said.
pub(crate) fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    std::fs::create_dir_all(&options.folder)?;
    let folder = options.folder.canonicalize()?;
    let rows: Vec<&Row> = if options.rows.is_empty() { ROWS.iter().collect() } else { options.rows.clone() };
    let mut skipped = Vec::new();
    let everybody = present(options, &mut skipped);
    let may_count = |tool: &str| !options.quick && !options.no_counts && machine::has(tool);
    let (has_valgrind, has_strace) = (may_count("valgrind"), may_count("strace"));
    let blocks = if options.quick { BLOCKS_QUICK } else { BLOCKS };
    files::prepare(&folder.join(one::DATA), blocks)?;
    machine::print();
    let rounds = if options.quick { 1 } else { options.rounds.max(1) };
    let mut results = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let progress = |what: &str| {
            if std::io::stderr().is_terminal() {
                let seconds = started.elapsed().as_secs();
                eprint!("\r\x1b[2K[{}/{}] {}: {what}, {seconds} s", number + 1, rows.len(), row.name);
            }
        };
        let row_started = Instant::now();
        let mut measured: Vec<Measured> = everybody
            .iter()
            .filter(|who| row.work.is_done_by(**who))
            .map(|who| Measured::new(*who))
            .collect();
        let command = |who: Who, size: u64| one_command(row, who, size, &folder, blocks);
        let size = if options.quick { row.size.1 } else { row.size.0 };
        for round in 0..rounds {
            let mut order: Vec<usize> = (0..measured.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for place in order {
                let who = measured[place].who;
                progress(&format!("round {} of {rounds}, {who}", round + 1));
                measured[place].rounds.push(take(command(who, size), row, who)?);
            }
        }
        if let Some((fewer, more)) = row.counted {
            for measured in measured.iter_mut().filter(|measured| measured.who != Who::Fio) {
                let who = measured.who;
                let operations = (more - fewer) as f64 * row.work.operations();
                let count = |counted: fn(&Command) -> Result<f64>| -> Result<f64> {
                    progress(&format!("counting, {who}"));
                    Ok((counted(&command(who, more))? - counted(&command(who, fewer))?) / operations)
                };
                if has_valgrind {
                    measured.instructions = Some(count(counts::instructions));
                }
                if has_strace && !row.work.has_client() {
                    measured.calls = Some(count(counts::system_calls));
                }
            }
        }
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[2K");
        }
        report::print_row(row, &measured, row_started.elapsed());
        results.push((*row, measured));
    }
    report::print_summary(&results);
    for reason in skipped {
        println!("\nSkipped: {reason}");
    }
    if options.quick {
        println!("\nQuick: all of this runs and is checked, at sizes too small to mean anything.");
    }
    Ok(())
}

/// Who was asked for and is there.
fn present(options: &Options, skipped: &mut Vec<String>) -> Vec<Who> {
    let is_asked = |who: Who| options.peers.is_empty() || options.peers.contains(&who) || who == Who::Limit;
    let ring = machine::ring();
    let has_fio = machine::has("fio");
    ALL.iter()
        .copied()
        .filter(|who| is_asked(*who))
        .filter(|who| match &ring {
            Err(reason) if who.needs_ring() => {
                skipped.push(format!("{who}, as {reason}"));
                false
            }
            _ if *who == Who::Fio && !has_fio => {
                skipped.push("fio, which is not installed".to_owned());
                false
            }
            _ => true,
        })
        .collect()
}

fn take(mut command: Command, row: &Row, who: Who) -> Result<Figures> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} of {who}: {}", row.name, said.trim()).into());
    }
    Figures::read(String::from_utf8(output.stdout)?.lines().last().unwrap_or_default())
}

fn one_command(row: &Row, who: Who, size: u64, folder: &Path, blocks: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap_or_default());
    command.args(["one", row.name]).arg(who.to_string()).arg(size.to_string());
    command.arg("--folder").arg(folder).arg("--blocks").arg(blocks.to_string());
    command
}

/// Blocks of the file that is read: 256 MiB.
pub(crate) const BLOCKS: u64 = 1 << 16;
const BLOCKS_QUICK: u64 = 1 << 11;
