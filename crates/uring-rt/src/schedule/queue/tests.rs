use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::super::fair::Standing;
use super::super::properties::{DeviceProperties, IoProperties, Known};
use super::{Cancelled, Class, Direction, Full, Part, Queue, Transfer, Urgency};

/// A read costs 10 us and 1 us for each KiB; a write twice as much.
const DISK: DeviceProperties = DeviceProperties {
    read_bytes_per_s: 1_024_000_000,
    write_bytes_per_s: 512_000_000,
    reads_per_s: 100_000,
    writes_per_s: 50_000,
    latency_goal: Duration::from_micros(200),
    part_bytes_max: 64 * 1024,
};
const GOAL_NS: u64 = 200_000;

fn known(properties: DeviceProperties) -> Arc<Known> {
    Arc::clone(IoProperties::new().device((1, 1), properties).known((1, 1)).unwrap())
}

const fn read(kib: u32) -> Transfer {
    Transfer { direction: Direction::Read, bytes: kib * 1024 }
}

const fn bulk(queue: u32) -> Class {
    Class { queue, urgency: Urgency::Bulk }
}

const fn urgent(queue: u32) -> Class {
    Class { queue, urgency: Urgency::Urgent }
}

const fn standing(node: u32, shares: u32) -> Standing {
    Standing { node, shares }
}

/// Puts a request into its class, below the root.
fn put(
    queue: &mut Queue<u32>,
    now_ns: u64,
    class: Class,
    transfer: Transfer,
    whole: u32,
) -> crate::slots::Key {
    let part_bytes = queue.part_bytes(4096);
    queue.handle_request(now_ns, class, [standing(class.queue, 100)], transfer, part_bytes, whole).unwrap()
}

/// Who is kept busy with what.
struct Load {
    class: Class,
    lineage: Vec<Standing>,
    transfer: Transfer,
}

/// Has each class wait for more all the time, on a device that takes one part after the other and is so many times as
/// slow as it was said to be; how much of the device's time each was given within a second.
fn saturate(loads: &[Load], slowness: u64) -> Vec<u64> {
    let device = known(DISK);
    let mut queue = Queue::new(Arc::clone(&device), 1000);
    let mut given = vec![0; loads.len()];
    let mut under_way: VecDeque<(u64, u64)> = VecDeque::new();
    let (mut now_ns, mut free_ns) = (5_000_000_000, 0);
    let end_ns = now_ns + 1_000_000_000;
    let part_bytes = queue.part_bytes(4096);
    let put = |queue: &mut Queue<usize>, load: usize, now_ns| {
        let Load { class, lineage, transfer } = &loads[load];
        let lineage = lineage.iter().copied();
        queue.handle_request(now_ns, *class, lineage, *transfer, part_bytes, load).unwrap();
    };
    for load in 0..loads.len() {
        (0..4).for_each(|_| put(&mut queue, load, now_ns));
    }
    while now_ns < end_ns {
        while let Some(Part { whole, number, cost_ns }) = queue.poll_part(now_ns) {
            given[whole] += cost_ns;
            free_ns = now_ns.max(free_ns) + cost_ns * slowness;
            under_way.push_back((free_ns, cost_ns));
            assert!(device.budget.in_flight_ns() <= GOAL_NS * 2, "more under way than the goal permits");
            let parts = loads[whole].transfer.bytes.div_ceil(part_bytes) as usize;
            if number + 1 == parts {
                put(&mut queue, whole, now_ns);
            }
        }
        let next = [under_way.front().map(|(end_ns, _)| *end_ns), queue.next_event()];
        now_ns = next.into_iter().flatten().min().expect("a queue that has something says when it goes on");
        while let Some((_, cost_ns)) = under_way.pop_front_if(|(end_ns, _)| *end_ns <= now_ns) {
            queue.handle_ended(1, cost_ns);
        }
    }
    given
}

/// Checks that times were shared as told, within a percent of all, and that the device was busy.
fn check_shares(given: &[u64], expected_percent: &[u64], slowness: u64) {
    let sum: u64 = given.iter().sum();
    assert!(sum * slowness * 100 >= 98 * 1_000_000_000, "the device was idle: {given:?}");
    for (given_ns, expected) in given.iter().zip(expected_percent) {
        assert!((given_ns * 100 / sum).abs_diff(*expected) <= 1, "{given:?} of {sum}");
    }
}

#[test]
fn classes_have_the_device_as_their_shares_say() {
    for slowness in [1, 3] {
        let load = |queue, shares, transfer| Load {
            class: bulk(queue),
            lineage: vec![standing(queue, shares)],
            transfer,
        };
        let write = Transfer { direction: Direction::Write, bytes: 256 * 1024 };
        // Of very unlike requests, too.
        let loads = [load(1, 100, read(4)), load(2, 300, write), load(3, 600, read(1000))];
        check_shares(&saturate(&loads, slowness), &[10, 30, 60], slowness);
    }
}

/// A group has its share as a whole, and classes in it have theirs of that.
#[test]
fn a_group_of_classes_is_one_to_its_siblings() {
    let group = standing(9, 500);
    let load = |queue, shares, above: &[Standing]| Load {
        class: bulk(queue),
        lineage: std::iter::once(standing(queue, shares)).chain(above.iter().copied()).collect(),
        transfer: read(64),
    };
    let loads = [load(1, 10, &[group]), load(2, 30, &[group]), load(3, 500, &[])];
    check_shares(&saturate(&loads, 1), &[12, 37, 50], 1);
}

/// One share of a hundred thousand, and a turn all the same.
#[test]
fn no_class_starves() {
    let load = |class: Class, shares| Load {
        class,
        lineage: vec![standing(class.queue, shares)],
        transfer: read(4),
    };
    let given = saturate(&[load(bulk(1), 10), load(urgent(2), 100_000)], 1);
    assert!(given[0] > 0, "{given:?}");
}

#[test]
fn an_idle_device_is_given_work_at_once() {
    let mut queue: Queue<u32> = Queue::new(known(DISK), 1000);
    assert_eq!(queue.try_start(1_000_000_000, bulk(1), read(4)), Some(14_000));
    assert_eq!(queue.try_start(1_000_000_000, bulk(1), read(64)), Some(74_000));
    queue.handle_ended(2, 88_000);
    // Longer than the goal by itself: that is no reason to wait.
    let slow = DeviceProperties { latency_goal: Duration::from_micros(1), ..DISK };
    let mut queue: Queue<u32> = Queue::new(known(slow), 1000);
    assert_eq!(queue.try_start(7, bulk(1), read(64)), Some(74_000));
    assert_eq!(queue.try_start(8, bulk(1), read(4)), None, "the device has enough to do");
}

/// After any time without work there is as much at once as after none.
#[test]
fn idle_time_is_not_saved_up() {
    for idle_ns in [0, 1_000, 1_000_000_000_000] {
        let mut queue: Queue<u32> = Queue::new(known(DISK), 1000);
        let begin_ns = 1_000_000_000;
        let mut at_once = 0;
        while let Some(cost_ns) = queue.try_start(begin_ns + idle_ns, bulk(1), read(4)) {
            at_once += cost_ns;
            // They end at once, too: what holds the rest back is the clock.
            queue.handle_ended(1, cost_ns);
        }
        assert!((GOAL_NS - 14_000..=GOAL_NS).contains(&at_once), "{at_once}");
    }
}

/// Who had nothing to ask for did not save up turns: from when it asks on, it has its share and no more.
#[test]
fn a_class_that_was_idle_does_not_make_up_for_it() {
    let mut queue = Queue::new(known(DISK), 10_000);
    let mut now_ns = 0;
    let mut give = |queue: &mut Queue<u32>, parts: usize| {
        let mut counts = [0_u32; 2];
        for _ in 0..parts {
            let Part { whole, cost_ns, .. } = loop {
                match queue.poll_part(now_ns) {
                    Some(part) => break part,
                    None => now_ns = queue.next_event().unwrap(),
                }
            };
            queue.handle_ended(1, cost_ns);
            counts[whole as usize] += 1;
        }
        counts
    };
    // A class is one to its siblings whether it is a group or not.
    let grouped = [standing(2, 100), standing(7, 100)];
    for _ in 0..2000 {
        put(&mut queue, 0, bulk(1), read(4), 0);
    }
    assert_eq!(give(&mut queue, 1000), [1000, 0]);
    for _ in 0..1000 {
        queue.handle_request(0, bulk(2), grouped, read(4), 65_536, 1).unwrap();
    }
    let [busy, idle] = give(&mut queue, 1000);
    assert!(busy.abs_diff(500) <= 2 && idle.abs_diff(500) <= 2, "{busy} and {idle}");
}

/// Whose latency matters may go on where others have to wait, and goes first.
#[test]
fn what_matters_goes_while_others_wait() {
    let mut queue = Queue::new(known(DISK), 1000);
    for whole in 0..10 {
        put(&mut queue, 0, bulk(1), read(64), whole);
    }
    let begun = std::iter::from_fn(|| queue.poll_part(1_000_000)).count();
    assert_eq!(begun, 2, "two of 74 us within 200");
    put(&mut queue, 1_000_000, urgent(2), read(4), 77);
    assert_eq!(queue.poll_part(1_000_000), Some(Part { whole: 77, number: 0, cost_ns: 14_000 }));
    assert_eq!(queue.poll_part(1_000_000), None);
}

/// Also where a part of what does not matter is more than the goal.
#[test]
fn no_part_of_others_holds_up_what_matters() {
    let mut queue =
        Queue::new(known(DeviceProperties { latency_goal: Duration::from_micros(20), ..DISK }), 10);
    put(&mut queue, 0, bulk(1), read(64), 1);
    put(&mut queue, 0, bulk(1), read(64), 2);
    assert_eq!(std::iter::from_fn(|| queue.poll_part(1_000_000)).count(), 1);
    put(&mut queue, 1_000_000, urgent(2), read(4), 77);
    assert_eq!(queue.poll_part(1_000_000), Some(Part { whole: 77, number: 0, cost_ns: 14_000 }));
}

/// A long request is given in parts, each of them once, and between them others have their turns.
#[test]
fn long_requests_go_in_parts_with_others_between() {
    let mut queue = Queue::new(known(DISK), 1000);
    put(&mut queue, 0, bulk(1), read(1000), 1);
    put(&mut queue, 0, bulk(2), read(64), 2);
    let (mut now_ns, mut order) = (0, Vec::new());
    while queue.waiting() > 0 {
        while let Some(Part { whole, number, cost_ns }) = queue.poll_part(now_ns) {
            order.push((whole, number));
            queue.handle_ended(1, cost_ns);
        }
        now_ns = queue.next_event().unwrap_or(now_ns);
    }
    let long: Vec<usize> = order.iter().filter(|(whole, _)| *whole == 1).map(|(_, number)| *number).collect();
    assert_eq!(long, (0..16).collect::<Vec<_>>());
    let short = order.iter().position(|place| *place == (2, 0)).unwrap();
    assert!(short <= 2, "it waited for all parts of another class: {order:?}");
    let counters = queue.counters();
    assert_eq!((counters[1].parts, counters[1].bytes_read, counters[1].waiting), (16, 1000 * 1024, 0));
    assert_eq!((counters[2].requests, counters[2].parts, counters[2].bytes_read), (1, 1, 64 * 1024));
}

/// One that is not wanted any more leaves what was not given to the device, and its place.
#[test]
fn a_cancelled_request_leaves_its_place() {
    let mut queue = Queue::new(known(DISK), 2);
    let long = put(&mut queue, 0, bulk(1), read(256), 5);
    let other = put(&mut queue, 0, bulk(1), read(4), 6);
    let full = queue.handle_request(0, bulk(1), [standing(1, 100)], read(4), 65_536, 7);
    assert_eq!(full, Err(Full));
    while queue.poll_part(1_000_000).is_some() {}
    assert_eq!(queue.handle_cancel(1_000_000, long), Some(Cancelled { whole: 5, parts: 2..4 }));
    assert_eq!(queue.handle_cancel(1_000_000, long), None, "it is gone");
    queue.handle_ended(2, 2 * 74_000);
    put(&mut queue, 1_000_000, bulk(1), read(4), 7);
    let begun: Vec<u32> = std::iter::from_fn(|| queue.poll_part(2_000_000)).map(|part| part.whole).collect();
    assert_eq!(begun, [6, 7]);
    assert_eq!(queue.handle_cancel(2_000_000, other), None, "all of it was given to the device");
    assert_eq!((queue.counters()[1].cancelled, queue.counters()[1].waiting), (1, 0));
}

/// Time that was booked for what is then cancelled is another's.
#[test]
fn time_that_is_not_needed_is_given_back() {
    let device = known(DISK);
    let [mut one, mut other]: [Queue<u32>; 2] = [(), ()].map(|()| Queue::new(Arc::clone(&device), 10));
    let first = one.try_start(0, bulk(1), read(64)).unwrap();
    assert_eq!(first + one.try_start(0, bulk(1), read(64)).unwrap(), 148_000);
    one.handle_ended(2, 148_000);
    let waits = put(&mut one, 0, bulk(1), read(64), 1);
    assert_eq!((one.poll_part(0), one.next_event()), (None, Some(22_000)));
    assert_eq!(one.handle_cancel(0, waits), Some(Cancelled { whole: 1, parts: 0..1 }));
    assert_eq!(other.try_start(0, bulk(1), read(36)), Some(46_000), "as if nothing had been booked");
}

/// Shards share what is under way, however many there are; one that has nothing under way may have one part.
#[test]
fn shards_share_what_is_under_way() {
    let device = known(DISK);
    let mut queues: Vec<Queue<u32>> = (0..4).map(|_| Queue::new(Arc::clone(&device), 10)).collect();
    let mut begun = Vec::new();
    // The clock allows all.
    for (now_ns, queue) in (1..).map(|turn| turn * 1_000_000_000).zip(&mut queues) {
        begun.push(std::iter::from_fn(|| queue.try_start(now_ns, bulk(1), read(64))).count());
    }
    assert_eq!(begun, [2, 1, 1, 1]);
    drop(queues);
    assert_eq!(device.budget.in_flight_ns(), 0, "a shard that is gone has nothing under way");
}

/// A step of a script: for one of two shards.
#[derive(Clone, Copy, Debug)]
enum Step {
    Request { class: u32, kib: u32, direction: Direction },
    End,
    Cancel(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let direction = prop_oneof![Just(Direction::Read), Just(Direction::Write)];
    let step = prop_oneof![
        4 => (1..4_u32, 1..300_u32, direction).prop_map(|(class, kib, direction)| Step::Request { class, kib: kib * 4, direction }),
        4 => Just(Step::End),
        1 => any::<usize>().prop_map(Step::Cancel),
        3 => (0..400_000_u64).prop_map(Step::Wait),
    ];
    (0..2_usize, step)
}

/// One shard of a script, and what the model knows of it.
struct Modelled {
    queue: Queue<u32>,
    under_way: VecDeque<u64>,
    /// Requests that wait, in their order, and how many parts each has had and has.
    waiting: Vec<(u32, crate::slots::Key, u32, usize, usize)>,
}

proptest! {
    /// Random requests, ends, cancels and waits on two shards of one device. Within any time no more is given away than
    /// that time, the goal, and what each shard had booked before: less than a part. No more is under way than the goal
    /// permits, and a part for each shard. Each class is served in order, each part once, and at the end nothing is left.
    #[test]
    fn the_budget_and_the_order_are_kept(script in prop::collection::vec(step(), 1..120)) {
        let device = known(DISK);
        let shard = || Modelled { queue: Queue::new(Arc::clone(&device), 1000), under_way: VecDeque::new(), waiting: Vec::new() };
        let mut shards = [shard(), shard()];
        let (mut now_ns, mut whole) = (1_000_000_000_u64, 0);
        let mut given: Vec<(u64, u64)> = Vec::new();
        let part_max_ns = 20_000 + 2 * 64_000;
        // The longest script is 120 requests of 19 parts that take 148 us each, and the clock goes on by 25 us a step.
        let drain = (0..16_000).map(|number| (number % 2, if number % 4 < 2 { Step::End } else { Step::Wait(50_000) }));
        for (which, step) in script.into_iter().chain(drain) {
            let shard = &mut shards[which];
            match step {
                Step::Request { class, kib, direction } => {
                    let urgency = if class == 3 { Urgency::Urgent } else { Urgency::Bulk };
                    let class = Class { queue: class, urgency };
                    let transfer = Transfer { direction, bytes: kib * 1024 };
                    whole += 1;
                    let key = put(&mut shard.queue, now_ns, class, transfer, whole);
                    let parts = transfer.bytes.div_ceil(64 * 1024) as usize;
                    shard.waiting.push((whole, key, class.queue, 0, parts));
                }
                Step::End => {
                    if let Some(cost_ns) = shard.under_way.pop_front() {
                        shard.queue.handle_ended(1, cost_ns);
                    }
                }
                Step::Cancel(which) => {
                    if !shard.waiting.is_empty() {
                        let (whole, key, _, had, parts) = shard.waiting.remove(which % shard.waiting.len());
                        prop_assert_eq!(shard.queue.handle_cancel(now_ns, key), Some(Cancelled { whole, parts: had..parts }));
                    }
                }
                Step::Wait(wait_ns) => now_ns += wait_ns,
            }
            while let Some(Part { whole, number, cost_ns }) = shard.queue.poll_part(now_ns) {
                let at = shard.waiting.iter().position(|(waiting, ..)| *waiting == whole).unwrap();
                let class = shard.waiting[at].2;
                prop_assert!(shard.waiting[..at].iter().all(|(_, _, other, ..)| *other != class), "out of order");
                let (_, _, _, had, parts) = &mut shard.waiting[at];
                prop_assert_eq!(number, *had);
                *had += 1;
                if had == parts {
                    shard.waiting.remove(at);
                }
                shard.under_way.push_back(cost_ns);
                given.push((now_ns, cost_ns));
                prop_assert!(device.budget.in_flight_ns() <= 2 * GOAL_NS + 2 * part_max_ns);
            }
            // Whatever waits has a reason to: an end or a time to come.
            let shard = &shards[which];
            if shard.queue.waiting() > 0 {
                prop_assert!(shard.queue.next_event().is_some() || !shard.under_way.is_empty());
                prop_assert!(shard.queue.next_event().is_none_or(|due_ns| due_ns > now_ns));
            }
            let waiting: u64 = shard.queue.counters().iter().map(|counters| counters.waiting).sum();
            prop_assert_eq!((waiting, shard.queue.waiting()), (shard.waiting.len() as u64, shard.waiting.len()));
        }
        for from in 0..given.len() {
            let mut sum_ns = 0;
            for (at_ns, cost_ns) in &given[from..] {
                sum_ns += cost_ns;
                prop_assert!(sum_ns <= at_ns - given[from].0 + 2 * GOAL_NS + 2 * part_max_ns, "{:?}", &given[from..]);
            }
        }
        for shard in &shards {
            prop_assert_eq!((shard.waiting.len(), shard.under_way.len()), (0, 0), "something is left");
        }
        prop_assert_eq!(device.budget.in_flight_ns(), 0);
    }
}
