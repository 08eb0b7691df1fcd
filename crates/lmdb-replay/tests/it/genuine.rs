//! Piers that Vere's own C code wrote, where there are some: the folder that `SAMESTEP_PIERS` names holds `piers.json`,
//! and `piers.tar.xz` or what is in it.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use samestep_lmdb_replay::LogError;
use samestep_lmdb_replay::lock::ProcessIds;
use samestep_lmdb_replay::machine::{Budget, NockMachine};
use samestep_lmdb_replay::play::{
    EventAt, MugCheck, Observer, PlayError, PlayOptions, ReplayFailure, Start, play,
};
use samestep_lmdb_replay::rock;
use samestep_lmdb_replay::vere::{Access, Pier};
use serde_json::Value;

/// The folder, or `None` with a line that says that the test is skipped.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("SAMESTEP_PIERS").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: SAMESTEP_PIERS names no folder");
    }
    folder
}

/// The piers, unpacked into `scratch` if they are packed, and what is known of them.
pub(crate) fn piers(scratch: &Path) -> Option<(PathBuf, Value)> {
    let folder = folder()?;
    let known = serde_json::from_slice(&fs::read(folder.join("piers.json")).unwrap()).unwrap();
    let packed = folder.join("piers.tar.xz");
    if !packed.exists() {
        return Some((folder, known));
    }
    let status = Command::new("tar").arg("-C").arg(scratch).arg("-xf").arg(packed).status();
    assert!(status.unwrap().success());
    Some((scratch.to_owned(), known))
}

fn open(path: &Path) -> Pier {
    Pier::open(path, Access::Read, ProcessIds::Honour).unwrap()
}

/// Mugs by event, as they come out.
#[derive(Default)]
pub(crate) struct Mugs(pub(crate) BTreeMap<u64, u32>);

impl Observer for Mugs {
    fn starting(&mut self, _: &EventAt<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn applied(&mut self, event: &EventAt<'_>, mug: u32) {
        self.0.insert(event.number, mug);
    }
}

/// Every good pier gives every recorded mug, from the first event and from each rock.
#[test]
fn good_piers_replay_with_every_mug() {
    let scratch = tempfile::tempdir().unwrap();
    let Some((folder, truth)) = piers(scratch.path()) else { return };
    for (name, expected) in truth["good"].as_object().unwrap() {
        let pier = open(&folder.join("good").join(name));
        let mut starts: Vec<Start> =
            rock::list(pier.root()).unwrap().into_iter().map(|(n, _)| Start::Rock(n)).collect();
        let first = pier.log().unwrap().first().unwrap().get();
        if first == 1 {
            starts.push(Start::First);
        }
        assert!(!starts.is_empty(), "{name}: nothing to start from");
        for start in starts {
            let mut mugs = Mugs::default();
            let mut options = PlayOptions::default();
            options.start = start;
            let machine = NockMachine::new(Budget::default());
            let (replay, report) = play(&pier, machine, None, &options, &mut mugs).unwrap();
            let recorded = recorded(expected);
            let checked = mugs.0.iter().filter(|(number, mug)| match recorded.get(number) {
                Some(0) => false,
                found => {
                    assert_eq!(found, Some(*mug), "{name}, {start:?}, event {number}");
                    true
                }
            });
            let checked = checked.count() as u64;
            assert_eq!(report.replay.verified, checked);
            assert_eq!(report.replay.diverged, 0);
            assert_eq!(report.replay.applied, report.replay.verified + report.replay.unverifiable);
            assert_eq!(Some(replay.number()), expected["last_event"].as_u64(), "{name}");
            assert_eq!(format!("{:08x}", report.replay.mug), expected["last_mug"].as_str().unwrap());
            if start == Start::First {
                let zero = recorded.values().filter(|mug| **mug == 0).count() as u64;
                assert_eq!(report.replay.unverifiable, zero, "{name}");
            }
            println!(
                "{name} from {}: {checked} mugs agree, {} have none",
                report.started_from, report.replay.unverifiable
            );
        }
    }
}

fn recorded(pier: &Value) -> BTreeMap<u64, u32> {
    let epochs = pier["epochs"].as_object().unwrap().values();
    let events = epochs.filter_map(|epoch| epoch["events"].as_array()).flatten();
    events
        .map(|event| {
            let mug = u32::from_str_radix(event[1].as_str().unwrap(), 16).unwrap();
            (event[0].as_u64().unwrap(), mug)
        })
        .collect()
}

/// What is damaged ends a replay where it is damaged, with the state before it, and never with a signal.
#[test]
fn damaged_piers_stop_where_they_are_damaged() {
    let scratch = tempfile::tempdir().unwrap();
    let Some((folder, _)) = piers(scratch.path()) else { return };
    let check = |name: &str, mugs: MugCheck, is_it: &dyn Fn(&Outcome) -> bool, last: u64| {
        let path = folder.join("damaged").join(name);
        if !path.is_dir() {
            println!("skipped: {name} is not there");
            return;
        }
        let mut options = PlayOptions::default();
        options.mugs = mugs;
        let mut seen = Mugs::default();
        let outcome = play(&open(&path), NockMachine::new(Budget::default()), None, &options, &mut seen);
        let outcome = outcome.map(|(_, report)| report.replay.diverged);
        assert!(is_it(&outcome), "{name}: {outcome:?}");
        assert_eq!(seen.0.keys().last().copied().unwrap_or(0), last, "{name}");
    };
    let gap = |outcome: &Outcome| {
        matches!(outcome, Err(PlayError::Log(LogError::Gap { expected: 40, found: 41, .. })))
    };
    check("d01-gap-at-40", MugCheck::Strict, &gap, 39);
    let open = |outcome: &Outcome| matches!(outcome, Err(PlayError::Log(LogError::Open { .. })));
    check("d04-truncated-page-aligned", MugCheck::Strict, &open, 0);
    let diverged = |outcome: &Outcome| matches!(outcome, Err(PlayError::Replay(ReplayFailure::Diverged(divergence))) if divergence.number == 50);
    check("d08-wrong-mug-at-50", MugCheck::Strict, &diverged, 49);
    check("d08-wrong-mug-at-50", MugCheck::Soft, &|outcome| matches!(outcome, Ok(1)), 67);
}

type Outcome = Result<u64, PlayError<samestep_lmdb_replay::machine::NockMachineError>>;
