#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use proptest::prelude::*;

use super::{DecodeError, EncodeError};
use crate::change::{Change, Origin, StallPolicy, Target};
use crate::client::Token;
use crate::fingerprint::Fingerprint;
use crate::id::{NodeId, ProducerId, Seq, SubscriptionId, Term};
use crate::limits::Limits;

/// One record of each kind with its bytes, written down by hand from the format's description.
#[test]
fn vectors() {
    let token = Token::new(*b"0123456789abcdef");
    let next_token = Token::new(*b"fedcba9876543210");
    let subscription = SubscriptionId::new(300);
    let vectors: [(Change<'_>, Vec<u8>); 12] = [
        (Change::StartEpoch { term: Term::new(7), node: NodeId::new(2) }, vec![1, 1, 7, 2]),
        (
            Change::Configure(Limits {
                subscriptions_max: 1,
                producers_max: 0,
                entries_max: 2,
                bytes_max: 128,
                subscription_entries_max: 2,
                subscription_bytes_max: 4,
                payload_bytes_max: 3,
            }),
            vec![1, 2, 1, 0, 2, 0x80, 1, 2, 4, 3],
        ),
        (
            Change::Subscribe {
                client: b"c1",
                fingerprint: Fingerprint::new(0x0102_0304_0506_0708),
                token,
                stall: StallPolicy::Evict,
            },
            [&[1, 3, 2, b'c', b'1', 8, 7, 6, 5, 4, 3, 2, 1][..], b"0123456789abcdef", &[2]].concat(),
        ),
        (Change::Unsubscribe { subscription, token }, [&[1, 4, 0xac, 2][..], b"0123456789abcdef"].concat()),
        (
            Change::Emit { target: Target::Subscription(subscription), origin: None, payload: b"\0\n|" },
            vec![1, 5, 0xac, 2, 0, 0, 3, 0, b'\n', b'|'],
        ),
        (
            Change::Emit {
                target: Target::Topic(Fingerprint::new(9)),
                origin: Some(Origin { producer: ProducerId::new(5), number: 6 }),
                payload: b"",
            },
            vec![1, 6, 9, 0, 0, 0, 0, 0, 0, 0, 5, 6, 0],
        ),
        (
            // A producer may be number 0; what tells it from none is the event's number.
            Change::Emit {
                target: Target::Subscription(SubscriptionId::new(1)),
                origin: Some(Origin { producer: ProducerId::new(0), number: 1 }),
                payload: b"x",
            },
            vec![1, 5, 1, 0, 1, 1, b'x'],
        ),
        (Change::Acknowledge { subscription, through: Seq::new(127) }, vec![1, 7, 0xac, 2, 127]),
        (
            Change::Rebind { subscription, from: b"a", token, to: b"bc", next_token },
            [&[1, 8, 0xac, 2, 1, b'a'][..], b"0123456789abcdef", &[2, b'b', b'c'], b"fedcba9876543210"]
                .concat(),
        ),
        (
            Change::Compact { subscription, through: Seq::new(4), snapshot: b"s" },
            vec![1, 9, 0xac, 2, 4, 1, b's'],
        ),
        (Change::Evict { subscription, through: Seq::new(4) }, vec![1, 10, 0xac, 2, 4]),
        (Change::Retire { producer: ProducerId::new(3) }, vec![1, 11, 3]),
    ];
    for (change, bytes) in &vectors {
        let mut out = Vec::new();
        change.encode(&mut out).unwrap();
        assert_eq!(&out, bytes, "{change:?}");
        assert_eq!(Change::decode(bytes).as_ref(), Ok(change));
        for cut in 0..bytes.len() {
            assert!(Change::decode(&bytes[..cut]).is_err(), "{change:?} cut at {cut}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Change::decode(&longer), Err(DecodeError::Trailing { bytes: 1 }), "{change:?}");
    }
}

#[test]
fn what_is_refused() {
    let cases: [(&[u8], DecodeError); 9] = [
        (&[], DecodeError::Short),
        (&[0, 1], DecodeError::Version { found: 0 }),
        (&[2, 1, 1, 1], DecodeError::Version { found: 2 }),
        (&[1, 0], DecodeError::Kind { found: 0 }),
        (&[1, 12], DecodeError::Kind { found: 12 }),
        (&[1, 3, 0], DecodeError::Field { name: "client" }),
        // A payload that claims 2^63 bytes.
        (
            &[1, 5, 1, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
            DecodeError::Long { bytes: 1 << 63, bytes_max: 16 << 20 },
        ),
        // Subscription 1 in two bytes.
        (&[1, 7, 0x81, 0, 1], DecodeError::Number),
        // A producer, but no number.
        (&[1, 5, 1, 9, 0, 0], DecodeError::Field { name: "origin" }),
    ];
    for (bytes, error) in cases {
        assert_eq!(Change::decode(bytes), Err(error), "{bytes:?}");
    }
}

#[test]
fn what_cannot_be_encoded() {
    let emit = |origin, payload| Change::Emit { target: Target::Topic(Fingerprint::new(1)), origin, payload };
    let long = vec![0; (16 << 20) + 1];
    let numberless = Some(Origin { producer: ProducerId::new(1), number: 0 });
    let subscribe = Change::Subscribe {
        client: &long[..256],
        fingerprint: Fingerprint::new(1),
        token: Token::new([0; 16]),
        stall: StallPolicy::Suspend,
    };
    let mut out = Vec::new();
    assert_eq!(emit(None, &long).encode(&mut out), Err(EncodeError::Payload { bytes: long.len() }));
    assert_eq!(emit(numberless, &[]).encode(&mut out), Err(EncodeError::Origin));
    assert_eq!(subscribe.encode(&mut out), Err(EncodeError::Client { bytes: 256 }));
    assert_eq!(out, []);
}

proptest! {
    /// What decodes encodes to the same bytes: no record has two forms.
    #[test]
    fn bytes_that_decode_are_canonical(mut bytes in proptest::collection::vec(any::<u8>(), 2..64), kind in 1..=11_u8) {
        bytes[0] = 1;
        bytes[1] = kind;
        if let Ok(change) = Change::decode(&bytes) {
            let mut out = Vec::new();
            change.encode(&mut out).unwrap();
            prop_assert_eq!(out, bytes);
        }
    }

    #[test]
    fn records_come_back(numbers in any::<[u64; 4]>(), payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        let [subscription, producer, number, through] = numbers;
        let origin = Some(Origin { producer: ProducerId::new(producer), number: number.max(1) });
        let subscription = SubscriptionId::new(subscription);
        for change in [
            Change::Emit { target: Target::Subscription(subscription), origin, payload: &payload },
            Change::Emit { target: Target::Topic(Fingerprint::new(number)), origin: None, payload: &payload },
            Change::Compact { subscription, through: Seq::new(through), snapshot: &payload },
        ] {
            let mut out = Vec::new();
            change.encode(&mut out).unwrap();
            prop_assert_eq!(Change::decode(&out), Ok(change));
        }
    }
}
