//! Agreement with Vere.

use std::fs;
use std::path::Path;

use samestep_noun::{Atom, Noun};

/// From Vere's C code: noun, mug, jam in hexadecimal; empty where only one is known.
const VECTORS: &[(&str, &str, &str)] = &[
    ("0", "79ff04e8", "02"),
    ("1", "715c2a60", "0c"),
    ("2", "718b9468", "48"),
    ("128", "6569cd83", "200001"),
    ("0x7fffffff", "389ca03a", "c0ffffffff03"),
    ("0x10000000000000000", "26a7107f", "00030000000000000080"),
    ("'Hello'", "05fa1ad5", "8007a98c8ded0d"),
    ("'abcdefghijklmnopqrstuvwxyz'", "297f9a9c", "003ec3c4c6c8caccced0d2d4d6d8dadcdee0e2e4e6e8eaeceef0f2f4"),
    ("[0 0]", "192f5588", "29"),
    ("[1 1]", "6b32ec46", "3103"),
    ("[[0 0] 0 0]", "5c600ff8", "a593"),
    ("[1 2 3 0]", "1a8cdadd", "71c8d002"),
    ("[[1 2] 1 2]", "396862ef", "c5c849"),
    ("[1000000 1000000]", "6e21a7e7", "010948e82701"),
    ("[2 [0 3] 0 2]", "65f2ae0b", "214b742201"),
    ("'Hello, world!'", "4d441035", ""),
    ("[[1 2] [1 2] 1 2]", "", "c5c8262701"),
    ("[[0 0] [[0 0] 1 1] 1 1]", "", "a53519f31805"),
];

/// Written out by hand from the rule: an atom as long as the place where it came first is written again, a longer one
/// is referred to.
const BY_HAND: &[(&str, &str)] = &[("[3 3]", "a1d1"), ("[4 4]", "614e02"), ("[16 17 17]", "c160b0088b")];

#[test]
fn mug_and_jam_are_those_of_vere() {
    for (text, mug, jam) in VECTORS {
        let noun: Noun = text.parse().unwrap();
        if !mug.is_empty() {
            assert_eq!(format!("{:08x}", noun.mug()), *mug, "{text}");
        }
        if !jam.is_empty() {
            assert_eq!(hex(&noun.jam()), *jam, "{text}");
            assert_eq!(Noun::cue(&unhex(jam)).unwrap(), noun, "{text}");
        }
    }
}

#[test]
fn a_reference_is_written_where_it_is_shorter() {
    for (text, jam) in BY_HAND {
        assert_eq!(hex(&text.parse::<Noun>().unwrap().jam()), *jam, "{text}");
    }
}

/// A list that Vere's C code wrote, its mugs included: a sample that is in the repository.
#[test]
fn a_list_from_vere_agrees() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/nouns.json");
    assert_eq!(check_list(&path), 24);
}

/// A longer list, where there is one: `nouns.json` in the folder that `SAMESTEP_PIERS` names.
#[test]
fn a_longer_list_from_vere_agrees() {
    #[expect(clippy::disallowed_methods, reason = "where the list is, is a matter of the machine")]
    let Some(folder) = std::env::var_os("SAMESTEP_PIERS") else {
        println!("skipped: SAMESTEP_PIERS names no folder");
        return;
    };
    let count = check_list(&Path::new(&folder).join("nouns.json"));
    println!("{count} nouns agree");
    assert!(count > 0);
}

/// Checks a list of `{"mug": hex, "cell": bool, "jam": hex}` and tells how long it is.
fn check_list(path: &Path) -> usize {
    let list: Vec<serde_json::Value> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    for item in &list {
        let (jam, mug) = (item["jam"].as_str().unwrap(), item["mug"].as_str().unwrap());
        let noun = Noun::cue(&unhex(jam)).unwrap();
        assert_eq!(hex(&noun.jam()), jam);
        assert_eq!(format!("{:08x}", noun.mug()), mug, "{jam}");
        assert_eq!(noun.is_cell(), item["cell"].as_bool().unwrap(), "{jam}");
        // The bytes of a jam are an atom like any other.
        assert_eq!(hex(&Atom::from_le_bytes(&unhex(jam)).as_le_bytes()), jam);
    }
    list.len()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
