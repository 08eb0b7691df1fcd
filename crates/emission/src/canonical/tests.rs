#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Canonicalizer, DuplicateKey, Emission, LineVersion, Numbering};
use crate::fingerprint::Fingerprint;
use crate::id::{Epoch, Seq, SubscriptionId, Term};
use crate::notifier::{Delivery, DeliveryKind};

fn emission<'a>(seq: u64, event: &'a [u8], fields: &'a [super::Field<'a>]) -> Emission<'a> {
    Emission {
        fingerprint: Fingerprint::new(77),
        subscription: SubscriptionId::new(5),
        epoch: Epoch::new(3),
        seq: Seq::new(seq),
        event,
        fields,
    }
}

fn line(version: LineVersion, emission: &Emission<'_>) -> String {
    let mut lines = Canonicalizer::new(version, Numbering::Own);
    String::from_utf8(lines.line(emission).unwrap().unwrap().to_vec()).unwrap()
}

/// SevenDB's transcripts and their hashes, computed from its format by an implementation in another language.
#[test]
fn v1_goldens() {
    type Golden<'a> = (u64, &'a [(u64, &'a str)], u64);
    let transcripts: [Golden<'_>; 4] = [
        (424_242, &[(1, "payload-1")], 0x0bec_c155_7e8c_6273),
        (77, &[(3, "x3"), (4, "x4")], 0x9d48_7ef4_159a_efa1),
        (7, &[(4, "SNAPSHOT@4"), (5, "d5"), (6, "d6")], 0xd334_6d62_2def_07b2),
        (9, &[(6, "v6")], 0x1062_16a6_4639_535a),
    ];
    for (fingerprint, emissions, digest) in transcripts {
        let mut lines = Canonicalizer::new(LineVersion::V1, Numbering::Own);
        for (seq, delta) in emissions {
            let fields: [super::Field<'_>; 1] = [(b"delta", delta.as_bytes())];
            let fingerprint = Fingerprint::new(fingerprint);
            lines.line(&Emission { fingerprint, ..emission(*seq, b"DATA", &fields) }).unwrap();
        }
        assert_eq!(lines.digest(), digest, "{emissions:?}");
    }
}

/// The same event twice, and ten of them, numbered by their places.
#[test]
fn v1_goldens_by_place() {
    let mut lines = Canonicalizer::new(LineVersion::V1, Numbering::FirstPlaces(2));
    let twice = Emission {
        fingerprint: Fingerprint::new(424_242),
        ..emission(1, b"DATA", &[(b"delta", b"payload-1")])
    };
    assert!(lines.line(&twice).unwrap().is_some());
    assert!(lines.line(&twice).unwrap().is_some());
    assert_eq!(lines.line(&twice).unwrap(), None);
    assert_eq!((lines.digest(), lines.line_count()), (0xe492_4cdc_74ec_ab8d, 2));

    for (count, digest) in [(10, 0xe253_45c4_1184_0f6f), (8, 0xb0b0_9f07_edec_1f7e)] {
        let mut lines = Canonicalizer::new(LineVersion::V1, Numbering::FirstPlaces(count));
        for at in 0..12 {
            let delta = format!("val-{at}");
            let fields: [super::Field<'_>; 1] = [(b"delta", delta.as_bytes())];
            let fingerprint = Fingerprint::new(424_242);
            lines.line(&Emission { fingerprint, ..emission(100 + at, b"DATA", &fields) }).unwrap();
        }
        assert_eq!(lines.digest(), digest, "{count}");
    }
}

#[test]
fn fields_are_sorted_by_key_and_stand_once() {
    let shuffled = emission(9, b"SET", &[(b"b", b"2"), (b"a", b"1"), (b"ab", b"3")]);
    assert_eq!(line(LineVersion::V1, &shuffled), "77|9|SET|a=1|ab=3|b=2");
    assert_eq!(line(LineVersion::V2, &shuffled), "v2|77|5|3|9|SET|a=1|ab=3|b=2");
    assert_eq!(line(LineVersion::V1, &emission(9, b"SET", &[])), "77|9|SET");
    let mut lines = Canonicalizer::new(LineVersion::V2, Numbering::Own);
    let before = lines.digest();
    let twice = emission(9, b"SET", &[(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]);
    assert_eq!(lines.line(&twice), Err(DuplicateKey { place: 2 }));
    assert_eq!((lines.digest(), lines.line_count()), (before, 0));
}

/// What v1 confuses, v2 tells apart.
#[test]
fn v2_is_escaped() {
    let two = emission(1, b"E", &[(b"a", b"1"), (b"b", b"2")]);
    let one = emission(1, b"E", &[(b"a", b"1|b=2")]);
    assert_eq!(line(LineVersion::V1, &two), line(LineVersion::V1, &one));
    assert_eq!(line(LineVersion::V2, &one), r"v2|77|5|3|1|E|a=1\x7cb\x3d2");
    assert_ne!(line(LineVersion::V2, &two), line(LineVersion::V2, &one));
    let binary = emission(1, b"E\n", &[(b"k=", b"\0\xff\\x00")]);
    assert_eq!(line(LineVersion::V2, &binary), r"v2|77|5|3|1|E\x0a|k\x3d=\x00\xff\x5cx00");
}

/// Published values of XXH64.
#[test]
fn digests_are_xxh64() {
    let lines = Canonicalizer::new(LineVersion::V2, Numbering::Own);
    assert_eq!((lines.digest(), lines.line_digest(), lines.last_line()), (0xef46_db37_51d8_e999, None, None));
    assert_eq!(xxhash_rust::xxh64::xxh64(b"a", 0), 0xd24e_c4f1_a98c_6e5b);
}

type Owned = (u64, u64, u64, u64, Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>);

/// Letters that lines are made of, so that confusions are likely.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        Just(b'|'),
        Just(b'='),
        Just(b'\\'),
        Just(b'x'),
        Just(b'7'),
        Just(b'c'),
        Just(b'\n'),
        any::<u8>()
    ];
    proptest::collection::vec(byte, 0..6)
}

fn owned() -> impl Strategy<Value = Owned> {
    let number = || 0..3_u64;
    (number(), number(), number(), number(), bytes(), proptest::collection::btree_map(bytes(), bytes(), 0..3))
}

fn v2(owned: &Owned) -> Vec<u8> {
    let fields: Vec<super::Field<'_>> = owned.5.iter().map(|(key, value)| (&key[..], &value[..])).collect();
    let emission = Emission {
        fingerprint: Fingerprint::new(owned.0),
        subscription: SubscriptionId::new(owned.1),
        epoch: Epoch::new(owned.2),
        seq: Seq::new(owned.3),
        event: &owned.4,
        fields: &fields,
    };
    Canonicalizer::new(LineVersion::V2, Numbering::Own).line(&emission).unwrap().unwrap().to_vec()
}

/// Reads a v2 line back: if every emission can be, no two share a line.
fn parse(line: &[u8]) -> Owned {
    let text = std::str::from_utf8(line).unwrap();
    let mut parts = text.split('|');
    assert_eq!(parts.next(), Some("v2"));
    let mut number = || parts.next().unwrap().parse::<u64>().unwrap();
    let numbers = [number(), number(), number(), number()];
    let event = unescape(parts.next().unwrap());
    let fields = parts.map(|field| field.split_once('=').unwrap());
    let fields = fields.map(|(key, value)| (unescape(key), unescape(value))).collect();
    (numbers[0], numbers[1], numbers[2], numbers[3], event, fields)
}

fn unescape(text: &str) -> Vec<u8> {
    let mut pieces = text.split("\\x");
    let mut bytes = pieces.next().unwrap().as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn v2_lines_can_be_read_back(emission in owned()) {
        let line = v2(&emission);
        prop_assert!(line.iter().all(|byte| (0x20..0x7f).contains(byte)));
        prop_assert_eq!(parse(&line), emission);
    }
}

/// Lines of deliveries are those of the emissions that they are, in both versions, of more subscriptions than are kept
/// in mind, and over many times as many bytes as are hashed at once; and so is the hash.
#[test]
fn deliveries_and_emissions_give_one_transcript() {
    for version in [LineVersion::V1, LineVersion::V2] {
        let mut by_delivery = Canonicalizer::new(version, Numbering::Own);
        let mut by_emission = Canonicalizer::new(version, Numbering::Own);
        let mut text = Vec::new();
        for at in 0..3000_u64 {
            let payload = vec![b'a' + u8::try_from(at % 50).unwrap(); usize::try_from(at % 90).unwrap()];
            let is_snapshot = at % 7 == 0;
            let delivery = Delivery {
                subscription: SubscriptionId::new(at % 41),
                fingerprint: Fingerprint::new(u64::MAX - at % 5),
                term: Term::new(9),
                epoch: Epoch::new(at % 3),
                seq: Seq::new(at * at * at * at),
                kind: if is_snapshot { DeliveryKind::Snapshot } else { DeliveryKind::Event },
                payload: &payload,
            };
            let event: &[u8] = if is_snapshot && version == LineVersion::V2 { b"SNAPSHOT" } else { b"DATA" };
            let emission = Emission {
                fingerprint: delivery.fingerprint,
                subscription: delivery.subscription,
                epoch: delivery.epoch,
                seq: delivery.seq,
                event,
                fields: &[(b"delta", &payload)],
            };
            let line = by_delivery.delivery(&delivery).unwrap().to_vec();
            assert_eq!(by_emission.line(&emission).unwrap().unwrap(), line);
            assert_eq!(by_delivery.last_line(), Some(&line[..]));
            let (fingerprint, seq) = (u64::MAX - at % 5, at * at * at * at);
            let begins = match version {
                LineVersion::V1 => format!("{fingerprint}|{seq}|DATA|delta="),
                LineVersion::V2 => format!(
                    "v2|{fingerprint}|{}|{}|{seq}|{}|delta=",
                    at % 41,
                    at % 3,
                    String::from_utf8_lossy(event)
                ),
            };
            assert!(line.starts_with(begins.as_bytes()), "{begins}");
            text.extend_from_slice(&line);
            text.push(b'\n');
            if at % 100 == 0 {
                assert_eq!(by_delivery.digest(), xxhash_rust::xxh64::xxh64(&text, 0));
            }
        }
        assert_eq!(by_delivery.digest(), xxhash_rust::xxh64::xxh64(&text, 0));
        assert_eq!(by_emission.digest(), by_delivery.digest());
    }
}
