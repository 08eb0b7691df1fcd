//! Piers that Vere's own code wrote, where there are some: the folder that `SAMESTEP_PIERS` names holds `piers.json`,
//! and `piers.tar.xz` or what is in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::model::{run, text, tree};

/// The piers, unpacked into a folder of their own, and what is known of them.
fn piers(folder: &Path) -> Option<(PathBuf, Value)> {
    let Some(from) = std::env::var_os("SAMESTEP_PIERS").map(PathBuf::from) else {
        println!("skipped: SAMESTEP_PIERS names no folder with genuine piers");
        return None;
    };
    let known = serde_json::from_slice(&fs::read(from.join("piers.json")).unwrap()).unwrap();
    let packed = from.join("piers.tar.xz");
    let mut unpack = Command::new("tar");
    unpack.arg("-C").arg(folder);
    let status = if packed.exists() {
        unpack.arg("-xf").arg(packed).status()
    } else {
        Command::new("cp").arg("-a").arg(from.join("good")).arg(from.join("damaged")).arg(folder).status()
    };
    assert!(status.unwrap().success());
    Some((folder.to_owned(), known))
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Every good one is sound, and has the epochs, META, snapshot and events that are known of it.
#[test]
fn good_piers_are_what_is_known_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let Some((folder, known)) = piers(folder.path()) else { return };
    for (name, known) in known["good"].as_object().unwrap() {
        let root = folder.join("good").join(name);
        let before = tree(&root);
        let verified = run(&["verify", "--json", text(&root)]);
        assert_eq!(verified.status.code(), Some(0), "{name}: {}", json(&verified));
        let listed = json(&run(&["epochs", "--json", text(&root)]));
        let epochs: BTreeMap<&str, &Value> = listed["epochs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|epoch| (epoch["name"].as_str().unwrap(), epoch))
            .collect();
        let mut expected = Vec::new();
        for (epoch, known) in known["epochs"].as_object().unwrap() {
            let found = epochs[epoch.as_str()];
            assert_eq!(found["epoc"], known["epoc.txt"], "{name} {epoch}");
            assert_eq!(found["vere"], known["vere.txt"], "{name} {epoch}");
            let (data, meta) = (&found["data"], &known["meta"]);
            for key in ["version", "fake", "life"] {
                assert_eq!(data[key], meta[key], "{name} {epoch} {key}");
            }
            // Two words, the low one first.
            let who = u128::from(meta["who"][0].as_u64().unwrap())
                | u128::from(meta["who"][1].as_u64().unwrap()) << 64;
            assert_eq!(data["who"], who.to_string(), "{name} {epoch}");
            let events = known["events"].as_array().unwrap();
            if !events.is_empty() {
                assert_eq!(
                    (&data["first"], &data["last"]),
                    (&known["first"], &known["last"]),
                    "{name} {epoch}"
                );
            }
            expected.extend(events.iter().map(|event| event.as_array().unwrap()[..4].to_vec()));
        }
        let dumped = run(&["dump", "--json", text(&root)]);
        let found: Vec<Vec<Value>> = String::from_utf8(dumped.stdout)
            .unwrap()
            .lines()
            .map(|line| {
                let event: Value = serde_json::from_str(line).unwrap();
                ["number", "mug", "bytes", "noun_mug"].iter().map(|key| event[key].clone()).collect()
            })
            .collect();
        expected.sort_by_key(|event| event[0].as_u64());
        assert_eq!(found, expected, "{name}");
        let info = json(&run(&["info", "--json", text(&root)]));
        let snapshot = &known["vere_snapshot"]["snapshot_event"];
        if info["snapshot"]["is_whole"] == true && snapshot.is_u64() {
            assert_eq!(&info["snapshot"]["event"], snapshot, "{name}");
        }
        assert_eq!(tree(&root), before, "{name}: nothing changes");
    }
}

/// Every damaged one gives its finding, and no process dies by a signal.
#[test]
fn damaged_piers_give_their_findings() {
    let folder = tempfile::tempdir().unwrap();
    let Some((folder, known)) = piers(folder.path()) else { return };
    for (name, known) in known["damaged"].as_object().unwrap() {
        let root = folder.join("damaged").join(name);
        let before = tree(&root);
        for words in [&["info"][..], &["epochs"], &["verify"], &["dump"], &["stats"], &["lock"]] {
            let output = run(&[words, &[text(&root)]].concat());
            assert!(matches!(output.status.code(), Some(0..=5)), "{name} {words:?}: {output:?}");
        }
        let verified = run(&["verify", "--json", text(&root)]);
        let said = json(&verified)["findings"].to_string();
        let (code, part) = match known["fault"].as_str().unwrap() {
            "gap" => (2, "missing"),
            "truncated-db" => (2, "in use: restore it from a copy"),
            // Only a replay tells that.
            "mug-mismatch" => (0, "[]"),
            fault => {
                println!("{name}: {fault}: {said}");
                continue;
            }
        };
        assert_eq!(verified.status.code(), Some(code), "{name}: {said}");
        assert!(said.contains(part), "{name}: {said}");
        assert_eq!(tree(&root), before, "{name}: nothing changes");
    }
}
