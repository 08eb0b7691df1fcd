//! Members that are killed, told to end, or stand still, and come back.

use std::ops::Range;
use std::time::Duration;

use samestep_provider_traits::TimeProvider;
use samestep_provider_traits::workload::Role;

use crate::choice::ChoiceFamily;
use crate::providers::SimTimeProvider;
use crate::runner::cluster::Cluster;
use crate::runner::context::Peer;
use crate::world::{Down, SimWorld};

/// How a member goes down. As the seed's successors have it.
pub use crate::world::Down as RebootKind;

/// How servers are killed, told to end and stopped, and when they come back. Each server by itself.
///
/// Counted as `crash`, `crash-and-wipe`, `graceful-reboot` and `pause`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attrition {
    /// Time between two attempts on one server.
    pub every: Range<Duration>,
    /// Weight of a crash: its tasks are gone at once, and what was not synced is in danger.
    pub crash: u32,
    /// Weight of a crash after which its disk is empty.
    pub crash_and_wipe: u32,
    /// Weight of a shutdown that it is told of, and has [`Self::grace`] for.
    pub graceful: u32,
    /// Weight of a pause: it stands still, and does not notice.
    pub pause: u32,
    /// How long it is down.
    pub recovery: Range<Duration>,
    /// How long it has to end.
    pub grace: Range<Duration>,
    /// How long it stands still.
    pub pause_duration: Range<Duration>,
    /// How many servers of a kind may be down at a time. If it is not told: fewer than half of three or more, else one.
    pub down_max: Option<usize>,
    /// Which servers go down together.
    pub scope: AttritionScope,
    /// Only servers with this tag, a key and its value, and those that go down together with one of them; all unless
    /// told.
    pub tag: Option<(String, String)>,
}

/// Which servers go down together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttritionScope {
    /// Each by itself.
    #[default]
    PerProcess,
    /// All of a machine.
    PerMachine,
    /// All of a zone.
    PerZone,
}

/// Crashes, shutdowns and pauses each as often, every 1 to 10 s; down for 0.1 to 5 s, 2 to 5 s to end, pauses of 0.1 to
/// 3 s.
impl Default for Attrition {
    fn default() -> Self {
        Self {
            every: millis(1_000, 10_000),
            crash: 1,
            crash_and_wipe: 0,
            graceful: 1,
            pause: 1,
            recovery: millis(100, 5_000),
            grace: millis(2_000, 5_000),
            pause_duration: millis(100, 3_000),
            down_max: None,
            scope: AttritionScope::PerProcess,
            tag: None,
        }
    }
}

impl Attrition {
    fn concerns(&self, peer: &Peer) -> bool {
        let has_tag = |(key, value): &(String, String)| peer.tag(key) == Some(value);
        peer.role == Role::Server && self.tag.as_ref().is_none_or(has_tag)
    }

    fn kinds(&self) -> Vec<Kind> {
        let weighed = [
            (Kind::Down(Down::Crash), self.crash),
            (Kind::Graceful, self.graceful),
            (Kind::Pause, self.pause),
            (Kind::Down(Down::CrashAndWipe), self.crash_and_wipe),
        ];
        weighed.into_iter().flat_map(|(kind, weight)| (0..weight).map(move |_| kind)).collect()
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Down(Down),
    Graceful,
    Pause,
}

/// Starts a task for each server, which ends when faults are over.
pub(crate) fn start(world: &SimWorld, cluster: &Cluster, attrition: &Attrition) {
    let kinds = attrition.kinds();
    if kinds.is_empty() {
        return;
    }
    for place in 0..cluster.len() {
        if attrition.concerns(cluster.peer(place)) && leads(cluster, place, attrition) {
            let (cluster, attrition, kinds) = (cluster.clone(), attrition.clone(), kinds.clone());
            let time = SimTimeProvider::new(world);
            drop(world.spawn(None, "attrition", async move {
                wear(&cluster, place, &attrition, &kinds, time).await;
            }));
        }
    }
}

async fn wear(cluster: &Cluster, place: usize, attrition: &Attrition, kinds: &[Kind], time: SimTimeProvider) {
    let decisions = u32::try_from(place).expect("fewer than 2^32 members");
    loop {
        let Some(world) = cluster.world() else { return };
        let gap = seeded(&world, decisions, &attrition.every);
        drop(world);
        if !cluster.faults_go_on_after(gap).await {
            return;
        }
        let Some(world) = cluster.world() else { return };
        let Some(kind) = pick(&world, decisions, kinds) else { continue };
        let together = together(cluster, place, attrition.scope);
        let (down, count) = cluster.group_of(place);
        let down_max = attrition.down_max.unwrap_or(if count < 3 { 1 } else { (count - 1) / 2 });
        if down + together.len() > down_max.max(together.len()) || !cluster.is_up(place) {
            continue;
        }
        let within = |range: &Range<Duration>| within(&world, decisions, range);
        let away = match kind {
            Kind::Pause => {
                for place in &together {
                    world.pause(cluster.node(*place));
                }
                within(&attrition.pause_duration)
            }
            Kind::Down(how) => {
                for place in &together {
                    cluster.take_down(*place, how);
                }
                within(&attrition.recovery)
            }
            Kind::Graceful => {
                let grace = within(&attrition.grace);
                let recovery = within(&attrition.recovery);
                for place in &together {
                    cluster.shut_down(*place, grace).await;
                }
                recovery
            }
        };
        drop(world);
        time.sleep(away).await;
        let Some(world) = cluster.world() else { return };
        for place in together {
            world.resume(cluster.node(place));
            cluster.bring_up(place);
        }
    }
}

/// One of those that go down together decides for all.
fn leads(cluster: &Cluster, place: usize, attrition: &Attrition) -> bool {
    let mut together = together(cluster, place, attrition.scope).into_iter();
    together.find(|place| attrition.concerns(cluster.peer(*place))) == Some(place)
}

fn together(cluster: &Cluster, place: usize, scope: AttritionScope) -> Vec<usize> {
    let key = |place: usize| {
        let locality = cluster.peer(place).locality?;
        match scope {
            AttritionScope::PerProcess => None,
            AttritionScope::PerMachine => Some((locality.data_centre, locality.zone, locality.machine)),
            AttritionScope::PerZone => Some((locality.data_centre, locality.zone, 0)),
        }
    };
    match key(place) {
        None => vec![place],
        mine => (0..cluster.len()).filter(|other| key(*other) == mine).collect(),
    }
}

fn pick(world: &SimWorld, place: u32, kinds: &[Kind]) -> Option<Kind> {
    let choices = &mut world.shared.core.borrow_mut().kernel.choices;
    // Plain is that nothing happens; drawn, something always does.
    let acts = choices.happens(ChoiceFamily::Node, place, crate::choice::Chance::ALWAYS);
    let kind = choices.pick(ChoiceFamily::Node, place, kinds.len() as u64);
    acts.then(|| kinds[usize::try_from(kind).unwrap_or(0)])
}

fn seeded(world: &SimWorld, place: u32, range: &Range<Duration>) -> Duration {
    let choices = &mut world.shared.core.borrow_mut().kernel.choices;
    Duration::from_nanos(choices.seeded(ChoiceFamily::Node, place, nanos(range)))
}

fn within(world: &SimWorld, place: u32, range: &Range<Duration>) -> Duration {
    let choices = &mut world.shared.core.borrow_mut().kernel.choices;
    Duration::from_nanos(choices.within(ChoiceFamily::Node, place, nanos(range)))
}

fn nanos(range: &Range<Duration>) -> Range<u64> {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    nanos(range.start)..nanos(range.end)
}

const fn millis(start: u64, end: u64) -> Range<Duration> {
    Duration::from_millis(start)..Duration::from_millis(end)
}
