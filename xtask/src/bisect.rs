//! Finds the commit at which a lane's transcript changed.

mod search;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Args;

use crate::bisect::search::{Found, Judgement, search};
use crate::workspace::{cargo, root};

/// Where to look, and for what.
#[derive(Debug, Args)]
pub(crate) struct BisectArgs {
    /// A commit at which the transcript was as it should be
    #[arg(long, value_name = "REV")]
    good: String,
    /// A commit at which it is not
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    bad: String,
    /// The lane
    #[arg(long, value_name = "NAME")]
    lane: String,
    /// Its seed
    #[arg(long, value_name = "N", default_value = "1")]
    seed: u64,
}

/// Builds and runs the lane at commits between the two, in a work tree of its own, and prints the first at which it
/// writes something else than at the good one.
pub(crate) fn run(args: &BisectArgs) -> Result<ExitCode, Box<dyn Error>> {
    bisect(&root(), args)
}

fn bisect(repository: &Path, args: &BisectArgs) -> Result<ExitCode, Box<dyn Error>> {
    let range = format!("{}..{}", args.good, args.bad);
    // Along the line of merges only: what lies on a branch came in with its merge.
    let list = git(repository, &["rev-list", "--first-parent", "--reverse", &range])?;
    let commits: Vec<&str> = list.lines().collect();
    if commits.is_empty() {
        return Err(
            format!("there is no commit in {range}: is the good one an ancestor of the bad one?").into()
        );
    }
    let tree = WorkTree::new(repository)?;
    eprintln!("{} commits; at each that is tried, the lanes are built", commits.len());
    let expected = match tree.transcript(&args.good, args)? {
        Ok(text) => text,
        Err(why) => return Err(format!("{} at {}: {why}", args.lane, args.good).into()),
    };
    let found = search(commits.len(), |at| {
        let judgement = match tree.transcript(commits[at], args)? {
            Ok(text) if text == expected => Judgement::Good,
            Ok(_) => Judgement::Bad,
            Err(_) => Judgement::Unknown,
        };
        eprintln!("{} {}", describe(repository, commits[at])?, judgement.word());
        Ok::<_, Box<dyn Error>>(judgement)
    })?;
    match found {
        Found::NotBad => {
            println!("{} writes the same at {} as at {}", args.lane, args.bad, args.good);
            return Ok(ExitCode::from(2));
        }
        Found::At(at) => println!("{} changed at {}", args.lane, describe(repository, commits[at])?),
        Found::Among(range) => {
            println!("{} changed at one of these, of which all but the last gave no transcript:", args.lane);
            for at in range {
                println!("  {}", describe(repository, commits[at])?);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A work tree beside the repository's own, gone when this is dropped. The repository's own is left alone.
struct WorkTree {
    repository: PathBuf,
    folder: PathBuf,
}

impl WorkTree {
    fn new(repository: &Path) -> Result<Self, Box<dyn Error>> {
        let target = repository.join("target");
        fs::create_dir_all(&target)?;
        let folder = target.join("bisect-tree");
        let tree = Self { repository: repository.to_owned(), folder };
        // One that an interrupted search has left behind.
        tree.remove();
        let path = tree.folder.display().to_string();
        git(repository, &["worktree", "add", "--detach", "--force", &path, "HEAD"])?;
        Ok(tree)
    }

    /// What the lane writes at `commit`, or why it writes nothing.
    fn transcript(&self, commit: &str, args: &BisectArgs) -> Result<Result<Vec<u8>, String>, Box<dyn Error>> {
        git(&self.folder, &["checkout", "--quiet", "--detach", commit])?;
        let built = cargo()
            .args(["build", "--quiet", "--release", "--package", PACKAGE, "--target-dir"])
            .arg(self.target())
            .current_dir(&self.folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if !built.success() {
            return Ok(Err("it does not build".to_owned()));
        }
        let seed = args.seed.to_string();
        let output = Command::new(self.target().join("release").join(PACKAGE))
            .args(["show", &args.lane, "--seed", &seed])
            .current_dir(&self.folder)
            .output()?;
        if output.status.success() {
            return Ok(Ok(output.stdout));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Ok(Err(said.lines().last().unwrap_or("it says nothing").to_owned()))
    }

    /// Shared by all commits, so that what did not change is built once.
    fn target(&self) -> PathBuf {
        self.repository.join("target/bisect")
    }

    fn remove(&self) {
        let path = self.folder.display().to_string();
        // There may be none.
        let _ = git(&self.repository, &["worktree", "remove", "--force", &path]);
    }
}

impl Drop for WorkTree {
    fn drop(&mut self) {
        self.remove();
    }
}

fn describe(repository: &Path, commit: &str) -> Result<String, Box<dyn Error>> {
    Ok(git(repository, &["log", "-1", "--format=%h %s", commit])?.trim().to_owned())
}

/// What a command of git prints.
fn git(folder: &Path, args: &[&str]) -> Result<String, Box<dyn Error>> {
    let output = Command::new("git").args(args).current_dir(folder).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("git {}: {}", args.join(" "), said.trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

const PACKAGE: &str = "samestep-lanes";

#[cfg(test)]
mod tests;
