#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use samestep_replay_traits::Index;

use super::{Applied, Outbox, TOUCHED_SLACK};
use crate::change::{Change, StallPolicy, Target};
use crate::client::Token;
use crate::fingerprint::Fingerprint;
use crate::id::{NodeId, Term};

/// On a follower nobody asks what changed. Subscriptions that come and go leave nothing behind there.
#[test]
fn what_nobody_looks_at_does_not_pile_up() {
    let mut outbox = Outbox::new();
    let mut index = 0;
    let mut apply = |outbox: &mut Outbox, change: &Change<'_>| {
        index += 1;
        outbox.apply(Index::new(index), change).unwrap().unwrap()
    };
    apply(&mut outbox, &Change::StartEpoch { term: Term::new(1), node: NodeId::new(1) });
    let (fingerprint, token) = (Fingerprint::new(1), Token::new([0; 16]));
    for _ in 0..3 * TOUCHED_SLACK {
        let stall = StallPolicy::Suspend;
        let subscribe = Change::Subscribe { client: b"c", fingerprint, token, stall };
        let Applied::Subscribed { subscription } = apply(&mut outbox, &subscribe) else {
            panic!("not subscribed")
        };
        let target = Target::Subscription(subscription);
        apply(&mut outbox, &Change::Emit { target, origin: None, payload: b"x" });
        apply(&mut outbox, &Change::Unsubscribe { subscription, token });
        assert!(outbox.touched.len() <= TOUCHED_SLACK + 2, "{} are listed", outbox.touched.len());
    }
}
