//! One producer and one client on a cluster, and a fault at a chosen moment of the leader's life.

use samestep_emission::{
    Change, ClientId, Delivery, Fingerprint, Origin, Output, ProducerId, StallPolicy, Target, Tick, Verdict,
};
use samestep_replay_traits::{LaneError, Seed};

use super::cluster::Cluster;
use crate::emission::TOKEN;
use crate::emission::client::Client;
use crate::emission::dice::Dice;

/// A moment between two steps of an event's way. Complete: there is none between neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Window {
    /// The leader has the producer's request, and has not proposed it.
    BeforePropose,
    /// The event is committed, and the leader has not applied it or told the producer.
    AfterCommit,
    /// The leader's notifier has handed the event out, and it is not sent.
    BeforeSend,
    /// The client has it, and the leader no acknowledgement.
    AfterSend,
    /// The leader has the acknowledgement, and has not proposed it.
    AfterAck,
    /// The acknowledgement is committed, and nothing is freed yet.
    BeforePurge,
}

/// What befalls the leader. Complete by what the scenarios ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Its power fails, and it is back before anybody misses it.
    Restart,
    /// Its power fails, and it is back long after another was elected.
    Failover,
    /// It is cut off from the other nodes, though not from the client, and does not know.
    Partition,
}

/// When what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    Nothing,
    /// The fault comes when the window has come so many times before.
    Window {
        window: Window,
        fault: Fault,
        passes: u64,
    },
}

pub(super) struct Drive {
    pub(super) cluster: Cluster,
    pub(super) client: Client,
    dice: Dice,
    events: u64,
    plan: Plan,
    passes: u64,
    /// Whether the fault came.
    pub(super) is_hit: bool,
    /// Whose messages pass again when.
    heals: Option<(u64, u64)>,
    pub(super) client_at: Option<u64>,
    progress_at: u64,
    /// The event that the producer waits for: who it told, and when.
    proposed: Option<(u64, u64)>,
    pub(super) number: u64,
    /// One message between client and node in so many is lost; 0 for none.
    pub(super) lost_one_in: u64,
}

impl Drive {
    /// A cluster with a leader and one subscription of one client.
    pub(super) fn new(mut cluster: Cluster, seed: Seed, events: u64, plan: Plan) -> Result<Self, LaneError> {
        let client_id = ClientId::new(CLIENT)?;
        let fingerprint = Fingerprint::new(FINGERPRINT);
        let subscribe = Change::Subscribe {
            client: CLIENT.as_bytes(),
            fingerprint,
            token: TOKEN,
            stall: StallPolicy::Suspend,
        };
        let mut subscription = None;
        while subscription.is_none() {
            if cluster.tick > TICKS_MAX {
                return Err(LaneError::failed("nobody could subscribe"));
            }
            let leader = cluster.elect()?;
            if let Some(node) = cluster.node(leader) {
                // If it is lost, it is proposed again; with the same token it is the same subscription.
                let _lost = node.propose(&subscribe);
            }
            cluster.run(30)?;
            let leader = cluster.elect()?;
            subscription = cluster.outbox(leader).and_then(|outbox| outbox.find(&client_id, fingerprint));
        }
        let id = subscription.ok_or_else(|| LaneError::failed("there is a subscription"))?;
        Ok(Self {
            client: Client::new(id, CLIENT)?,
            dice: Dice::new(seed.fork("drive")),
            events,
            plan,
            passes: 0,
            is_hit: false,
            heals: None,
            client_at: None,
            progress_at: cluster.tick,
            proposed: None,
            number: 1,
            lost_one_in: 8,
            cluster,
        })
    }

    /// Runs until every event is processed and acknowledged and all nodes agree. Calls `visit` with everything that
    /// reaches the client.
    pub(super) fn run(&mut self, mut visit: impl FnMut(&Delivery<'_>, Verdict)) -> Result<(), LaneError> {
        let end = self.cluster.tick + TICKS_MAX;
        while !self.is_done() {
            if self.cluster.tick > end {
                let (done, of) = (self.client.processed.len(), self.events);
                return Err(LaneError::failed(format!("{done} of {of} events after {TICKS_MAX} ticks")));
            }
            self.step(&mut visit)?;
        }
        self.check()
    }

    /// One tick of everybody.
    pub(super) fn step(&mut self, visit: &mut impl FnMut(&Delivery<'_>, Verdict)) -> Result<(), LaneError> {
        self.cluster.tick()?;
        if let Some((node, at)) = self.heals
            && at <= self.cluster.tick
        {
            self.cluster.bus.heal(node);
            self.heals = None;
        }
        for id in self.cluster.ids() {
            self.apply(id)?;
        }
        self.connect()?;
        for id in self.cluster.ids() {
            self.hand_out(id, visit)?;
        }
        self.acknowledge();
        self.produce();
        Ok(())
    }

    fn is_done(&self) -> bool {
        let is_done = self.client.processed.len() as u64 >= self.events && self.heals.is_none();
        let first = self.cluster.outbox(1);
        is_done && self.cluster.agrees() && first.is_some_and(|outbox| outbox.pending_entries() == 0)
    }

    /// Applies one by one, so that a fault may come before each.
    fn apply(&mut self, id: u64) -> Result<(), LaneError> {
        while let Some(node) = self.cluster.node(id) {
            let serves = node.serves();
            let Some((_, entry)) = node.next_committed() else { break };
            let window = match Change::decode(entry) {
                Ok(Change::Emit { .. }) => Some(Window::AfterCommit),
                Ok(Change::Acknowledge { .. }) => Some(Window::BeforePurge),
                _ => None,
            };
            if serves && window.is_some_and(|window| self.strike(window, id)) {
                return Ok(());
            }
            self.cluster.apply_one(id)?;
        }
        // Snapshots that were installed, and those that are due.
        self.cluster.apply(id)
    }

    /// The client finds somebody who serves, if it has nobody or nothing goes on.
    fn connect(&mut self) -> Result<(), LaneError> {
        let tick = self.cluster.tick;
        let has_somebody =
            self.client_at.is_some_and(|id| self.cluster.node(id).is_some_and(|node| node.serves()));
        if has_somebody && self.progress_at + PATIENCE_TICKS > tick && !self.client.receiver.needs_reconnect()
        {
            return Ok(());
        }
        self.client.receiver.handle_disconnect();
        let ids = self.cluster.ids();
        let from = self.client_at.map_or(0, |id| usize::try_from(id).unwrap_or(0));
        let next = (0..ids.len()).map(|step| ids[(from + step) % ids.len()]);
        let next = next.into_iter().find(|&id| self.cluster.node(id).is_some_and(|node| node.serves()));
        self.client_at = next;
        self.progress_at = tick;
        let Some(node) = next.and_then(|id| self.cluster.node(id)) else { return Ok(()) };
        let Some((notifier, outbox)) = node.notifier() else { return Ok(()) };
        let answer = notifier.handle_reconnect(outbox, &self.client.receiver.request(), Tick::new(tick))?;
        let term = notifier.term();
        self.client.receiver.handle_answer(answer, term);
        Ok(())
    }

    fn hand_out(&mut self, id: u64, visit: &mut impl FnMut(&Delivery<'_>, Verdict)) -> Result<(), LaneError> {
        let tick = Tick::new(self.cluster.tick);
        loop {
            // The node is looked up again each time: a fault may have taken it.
            let Some(node) = self.cluster.node(id) else { return Ok(()) };
            let Some((notifier, outbox)) = node.notifier() else { return Ok(()) };
            let Some(output) = notifier.poll(outbox, tick) else { return Ok(()) };
            let Output::Deliver(delivery) = output else {
                return Err(LaneError::failed(format!("no delivery: {output:?}")));
            };
            let payload = delivery.payload.to_vec();
            let delivery = Delivery { payload: &payload, ..delivery };
            if self.strike(Window::BeforeSend, id) {
                return Ok(());
            }
            if self.is_lost() {
                continue;
            }
            let verdict = self.client.receive(&delivery);
            visit(&delivery, verdict);
            if verdict == Verdict::Process {
                self.progress_at = self.cluster.tick;
            }
            if self.strike(Window::AfterSend, id) {
                return Ok(());
            }
        }
    }

    fn acknowledge(&mut self) {
        let Some(id) = self.client_at else { return };
        let Some(through) = self.client.receiver.poll_ack() else { return };
        if self.is_lost() || self.cluster.node(id).is_none() || self.strike(Window::AfterAck, id) {
            return;
        }
        let subscription = self.client.receiver.request().subscription;
        let Some(node) = self.cluster.node(id) else { return };
        let Some((notifier, outbox)) = node.notifier() else { return };
        // Asking somebody who leads no more is as good as losing it.
        if let Ok(Some(change)) = notifier.handle_ack(outbox, subscription, through) {
            let _lost = node.propose(&change);
        }
    }

    /// The producer proposes its next event, or the last one again if it does not hear of it.
    fn produce(&mut self) {
        let tick = self.cluster.tick;
        let producer = ProducerId::new(1);
        if let Some((told, at)) = self.proposed {
            let is_emitted =
                self.cluster.outbox(told).is_some_and(|found| found.producer(producer) >= self.number);
            if is_emitted {
                self.number += 1;
                self.proposed = None;
            } else if at + PATIENCE_TICKS > tick {
                return;
            }
        }
        if self.number > self.events || self.dice.one_in(3) {
            return;
        }
        let Some(leader) = self.cluster.leader() else { return };
        self.proposed = Some((leader, tick));
        if self.strike(Window::BeforePropose, leader) {
            return;
        }
        let payload = payload(self.number);
        let target = Target::Topic(Fingerprint::new(FINGERPRINT));
        let origin = Some(Origin { producer, number: self.number });
        if let Some(node) = self.cluster.node(leader) {
            let _lost = node.propose(&Change::Emit { target, origin, payload: &payload });
        }
    }

    /// Whether the fault comes now.
    fn strike(&mut self, window: Window, id: u64) -> bool {
        let Plan::Window { window: chosen, fault, passes } = self.plan else { return false };
        if window != chosen || self.is_hit {
            return false;
        }
        self.passes += 1;
        if self.passes <= passes {
            return false;
        }
        self.is_hit = true;
        self.befall(id, fault);
        true
    }

    pub(super) fn befall(&mut self, id: u64, fault: Fault) {
        match fault {
            Fault::Restart => self.cluster.kill(id, 2),
            Fault::Failover => self.cluster.kill(id, DOWN_TICKS),
            Fault::Partition => {
                self.cluster.bus.cut_off(id);
                self.heals = Some((id, self.cluster.tick + DOWN_TICKS));
            }
        }
    }

    fn is_lost(&mut self) -> bool {
        self.lost_one_in > 0 && self.dice.one_in(self.lost_one_in)
    }

    /// Each event was processed once, in order.
    fn check(&self) -> Result<(), LaneError> {
        let expected: Vec<(u64, Vec<u8>)> = (1..=self.events).map(|seq| (seq, payload(seq))).collect();
        crate::emission::expect("processed", &self.client.processed, &expected)
    }
}

/// Of event `number`, from 1.
fn payload(number: u64) -> Vec<u8> {
    format!("val-{}", number - 1).into_bytes()
}

const CLIENT: &str = "c1";
const FINGERPRINT: u64 = 424_242;
/// After how many ticks without progress somebody else is asked.
const PATIENCE_TICKS: u64 = 40;
/// How long a node is away: several elections.
const DOWN_TICKS: u64 = 120;
const TICKS_MAX: u64 = 5000;
