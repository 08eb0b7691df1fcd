//! A client that publishes numbered events, and processes what comes back.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use samestep_emission::{ClientId, Delivery, Position, Receiver, Resumption, Verdict};
use samestep_provider_traits::{Providers, TimeProvider};

use super::Result;
use super::link::{Bell, Link};
use super::wire::{ToClient, ToNode};

/// What the client has seen so far.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The node that it is connected to, and the term in which it leads.
    pub(crate) leader: Option<(u64, u64)>,
    /// Events that it began to publish.
    pub(crate) begun: u64,
    /// Events that a leader said are committed.
    pub(crate) published: u64,
    /// Events that were processed, each checked to be the next one.
    pub(crate) processed: u64,
    /// Deliveries that were processed before.
    pub(crate) duplicates: u64,
    /// Deliveries of leaders that were deposed.
    pub(crate) fenced: u64,
    /// How often it connected.
    pub(crate) connections: u64,
    /// Set from outside: it begins no event after this one.
    pub(crate) allowed: u64,
    /// Set from outside: after the events that were begun by then it ends.
    pub(crate) is_ending: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            leader: None,
            begun: 0,
            published: 0,
            processed: 0,
            duplicates: 0,
            fenced: 0,
            connections: 0,
            allowed: u64::MAX,
            is_ending: false,
        }
    }
}

impl Progress {
    /// Everything that was begun is published and processed.
    pub(crate) fn is_done(&self) -> bool {
        self.published == self.begun && self.processed == self.begun
    }
}

/// How the client goes about it.
pub(crate) struct Conduct {
    /// Between two events, at least.
    pub(crate) gap: Duration,
    pub(crate) duplicates: Duplicates,
    /// Told of each delivery that is processed.
    pub(crate) watch: Rc<dyn Fn(&Delivery<'_>)>,
}

impl Default for Conduct {
    fn default() -> Self {
        Self { gap: Duration::ZERO, duplicates: Duplicates::Dropped, watch: Rc::new(|_| {}) }
    }
}

/// What becomes of a delivery that was processed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duplicates {
    /// Nothing: the receiver's word is taken.
    Dropped,
    /// It is processed: the mistake that a simulation must find.
    Processed,
}

/// Publishes and processes until it is told to end and everything published is processed.
pub(crate) async fn run<P: Providers>(
    world: P,
    nodes: Vec<SocketAddr>,
    conduct: Conduct,
    progress: Rc<RefCell<Progress>>,
) -> Result<()> {
    let client = ClientId::new("shop")?;
    let mut receiver: Option<Receiver> = None;
    let (mut next_node, news) = (0, Bell::default());
    loop {
        let address = nodes[next_node % nodes.len()];
        next_node += 1;
        let link = Link::to(&world, address, &news);
        let connected = converse(&world, &link, &news, &client, &mut receiver, &conduct, &progress).await;
        link.close();
        let connected = connected?;
        if let Some(receiver) = &mut receiver {
            receiver.handle_disconnect();
        }
        progress.borrow_mut().leader = None;
        if connected == Ended::Done {
            return Ok(());
        }
        world.time().sleep(RETRY).await;
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Everything is processed.
    Done,
    /// This node does not lead, or is gone.
    Elsewhere,
}

/// Talks to one node for as long as it answers.
async fn converse<P: Providers>(
    world: &P,
    link: &Link,
    news: &Bell,
    client: &ClientId,
    receiver: &mut Option<Receiver>,
    conduct: &Conduct,
    progress: &Rc<RefCell<Progress>>,
) -> Result<Ended> {
    let time = world.time();
    let started = time.now();
    while !link.is_open() {
        if time.now() > started + CONNECT {
            return Ok(Ended::Elsewhere);
        }
        let _either = time.timeout(LOOK, news.heard()).await;
    }
    link.send(match receiver {
        Some(receiver) => ToNode::Reconnect(receiver.request()).encode()?,
        None => ToNode::Subscribe { client: client.clone() }.encode()?,
    });
    let (mut heard_at, mut published_at, mut publishing) = (time.now(), Duration::ZERO, None);
    while link.is_open() && time.now() < heard_at + PATIENCE {
        while let Some(frame) = link.take() {
            heard_at = time.now();
            match ToClient::decode(&frame)? {
                ToClient::NotLeading => return Ok(Ended::Elsewhere),
                ToClient::Status { .. } => {}
                ToClient::Subscribed { subscription } => {
                    let fresh = Receiver::new(subscription, client.clone(), Position::START);
                    link.send(ToNode::Reconnect(fresh.request()).encode()?);
                    *receiver = Some(fresh);
                }
                ToClient::Answer { node, term, answer } => {
                    let Some(receiver) = receiver else { continue };
                    match receiver.handle_answer(answer, term) {
                        Resumption::Continue => {}
                        Resumption::Mismatch => return Ok(Ended::Elsewhere),
                        other => return Err(format!("the cluster lost something: {other:?}").into()),
                    }
                    let mut progress = progress.borrow_mut();
                    progress.connections += 1;
                    progress.leader = Some((node, term.get()));
                }
                ToClient::Published { number } => {
                    let mut progress = progress.borrow_mut();
                    progress.published = progress.published.max(number);
                }
                ToClient::Deliver(delivered) => {
                    let Some(receiver) = receiver else { continue };
                    process(receiver, &delivered.lend(), conduct, &mut progress.borrow_mut())?;
                }
            }
        }
        let Some(receiver) = receiver.as_mut() else {
            let _either = time.timeout(LOOK, news.heard()).await;
            continue;
        };
        if receiver.needs_reconnect() && progress.borrow().leader.is_some() {
            return Ok(Ended::Elsewhere);
        }
        if let Some(through) = receiver.poll_ack() {
            let subscription = receiver.request().subscription;
            link.send(ToNode::Acknowledge { subscription, through }.encode()?);
        }
        {
            let mut progress = progress.borrow_mut();
            if progress.is_ending && progress.is_done() {
                return Ok(Ended::Done);
            }
            // One at a time: the next when this one is committed. What was begun and not answered is begun again.
            let is_due = progress.published < progress.begun
                || !progress.is_ending
                    && progress.begun < progress.allowed
                    && time.now() >= published_at + conduct.gap;
            let number = progress.published + 1;
            if progress.leader.is_some() && is_due && publishing != Some(number) {
                (publishing, published_at, progress.begun) = (Some(number), time.now(), number);
                let payload = payload(number);
                link.send(ToNode::Publish { producer: PRODUCER, number, payload }.encode()?);
            }
        }
        let _either = time.timeout(LOOK, news.heard()).await;
    }
    Ok(Ended::Elsewhere)
}

/// Each event must be the one after the last.
fn process(
    receiver: &mut Receiver,
    delivery: &Delivery<'_>,
    conduct: &Conduct,
    progress: &mut Progress,
) -> Result<()> {
    match receiver.handle_delivery(delivery) {
        Verdict::Duplicate if conduct.duplicates == Duplicates::Dropped => progress.duplicates += 1,
        Verdict::Process | Verdict::Duplicate => {
            let number = progress.processed + 1;
            if delivery.payload != payload(number) {
                let found = delivery.payload.escape_ascii();
                return Err(format!("event {number} is {found}: something was lost or doubled").into());
            }
            progress.processed = number;
            (conduct.watch)(delivery);
            receiver.confirm(delivery);
        }
        Verdict::Fenced => progress.fenced += 1,
        Verdict::Replace => return Err("a snapshot, though nothing was compacted".into()),
        // It comes again.
        Verdict::Gap | Verdict::Foreign | Verdict::Unexpected => {}
    }
    Ok(())
}

/// The event of this number.
pub(super) fn payload(number: u64) -> Vec<u8> {
    format!("order {number}").into_bytes()
}

const PRODUCER: u64 = 1;
const CONNECT: Duration = Duration::from_millis(200);
/// Before another node is asked.
const RETRY: Duration = Duration::from_millis(2);
/// How often it is looked at what time alone brings.
const LOOK: Duration = Duration::from_millis(20);
/// After how long without a word another node is asked.
const PATIENCE: Duration = Duration::from_secs(1);
