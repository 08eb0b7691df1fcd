//! A run that a seed writes in advance: which events are published when, and which node dies in between. Whatever world
//! it is performed in, what the client processes is the same, byte for byte.
//!
//! So that it is, time decides nothing: elections are called by the script, a node dies when all events so far are
//! committed, and none begins before the next one leads. When a message comes, and how often, is left to the world.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use samestep_emission::{Canonicalizer, LineVersion, Numbering};
use samestep_provider_traits::{JoinHandle, Providers, TaskProvider, TimeProvider};

use super::Result;
use super::client::{self, Conduct, Progress};
use super::link::{Bell, Link};
use super::wire::{ToClient, ToNode};

/// Where nodes live: what can be done to them from outside.
pub(crate) trait Stage {
    /// Takes a node away without a warning. Nodes count from 1.
    fn kill(&mut self, node: u64) -> Result<()>;
    /// Starts it again, with what is on its disk.
    fn start(&mut self, node: u64) -> Result<()>;
    /// Of all nodes, in the order of their numbers.
    fn addresses(&self) -> Vec<SocketAddr>;
}

/// What happens, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    acts: Vec<Act>,
}

/// Some events, and then a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Act {
    events: u64,
    dies: Dies,
}

/// Who dies at the end of an act. Complete by what scripts do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dies {
    /// Another node leads before it is back.
    Leader,
    /// The one so many nodes behind the leader, 1 or 2; it is back at once.
    Follower(u64),
}

impl Script {
    /// The script of `seed`. The leader dies in every other act, and in at least two.
    pub(crate) fn new(seed: u64) -> Self {
        let mut lots = Lots(seed);
        let act = |place: u64| {
            let (events, follower) = (1 + lots.below(6), 1 + lots.below(2));
            Act {
                events,
                dies: if place.is_multiple_of(2) { Dies::Leader } else { Dies::Follower(follower) },
            }
        };
        Self { acts: (0..ACTS).map(act).collect() }
    }

    /// How many events are published in all.
    pub(crate) fn events(&self) -> u64 {
        self.acts.iter().map(|act| act.events).sum()
    }

    /// How many nodes die.
    pub(crate) fn deaths(&self) -> u64 {
        self.acts.len() as u64
    }

    /// How many of them lead.
    pub(crate) fn leaders(&self) -> u64 {
        self.acts.iter().filter(|act| act.dies == Dies::Leader).count() as u64
    }
}

/// What came of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// What the client processed, in order: canonical lines of version 2, each with a line break.
    pub(crate) lines: Vec<u8>,
    /// Digest of the lines.
    pub(crate) digest: u64,
    /// Deliveries that were dropped as processed before: other in each world.
    pub(crate) duplicates: u64,
}

/// Performs `script` with the nodes on `stage`, which run and hold no election of their own.
///
/// # Errors
///
/// If something is lost, doubled or out of order, or nothing goes on.
pub(crate) async fn perform<P: Providers>(
    world: &P,
    stage: &mut impl Stage,
    script: &Script,
) -> Result<Told> {
    let lines = Rc::new(RefCell::new((Canonicalizer::new(LineVersion::V2, Numbering::Own), Vec::new())));
    let told = Rc::clone(&lines);
    let watch = move |delivery: &samestep_emission::Delivery<'_>| {
        let (canonical, text) = &mut *told.borrow_mut();
        text.extend_from_slice(canonical.delivery(delivery).expect("all are numbered by themselves"));
        text.push(b'\n');
    };
    let conduct = Conduct { watch: Rc::new(watch), ..Conduct::default() };
    let progress = Rc::new(RefCell::new(Progress { allowed: 0, ..Progress::default() }));
    let mut director = Director::new(world, &stage.addresses(), Rc::clone(&progress));
    let mut leader = director.elect(&[1, 2, 3]).await?;
    let running = client::run(world.clone(), stage.addresses(), conduct, Rc::clone(&progress));
    let client =
        world.task().spawn("client", async move { running.await.map_err(|error| error.to_string()) });
    for act in &script.acts {
        let through = progress.borrow().allowed + act.events;
        progress.borrow_mut().allowed = through;
        director.wait(&client, |progress| progress.published == through).await?;
        let behind = |steps: u64| (leader - 1 + steps) % NODES + 1;
        match act.dies {
            Dies::Follower(steps) => {
                stage.kill(behind(steps))?;
                stage.start(behind(steps))?;
            }
            Dies::Leader => {
                stage.kill(leader)?;
                let next = director.elect(&[behind(1), behind(2)]).await?;
                stage.start(leader)?;
                leader = next;
            }
        }
    }
    progress.borrow_mut().is_ending = true;
    director.wait(&client, Progress::is_done).await?;
    client.await??;
    let (canonical, text) = &*lines.borrow();
    let duplicates = progress.borrow().duplicates;
    Ok(Told { lines: text.clone(), digest: canonical.digest(), duplicates })
}

/// Calls elections, and waits.
struct Director<P> {
    world: P,
    /// To each node.
    links: Vec<Link>,
    /// Rung by all of them.
    news: Bell,
    progress: Rc<RefCell<Progress>>,
    /// Term of the last leader.
    term: u64,
}

/// How a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    newest: (u64, u64),
    node: u64,
    serves: bool,
}

impl<P: Providers> Director<P> {
    fn new(world: &P, nodes: &[SocketAddr], progress: Rc<RefCell<Progress>>) -> Self {
        let news = Bell::default();
        let links = nodes.iter().map(|address| Link::to(world, *address, &news)).collect();
        Self { world: world.clone(), links, news, progress, term: 0 }
    }

    /// Lets one of `nodes` lead, the others being gone, and tells which.
    ///
    /// Only the one that has most is asked: two that were could both win, one after the other, and the epoch would not
    /// be what the script says. What the dead leader sent may still arrive and make it the other one; then it has lost,
    /// and what it was asked means nothing if it arrives later still. An entry of a new term says that one has won, and
    /// has only to find followers.
    async fn elect(&mut self, nodes: &[u64]) -> Result<u64> {
        let (time, mut asked_at) = (self.world.time().clone(), None);
        let deadline = time.now() + STUCK;
        while time.now() < deadline {
            let standings = self.ask(nodes).await?;
            if let Some(leader) = standings.iter().find(|standing| standing.serves) {
                self.term = leader.newest.0;
                return Ok(leader.node);
            }
            let is_open = standings.len() == nodes.len()
                && standings.iter().all(|standing| standing.newest.0 <= self.term);
            let best = standings.iter().max().filter(|_| is_open);
            let is_due = asked_at.is_none_or(|at| time.now() > at + PATIENCE);
            if let (Some(best), true) = (best, is_due) {
                let (newest_term, newest_index) = best.newest;
                self.link(best.node).send(ToNode::Campaign { newest_term, newest_index }.encode()?);
                asked_at = Some(time.now());
            }
            time.sleep(LOOK).await;
        }
        Err(format!("none of {nodes:?} leads after {STUCK:?}").into())
    }

    /// How those stand that answer soon.
    async fn ask(&self, nodes: &[u64]) -> Result<Vec<Standing>> {
        let time = self.world.time();
        let deadline = time.now() + PATIENCE;
        for &node in nodes {
            // Answers to what was asked before.
            while self.link(node).take().is_some() {}
            self.link(node).send(ToNode::Status.encode()?);
        }
        let mut standings: Vec<Standing> = Vec::new();
        while standings.len() < nodes.len() && time.now() < deadline {
            for &node in nodes {
                while let Some(frame) = self.link(node).take() {
                    if let ToClient::Status { newest_term, newest_index, serves } = ToClient::decode(&frame)?
                    {
                        standings.retain(|standing| standing.node != node);
                        standings.push(Standing { newest: (newest_term, newest_index), node, serves });
                    }
                }
            }
            let _either = time.timeout(LOOK, self.news.heard()).await;
            if standings.len() < nodes.len() && !nodes.iter().all(|&node| self.link(node).is_open()) {
                break;
            }
        }
        Ok(standings)
    }

    /// Waits until `holds`, or the client has failed, or nothing goes on for too long.
    async fn wait(
        &self,
        client: &impl JoinHandle<std::result::Result<(), String>>,
        holds: impl Fn(&Progress) -> bool,
    ) -> Result<()> {
        let time = self.world.time();
        let deadline = time.now() + STUCK;
        while !holds(&self.progress.borrow()) {
            if client.is_finished() && !self.progress.borrow().is_ending {
                return Err("the client failed".into());
            }
            if time.now() > deadline {
                return Err(format!("nothing goes on: {:?}", self.progress.borrow()).into());
            }
            time.sleep(LOOK).await;
        }
        Ok(())
    }

    fn link(&self, node: u64) -> &Link {
        &self.links[usize::try_from(node - 1).expect("nodes are few")]
    }
}

impl<P> Drop for Director<P> {
    fn drop(&mut self) {
        self.links.iter().for_each(Link::close);
    }
}

/// SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
struct Lots(u64);

impl Lots {
    /// Below `bound`, which is small.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

const ACTS: u64 = 4;
const NODES: u64 = 3;
/// How often it is looked at what nobody tells.
const LOOK: Duration = Duration::from_millis(2);
/// Before an election is called again, and the longest that an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(200);
const STUCK: Duration = Duration::from_secs(60);
