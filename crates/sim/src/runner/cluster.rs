//! The members of one run: which there are, and what is done to them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use samestep_provider_traits::workload::{Role, Shutdown};
use samestep_provider_traits::{JoinHandle, TimeProvider};

use crate::chaos::StateRegistry;
use crate::kernel::NodeId;
use crate::providers::SimTimeProvider;
use crate::runner::Failure;
use crate::runner::context::{Inner, LocalityInfo, Peer, SimContext};
use crate::runner::race::{Either, race};
use crate::runner::take_location;
use crate::world::tasks::panic_message;
use crate::world::{Down, SimJoinHandle, SimWorld, WeakSimWorld};

/// What a member does in one boot.
pub(crate) type Body = Rc<dyn Fn(SimContext) -> BodyFuture>;
/// A member that is at work.
pub(crate) type BodyFuture = Pin<Box<dyn Future<Output = Result<(), Box<dyn Error>>>>>;

/// A member before it is in a world.
#[derive(Clone)]
pub(crate) struct MemberPlan {
    pub(crate) peer: Peer,
    pub(crate) body: Body,
    /// The members of one kind are a group; faults leave some of each alone.
    pub(crate) group: usize,
    pub(crate) on_error: OnError,
    /// Whether a panic of what it does, though not of the tasks that it starts, is an error.
    pub(crate) is_panic_an_error: bool,
    /// It looks at the system in the end, and does nothing before.
    pub(crate) is_auditor: bool,
}

/// What becomes of a server that ends with an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnError {
    /// The run fails.
    #[default]
    Fail,
    /// It is down, as after a crash, and boots again after this time.
    Restart(Duration),
}

/// The members of one run. Clones are handles to the same.
#[derive(Clone)]
pub(crate) struct Cluster {
    shared: Rc<Shared>,
}

struct Shared {
    world: WeakSimWorld,
    state: StateRegistry,
    peers: Rc<[Peer]>,
    members: Vec<Member>,
    /// How many clients have not ended.
    clients_left: Cell<usize>,
    /// All clients have ended.
    clients_ended: Shutdown,
    /// Any client has ended without an error; or any member, if there are no clients.
    any_ended: Shutdown,
    /// Faults are over.
    healed: Shutdown,
}

struct Member {
    plan: MemberPlan,
    node: NodeId,
    running: RefCell<Option<Running>>,
}

struct Running {
    shutdown: Shutdown,
    task: SimJoinHandle<()>,
}

impl Cluster {
    /// Adds a node to `world` for each member. None runs yet.
    pub(crate) fn new(world: &SimWorld, plans: Vec<MemberPlan>, state: StateRegistry) -> Self {
        let peers = plans.iter().map(|plan| plan.peer.clone()).collect();
        let clients = plans.iter().filter(|plan| plan.peer.role == Role::Client && !plan.is_auditor).count();
        let member = |plan: MemberPlan| {
            let node = world.add_node(&plan.peer.name, plan.peer.ip);
            Member { plan, node, running: RefCell::new(None) }
        };
        let members: Vec<Member> = plans.into_iter().map(member).collect();
        world.network().set_groups(groups_of(&members));
        let shared = Shared {
            world: world.downgrade(),
            state,
            peers,
            members,
            clients_left: Cell::new(clients),
            clients_ended: Shutdown::new(),
            any_ended: Shutdown::new(),
            healed: Shutdown::new(),
        };
        Self { shared: Rc::new(shared) }
    }

    /// Starts all members of this role.
    pub(crate) fn start_all(&self, role: Role) {
        for place in 0..self.len() {
            if self.peer(place).role == role && !self.shared.members[place].plan.is_auditor {
                self.start(place);
            }
        }
    }

    /// Starts a member whose node is up and which does not run.
    fn start(&self, place: usize) {
        let Ok(world) = self.shared.world.upgrade() else { return };
        let member = &self.shared.members[place];
        let shutdown = Shutdown::new();
        let context = self.context(&world, place, shutdown.clone());
        let (cluster, body) = (self.clone(), Rc::clone(&member.plan.body));
        let contains_panics = member.plan.is_panic_an_error;
        let task = world.spawn(Some(member.node), &member.plan.peer.name, async move {
            let outcome = if contains_panics { Contained(body(context)).await } else { body(context).await };
            cluster.ended(place, outcome);
        });
        let before = member.running.borrow_mut().replace(Running { shutdown, task });
        drop(before);
    }

    /// The context of a member's boot that is now.
    pub(crate) fn context(&self, world: &SimWorld, place: usize, shutdown: Shutdown) -> SimContext {
        let node = self.shared.members[place].node;
        SimContext::new(Inner {
            providers: world.providers(node),
            node,
            me: place,
            peers: Rc::clone(&self.shared.peers),
            boot: world.boot_count(node),
            last_down: world.last_down(node),
            shutdown,
            state: self.shared.state.clone(),
        })
    }

    fn ended(&self, place: usize, outcome: Result<(), Box<dyn Error>>) {
        let Ok(world) = self.shared.world.upgrade() else { return };
        let plan = &self.shared.members[place].plan;
        match outcome {
            Ok(()) if plan.peer.role == Role::Client || self.shared.clients_left.get() == 0 => {
                self.shared.any_ended.request();
            }
            Ok(()) => {}
            Err(error) => {
                if let (Role::Server, OnError::Restart(after)) = (plan.peer.role, plan.on_error) {
                    self.restart_after(&world, place, after);
                    return;
                }
                let message = format!("{}: {}", plan.peer.name, with_causes(error.as_ref()));
                world.fail(Failure::Error { message });
            }
        }
        if plan.peer.role == Role::Client {
            let left = self.shared.clients_left.get() - 1;
            self.shared.clients_left.set(left);
            if left == 0 {
                self.shared.clients_ended.request();
            }
        }
    }

    fn restart_after(&self, world: &SimWorld, place: usize, after: Duration) {
        let cluster = self.clone();
        let time = SimTimeProvider::new(world);
        drop(world.spawn(None, "restart", async move {
            cluster.take_down(place, Down::Crash);
            time.sleep(after).await;
            cluster.bring_up(place);
        }));
    }

    /// Kills a member at once.
    pub(crate) fn take_down(&self, place: usize, how: Down) {
        let member = &self.shared.members[place];
        if let Ok(world) = self.shared.world.upgrade() {
            world.kill(member.node, how);
        }
        let running = member.running.borrow_mut().take();
        drop(running);
    }

    /// Tells a member to end, and kills it when it has, or after `grace`.
    pub(crate) async fn shut_down(&self, place: usize, grace: Duration) {
        let Ok(world) = self.shared.world.upgrade() else { return };
        let time = SimTimeProvider::new(&world);
        drop(world);
        let until = time.now() + grace;
        let shutdown =
            self.shared.members[place].running.borrow().as_ref().map(|running| running.shutdown.clone());
        if let Some(shutdown) = shutdown {
            shutdown.request();
        }
        while self.is_at_work(place) && time.now() < until {
            time.sleep((grace / 20).max(Duration::from_micros(1))).await;
        }
        self.take_down(place, Down::Graceful);
    }

    fn is_at_work(&self, place: usize) -> bool {
        let running = self.shared.members[place].running.borrow();
        running.as_ref().is_some_and(|running| !running.task.is_finished())
    }

    /// Boots a member that is down and lets it do its work anew. No effect on one that is up.
    pub(crate) fn bring_up(&self, place: usize) {
        let Ok(world) = self.shared.world.upgrade() else { return };
        let node = self.shared.members[place].node;
        if !world.is_up(node) {
            world.boot(node);
            self.start(place);
        }
    }

    /// Boots what is down and lets go what stands still.
    pub(crate) fn heal(&self) {
        self.shared.healed.request();
        for place in 0..self.len() {
            self.bring_up(place);
            if let Ok(world) = self.shared.world.upgrade() {
                world.resume(self.node(place));
            }
        }
    }

    /// Tells all members to end.
    pub(crate) fn request_shutdown(&self) {
        for member in &self.shared.members {
            let shutdown = member.running.borrow().as_ref().map(|running| running.shutdown.clone());
            if let Some(shutdown) = shutdown {
                shutdown.request();
            }
        }
    }

    /// Names of clients that have not ended.
    pub(crate) fn clients_at_work(&self) -> Vec<&str> {
        let places = (0..self.len()).filter(|place| self.peer(*place).role == Role::Client);
        places.filter(|place| self.is_at_work(*place)).map(|place| self.peer(place).name.as_str()).collect()
    }

    /// Ends when all clients have, or after `limit`; tells which.
    pub(crate) async fn clients_end_within(&self, limit: Duration) -> bool {
        self.happens_within(self.shared.clients_ended.clone(), limit).await
    }

    /// Ends when any client has without an error, or after `limit`; tells which.
    pub(crate) async fn any_ends_within(&self, limit: Duration) -> bool {
        self.happens_within(self.shared.any_ended.clone(), limit).await
    }

    /// Ends after `time`, or when faults are over; tells whether they still act.
    pub(crate) async fn faults_go_on_after(&self, time: Duration) -> bool {
        !self.happens_within(self.shared.healed.clone(), time).await
    }

    /// Ends when nobody is at work any more, or after `limit`.
    pub(crate) async fn all_end_within(&self, limit: Duration) {
        let Ok(world) = self.shared.world.upgrade() else { return };
        let time = SimTimeProvider::new(&world);
        drop(world);
        let until = time.now() + limit;
        while (0..self.len()).any(|place| self.is_at_work(place)) && time.now() < until {
            time.sleep(limit / 100).await;
        }
    }

    async fn happens_within(&self, signal: Shutdown, limit: Duration) -> bool {
        let Ok(world) = self.shared.world.upgrade() else { return false };
        let time = SimTimeProvider::new(&world);
        drop(world);
        matches!(race(signal.requested(), time.sleep(limit)).await, Either::First(()))
    }

    /// Who looks at the system in the end, if anybody does.
    pub(crate) fn auditor(&self) -> Option<usize> {
        self.shared.members.iter().position(|member| member.plan.is_auditor)
    }

    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.shared.members.len()
    }

    pub(crate) fn peer(&self, place: usize) -> &Peer {
        &self.shared.members[place].plan.peer
    }

    pub(crate) fn peers(&self) -> &[Peer] {
        &self.shared.peers
    }

    pub(crate) fn place_of(&self, name: &str) -> Option<usize> {
        self.shared.peers.iter().position(|peer| peer.name == name)
    }

    pub(crate) fn node(&self, place: usize) -> NodeId {
        self.shared.members[place].node
    }

    /// How many of the member's group are down or stand still, and how many there are.
    pub(crate) fn group_of(&self, place: usize) -> (usize, usize) {
        let group = self.shared.members[place].plan.group;
        let places = || (0..self.len()).filter(move |other| self.shared.members[*other].plan.group == group);
        (places().filter(|place| !self.is_up(*place)).count(), places().count())
    }

    pub(crate) fn is_up(&self, place: usize) -> bool {
        self.shared.world.upgrade().is_ok_and(|world| world.is_up(self.node(place)))
    }

    pub(crate) fn world(&self) -> Option<SimWorld> {
        self.shared.world.upgrade().ok()
    }

    pub(crate) fn state(&self) -> &StateRegistry {
        &self.shared.state
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.shared.peers.iter().map(|peer| &peer.name)).finish()
    }
}

/// A member at work whose panic is an error.
struct Contained(BodyFuture);

impl Future for Contained {
    type Output = Result<(), Box<dyn Error>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))).unwrap_or_else(|payload| {
            let (message, location) = (panic_message(&*payload), take_location());
            let at = location.map_or(String::new(), |location| format!(" at {location}"));
            Poll::Ready(Err(format!("panicked{at}: {message}").into()))
        })
    }
}

/// The nodes of each tag, and those of each data centre, zone and machine, but groups of none or of all: the sides of
/// partitions by group.
fn groups_of(members: &[Member]) -> Vec<Vec<NodeId>> {
    let mut groups: BTreeMap<(&str, String), Vec<NodeId>> = BTreeMap::new();
    for member in members {
        let mut join = |kind, name| groups.entry((kind, name)).or_default().push(member.node);
        for (key, value) in &member.plan.peer.tags {
            join(key, value.clone());
        }
        if let Some(LocalityInfo { data_centre, zone, machine }) = member.plan.peer.locality {
            join("", format!("{data_centre}"));
            join("", format!("{data_centre}.{zone}"));
            join("", format!("{data_centre}.{zone}.{machine}"));
        }
    }
    groups.into_values().filter(|group| group.len() < members.len()).collect()
}

/// An error and what caused it, from the outside in.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
