//! `salvage`, `export`, `import`: copies.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Failed, Outcome, human_bytes, print_json, text_of};
use crate::vere::Identity;
use crate::vere::maintain::{
    Copied, Live, SalvageOptions, SalvagedEpoch, export, files_to_copy, import, salvage,
};
use crate::writer::WriteOptions;

#[derive(Debug, clap::Args)]
struct CopyArgs {
    /// What is copied.
    from: PathBuf,
    /// Where the copy will be; nothing is put over what is there.
    to: PathBuf,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Show what would be copied, and copy nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    copy: CopyArgs,
    /// Copy also while a ship runs: a data file is copied again until no transaction came between.
    #[arg(long)]
    live: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    copy: CopyArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct SalvageArgs {
    #[command(flatten)]
    copy: CopyArgs,
    /// The ship's number, if no META can be read; with --life and, for a fake ship, --fake.
    #[arg(long, requires = "life")]
    who: Option<u128>,
    /// How many events boot it.
    #[arg(long, requires = "who")]
    life: Option<u32>,
    /// It is a fake ship.
    #[arg(long, requires = "who")]
    fake: bool,
    /// Bytes of address space for LMDB to map, and the most that a data file can grow to.
    #[arg(long, value_name = "BYTES", default_value_t = WriteOptions::default().map_bytes)]
    lmdb_map_size: usize,
}

pub(super) fn run_export(args: &ExportArgs) -> Result<Outcome, Failed> {
    let CopyArgs { from, to, .. } = &args.copy;
    if args.copy.dry_run {
        return args.copy.show();
    }
    let live = if args.live { Live::Allow } else { Live::Refuse };
    let copied = export(from, to, live, |file| args.copy.tell(file))?;
    args.copy.done(&copied)
}

pub(super) fn run_import(args: &ImportArgs) -> Result<Outcome, Failed> {
    let CopyArgs { from, to, .. } = &args.copy;
    if args.copy.dry_run {
        return args.copy.show();
    }
    let copied = import(from, to, |file| args.copy.tell(file))?;
    args.copy.done(&copied)
}

pub(super) fn run_salvage(args: &SalvageArgs) -> Result<Outcome, Failed> {
    let CopyArgs { from, to, json, dry_run } = &args.copy;
    if *dry_run {
        return args.copy.show();
    }
    let identity = args.who.zip(args.life).map(|(who, life)| Identity { who, is_fake: args.fake, life });
    let options = SalvageOptions { identity, write: WriteOptions { map_bytes: args.lmdb_map_size } };
    let salvaged = salvage(from, to, options)?;
    let is_whole = |epoch: &SalvagedEpoch| {
        epoch.missing.is_empty() && epoch.conflicts.is_empty() && epoch.problem.is_none()
    };
    let outcome = if salvaged.epochs.iter().all(is_whole) && salvaged.lost_files.is_empty() {
        Outcome::Sound
    } else {
        Outcome::Findings
    };
    if *json {
        let epochs = salvaged.epochs.iter().map(|epoch| {
            json!({
                "path": text_of(&epoch.path),
                "number": epoch.number,
                "copied": epoch.copied,
                "recovered": epoch.recovered,
                "missing": epoch.missing,
                "conflicts": epoch.conflicts,
                "problem": epoch.problem,
            })
        });
        print_json(&json!({
            "epochs": epochs.collect::<Vec<_>>(),
            "lost_files": salvaged.lost_files.iter().map(|path| text_of(path)).collect::<Vec<_>>(),
        }))?;
        return Ok(outcome);
    }
    for epoch in &salvaged.epochs {
        println!("{}: {} events copied", epoch.path.display(), epoch.copied);
        if let Some(problem) = &epoch.problem {
            println!("  the file: {problem}");
        }
        if epoch.recovered > 0 {
            println!("  {} events found on pages that nothing leads to", epoch.recovered);
        }
        for (first, last) in &epoch.missing {
            println!("  missing: {first} to {last}");
        }
        for number in &epoch.conflicts {
            println!("  event {number}: found with different values, none taken");
        }
    }
    for path in &salvaged.lost_files {
        println!("{}: cannot be read, not copied", path.display());
    }
    Ok(outcome)
}

impl CopyArgs {
    fn show(&self) -> Result<Outcome, Failed> {
        let files = files_to_copy(&self.from)?;
        if self.json {
            let files: Vec<String> = files.iter().map(|file| text_of(file)).collect();
            print_json(&json!({ "is_done": false, "files": files }))?;
        } else {
            for file in files {
                println!("would copy {}", file.display());
            }
        }
        Ok(Outcome::Sound)
    }

    fn tell(&self, file: &Path) {
        if !self.json {
            println!("{}", file.display());
        }
    }

    fn done(&self, copied: &Copied) -> Result<Outcome, Failed> {
        if self.json {
            let files: Vec<String> = copied.files.iter().map(|file| text_of(file)).collect();
            print_json(&json!({
                "is_done": true, "files": files, "bytes": copied.bytes, "retries": copied.retries,
            }))?;
        } else {
            println!("{} files, {}", copied.files.len(), human_bytes(copied.bytes));
        }
        Ok(Outcome::Sound)
    }
}
