//! Faults by plan: what a test, or an injector of the builder, does to its system.

use std::fmt;
use std::time::Duration;

use samestep_provider_traits::workload::Role;

use crate::choice::ChoiceFamily;
use crate::net::{Partition, PartitionId};
use crate::runner::builder::ProcessFuture;
use crate::runner::cluster::Cluster;
use crate::runner::context::{LocalityInfo, Peer};
use crate::world::{Down, SimWorld};

/// What is done to a system by plan.
pub trait FaultInjector {
    /// Its name in reports.
    fn name(&self) -> &str;

    /// Does it, while faults act; it is dropped when they are healed.
    fn inject(self: Box<Self>, context: FaultContext) -> ProcessFuture;
}

/// The hands of a [`FaultInjector`]: members are named, and what is asked of one that does not exist panics.
#[derive(Clone)]
pub struct FaultContext {
    cluster: Cluster,
}

impl FaultContext {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }

    /// All members.
    pub fn members(&self) -> &[Peer] {
        self.cluster.peers()
    }

    /// Names of the servers.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.members().iter().filter(|peer| peer.role == Role::Server).map(|peer| peer.name.as_str())
    }

    /// Names of the members with this tag.
    pub fn tagged<'a>(&'a self, key: &'a str, value: &'a str) -> impl Iterator<Item = &'a str> {
        self.members().iter().filter(move |peer| peer.tag(key) == Some(value)).map(|peer| peer.name.as_str())
    }

    /// Names of the members that stand where `is_there` says.
    pub fn located<'a>(
        &'a self,
        mut is_there: impl FnMut(LocalityInfo) -> bool + 'a,
    ) -> impl Iterator<Item = &'a str> {
        let located = self.members().iter().filter(move |peer| peer.locality.is_some_and(&mut is_there));
        located.map(|peer| peer.name.as_str())
    }

    /// Ends when `duration` has passed, or when faults are over; tells whether they still act.
    pub async fn sleep(&self, duration: Duration) -> bool {
        self.cluster.faults_go_on_after(duration).await
    }

    /// One of `0..bound`, another in each seed; 0 is the plain one.
    pub fn pick(&self, bound: u64) -> u64 {
        let world = self.world();
        let choices = &mut world.shared.core.borrow_mut().kernel.choices;
        choices.pick(ChoiceFamily::Test, 1, bound)
    }

    /// Takes a member down, now or after `grace` if it is told. No effect on one that is down.
    pub async fn kill(&self, name: &str, how: Down) {
        match how {
            Down::Graceful => self.cluster.shut_down(self.place(name), DEFAULT_GRACE).await,
            Down::Crash | Down::CrashAndWipe => self.cluster.take_down(self.place(name), how),
        }
    }

    /// Boots a member that is down.
    pub fn boot(&self, name: &str) {
        self.cluster.bring_up(self.place(name));
    }

    /// Takes a member down, and boots it after `away`.
    pub async fn reboot(&self, name: &str, how: Down, away: Duration) {
        self.kill(name, how).await;
        self.sleep(away).await;
        self.boot(name);
    }

    /// Makes a member stand still.
    pub fn pause(&self, name: &str) {
        self.world().pause(self.cluster.node(self.place(name)));
    }

    /// Lets a member go on that stands still.
    pub fn resume(&self, name: &str) {
        self.world().resume(self.cluster.node(self.place(name)));
    }

    /// Parts two members from each other.
    pub fn partition(&self, one: &str, other: &str) -> PartitionId {
        let node = |name| self.cluster.node(self.place(name));
        self.world().network().partition(&Partition::Pair(node(one), node(other)))
    }

    /// Parts a member from all others.
    pub fn isolate(&self, name: &str) -> PartitionId {
        self.world().network().partition(&Partition::Isolate(self.cluster.node(self.place(name))))
    }

    /// Parts these members, such as those of a [tag](Self::tagged) or a [place](Self::located), from all others.
    pub fn part<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> PartitionId {
        let nodes = names.into_iter().map(|name| self.cluster.node(self.place(name))).collect();
        self.world().network().partition(&Partition::Side(nodes))
    }

    /// Ends a partition.
    pub fn heal(&self, partition: PartitionId) {
        self.world().network().heal(partition);
    }

    /// Ends all partitions.
    pub fn heal_all(&self) {
        self.world().network().heal_all();
    }

    /// How many servers are down.
    pub fn dead_count(&self) -> usize {
        (0..self.cluster.len()).filter(|place| !self.cluster.is_up(*place)).count()
    }

    /// Whether a member is up, or stands still.
    pub fn is_up(&self, name: &str) -> bool {
        self.cluster.is_up(self.place(name))
    }

    /// The world.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn world(&self) -> SimWorld {
        self.cluster.world().expect("the world is there as long as its tasks run")
    }

    fn place(&self, name: &str) -> usize {
        self.cluster.place_of(name).unwrap_or_else(|| panic!("no member is called {name:?}"))
    }
}

impl fmt::Debug for FaultContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultContext").field("members", &self.cluster).finish_non_exhaustive()
    }
}

const DEFAULT_GRACE: Duration = Duration::from_secs(2);
