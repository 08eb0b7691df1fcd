//! The wall clocks of nodes, which may be wrong, while the monotonic clock is the world's time and never goes back.

use std::time::Duration;

use crate::ambient::sim_random_range;
use crate::arrivals::Arrivals;
use crate::choice::ChoiceFamily;
use crate::fault::FaultFamily;
use crate::kernel::{Kernel, NodeId};
use crate::time::SimTime;

/// How far the wall clocks of nodes go wrong. By default they are right.
///
/// Only [`wall_clock`](samestep_provider_traits::TimeProvider::wall_clock) is concerned: time that is measured by
/// [`now`](samestep_provider_traits::TimeProvider::now) is right on every node. A clock is the node's, not the
/// boot's: a reboot does not mend it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClockConfiguration {
    /// Each node's clock stands off by a drawn time of at most this, ahead or behind. Default: zero.
    pub offset_max: Duration,
    /// Each node's clock is faster or slower by a drawn number of parts in a million, at most this. Default: 0; that
    /// of a cheap crystal is below 100.
    pub drift_ppm_max: u32,
    /// How often each node's clock jumps, in the mean and per simulated second, seen when it is looked at next.
    /// Default: 0.
    pub steps_per_second: f64,
    /// How far it jumps at most, forward or back. Default: zero.
    pub step_max: Duration,
}

impl ClockConfiguration {
    /// Clocks drawn from the current stream, see [`set_sim_seed`](crate::set_sim_seed), so that a seed has one kind:
    /// each way to be wrong is on in half of the seeds, with offsets of up to a second, drifts of up to 200 parts in a
    /// million, and jumps of up to ten seconds once in ten seconds.
    pub fn random_for_seed() -> Self {
        let up_to = |most: u64| {
            let value = 1 + sim_random_range(0..most);
            if sim_random_range(0..2_u64) == 1 { value } else { 0 }
        };
        let offset_max = Duration::from_millis(up_to(1000));
        let drift_ppm_max = u32::try_from(up_to(200)).expect("at most 200");
        let steps = up_to(10_000);
        let steps_per_second = if steps > 0 { 0.1 } else { 0.0 };
        Self { offset_max, drift_ppm_max, steps_per_second, step_max: Duration::from_millis(steps) }
    }
}

/// The clocks of all nodes, and the test's own, which is right but for the seed's drift.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    configuration: ClockConfiguration,
    of_test: SeedTimer,
    nodes: Vec<NodeClock>,
}

#[derive(Debug)]
struct NodeClock {
    /// How far it was ahead at [`Self::since`]; behind if negative.
    ahead_nanos: i64,
    /// How much faster it is since then; slower if negative.
    drift_ppm: i64,
    since: SimTime,
    steps: Arrivals,
    timer: SeedTimer,
}

/// FoundationDB's `timer`: a clock that is ahead, by an amount that changes when it is looked at.
#[derive(Debug, Default)]
struct SeedTimer {
    nanos: u64,
}

impl Clocks {
    /// No clocks yet; those of nodes that come will be as `configuration` says.
    pub(crate) fn new(configuration: ClockConfiguration) -> Self {
        Self { configuration, ..Self::default() }
    }

    /// A node was added. Nodes are added in the order of their ids.
    pub(crate) fn node_added<E>(&mut self, kernel: &mut Kernel<E>, node: NodeId) {
        assert_eq!(node.0 as usize, self.nodes.len(), "nodes are added in order");
        let place = place_of(node);
        let choices = &mut kernel.choices;
        let offset_max = nanos(self.configuration.offset_max);
        let drift_ppm_max = i64::from(self.configuration.drift_ppm_max);
        let ahead_nanos = signed(choices.pick(ChoiceFamily::Clock, place, outcomes(offset_max)));
        let drift_ppm = signed(choices.pick(ChoiceFamily::Clock, place, outcomes(drift_ppm_max)));
        let per_second = self.configuration.steps_per_second;
        let steps = Arrivals::new(per_second, kernel.now, choices, ChoiceFamily::Clock, place);
        let timer = SeedTimer::default();
        self.nodes.push(NodeClock { ahead_nanos, drift_ppm, since: kernel.now, steps, timer });
    }

    /// What the wall clock of `node`, or of the test itself, shows: nanoseconds since the world began by it, which
    /// may be before. `drift_nanos_max` is the seed's.
    pub(crate) fn wall_clock<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        node: Option<NodeId>,
        drift_nanos_max: u64,
    ) -> i128 {
        let timer = self.timer(kernel, node, drift_nanos_max);
        let Some(node) = node else { return i128::from(timer) };
        self.step_if_due(kernel, node);
        let clock = &self.nodes[node.0 as usize];
        let ahead = clock.ahead_at(kernel.now);
        if ahead != 0 {
            kernel
                .fault(FaultFamily::ClockDrift, Some(node), || format!("the wall clock is {ahead} ns ahead"));
        }
        i128::from(timer) + i128::from(ahead)
    }

    /// The seed's clock that drifts: nanoseconds since the world began, never less than that really is, at most
    /// `drift_nanos_max` more, and never less than before.
    pub(crate) fn timer<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        node: Option<NodeId>,
        drift_nanos_max: u64,
    ) -> u64 {
        let now = kernel.now.as_nanos();
        let (timer, place) = match node {
            Some(node) => (&mut self.nodes[node.0 as usize].timer, place_of(node)),
            None => (&mut self.of_test, 0),
        };
        // Each look takes it half of the way at most to the most that it may show.
        let way = now.saturating_add(drift_nanos_max).saturating_sub(timer.nanos);
        let step = if drift_nanos_max == 0 {
            0
        } else {
            kernel.choices.pick(ChoiceFamily::Clock, place, way / 2 + 1)
        };
        timer.nanos = (timer.nanos + step).max(now);
        let (shown, ahead) = (timer.nanos, timer.nanos - now);
        if ahead > 0 {
            kernel.fault(FaultFamily::ClockDrift, node, || format!("the timer is {ahead} ns ahead"));
        }
        shown
    }

    /// The clock jumps, forward or back.
    pub(crate) fn step<E>(&mut self, kernel: &mut Kernel<E>, node: NodeId, by_nanos: i64) {
        let clock = &mut self.nodes[node.0 as usize];
        clock.ahead_nanos = clock.ahead_nanos.saturating_add(by_nanos);
        if by_nanos != 0 {
            kernel.fault(FaultFamily::ClockStep, Some(node), || format!("by {by_nanos} ns"));
        }
    }

    /// From now on the clock is faster by so many parts in a million; slower if it is negative.
    pub(crate) fn drift(&mut self, now: SimTime, node: NodeId, ppm: i32) {
        let clock = &mut self.nodes[node.0 as usize];
        clock.ahead_nanos = clock.ahead_at(now);
        (clock.since, clock.drift_ppm) = (now, i64::from(ppm));
    }

    /// From now on no clock jumps by itself; what they show stays as wrong as it is.
    pub(crate) fn end_steps(&mut self) {
        self.nodes.iter_mut().for_each(|clock| clock.steps = Arrivals::default());
    }

    fn step_if_due<E>(&mut self, kernel: &mut Kernel<E>, node: NodeId) {
        let place = place_of(node);
        let clock = &mut self.nodes[node.0 as usize];
        if clock.steps.take(kernel.now, &mut kernel.choices, ChoiceFamily::Clock, place) {
            let most = nanos(self.configuration.step_max);
            let by = signed(kernel.choices.pick(ChoiceFamily::Clock, place, outcomes(most)));
            self.step(kernel, node, by);
        }
    }
}

impl NodeClock {
    fn ahead_at(&self, now: SimTime) -> i64 {
        let run = i128::from(now.as_nanos() - self.since.as_nanos());
        let gained = run * i128::from(self.drift_ppm) / 1_000_000;
        self.ahead_nanos.saturating_add(i64::try_from(gained).unwrap_or(i64::MAX))
    }
}

/// Place 0 is the test itself.
fn place_of(node: NodeId) -> u32 {
    node.0 + 1
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// How many numbers there are from `-most` to `most`; one if that is 0.
fn outcomes(most: i64) -> u64 {
    most.unsigned_abs() * 2 + 1
}

/// The number that an outcome stands for: 0, 1, -1, 2, -2, and so on, so that less is simpler.
fn signed(outcome: u64) -> i64 {
    let size = i64::try_from(outcome.div_ceil(2)).expect("half of a u64");
    if outcome % 2 == 1 { size } else { -size }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ClockConfiguration, Clocks, outcomes, signed};
    use crate::choice::Choices;
    use crate::fault::{FaultFamily, FaultLog};
    use crate::kernel::{Kernel, NodeId};
    use crate::time::SimTime;
    use crate::trace::{Keep, Trace};

    const SECOND: i128 = 1_000_000_000;
    const A: NodeId = NodeId(0);
    const B: NodeId = NodeId(1);

    fn clocks(seed: u64, configuration: &ClockConfiguration) -> (Kernel<()>, Clocks) {
        let mut kernel = Kernel::new(Choices::drawn(seed), Trace::new(&Keep::Hash), FaultLog::keeping());
        let mut clocks = Clocks::new(configuration.clone());
        clocks.node_added(&mut kernel, A);
        clocks.node_added(&mut kernel, B);
        (kernel, clocks)
    }

    fn ahead(clocks: &mut Clocks, kernel: &mut Kernel<()>, node: NodeId) -> i128 {
        clocks.wall_clock(kernel, Some(node), 0) - i128::from(kernel.now.as_nanos())
    }

    #[test]
    fn clocks_are_right_unless_told_otherwise() {
        let (mut kernel, mut clocks) = clocks(1, &ClockConfiguration::default());
        kernel.now = SimTime::from_nanos(1 << 50);
        assert_eq!((ahead(&mut clocks, &mut kernel, A), ahead(&mut clocks, &mut kernel, B)), (0, 0));
        assert_eq!(clocks.timer(&mut kernel, Some(A), 0), 1 << 50);
        assert_eq!(kernel.choices.made(), 0, "what is off draws nothing");
        assert!(kernel.faults.events().is_empty());
    }

    #[test]
    fn offsets_differ_between_nodes_and_keep_their_bound() {
        let offset_max = Duration::from_secs(3);
        let mut signs = [0; 2];
        for seed in 0..100 {
            let configuration = ClockConfiguration { offset_max, ..ClockConfiguration::default() };
            let (mut kernel, mut clocks) = clocks(seed, &configuration);
            let (a, b) = (ahead(&mut clocks, &mut kernel, A), ahead(&mut clocks, &mut kernel, B));
            assert!(a.abs() <= 3 * SECOND && b.abs() <= 3 * SECOND && a != b, "{a} {b}");
            signs[usize::from(a > 0)] += 1;
            kernel.now = SimTime::from_nanos(1 << 40);
            assert_eq!(ahead(&mut clocks, &mut kernel, A), a, "it stands off by the same");
            assert_eq!(kernel.faults.count(FaultFamily::ClockDrift), 3);
        }
        assert!(signs[0] > 20 && signs[1] > 20, "{signs:?}");
    }

    /// 100 parts in a million are 360 ms an hour.
    #[test]
    fn a_clock_drifts_and_steps_as_it_is_told_to() {
        let (mut kernel, mut clocks) = clocks(1, &ClockConfiguration::default());
        clocks.drift(kernel.now, A, 100);
        clocks.drift(kernel.now, B, -100);
        kernel.now = SimTime::from_nanos(3_600_000_000_000);
        assert_eq!(ahead(&mut clocks, &mut kernel, A), 360_000_000);
        assert_eq!(ahead(&mut clocks, &mut kernel, B), -360_000_000);
        clocks.drift(kernel.now, A, 0);
        clocks.step(&mut kernel, A, -1_360_000_000);
        assert_eq!(ahead(&mut clocks, &mut kernel, A), -SECOND);
        kernel.now = SimTime::from_nanos(7_200_000_000_000);
        assert_eq!(ahead(&mut clocks, &mut kernel, A), -SECOND, "what it gained it keeps");
        assert_eq!(kernel.faults.count(FaultFamily::ClockStep), 1);
    }

    #[test]
    fn clocks_jump_forward_and_back_at_their_rate() {
        let step_max = Duration::from_secs(2);
        let configuration =
            ClockConfiguration { steps_per_second: 0.5, step_max, ..ClockConfiguration::default() };
        let (mut kernel, mut clocks) = clocks(3, &configuration);
        let (mut last, mut jumps) = (0, [0; 2]);
        for tenth in 0..10_000 {
            kernel.now = SimTime::from_nanos(tenth * 100_000_000);
            let found = ahead(&mut clocks, &mut kernel, A);
            assert!((found - last).abs() <= 2 * SECOND, "{last} to {found}");
            if found != last {
                jumps[usize::from(found > last)] += 1;
            }
            last = found;
        }
        clocks.end_steps();
        kernel.now = SimTime::from_nanos(1 << 50);
        assert_eq!(ahead(&mut clocks, &mut kernel, A), last, "it jumps no more");
        // 500 in the mean, and 49 ms lost after each; six deviations of 22 each way.
        assert!((350..=640).contains(&(jumps[0] + jumps[1])), "{jumps:?}");
        assert!(jumps[0] > 150 && jumps[1] > 150, "{jumps:?}");
        assert_eq!(kernel.faults.count(FaultFamily::ClockStep), jumps[0] + jumps[1]);
    }

    /// The seed's: never behind, never more than 100 ms ahead, never back, and other on each node.
    #[test]
    fn the_seeds_timer_keeps_its_bounds() {
        let most = 100_000_000;
        let mut far = 0;
        for seed in 0..50 {
            let (mut kernel, mut clocks) = clocks(seed, &ClockConfiguration::default());
            let mut last = [0; 2];
            for look in 0..200_u64 {
                kernel.now = SimTime::from_nanos(look * look * 10_000);
                let now = kernel.now.as_nanos();
                let shown = [A, B].map(|node| clocks.timer(&mut kernel, Some(node), most));
                for (shown, last) in shown.iter().zip(last) {
                    assert!((now..=now + most).contains(shown) && *shown >= last, "{shown} at {now}");
                }
                assert_ne!(shown[0], shown[1]);
                far += u64::from(shown[0] - now > most / 2);
                last = shown;
            }
            assert!(kernel.faults.count(FaultFamily::ClockDrift) > 300);
        }
        assert!(far > 1000, "it was far ahead {far} times");
    }

    #[test]
    fn random_clocks_differ_between_seeds_and_keep_their_ranges() {
        let of_seed = |seed| {
            crate::set_sim_seed(seed);
            ClockConfiguration::random_for_seed()
        };
        let all: Vec<_> = (0..200).map(of_seed).collect();
        assert_eq!(all[7], of_seed(7));
        let drifting = all.iter().filter(|one| one.drift_ppm_max > 0).count();
        assert!((60..140).contains(&drifting), "{drifting}");
        for one in all {
            assert!(one.offset_max <= Duration::from_secs(1) && one.drift_ppm_max <= 200);
            assert_eq!(one.steps_per_second > 0.0, !one.step_max.is_zero());
        }
    }

    #[test]
    fn outcomes_stand_for_all_numbers() {
        assert_eq!([0, 1, 2, 3, 4].map(signed), [0, 1, -1, 2, -2]);
        assert_eq!(signed(outcomes(i64::MAX) - 1), -i64::MAX);
    }
}
