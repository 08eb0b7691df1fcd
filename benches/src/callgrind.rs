//! Instructions per append, by valgrind's callgrind: two sizes, whose difference has no start-up in it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;
use crate::engines::{Engine, walrus};
use crate::rows::Row;

/// Whether valgrind is there.
pub(crate) fn is_available() -> bool {
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    valgrind.status().is_ok_and(|status| status.success())
}

/// Instructions in user space that `engine` spends on one append of `row`.
pub(crate) fn per_append(engine: Engine, row: &Row, dir: &Path) -> Result<f64> {
    let few = total(engine, row, dir, RECORDS_FEW)?;
    let many = total(engine, row, dir, RECORDS_MANY)?;
    Ok((many - few) / (RECORDS_MANY - RECORDS_FEW) as f64)
}

fn total(engine: Engine, row: &Row, dir: &Path, records: u64) -> Result<f64> {
    let log = dir.join("counted");
    let out = dir.join("callgrind.out");
    fs::create_dir_all(&log)?;
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    valgrind.arg(std::env::current_exe()?).args(["one", "--step", "count", "--row", row.name]);
    valgrind.args(["--engine", &engine.to_string(), "--records", &records.to_string(), "--dir"]).arg(&log);
    valgrind.envs(walrus::environment(&log));
    let output = valgrind.stdin(Stdio::null()).output()?;
    fs::remove_dir_all(&log)?;
    if !output.status.success() {
        return Err(format!("valgrind: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let profile = fs::read_to_string(&out)?;
    fs::remove_file(&out)?;
    let totals = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(totals.ok_or("callgrind wrote no totals")?.trim().parse()?)
}

const RECORDS_FEW: u64 = 20_000;
const RECORDS_MANY: u64 = 120_000;
