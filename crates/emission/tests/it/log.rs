//! A log in memory with an outbox at its end, and short ways to say what happens.

use samestep_emission::{
    Applied, Change, ClientId, Delivery, DeliveryKind, Fingerprint, Index, Limits, NodeId, Notifier,
    NotifierOptions, Origin, Outbox, Output, Position, ProducerId, Reconnect, Refused, Seq, StallPolicy,
    SubscriptionId, Target, Term, Tick, Token,
};

pub(crate) const TOKEN: Token = Token::new(*b"token of a tests");

/// A log whose entries are applied as they are appended.
pub(crate) struct Log {
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) outbox: Outbox,
}

impl Log {
    /// With an epoch in term 1.
    pub(crate) fn new() -> Self {
        let mut log = Self { entries: Vec::new(), outbox: Outbox::new() };
        log.start_epoch(1);
        log
    }

    pub(crate) fn append(&mut self, change: &Change<'_>) -> Result<Applied, Refused> {
        let mut bytes = Vec::new();
        change.encode(&mut bytes).unwrap();
        self.entries.push(bytes);
        let index = Index::new(self.entries.len() as u64);
        self.outbox.apply_entry(index, self.entries.last().unwrap()).unwrap()
    }

    pub(crate) fn start_epoch(&mut self, term: u64) {
        self.append(&Change::StartEpoch { term: Term::new(term), node: NodeId::new(1) }).unwrap();
    }

    pub(crate) fn configure(&mut self, limits: Limits) {
        assert_eq!(self.append(&Change::Configure(limits)), Ok(Applied::Configured));
    }

    pub(crate) fn subscribe_as(
        &mut self,
        client: &str,
        fingerprint: u64,
        stall: StallPolicy,
    ) -> SubscriptionId {
        let client = client.as_bytes();
        let fingerprint = Fingerprint::new(fingerprint);
        match self.append(&Change::Subscribe { client, fingerprint, token: TOKEN, stall }) {
            Ok(Applied::Subscribed { subscription }) => subscription,
            other => panic!("not subscribed: {other:?}"),
        }
    }

    pub(crate) fn subscribe(&mut self, client: &str, fingerprint: u64) -> SubscriptionId {
        self.subscribe_as(client, fingerprint, StallPolicy::Suspend)
    }

    pub(crate) fn try_emit(
        &mut self,
        subscription: SubscriptionId,
        payload: &[u8],
    ) -> Result<Applied, Refused> {
        self.append(&Change::Emit { target: Target::Subscription(subscription), origin: None, payload })
    }

    pub(crate) fn emit(&mut self, subscription: SubscriptionId, payload: &str) -> u64 {
        match self.try_emit(subscription, payload.as_bytes()) {
            Ok(Applied::Emitted { seq, .. }) => seq.get(),
            other => panic!("not emitted: {other:?}"),
        }
    }

    /// Emits `x` so many times.
    pub(crate) fn emit_many(&mut self, subscription: SubscriptionId, count: u64) {
        for _ in 0..count {
            self.emit(subscription, "x");
        }
    }

    pub(crate) fn publish(&mut self, fingerprint: u64, payload: &str) -> Result<Applied, Refused> {
        let target = Target::Topic(Fingerprint::new(fingerprint));
        self.append(&Change::Emit { target, origin: None, payload: payload.as_bytes() })
    }

    pub(crate) fn produce(
        &mut self,
        subscription: SubscriptionId,
        producer: u64,
        number: u64,
    ) -> Result<Applied, Refused> {
        let origin = Some(Origin { producer: ProducerId::new(producer), number });
        self.append(&Change::Emit { target: Target::Subscription(subscription), origin, payload: b"x" })
    }

    pub(crate) fn ack(&mut self, subscription: SubscriptionId, through: u64) -> Result<Applied, Refused> {
        self.append(&Change::Acknowledge { subscription, through: Seq::new(through) })
    }

    pub(crate) fn compact(
        &mut self,
        subscription: SubscriptionId,
        through: u64,
        snapshot: &str,
    ) -> Result<Applied, Refused> {
        let snapshot = snapshot.as_bytes();
        self.append(&Change::Compact { subscription, through: Seq::new(through), snapshot })
    }

    pub(crate) fn evict(&mut self, subscription: SubscriptionId, through: u64) -> Result<Applied, Refused> {
        self.append(&Change::Evict { subscription, through: Seq::new(through) })
    }

    pub(crate) fn rebind(
        &mut self,
        subscription: SubscriptionId,
        from: &str,
        to: &str,
    ) -> Result<Applied, Refused> {
        self.append(&Change::Rebind {
            subscription,
            from: from.as_bytes(),
            token: TOKEN,
            to: to.as_bytes(),
            next_token: TOKEN,
        })
    }

    /// What a client would ask that has processed events of the current epoch up to `seq`.
    pub(crate) fn request(&self, subscription: SubscriptionId, client: &str, seq: u64) -> Reconnect {
        let epoch = if seq == 0 { samestep_emission::Epoch::new(0) } else { self.outbox.reign().epoch };
        Reconnect {
            subscription,
            client: ClientId::new(client).unwrap(),
            position: Position { epoch, seq: Seq::new(seq) },
        }
    }

    /// What waits for the subscription: positions and payloads.
    pub(crate) fn pending(&self, subscription: SubscriptionId) -> Vec<(u64, String)> {
        let found = self.outbox.subscription(subscription).unwrap();
        let events =
            (found.floor().get() + 1..=found.emitted().get()).map(|seq| found.event(Seq::new(seq)).unwrap());
        events.map(|event| (event.seq.get(), text(event.payload))).collect()
    }
}

/// A notifier for the outbox's current term, with short delays.
pub(crate) fn notifier(log: &Log) -> Notifier {
    Notifier::new(log.outbox.reign().term, options()).unwrap()
}

pub(crate) fn options() -> NotifierOptions {
    NotifierOptions { window_entries: 100, resend_ticks_min: 1, resend_ticks_max: 8, stall_ticks: None }
}

/// Everything that is handed out at `tick`: position and payload, a snapshot with a `*`.
pub(crate) fn deliveries(notifier: &mut Notifier, log: &mut Log, tick: u64) -> Vec<(u64, String)> {
    let mut all = Vec::new();
    while let Some(output) = notifier.poll(&mut log.outbox, Tick::new(tick)) {
        match output {
            Output::Deliver(delivery) => all.push(told(&delivery)),
            other => panic!("no delivery: {other:?}"),
        }
    }
    all
}

pub(crate) fn told(delivery: &Delivery<'_>) -> (u64, String) {
    let mark = if delivery.kind == DeliveryKind::Snapshot { "*" } else { "" };
    (delivery.seq.get(), format!("{mark}{}", text(delivery.payload)))
}

pub(crate) fn text(payload: &[u8]) -> String {
    String::from_utf8(payload.to_vec()).unwrap()
}

/// `[(1, "a"), ..]` as it comes out of [`deliveries`].
pub(crate) fn events(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|(seq, payload)| (*seq, (*payload).to_owned())).collect()
}
