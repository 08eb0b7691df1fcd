//! Rounds of measurements, each in a process of its own, in alternating order.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::engines::{Engine, walrus};
use crate::machine::{self, Machine};
use crate::report;
use crate::rows::{Durability, Ending, ROWS, Row, Work};
use crate::{Result, WalArgs, callgrind};

/// All that was measured of one row.
#[derive(Debug)]
pub(crate) struct RowResult {
    pub(crate) row: Row,
    /// In the row's order; the first is the limit.
    pub(crate) engines: Vec<EngineResult>,
}

/// All that was measured of one engine in one row.
#[derive(Debug)]
pub(crate) struct EngineResult {
    pub(crate) engine: Engine,
    /// One set of figures per round.
    pub(crate) rounds: Vec<BTreeMap<String, f64>>,
    pub(crate) instructions: Option<f64>,
    /// Why there are no figures, or no more.
    pub(crate) failure: Option<String>,
}

pub(crate) fn run(args: &WalArgs) -> Result<()> {
    let rows = chosen_rows(args)?;
    let rounds = args.rounds.unwrap_or(if args.quick { 1 } else { 5 });
    let parent = match &args.dir {
        Some(dir) => dir.clone(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
    };
    fs::create_dir_all(&parent)?;
    let scratch = tempfile::Builder::new().prefix("benches-").tempdir_in(&parent)?;
    let machine = Machine::look(scratch.path());
    report::print_machine(&machine, args.quick);
    let counts = !args.no_instructions && !args.quick;
    if counts && !callgrind::is_available() {
        println!("valgrind is not installed: no instructions are counted.");
    }
    let mut results = Vec::new();
    for row in &rows {
        let started = Instant::now();
        let mut result = run_row(row, args, rounds.min(row.rounds_max), scratch.path())?;
        // Where segments roll, or opening reads one whole, two sizes differ by more than their records.
        let is_counted = row.work == Work::Append(Durability::Unsynced) && !row.rolls();
        if counts && is_counted && callgrind::is_available() {
            for engine in &mut result.engines {
                engine.instructions = Some(callgrind::per_append(engine.engine, row, scratch.path())?);
            }
        }
        report::print_row(&result, started.elapsed());
        results.push(result);
    }
    if let Some(file) = &args.json {
        fs::write(file, report::json(&machine, &results)? + "\n")?;
    }
    let failures =
        results.iter().flat_map(|row| &row.engines).filter(|engine| engine.failure.is_some()).count();
    if failures > 0 {
        return Err(format!("{failures} measurements failed, see above").into());
    }
    Ok(())
}

fn chosen_rows(args: &WalArgs) -> Result<Vec<Row>> {
    if args.rows.is_empty() {
        return Ok(ROWS.iter().map(|row| if args.quick { row.quick() } else { *row }).collect());
    }
    let find =
        |name: &String| Row::find(name, args.quick).ok_or_else(|| format!("no row {name}, see `rows`"));
    Ok(args.rows.iter().map(find).collect::<Result<_, _>>()?)
}

fn run_row(row: &Row, args: &WalArgs, rounds: u32, scratch: &Path) -> Result<RowResult> {
    let is_wanted = |engine: &Engine| {
        args.engines.is_empty() || *engine == row.engines[0] || args.engines.contains(engine)
    };
    let engines = row.engines.iter().copied().filter(is_wanted);
    let mut engines: Vec<EngineResult> = engines
        .map(|engine| EngineResult { engine, rounds: Vec::new(), instructions: None, failure: None })
        .collect();
    let folder = scratch.join(row.name);
    fs::create_dir_all(&folder)?;
    for round in 0..rounds {
        let mut order: Vec<&mut EngineResult> = engines.iter_mut().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for result in order.into_iter().filter(|result| result.failure.is_none()) {
            let process = Process { row, engine: result.engine, quick: args.quick };
            match process.round(&folder, round == 0, round + 1 == rounds) {
                Ok(figures) => result.rounds.push(figures),
                Err(error) => {
                    eprintln!("{}, {}: {error}", row.name, result.engine);
                    result.failure = Some(error.to_string());
                }
            }
        }
    }
    fs::remove_dir_all(&folder)?;
    Ok(RowResult { row: *row, engines })
}

/// Starts the processes of one engine in one row.
struct Process<'a> {
    row: &'a Row,
    engine: Engine,
    quick: bool,
}

impl Process<'_> {
    fn round(&self, folder: &Path, is_first: bool, is_last: bool) -> Result<BTreeMap<String, f64>> {
        let dir = folder.join(self.engine.to_string());
        let appends = matches!(self.row.work, Work::Append(_));
        // What reading leaves as it was is read again; what it changes is made anew.
        let is_reused = matches!(self.row.work, Work::Replay | Work::Open(Ending::Closed));
        if is_first || !is_reused {
            self.clear(&dir)?;
            if !appends {
                self.step("prepare", &dir)?;
            }
        }
        machine::settle(folder);
        let mut figures = self.step("measure", &dir)?;
        let disk = machine::disk_bytes(&dir) as f64 / self.row.payload_total() as f64;
        figures.insert("disk_per_payload".into(), disk);
        // A log that is read again is compared once; a limit that only opens files has no log.
        let is_bare = matches!(self.row.work, Work::Open(_)) && self.engine == Engine::Limit;
        if (appends || is_last) && !is_bare {
            self.step("verify", &dir)?;
        }
        if !is_reused || is_last {
            self.clear(&dir)?;
        }
        Ok(figures)
    }

    fn clear(&self, dir: &PathBuf) -> Result<()> {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        Ok(fs::create_dir_all(dir)?)
    }

    fn step(&self, step: &str, dir: &Path) -> Result<BTreeMap<String, f64>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["one", "--step", step, "--row", self.row.name, "--engine", &self.engine.to_string()]);
        command.arg("--dir").arg(dir).envs(walrus::environment(dir));
        if self.quick {
            command.arg("--quick");
        }
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{step}: {}, {}", output.status, message.trim()).into());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().last().unwrap_or_default();
        let figures: Value = serde_json::from_str(line)?;
        let figures = figures.as_object().ok_or("a step did not say what it found")?;
        Ok(figures.iter().filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect())
    }
}
