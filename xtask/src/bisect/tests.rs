//! A search in a small repository whose lanes are one file.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use super::{BisectArgs, bisect, git};

const MANIFEST: &str =
    "[package]\nname = \"samestep-lanes\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n";

fn commit(root: &Path, what: &str, main: &str) {
    fs::write(root.join("src/main.rs"), main).unwrap();
    fs::write(root.join("what"), what).unwrap();
    git(root, &["add", "-A"]).unwrap();
    let author = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"];
    git(root, &[&author[..], &["commit", "--quiet", "-m", what]].concat()).unwrap();
}

fn repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir(root.join("src")).unwrap();
    fs::write(root.join("Cargo.toml"), MANIFEST).unwrap();
    fs::write(root.join(".gitignore"), "target\n").unwrap();
    git(root, &["init", "--quiet"]).unwrap();
    commit(root, "first", "fn main() { println!(\"1\") }");
    commit(root, "a comment", "fn main() { println!(\"1\") } // one");
    commit(root, "broken", "fn main() { println!(\"1\" }");
    commit(root, "another comment", "fn main() { println!(\"1\") } // two");
    commit(root, "the change", "fn main() { println!(\"2\") }");
    commit(root, "a third comment", "fn main() { println!(\"2\") } // three");
    folder
}

fn args(good: &str, bad: &str) -> BisectArgs {
    BisectArgs { good: good.to_owned(), bad: bad.to_owned(), lane: "a/b".to_owned(), seed: 1 }
}

#[test]
fn the_commit_is_found_and_nothing_is_left_behind() {
    let folder = repository();
    let root = folder.path();
    assert_eq!(bisect(root, &args("HEAD~5", "HEAD")).unwrap(), ExitCode::SUCCESS);
    assert!(git(root, &["status", "--porcelain"]).unwrap().is_empty());
    assert_eq!(git(root, &["worktree", "list"]).unwrap().lines().count(), 1);
    assert!(!root.join("target/bisect-tree").exists());

    // Nothing changed between these two.
    assert_eq!(bisect(root, &args("HEAD~5", "HEAD~2")).unwrap(), ExitCode::from(2));
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let folder = repository();
    let refused = |good: &str, bad: &str| bisect(folder.path(), &args(good, bad)).unwrap_err().to_string();
    assert!(refused("HEAD", "HEAD~1").contains("is the good one an ancestor of the bad one?"));
    assert!(refused("HEAD~3", "HEAD").contains("a/b at HEAD~3: it does not build"));
    assert!(refused("nothing", "HEAD").contains("git rev-list"));
}
