//! Random workloads on several replicas, with restarts, new leaders, lost connections and lost acknowledgements.

use std::collections::BTreeMap;

use samestep_emission::{
    Answer, Applied, Change, Fingerprint, Index, Limits, NodeId, Notifier, NotifierOptions, Outbox,
    Resumption, Seq, StallPolicy, Subscription, SubscriptionId, Target, Term, Tick,
};
use samestep_replay_traits::{Event, LaneContext, LaneError, Seed, Transcript};

use super::client::{Client, hand_out};
use super::dice::Dice;
use super::expect;
use crate::scenario::{Random, Scenario, tell_faults};

/// Forty workloads of four hundred steps.
pub(crate) const RANDOM_WORKLOADS: Random = Random(Scenario {
    name: "emission/random-workloads",
    about: "40 seeded workloads on 3 replicas: equal snapshots everywhere, every client exactly what its log holds",
    run: random_workloads,
});

const WORKLOADS: u64 = 40;
const STEPS: u64 = 400;

fn random_workloads(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let mut faults = Faults::default();
    for number in 0..WORKLOADS {
        let seed = context.seed().fork("workload").fork(&number.to_string());
        let told = Workload::new(seed)?.run(&mut faults)?;
        transcript.event(&told.field("number", number));
    }
    tell_faults(
        transcript,
        [
            ("lost-delivery", faults.lost_deliveries),
            ("lost-ack", faults.lost_acks),
            ("disconnect", faults.disconnects),
            ("failover", faults.failovers),
            ("restart", faults.restarts),
        ],
    );
    Ok(())
}

/// What went wrong, in all workloads.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    lost_deliveries: u64,
    lost_acks: u64,
    disconnects: u64,
    failovers: u64,
    restarts: u64,
}

struct Workload {
    faults: Faults,
    dice: Dice,
    log: Vec<Vec<u8>>,
    /// Each as far in the log as it got.
    replicas: Vec<Outbox>,
    leader: usize,
    term: u64,
    notifier: Notifier,
    clients: Vec<Client>,
    /// What was ever emitted to each subscription.
    emitted: BTreeMap<SubscriptionId, Vec<Vec<u8>>>,
    tick: u64,
    outcomes: [u64; 3],
}

impl Workload {
    fn new(seed: Seed) -> Result<Self, LaneError> {
        let mut workload = Self {
            faults: Faults::default(),
            dice: Dice::new(seed),
            log: Vec::new(),
            replicas: vec![Outbox::new(); 3],
            leader: 0,
            term: 0,
            notifier: Notifier::new(Term::new(0), NotifierOptions::default())?,
            clients: Vec::new(),
            emitted: BTreeMap::new(),
            tick: 0,
            outcomes: [0; 3],
        };
        workload.elect(0)?;
        let limits = Limits { subscription_entries_max: 30, ..Limits::default() };
        workload.append(&Change::Configure(limits))?;
        for number in 0..5_u64 {
            let name = format!("client {number}");
            let stall = [StallPolicy::Suspend, StallPolicy::Coalesce][usize::from(number == 4)];
            let fingerprint = Fingerprint::new(number % 3);
            let change =
                Change::Subscribe { client: name.as_bytes(), fingerprint, token: super::TOKEN, stall };
            if let Some(Applied::Subscribed { subscription }) = workload.append(&change)? {
                workload.clients.push(Client::new(subscription, &name)?);
                workload.emitted.insert(subscription, Vec::new());
            }
        }
        Ok(workload)
    }

    /// Adds what went wrong to `faults`.
    fn run(mut self, faults: &mut Faults) -> Result<Event, LaneError> {
        self.faults = *faults;
        for _ in 0..STEPS {
            self.step()?;
        }
        *faults = self.faults;
        // Everybody comes back, and takes what is left.
        for _ in 0..3 {
            for at in 0..self.clients.len() {
                self.connect(at)?;
            }
            self.tick += 100;
            self.deliver(0)?;
        }
        let bytes = self.replicas[self.leader].snapshot();
        for replica in 0..self.replicas.len() {
            self.catch_up(replica)?;
            expect("equal replicas", &(self.replicas[replica].snapshot() == bytes), &true)?;
        }
        for client in &self.clients {
            self.check(client)?;
        }
        let sums = |of: fn(&Client) -> u64| self.clients.iter().map(of).sum::<u64>();
        Ok(Event::new("workload")
            .field("entries", self.log.len())
            .field("term", self.term)
            .field("deliveries", sums(|client| client.deliveries))
            .field("duplicates", sums(|client| client.duplicates))
            .field("processed", sums(|client| client.processed.len() as u64))
            .field("ok", self.outcomes[0])
            .field("stale", self.outcomes[1])
            .field("snapshot", format_args!("{:016x}", xxhash_of(&bytes))))
    }

    fn step(&mut self) -> Result<(), LaneError> {
        self.tick += 1;
        let at = usize::try_from(self.dice.below(self.clients.len() as u64))?;
        let id = self.clients[at].receiver.request().subscription;
        match self.dice.below(20) {
            0..8 => {
                let payload = self.dice.bytes(24);
                let target = if self.dice.one_in(3) {
                    Target::Topic(Fingerprint::new(self.dice.below(3)))
                } else {
                    Target::Subscription(id)
                };
                self.emit(target, &payload)
            }
            8..12 => self.deliver(4),
            12..15 => {
                let Some(through) = self.clients[at].receiver.poll_ack() else { return Ok(()) };
                // A third of them never arrive.
                if self.dice.one_in(3) {
                    self.faults.lost_acks += 1;
                    return Ok(());
                }
                let change = self.notifier.handle_ack(&self.replicas[self.leader], id, through)?;
                if let Some(change) = change {
                    self.append(&change)?;
                }
                Ok(())
            }
            15 => {
                self.faults.disconnects += 1;
                self.notifier.handle_disconnect(id);
                self.clients[at].receiver.handle_disconnect();
                Ok(())
            }
            16..18 => self.connect(at),
            18 => {
                self.faults.failovers += 1;
                let leader = usize::try_from(self.dice.below(self.replicas.len() as u64))?;
                self.elect(leader)
            }
            _ => {
                let replica = usize::try_from(self.dice.below(self.replicas.len() as u64))?;
                self.catch_up(replica)?;
                // A restart from its own snapshot.
                self.faults.restarts += 1;
                self.replicas[replica] = Outbox::restore(&self.replicas[replica].snapshot())?;
                if replica == self.leader {
                    self.elect(replica)?;
                }
                Ok(())
            }
        }
    }

    fn emit(&mut self, target: Target, payload: &[u8]) -> Result<(), LaneError> {
        let before: Vec<(SubscriptionId, Seq)> =
            self.replicas[self.leader].subscriptions().map(|(id, found)| (id, found.emitted())).collect();
        // Refused as full, for instance: then it goes to nobody.
        self.append(&Change::Emit { target, origin: None, payload })?;
        for (id, newest) in before {
            let now = self.replicas[self.leader].subscription(id).map_or(newest, Subscription::emitted);
            if now > newest {
                self.emitted.entry(id).or_default().push(payload.to_vec());
            }
        }
        Ok(())
    }

    /// Hands out; each delivery is lost with a chance of one in `loss`, never if that is 0.
    fn deliver(&mut self, loss: u64) -> Result<(), LaneError> {
        let Self { notifier, replicas, leader, clients, dice, tick, faults, .. } = self;
        hand_out(notifier, &mut replicas[*leader], Tick::new(*tick), |delivery| {
            if loss > 0 && dice.one_in(loss) {
                faults.lost_deliveries += 1;
                return;
            }
            for client in clients.iter_mut() {
                if client.receiver.request().subscription == delivery.subscription {
                    client.receive(delivery);
                }
            }
        })?;
        Ok(())
    }

    fn connect(&mut self, at: usize) -> Result<(), LaneError> {
        let client = &mut self.clients[at];
        let (answer, resumption) =
            client.connect(&mut self.notifier, &self.replicas[self.leader], Tick::new(self.tick))?;
        match answer {
            Answer::Ok { .. } => self.outcomes[0] += 1,
            Answer::Stale { .. } => self.outcomes[1] += 1,
            other => return Err(LaneError::failed(format!("an honest client got {other:?}"))),
        }
        expect("nothing lost", &matches!(resumption, Resumption::Continue | Resumption::Replace), &true)
    }

    /// `replica` leads, and everybody is disconnected.
    fn elect(&mut self, replica: usize) -> Result<(), LaneError> {
        self.catch_up(replica)?;
        self.leader = replica;
        self.term += 1;
        let options =
            NotifierOptions { resend_ticks_min: 3, resend_ticks_max: 12, ..NotifierOptions::default() };
        self.notifier = Notifier::new(Term::new(self.term), options)?;
        let node = NodeId::new(replica as u64);
        self.append(&Change::StartEpoch { term: Term::new(self.term), node })?;
        for client in &mut self.clients {
            client.receiver.handle_disconnect();
        }
        Ok(())
    }

    /// Appends, and applies on the leader. `None` if it was refused.
    fn append(&mut self, change: &Change<'_>) -> Result<Option<Applied>, LaneError> {
        let mut entry = Vec::new();
        change.encode(&mut entry)?;
        self.log.push(entry);
        let index = Index::new(self.log.len() as u64);
        Ok(self.replicas[self.leader].apply_entry(index, &self.log[self.log.len() - 1])?.ok())
    }

    fn catch_up(&mut self, replica: usize) -> Result<(), LaneError> {
        let replica = &mut self.replicas[replica];
        let from = replica.applied().get();
        for (index, entry) in (1..).zip(&self.log).skip(usize::try_from(from)?) {
            let _answer = replica.apply_entry(Index::new(index), entry)?;
        }
        Ok(())
    }

    /// A client that was never overtaken has exactly what was emitted; one that was has gaps where a snapshot, which
    /// under coalescing is an event itself, stands for what is missing.
    fn check(&self, client: &Client) -> Result<(), LaneError> {
        let id = client.receiver.request().subscription;
        let emitted = &self.emitted[&id];
        let last = client.processed.last().map_or(0, |(seq, _)| *seq);
        expect("the newest", &last, &(emitted.len() as u64))?;
        let mut before = 0;
        for (seq, payload) in &client.processed {
            expect("ascends", &(*seq > before), &true)?;
            expect("payload", payload, &emitted[usize::try_from(*seq - 1)?])?;
            before = *seq;
        }
        let coalesces = self.replicas[self.leader]
            .subscription(id)
            .is_some_and(|found| found.stall() == StallPolicy::Coalesce);
        if !coalesces {
            expect("all of it", &client.processed.len(), &emitted.len())?;
        }
        Ok(())
    }
}

/// The checksum at the end of a snapshot.
fn xxhash_of(snapshot: &[u8]) -> u64 {
    snapshot.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
