//! fio, a program that only measures: where it is installed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::Result;
use crate::figures::Figures;
use crate::files::{self, BLOCK_BYTES, Direction};
use crate::one::DATA;
use crate::rows::Work;

/// Has fio do what a row does, with io_uring, registered files and buffers.
pub(crate) fn run(work: Work, size: u64, folder: &Path) -> Result<Figures> {
    let data = folder.join(DATA);
    let mut fio = Command::new("fio");
    fio.args(["--output-format=json", "--name=row", "--ioengine=io_uring", "--direct=1", "--thread=0"]);
    let (operations, block_bytes) = match work {
        Work::Reads { depth } => {
            fio.args(["--rw=randread", "--norandommap", "--registerfiles", "--fixedbufs"]);
            fio.arg(format!("--iodepth={depth}")).arg(format!("--filename={}", data.display()));
            (size, BLOCK_BYTES)
        }
        Work::Stream { direction, chunk_kib } => {
            // Its writes go elsewhere, as it writes other bytes than others look for.
            let (rw, name) = match direction {
                Direction::Read => ("read", DATA),
                Direction::Write => ("write", "fio"),
            };
            fio.arg(format!("--rw={rw}")).args(["--registerfiles", "--fixedbufs", "--end_fsync=1"]);
            fio.arg(format!("--iodepth={}", files::STREAM_CHUNKS));
            fio.arg(format!("--filename={}", folder.join(name).display()));
            if direction == Direction::Write {
                files::prepare(&folder.join(name), files::blocks_of(&data))?;
            }
            (files::blocks_of(&data) * BLOCK_BYTES as u64 / (chunk_kib as u64 * 1024), chunk_kib * 1024)
        }
        Work::Append { .. } => {
            fio.args(["--rw=write", "--fdatasync=1", "--iodepth=1"]);
            fio.arg(format!("--filename={}", folder.join("zeros").display()));
            (size, BLOCK_BYTES)
        }
        _ => return Err("fio does files only".into()),
    };
    let bytes = operations * block_bytes as u64;
    fio.arg(format!("--bs={block_bytes}")).arg(format!("--io_size={bytes}"));
    let output = fio.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("fio: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    let told: Value = serde_json::from_slice(&output.stdout)?;
    read(&told, operations).ok_or_else(|| "fio told something else than was asked for".into())
}

/// Reads what fio tells of its only job, if that did so many operations.
fn read(told: &Value, operations: u64) -> Option<Figures> {
    let job = told.get("jobs")?.get(0)?;
    let side = |name| job.get(name).filter(|side| side.get("total_ios").and_then(Value::as_u64) != Some(0));
    let side = side("read").or_else(|| side("write"))?;
    let milliseconds = job.get("job_runtime")?.as_f64()?;
    let share = (job.get("usr_cpu")?.as_f64()? + job.get("sys_cpu")?.as_f64()?) / 100.0;
    let is_all = side.get("total_ios")?.as_u64()? == operations;
    // Nanoseconds it does not tell.
    is_all.then(|| Figures {
        operations,
        more: Vec::new(),
        wall: Duration::from_secs_f64(milliseconds / 1e3),
        processor: Duration::from_secs_f64(milliseconds / 1e3 * share),
    })
}
