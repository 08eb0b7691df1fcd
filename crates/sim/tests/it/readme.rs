//! The first program of the README, with and without the line that it is about.

use samestep_provider_traits::{File, OpenOptions, StorageProvider};
use samestep_sim::{Chaos, Check, SimContext, Test};
use std::time::Duration;

async fn count<const SYNCS: bool>(context: SimContext) -> Result<(), Box<dyn std::error::Error>> {
    let file = context.storage().open("count".as_ref(), OpenOptions::read_write().create()).await?;
    context.storage().sync_dir("".as_ref()).await?;
    let mut count = Box::new([0; 8]);
    if file.metadata().await?.len == 8 {
        count = file.read_exact_at(count, 0).await.1;
    }
    loop {
        let (told, next) = (context.state().get("told").unwrap_or(0), u64::from_le_bytes(*count) + 1);
        assert!(next > told, "{told} was told, and now comes {next}");
        count = file.write_all_at(Box::new(next.to_le_bytes()), 0).await.1;
        if SYNCS {
            file.sync_data().await?; // Without this line, a crash takes back what was told.
        }
        context.state().publish("told", next);
        context.sleep(Duration::from_millis(100)).await;
    }
}

fn define<const SYNCS: bool>(test: &mut Test) {
    let _counter = test.node("counter", 1, count::<SYNCS>);
    test.client("user", |context| async move {
        context.sleep(Duration::from_secs(30)).await;
        Ok(())
    });
    test.chaos(Chaos::swarm().for_secs(30));
}

#[test]
fn the_first_program_finds_its_bug_when_its_one_line_is_missing() {
    let check = || Check::new().without_regressions().ignore_environment();
    let sound = check().report(define::<true>);
    assert!(sound.is_ok(), "{}", sound.text());
    let broken = check().stop_at_first_failure().report(define::<false>);
    assert!(!broken.is_ok());
    assert!(broken.text().contains("was told, and now comes"), "{}", broken.text());
    assert!(broken.text().contains("crash on counter"), "{}", broken.text());
    println!("{}", broken.text());
}

/// What stands in the README is what runs here, line by line, and is short.
#[test]
fn the_first_program_is_this_one() {
    let readme = include_str!("../../README.md");
    let source = include_str!("readme.rs");
    let program = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(program.lines().count() <= 30, "{} lines", program.lines().count());
    let function = program.split("fn main()").next().unwrap();
    let body = function.split_once("{\n").unwrap().1;
    for line in body.lines().map(str::trim).filter(|line| !line.is_empty()) {
        assert!(source.lines().any(|other| other.trim() == line), "{line}");
    }
}
