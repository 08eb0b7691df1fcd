//! META as Vere writes it, and as it must not be believed.

use super::{Identity, MetaRecord};

fn decode(pairs: &[(&str, &[u8])]) -> MetaRecord {
    let pairs: Vec<_> = pairs.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
    MetaRecord::decode(&pairs)
}

fn issues(pairs: &[(&str, &[u8])]) -> Vec<String> {
    decode(pairs).issues.iter().map(ToString::to_string).collect()
}

/// Numbers of two and more bytes are little-endian. PR #241 folded them the other way round, and died of a ship's
/// number of more than 8 bytes.
#[test]
fn pr_241_defect_1_numbers_are_little_endian_and_long_ones_are_read() {
    let comet = [0x11; 16];
    let record = decode(&[("version", &[3]), ("who", &comet), ("fake", &[1]), ("life", &[0x02, 0x01])]);
    assert_eq!(record.issues, []);
    let expected = Identity { who: u128::from_le_bytes(comet), is_fake: false, life: 258 };
    assert_eq!(record.identity(), Some(expected));
    // ~marzod is 256: a zero byte, then a one.
    assert_eq!(decode(&[("who", &[0, 1])]).who, Some(256));
}

#[test]
fn what_is_written_is_read() {
    for who in [0, 1, 255, 256, u128::MAX] {
        for (is_fake, life) in [(true, 1), (false, 5), (true, 0x7FFF_FFFF)] {
            let identity = Identity { who, is_fake, life };
            let pairs = identity.pairs(3);
            let pairs: Vec<(&str, &[u8])> =
                pairs.iter().map(|(key, value)| (*key, value.as_slice())).collect();
            let record = decode(&pairs);
            assert_eq!((record.identity(), record.version), (Some(identity), Some(3)));
            assert!(
                pairs.iter().all(|(_, value)| value.last() != Some(&0)),
                "zero bytes at the end are stripped"
            );
        }
    }
}

#[test]
fn each_key_has_its_own_issue() {
    assert_eq!(
        issues(&[]),
        ["META version: missing", "META who: missing", "META fake: missing", "META life: missing"]
    );
    let long: &[u8] = &[1; 17];
    assert_eq!(
        issues(&[("version", &[9]), ("who", long), ("fake", &[2]), ("life", &[0, 0, 0, 0x80])]),
        [
            "META who: 17 bytes, at most 16 are known",
            "META version: 9 means nothing",
            "META fake: 2 means nothing",
            "META life: 2147483648 means nothing",
        ]
    );
    assert_eq!(
        issues(&[("version", &[3]), ("who", &[]), ("fake", &[]), ("life", &[])]),
        ["META life: 0 means nothing"]
    );
}
