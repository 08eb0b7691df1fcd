//! Makes one record of those of all shards.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::record::{FORMAT, LaneRecord, Record};
use crate::shard::Shard;

/// Reads the JSON report of a shard.
pub(crate) fn read(path: &Path) -> Result<Record, MergeError> {
    let failed = |source| MergeError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(MergeError::TooLong { path: path.to_owned() });
    }
    let malformed = |source| MergeError::Malformed { path: path.to_owned(), source };
    let record: Record = serde_json::from_str(&text).map_err(malformed)?;
    match record.lanes.iter().find(|lane| !lane.tally.is_sound()) {
        _ if record.format != FORMAT => {
            Err(MergeError::OtherFormat { path: path.to_owned(), format: record.format })
        }
        _ if record.shard.is_none() => Err(MergeError::Whole { path: path.to_owned() }),
        Some(lane) => Err(MergeError::Unsound { path: path.to_owned(), lane: lane.name.clone() }),
        None => Ok(record),
    }
}

/// Makes one record of those of all shards of one check, in whatever order they come.
pub(crate) fn merge(mut records: Vec<Record>) -> Result<Record, MergeError> {
    records.sort_by_key(|record| record.shard.map(Shard::number));
    let shards: Vec<_> = records.iter().filter_map(|record| record.shard).collect();
    let count = shards.first().ok_or(MergeError::Nothing)?.count();
    if shards.iter().any(|shard| shard.count() != count) {
        return Err(MergeError::Differ { what: "the number of shards" });
    }
    if let Some(twin) = shards.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(MergeError::Twice { number: twin[0].number() });
    }
    if let Some(number) = (1..=count).find(|number| !shards.iter().any(|shard| shard.number() == *number)) {
        return Err(MergeError::Missing { number, count });
    }
    let mut records = records.into_iter();
    let mut merged = records.next().expect("there are shards");
    merged.shard = None;
    for record in records {
        absorb(&mut merged, record)?;
    }
    let complete = (0..merged.iterations).collect::<Vec<_>>();
    if merged.variations() != complete {
        return Err(MergeError::Differ { what: "what part of the iterations is whose" });
    }
    Ok(merged)
}

fn absorb(merged: &mut Record, record: Record) -> Result<(), MergeError> {
    let pairs = [
        (merged.iterations == record.iterations, "the number of iterations"),
        (merged.skips == record.skips, "whether a lane may be skipped"),
        (merged.repeated == record.repeated, "whether single iterations are repeated"),
        (
            merged.lanes.iter().map(header).eq(record.lanes.iter().map(header)),
            "the lanes, their seeds or the lock file",
        ),
    ];
    if let Some((_, what)) = pairs.into_iter().find(|(is_equal, _)| !is_equal) {
        return Err(MergeError::Differ { what });
    }
    merged.parts.extend(record.parts);
    for (lane, other) in merged.lanes.iter_mut().zip(record.lanes) {
        lane.tally.absorb(other.tally);
    }
    Ok(())
}

/// What must be the same in all shards.
fn header(lane: &LaneRecord) -> impl PartialEq + '_ {
    (&lane.name, lane.seed, lane.locked, lane.tally.expectation())
}

/// Why reports were not merged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MergeError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// No report of ours is that long.
    #[error("{} has more than {FILE_BYTES_MAX} bytes: it is no report of a shard", path.display())]
    TooLong { path: PathBuf },
    #[error("{} is no JSON report", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    /// Merge with the program that wrote it.
    #[error("{} has the format {format:?}, and this program reads {FORMAT:?}", path.display())]
    OtherFormat { path: PathBuf, format: String },
    /// There is nothing to merge it with.
    #[error("{} is of a whole check: merge reads what `--shard i/n --report FILE.json` wrote", path.display())]
    Whole { path: PathBuf },
    /// It was changed, or damaged on its way: fetch it anew, or run that shard again.
    #[error("{}: the transcripts of {lane} are not those that its runs wrote", path.display())]
    Unsound { path: PathBuf, lane: String },
    #[error("no report to merge")]
    Nothing,
    /// Run it, or fetch its report: a check with a hole in it has shown nothing.
    #[error("shard {number}/{count} is missing")]
    Missing { number: u32, count: u32 },
    #[error("shard {number} is there twice")]
    Twice { number: u32 },
    /// Run all shards of one check with the same program, lock file and arguments.
    #[error("the reports are of different checks: they do not agree on {what}")]
    Differ { what: &'static str },
}

/// Ten times what a hundred lanes of ten thousand lines each come to.
const FILE_BYTES_MAX: u64 = 1 << 30;
