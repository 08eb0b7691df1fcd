//! A node on the network: Raft's messages between nodes, and clients.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use samestep_emission::{
    Change, ClientId, Fingerprint, NotifierOptions, Origin, Outbox, Output, ProducerId, Seq, StallPolicy,
    SubscriptionId, Target, Tick, Token,
};
use samestep_provider_traits::{NetworkProvider, Providers, TaskProvider, TcpListener, TimeProvider};
use samestep_wal::TailModel;

use super::Result;
use super::link::{Bell, Link};
use super::node::{Durability, Elections, Node, NodeOptions};
use super::wire::{Delivered, ToClient, ToNode};

/// How a node serves. The same on every node but for who watches.
#[derive(Clone)]
pub(crate) struct Settings {
    /// The log is replaced by a snapshot after so many entries.
    pub(crate) snapshot_entries: u64,
    /// What is not acknowledged after so many ticks of 20 ms is sent again.
    pub(crate) resend_ticks: u64,
    pub(crate) elections: Elections,
    pub(crate) durability: Durability,
    pub(crate) watch: Rc<dyn Watch>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            snapshot_entries: 500,
            resend_ticks: 25,
            elections: Elections::ByTime,
            durability: Durability::Synced,
            watch: Rc::new(Unwatched),
        }
    }
}

/// Sees what a node applies, for checks from outside.
pub(crate) trait Watch {
    /// It applied this entry, which made this state.
    fn applied(&self, index: u64, entry: &[u8], outbox: &Outbox);
    /// It has applied all that it can, or begins, or took another's state.
    fn rests(&self, outbox: &Outbox);
}

struct Unwatched;

impl Watch for Unwatched {
    fn applied(&self, _: u64, _: &[u8], _: &Outbox) {}
    fn rests(&self, _: &Outbox) {}
}

/// Serves for ever, or until the disk fails.
pub(crate) async fn serve<P: Providers>(
    world: P,
    id: u64,
    nodes: Vec<SocketAddr>,
    settings: Settings,
) -> Result<()> {
    let voters: Vec<u64> = (1..=nodes.len() as u64).collect();
    // Disks there are that tear what they call a sector, and a write that fails may leave any part of its bytes.
    let tail = TailModel::Evidence;
    let Settings { snapshot_entries, resend_ticks, elections, durability, watch } = settings;
    let notifier = NotifierOptions {
        resend_ticks_min: resend_ticks,
        resend_ticks_max: 8 * resend_ticks,
        ..NotifierOptions::default()
    };
    // A leader that gives up by itself would have to be followed by one that nobody asked for.
    let checks_quorum = elections == Elections::ByTime;
    let options =
        NodeOptions { id, voters, snapshot_entries, elections, checks_quorum, tail, notifier, durability };
    let node = Node::open(world.storage().clone(), options).await?;
    watch.rests(node.outbox());
    let at = nodes.get(usize::try_from(id - 1)?).ok_or("there is no such node")?;
    let listener = world.network().bind(*at).await?;
    let (news, arrived) = (Bell::default(), Rc::new(RefCell::new(Vec::new())));
    let (acceptor, links, tell) = (world.clone(), Rc::clone(&arrived), news.clone());
    drop(world.task().spawn("accept", async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => links.borrow_mut().push(Link::over(&acceptor, stream, &tell)),
                // A connection that was gone before it was taken, or too many open files: others come.
                Err(_) => acceptor.time().sleep(TICK).await,
            }
        }
    }));
    let others = (1..).zip(&nodes).filter(|(other, _)| *other != id);
    let peers = others.map(|(other, address)| (other, Link::to(&world, *address, &news))).collect();
    let mut server = Server {
        node,
        watch,
        peers,
        clients: Vec::new(),
        streams: BTreeMap::new(),
        subscribing: Vec::new(),
        publishing: Vec::new(),
        tick: 0,
    };
    let mut next_tick = world.time().now();
    loop {
        server.clients.append(&mut arrived.borrow_mut());
        server.take_frames()?;
        let now = world.time().now();
        if now >= next_tick {
            // A process that was not run for a while has not heard silence for as long: missed ticks are not made up.
            next_tick = (next_tick + TICK).max(now);
            server.tick += 1;
            server.node.tick();
        }
        server.persist().await?;
        server.apply()?;
        server.node.compact().await?;
        server.hand_out();
        server.tell();
        let wait = next_tick.saturating_sub(world.time().now());
        let _either = world.time().timeout(wait, news.heard()).await;
    }
}

struct Server<S: samestep_provider_traits::StorageProvider> {
    node: Node<S>,
    watch: Rc<dyn Watch>,
    peers: BTreeMap<u64, Link>,
    /// Whoever connected: clients, and nodes that only send.
    clients: Vec<Link>,
    /// Where a subscription's events go.
    streams: BTreeMap<SubscriptionId, Link>,
    /// Who waits for a subscription.
    subscribing: Vec<(Link, ClientId)>,
    /// Who waits for an event to be committed.
    publishing: Vec<(Link, ProducerId, u64)>,
    tick: u64,
}

impl<S: samestep_provider_traits::StorageProvider> Server<S> {
    fn take_frames(&mut self) -> Result<()> {
        for link in self.clients.clone() {
            while let Some(frame) = link.take() {
                self.take(&link, ToNode::decode(&frame)?);
            }
        }
        self.clients.retain(Link::is_open);
        Ok(())
    }

    fn take(&mut self, link: &Link, message: ToNode) {
        match message {
            ToNode::Raft(message) => return self.node.step(*message),
            ToNode::Campaign { newest_term, newest_index } => {
                // What was said of the node may be long ago: then another may lead by now.
                if self.node.newest() == (newest_term, newest_index) {
                    self.node.campaign();
                }
                return;
            }
            ToNode::Status => {
                let ((newest_term, newest_index), serves) = (self.node.newest(), self.node.serves());
                return link.send(ToClient::Status { newest_term, newest_index, serves }.encode());
            }
            _ => {}
        }
        if !self.node.serves() {
            return link.send(ToClient::NotLeading.encode());
        }
        match message {
            ToNode::Raft(_) | ToNode::Campaign { .. } | ToNode::Status => {}
            ToNode::Subscribe { client } => {
                let change = Change::Subscribe {
                    client: client.as_bytes(),
                    fingerprint: fingerprint(),
                    token: Token::new([1; 16]),
                    stall: StallPolicy::Suspend,
                };
                // If it is lost, the client asks again; with its token it is the same subscription.
                let _lost = self.node.propose(&change);
                self.subscribing.push((link.clone(), client));
            }
            ToNode::Reconnect(request) => {
                let (id, now) = (self.node.id(), Tick::new(self.tick));
                let Some((notifier, outbox)) = self.node.notifier() else { return };
                if let Ok(answer) = notifier.handle_reconnect(outbox, &request, now) {
                    let term = notifier.term();
                    link.send(ToClient::Answer { node: id, term, answer }.encode());
                    self.streams.insert(request.subscription, link.clone());
                }
            }
            ToNode::Publish { producer, number, payload } => {
                let producer = ProducerId::new(producer);
                let origin = Some(Origin { producer, number });
                let target = Target::Topic(fingerprint());
                let _lost = self.node.propose(&Change::Emit { target, origin, payload: &payload });
                self.publishing.push((link.clone(), producer, number));
            }
            ToNode::Acknowledge { subscription, through } => self.acknowledge(subscription, through),
        }
    }

    fn acknowledge(&mut self, subscription: SubscriptionId, through: Seq) {
        let Some((notifier, outbox)) = self.node.notifier() else { return };
        // One that cannot be right is dropped: the client will hear so when it reconnects.
        if let Ok(Some(change)) = notifier.handle_ack(outbox, subscription, through) {
            let _lost = self.node.propose(&change);
        }
    }

    async fn persist(&mut self) -> Result<()> {
        while let Some(messages) = self.node.persist().await? {
            for message in messages {
                if let Some(link) = self.peers.get(&message.to) {
                    link.send(ToNode::Raft(Box::new(message)).encode()?);
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self) -> Result<()> {
        loop {
            let entry = self.node.next_committed().map(|(_, entry)| entry.to_vec());
            match (self.node.apply_next()?, entry) {
                (Some((index, _)), Some(entry)) => {
                    self.watch.applied(index.get(), &entry, self.node.outbox());
                }
                _ => break,
            }
        }
        self.watch.rests(self.node.outbox());
        Ok(())
    }

    fn hand_out(&mut self) {
        let now = Tick::new(self.tick);
        let Some((notifier, outbox)) = self.node.notifier() else { return };
        while let Some(output) = notifier.poll(outbox, now) {
            // A client that was overtaken reconnects by itself: nothing comes any more.
            let Output::Deliver(delivery) = output else { continue };
            match self.streams.get(&delivery.subscription) {
                Some(link) if link.is_open() => {
                    link.send(ToClient::Deliver(Delivered::new(&delivery)).encode());
                }
                _ => notifier.handle_disconnect(delivery.subscription),
            }
        }
    }

    /// Answers those whose records are committed.
    fn tell(&mut self) {
        let outbox = self.node.outbox();
        self.subscribing.retain(|(link, client)| match outbox.find(client, fingerprint()) {
            Some(subscription) => {
                link.send(ToClient::Subscribed { subscription }.encode());
                false
            }
            None => link.is_open(),
        });
        self.publishing.retain(|(link, producer, number)| {
            let is_committed = outbox.producer(*producer) >= *number;
            if is_committed {
                link.send(ToClient::Published { number: *number }.encode());
            }
            !is_committed && link.is_open()
        });
    }
}

fn fingerprint() -> Fingerprint {
    Fingerprint::of_command(&[b"WATCH", b"orders"])
}

/// An election takes 14 to 22 of these.
const TICK: Duration = Duration::from_millis(20);
