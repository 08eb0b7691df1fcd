//! A client: what was sent to it, and what it made of that.

use samestep_emission::{
    Answer, ClientId, Delivery, Epoch, Notifier, Outbox, Output, Position, Receiver, Resumption, Seq,
    SubscriptionId, Term, Tick, Verdict,
};
use samestep_replay_traits::LaneError;

/// A client that processes every event at once.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) receiver: Receiver,
    /// Positions and payloads in the order in which they were processed.
    pub(super) processed: Vec<(u64, Vec<u8>)>,
    /// Everything that reached it.
    pub(super) deliveries: u64,
    /// What reached it although it was processed before.
    pub(super) duplicates: u64,
    /// What reached it from a deposed leader.
    pub(super) fenced: u64,
}

impl Client {
    pub(super) fn new(subscription: SubscriptionId, name: &str) -> Result<Self, LaneError> {
        let receiver = Receiver::new(subscription, ClientId::new(name)?, Position::START);
        Ok(Self { receiver, processed: Vec::new(), deliveries: 0, duplicates: 0, fenced: 0 })
    }

    /// The same client, which claims to have processed events of `epoch` up to `seq`.
    pub(super) fn claiming(mut self, epoch: u64, seq: u64) -> Self {
        let position = Position { epoch: Epoch::new(epoch), seq: Seq::new(seq) };
        let request = self.receiver.request();
        self.receiver = Receiver::new(request.subscription, request.client, position);
        self
    }

    /// Connects, and takes whatever restart it is told.
    pub(super) fn connect(
        &mut self,
        notifier: &mut Notifier,
        outbox: &Outbox,
        now: Tick,
    ) -> Result<(Answer, Resumption), LaneError> {
        let answer = notifier.handle_reconnect(outbox, &self.receiver.request(), now)?;
        Ok((answer, self.hear(answer, notifier.term())))
    }

    /// An answer came; the client takes whatever restart it is told.
    pub(super) fn hear(&mut self, answer: Answer, term: Term) -> Resumption {
        let resumption = self.receiver.handle_answer(answer, term);
        self.receiver.restart();
        resumption
    }

    /// Something reached it.
    pub(super) fn receive(&mut self, delivery: &Delivery<'_>) -> Verdict {
        self.deliveries += 1;
        let verdict = self.receiver.handle_delivery(delivery);
        match verdict {
            Verdict::Process | Verdict::Replace => {
                self.processed.push((delivery.seq.get(), delivery.payload.to_vec()));
                self.receiver.confirm(delivery);
            }
            Verdict::Duplicate => self.duplicates += 1,
            Verdict::Fenced => self.fenced += 1,
            Verdict::Gap | Verdict::Foreign | Verdict::Unexpected => {}
        }
        verdict
    }
}

/// Calls `visit` with everything that is handed out now. Anything but a delivery fails the lane.
pub(super) fn hand_out(
    notifier: &mut Notifier,
    outbox: &mut Outbox,
    now: Tick,
    mut visit: impl FnMut(&Delivery<'_>),
) -> Result<u64, LaneError> {
    let mut count = 0;
    while let Some(output) = notifier.poll(outbox, now) {
        match output {
            Output::Deliver(delivery) => visit(&delivery),
            other => return Err(LaneError::failed(format!("no delivery: {other:?}"))),
        }
        count += 1;
    }
    Ok(count)
}
