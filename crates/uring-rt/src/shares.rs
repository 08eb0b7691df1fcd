//! Shares that change with what there is to do.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

use crate::queues::RunQueues;
use crate::tasks::Shares;

/// Says what shares a queue is to have, time and again: see
/// [`control_shares`](crate::UringTasks::control_shares).
pub trait SharesController {
    /// How long the shares stay as they are. Asked each time.
    fn period(&self) -> Duration;

    /// The shares from here on. `now` is the time since the shard's start and never goes back.
    fn shares(&mut self, now: Duration) -> Shares;
}

/// Work that is to be done within some time, whose doers say how far they are. Clones are the same work.
#[derive(Clone, Debug)]
pub struct DeadlineWork(Rc<Progress>);

#[derive(Debug)]
struct Progress {
    done: Cell<u64>,
    total: Cell<u64>,
}

impl DeadlineWork {
    /// So much, in any unit; nothing is done before it began.
    pub fn new(total: u64) -> Self {
        Self(Rc::new(Progress { done: Cell::new(0), total: Cell::new(total) }))
    }

    /// More of it is done.
    pub fn advance(&self, by: u64) {
        self.0.done.set(self.0.done.get().saturating_add(by));
    }

    /// There is more to do than was thought, or less.
    pub fn set_total(&self, total: u64) {
        self.0.total.set(total);
    }

    /// Whether all is done.
    pub fn is_done(&self) -> bool {
        self.0.done.get() >= self.0.total.get()
    }

    /// What part is done, of [`ONE`].
    fn part(&self) -> i64 {
        if self.is_done() { ONE } else { part(u128::from(self.0.done.get()), u128::from(self.0.total.get())) }
    }
}

/// Gives a queue such shares that its work is done just in time: few while it is ahead, more the more it is behind.
///
/// A PI controller. With `late`, the part of the time that is over less the part of the work that is done, from -1 to 1,
/// and `debt`, the integral of `late` over the time as a part of the whole, kept from 0 to 1/16 so that it can be paid
/// off, shares are `least + (most - least) * clamp(4 * late + 16 * debt, 0, 1)`: who is a quarter behind, or was a
/// little for long, has the most, until it is done. When time is over all that is not done is late. Calculated in whole
/// numbers: the same calls give the same shares.
#[derive(Debug)]
pub struct DeadlineController {
    work: DeadlineWork,
    within: Duration,
    bounds: RangeInclusive<u32>,
    period: Duration,
    start: Option<Duration>,
    /// Of the time, at the last call.
    part_before: i64,
    debt: i64,
}

impl DeadlineController {
    /// For work that is to be done within so long from when the controller is first asked, with shares within `bounds`,
    /// of which the lower is at least 1. Asked a hundred times until then, but not each millisecond.
    pub fn new(work: &DeadlineWork, within: Duration, bounds: RangeInclusive<u32>) -> Self {
        let (work, period) = (work.clone(), (within / 100).max(Duration::from_millis(1)));
        Self { work, within, bounds, period, start: None, part_before: 0, debt: 0 }
    }
}

impl SharesController for DeadlineController {
    fn period(&self) -> Duration {
        self.period
    }

    fn shares(&mut self, now: Duration) -> Shares {
        let start = *self.start.get_or_insert(now);
        let time = part(now.saturating_sub(start).as_nanos(), self.within.as_nanos().max(1));
        let late = time - self.work.part();
        self.debt = (self.debt + late * (time - self.part_before) / ONE).clamp(0, ONE / GAIN_OF_DEBT);
        self.part_before = time;
        let wanted = if self.work.is_done() { 0 } else { GAIN_OF_LATE * late + GAIN_OF_DEBT * self.debt };
        between(&self.bounds, wanted)
    }
}

/// Gives a queue shares in proportion to what waits: all of them from some backlog on, the fewest if there is none.
pub struct BacklogController {
    backlog: Box<dyn Fn() -> u64>,
    full: u64,
    bounds: RangeInclusive<u32>,
    period: Duration,
}

impl BacklogController {
    /// `backlog` tells how much waits, in any unit; from `full` on the queue has the most shares of `bounds`, of which the
    /// lower is at least 1. Asked each 10 ms.
    pub fn new(full: u64, bounds: RangeInclusive<u32>, backlog: impl Fn() -> u64 + 'static) -> Self {
        Self { backlog: Box::new(backlog), full: full.max(1), bounds, period: Duration::from_millis(10) }
    }
}

impl SharesController for BacklogController {
    fn period(&self) -> Duration {
        self.period
    }

    fn shares(&mut self, _: Duration) -> Shares {
        between(&self.bounds, part(u128::from((self.backlog)()), u128::from(self.full)))
    }
}

impl fmt::Debug for BacklogController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BacklogController")
            .field("full", &self.full)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

/// The queues of a shard that are controlled.
#[derive(Default)]
pub(crate) struct Controllers {
    all: RefCell<Vec<Controlled>>,
    /// When the first is to be asked.
    due: Cell<Option<Duration>>,
}

struct Controlled {
    queue: u32,
    due: Duration,
    controller: Box<dyn SharesController>,
}

impl Controllers {
    /// From here on the controller says what shares the queue has; who did so before does no more.
    pub(crate) fn add(&self, queue: u32, controller: Box<dyn SharesController>) {
        self.remove(queue);
        self.all.borrow_mut().push(Controlled { queue, due: Duration::ZERO, controller });
        self.due.set(Some(Duration::ZERO));
    }

    /// Nobody says so from here on.
    pub(crate) fn remove(&self, queue: u32) {
        let gone: Vec<Controlled> = self.all.borrow_mut().extract_if(.., |one| one.queue == queue).collect();
        drop(gone);
    }

    /// Whether there is anybody to ask, at some time.
    pub(crate) fn is_any(&self) -> bool {
        self.due.get().is_some()
    }

    /// Asks those that are due.
    pub(crate) fn adjust(&self, queues: &RunQueues, now: Duration) {
        if self.due.get().is_none_or(|due| now < due) {
            return;
        }
        // Outside of the borrow: a controller may be anything, and add others.
        let mut asked = self.all.take();
        self.due.set(None);
        for one in asked.iter_mut().filter(|one| now >= one.due) {
            queues.set_shares(one.queue, one.controller.shares(now).get());
            one.due = now.saturating_add(one.controller.period().max(PERIOD_MIN));
        }
        let mut all = self.all.borrow_mut();
        // What was added meanwhile is the later word.
        asked.retain(|one| all.iter().all(|added| added.queue != one.queue));
        all.extend(asked);
        self.due.set(all.iter().map(|one| one.due).min());
    }
}

impl fmt::Debug for Controllers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controllers").field("due", &self.due).finish_non_exhaustive()
    }
}

/// `some` of `all`, of [`ONE`], and no more.
fn part(some: u128, all: u128) -> i64 {
    let some = some.min(all);
    // As much of both as leaves room for the product.
    let excess = u128::BITS - all.leading_zeros().min(u128::BITS);
    let shift = excess.saturating_sub(100);
    let part = ((some >> shift) * u128::from(ONE.unsigned_abs())) / (all >> shift).max(1);
    i64::try_from(part).unwrap_or(ONE).min(ONE)
}

fn between(bounds: &RangeInclusive<u32>, wanted: i64) -> Shares {
    let (least, most) = (i64::from(*bounds.start()), i64::from(*bounds.end()));
    let shares = least + (most - least).max(0) * wanted.clamp(0, ONE) / ONE;
    Shares::new(u32::try_from(shares).expect("between two that are"))
}

/// One, as parts are counted.
const ONE: i64 = 1 << 16;
const GAIN_OF_LATE: i64 = 4;
const GAIN_OF_DEBT: i64 = 16;
/// Nobody is asked more often.
const PERIOD_MIN: Duration = Duration::from_micros(100);

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::time::Duration;

    use super::{BacklogController, Controllers, DeadlineController, DeadlineWork, SharesController};
    use crate::queues::{DEFAULT_QUEUE, RunQueues};
    use crate::sys::{Home, Remote};
    use crate::tasks::Shares;

    const WITHIN: Duration = Duration::from_secs(10);

    /// Shares at each tenth of the time, when so much of a thousand is done there.
    fn shares(done: impl Fn(u32) -> u64) -> Vec<u32> {
        let work = DeadlineWork::new(1000);
        let mut controller = DeadlineController::new(&work, WITHIN, 10..=1010);
        let mut before = 0;
        let mut at = |tenth: u32| {
            let now = done(tenth);
            work.advance(now - before);
            before = now;
            controller.shares(Duration::from_secs(77) + WITHIN * tenth / 10).get()
        };
        (0..=12).map(&mut at).collect()
    }

    #[test]
    fn who_is_ahead_has_the_least() {
        assert_eq!(shares(|tenth| u64::from(tenth) * 100), [10; 13], "just in time");
        assert_eq!(shares(|tenth| u64::from(tenth) * 200), [10; 13]);
    }

    /// By hand: a tenth late at the first look, 4 * 0.1 + 16 * 0.1 * 0.1 = 0.56 of a thousand, and then the most.
    #[test]
    fn who_does_nothing_has_the_most_soon() {
        let shares = shares(|_| 0);
        assert_eq!(shares[0], 10);
        assert!(shares[1].abs_diff(10 + 560) <= 1, "{shares:?}");
        assert_eq!(shares[2..], [1010; 11]);
    }

    /// A lag that stays the same costs more and more, until it is paid off.
    #[test]
    fn a_lag_that_stays_is_a_debt() {
        let late = shares(|tenth| u64::from(tenth.min(10) * 100).saturating_sub(50));
        assert!(late[1..10].windows(2).all(|two| two[0] < two[1]), "{late:?}");
        let mended = shares(|tenth| if tenth < 5 { 0 } else { 1000 });
        assert_eq!((mended[4], mended[5]), (1010, 10), "it is done");
    }

    /// A model of a machine that gives a queue as much as its share of it against one other of 200: what needs half of the
    /// machine is done in time, and not much before; what needs all of it gets nearly that.
    #[test]
    fn work_is_done_just_in_time() {
        let finish = |total: u64| {
            let work = DeadlineWork::new(total);
            let mut controller = DeadlineController::new(&work, WITHIN, 1..=10_000);
            let (mut parts, mut step) = (0_u64, 0_u32);
            while !work.is_done() {
                let shares = u64::from(controller.shares(Duration::from_millis(100) * step).get());
                // A hundred units a second, of which it gets its share.
                parts += 10_000 * shares / (shares + 200);
                work.advance(parts / 1000);
                parts %= 1000;
                step += 1;
                assert!(step < 1000, "it is never done");
            }
            step
        };
        let [half, all] = [500, 1000].map(finish);
        assert!((90..=101).contains(&half), "in {half} of 100 steps");
        assert!((100..=115).contains(&all), "in {all} of 100 steps");
    }

    #[test]
    fn odd_numbers_do_no_harm() {
        for (total, within) in [(0, Duration::ZERO), (u64::MAX, Duration::MAX), (1, Duration::from_nanos(1))]
        {
            let work = DeadlineWork::new(total);
            let mut controller = DeadlineController::new(&work, within, 0..=u32::MAX);
            for now in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
                assert!(controller.shares(now) >= Shares::new(1));
                work.advance(u64::MAX / 3);
            }
        }
    }

    #[test]
    fn a_backlog_is_answered_in_proportion() {
        let backlog = Rc::new(Cell::new(0));
        let mut controller = BacklogController::new(100, 10..=110, {
            let backlog = Rc::clone(&backlog);
            move || backlog.get()
        });
        let mut at = |waits| {
            backlog.set(waits);
            controller.shares(Duration::ZERO).get()
        };
        assert_eq!([at(0), at(100), at(1000), at(u64::MAX)], [10, 110, 110, 110]);
        assert!(at(50).abs_diff(60) <= 1);
    }

    /// Asked when it is due, and not before; one at a time for a queue.
    #[test]
    fn controllers_are_asked_when_they_are_due() {
        struct Counting(Rc<Cell<u32>>);
        impl SharesController for Counting {
            fn period(&self) -> Duration {
                Duration::from_millis(10)
            }
            fn shares(&mut self, _: Duration) -> Shares {
                self.0.set(self.0.get() + 1);
                Shares::new(self.0.get())
            }
        }
        let queues = RunQueues::new(&Home::new(&Arc::new(Remote::new().unwrap())), Rc::default());
        let (controllers, asked) = (Controllers::default(), Rc::new(Cell::new(0)));
        assert!(!controllers.is_any());
        controllers.add(DEFAULT_QUEUE, Box::new(Counting(Rc::default())));
        controllers.add(DEFAULT_QUEUE, Box::new(Counting(Rc::clone(&asked))));
        let at = |ms| {
            controllers.adjust(&queues, Duration::from_millis(ms));
            asked.get()
        };
        assert_eq!([at(5), at(6), at(14), at(15), at(24), at(100)], [1, 1, 1, 2, 2, 3]);
        assert_eq!(queues.stats()[0].shares, 3);
        controllers.remove(DEFAULT_QUEUE);
        controllers.adjust(&queues, Duration::from_secs(9));
        assert_eq!(asked.get(), 3);
    }
}
