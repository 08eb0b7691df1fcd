//! Promises about the types themselves.

use samestep_emission::{
    Change, ClientId, ClientIdError, Metrics, Notifier, Outbox, Receiver, Refused, Subscription, Token,
};

#[test]
fn everything_can_move_between_threads() {
    fn check<T: Send + Sync>() {}
    check::<Outbox>();
    check::<Notifier>();
    check::<Receiver>();
    check::<Change<'_>>();
    check::<Subscription>();
    check::<Metrics>();
    check::<Refused>();
}

#[test]
fn names_have_1_to_255_bytes() {
    assert_eq!(ClientId::new(""), Err(ClientIdError { bytes: 0 }));
    assert_eq!(ClientId::new([0; 256]), Err(ClientIdError { bytes: 256 }));
    assert_eq!(ClientId::new([0xff; 255]).unwrap().as_bytes(), [0xff; 255]);
}

#[test]
fn tokens_are_not_shown() {
    assert_eq!(format!("{:?}", Token::new(*b"a secret of ours")), "Token(..)");
}
