//! The commit path of the blocking face: many threads, one core, one thread at a time that performs operations.
//!
//! Whoever needs work done and finds nobody doing it *leads*: takes operations from the core and performs them
//! outside its lock, so that the next group fills meanwhile. Of those who come while somebody leads, the first of
//! a group is the *heir*, who is told when the leader leaves; all others sleep until their group is settled.
//! A leader leaves when its own goal is reached and somebody is there to go on, else when there is no work.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use samestep_replay_traits::Index;

use crate::clock::Clock;
use crate::disk::Disk;
use crate::error::{AppendError, Failure};
use crate::format::to_u64;
use crate::group::Group;
use crate::id::{Lsn, SegmentId};
use crate::log::{Log, StageError};
use crate::metrics::Metrics;
use crate::op::Op;
use crate::options::{CommitPolicy, SlowSync};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// All that handles on one log share.
#[derive(Debug)]
pub(crate) struct Shared<D> {
    core: Mutex<Core>,
    /// Locked by the leader only.
    disk: Mutex<D>,
    /// Those who want to lead: the heir, the background thread, calls that need the log for themselves.
    turn: Condvar,
    /// Those who want to stage something while the log is blocked.
    room: Condvar,
    /// Those who wait for an index that need not be appended yet.
    watch: Condvar,
    /// The background thread, while it has nothing to do.
    background: Condvar,
    /// The thread that makes segments ahead of time, while there is none to make.
    preparer: Condvar,
    /// The leader, while a rotation waits for a segment that is half made.
    spared: Condvar,
    pub(crate) clock: Clock,
    pub(crate) policy: CommitPolicy,
    slow_sync: Option<SlowSync>,
}

/// What the one short lock protects.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Core {
    pub(crate) log: Log,
    /// Groups that are not settled, oldest first. Only records for which somebody may wait are in one.
    pending: VecDeque<Pending>,
    /// Settled groups, to be used again once nobody looks at them.
    settled: VecDeque<Arc<Group>>,
    /// Room for the groups that a leader is about to wake. Empty, and kept, so that nothing is allocated.
    decided: Vec<Outcome>,
    has_leader: bool,
    /// A call has the log for itself: nothing is staged meanwhile, and nobody else leads.
    is_exclusive: bool,
    has_heir: bool,
    /// Threads that sleep on `turn`, on `room` and on `watch`.
    candidates: usize,
    blocked: usize,
    watchers: usize,
    pub(crate) background: Background,
    pub(crate) is_closed: bool,
    /// Records that were acknowledged before they were durable are lost, and nobody was told so far.
    pub(crate) loss: Option<Failure>,
    /// How often staged records were taken back, and the last reason.
    roll_backs: u64,
    no_space: Option<Failure>,
    pub(crate) metrics: Metrics,
    durable_records_counted: u64,
}

/// What the background thread is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Background {
    pub(crate) sleeps: bool,
    /// The thread that makes segments ahead of time sleeps.
    preparer_sleeps: bool,
    pub(crate) must_stop: bool,
}

#[derive(Debug)]
struct Pending {
    end: Lsn,
    group: Arc<Group>,
    since: Option<Duration>,
}

impl<D: Disk> Shared<D> {
    pub(crate) fn new(log: Log, disk: D, recoveries: u64) -> Self {
        let (policy, slow_sync) = (log.options().commit, log.options().slow_sync.clone());
        let core = Core {
            durable_records_counted: log.durable_next().get(),
            log,
            pending: VecDeque::new(),
            settled: VecDeque::new(),
            decided: Vec::new(),
            has_leader: false,
            is_exclusive: false,
            has_heir: false,
            candidates: 0,
            blocked: 0,
            watchers: 0,
            background: Background::default(),
            is_closed: false,
            loss: None,
            roll_backs: 0,
            no_space: None,
            metrics: Metrics { recoveries, ..Metrics::default() },
        };
        Self {
            core: Mutex::new(core),
            disk: Mutex::new(disk),
            turn: Condvar::new(),
            room: Condvar::new(),
            watch: Condvar::new(),
            background: Condvar::new(),
            preparer: Condvar::new(),
            spared: Condvar::new(),
            clock: Clock::start(),
            policy,
            slow_sync,
        }
    }

    /// The core. A thread that panicked with it in hand left it in an unknown state: that poisons the log.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(|poisoned| {
            self.core.clear_poison();
            let mut core = poisoned.into_inner();
            self.break_down(&mut core);
            core
        })
    }

    /// Stages something by `stage`, waiting for room or making it, and returns with the core in hand.
    pub(crate) fn stage<T>(
        &self,
        mut stage: impl FnMut(&mut Log) -> Result<T, StageError>,
    ) -> Result<(MutexGuard<'_, Core>, T), AppendError> {
        let mut core = self.lock();
        loop {
            core.check_open()?;
            if !core.is_exclusive {
                let is_timed = matches!(self.policy, CommitPolicy::Interval(_));
                let was_clean = is_timed && !core.log.has_unsynced();
                match stage(&mut core.log) {
                    Ok(staged) => {
                        if core.watchers > 0 {
                            self.watch.notify_all();
                        }
                        if was_clean {
                            self.wake_background(&core);
                        }
                        self.wake_preparer(&core);
                        return Ok((core, staged));
                    }
                    Err(StageError::Append(error)) => return Err(error),
                    Err(StageError::Full) => {}
                }
            }
            if core.is_led() {
                core.blocked += 1;
                core = wait(&self.room, core);
                core.blocked -= 1;
            } else {
                let (next, result) = self.lead(core, |core| !core.log.is_blocked());
                core = next;
                result?;
            }
        }
    }

    /// What an append does after staging, by policy.
    #[inline]
    pub(crate) fn commit<'a>(&'a self, mut core: MutexGuard<'a, Core>) -> Result<(), Failure> {
        if !self.policy.is_durable_on_return() {
            return Ok(());
        }
        core.log.request_sync()?;
        if !core.log.has_unsynced() {
            return Ok(());
        }
        let group = core.join(&self.clock);
        self.wait(core, &group)
    }

    /// Makes everything staged durable.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        let mut core = self.lock();
        core.check_open()?;
        core.log.request_sync()?;
        if core.log.has_unsynced() {
            let group = core.join(&self.clock);
            return self.wait(core, &group);
        }
        self.lead_if_nobody_does(core)
    }

    /// Hands everything staged to the system.
    pub(crate) fn flush(&self) -> Result<(), Failure> {
        let mut core = self.lock();
        core.check_open()?;
        core.log.request_flush()?;
        let (end, roll_backs) = (core.log.end_watermark(), core.roll_backs);
        loop {
            if core.roll_backs != roll_backs {
                let failure = core.last_failure();
                self.pass(core);
                return Err(failure);
            }
            if core.log.written_watermark() >= end {
                return self.lead_if_nobody_does(core);
            }
            if core.is_led() {
                core = self.wait_for_turn(core);
            } else {
                let (next, result) = self.lead(core, |core| core.log.written_watermark() >= end);
                core = next;
                result?;
            }
        }
    }

    /// Sees to it that `group` is settled, and returns its outcome.
    pub(crate) fn wait<'a>(&'a self, mut core: MutexGuard<'a, Core>, group: &Group) -> Result<(), Failure> {
        loop {
            if let Some(outcome) = group.outcome() {
                let outcome = outcome.clone();
                self.pass(core);
                return outcome;
            }
            // Before anything else: whoever leads then goes on until this group is durable, or fails.
            if let Err(failure) = core.log.request_sync() {
                self.pass(core);
                return Err(failure);
            }
            if !core.is_led() {
                let (next, result) = self.lead(core, |_| group.outcome().is_some());
                core = next;
                if group.outcome().is_none() {
                    result?;
                }
            } else if core.has_heir {
                // The heir, or whoever comes before it, settles this group too before it leaves the log to nobody.
                drop(core);
                return group.wait().clone();
            } else {
                core.has_heir = true;
                core = self.wait_for_turn(core);
                core.has_heir = false;
            }
        }
    }

    /// Whoever was told that it may lead, and need not any more, tells the next candidate, work or no work, and
    /// without one does what others wait for.
    pub(crate) fn pass<'a>(&'a self, core: MutexGuard<'a, Core>) {
        if core.is_led() {
            return;
        }
        if core.candidates > 0 {
            self.turn.notify_one();
        } else if core.log.wants_work() {
            drop(self.lead_for_others(core));
        }
    }

    /// Leads on behalf of others, who are told of their groups. A loss that belongs to no group is left to the next
    /// caller.
    pub(crate) fn lead_for_others<'a>(&'a self, core: MutexGuard<'a, Core>) -> MutexGuard<'a, Core> {
        self.perform_all(core, |_| true).0
    }

    /// Has the log for itself: waits until nobody leads, and nothing is staged until [`Self::release`].
    pub(crate) fn seize(&self) -> Result<MutexGuard<'_, Core>, Failure> {
        self.seize_if(Core::check_open)
    }

    /// Has the log for itself for the last time, whatever was lost: that, or nothing, is the second half.
    pub(crate) fn seize_to_close(&self) -> Result<(MutexGuard<'_, Core>, Result<(), Failure>), Failure> {
        let mut core = self.seize_if(|core| if core.is_closed { Err(Failure::Closed) } else { Ok(()) })?;
        let loss = core.check_open();
        Ok((core, loss))
    }

    fn seize_if(
        &self,
        check: impl FnOnce(&mut Core) -> Result<(), Failure>,
    ) -> Result<MutexGuard<'_, Core>, Failure> {
        let mut core = self.lock();
        while core.is_led() {
            core = self.wait_for_turn(core);
        }
        if let Err(failure) = check(&mut core) {
            self.pass(core);
            return Err(failure);
        }
        core.is_exclusive = true;
        Ok(core)
    }

    /// Ends what [`Self::seize`] began.
    pub(crate) fn release(&self, mut core: MutexGuard<'_, Core>) {
        core.is_exclusive = false;
        self.hand_on(&core);
    }

    /// Performs everything there is to do.
    pub(crate) fn lead_all<'a>(
        &'a self,
        core: MutexGuard<'a, Core>,
    ) -> (MutexGuard<'a, Core>, Result<(), Failure>) {
        self.lead(core, |_| false)
    }

    /// Performs operations until `goal` is reached and somebody else wants to go on, or until there are none.
    /// Returns the first failure, for the caller to be told of it; the operations behind it tidy up.
    fn lead<'a>(
        &'a self,
        core: MutexGuard<'a, Core>,
        goal: impl Fn(&Core) -> bool,
    ) -> (MutexGuard<'a, Core>, Result<(), Failure>) {
        let (mut core, result) = self.perform_all(core, goal);
        core.loss.take_if(|_| result.is_err());
        (core, result)
    }

    fn perform_all<'a>(
        &'a self,
        core: MutexGuard<'a, Core>,
        goal: impl Fn(&Core) -> bool,
    ) -> (MutexGuard<'a, Core>, Result<(), Failure>) {
        // Dropped last, and so with no lock in hand.
        let mut seat = Seat { shared: self, is_left: false };
        let mut core = core;
        let mut disk = self.disk.lock().unwrap_or_else(PoisonError::into_inner);
        core.has_leader = true;
        let mut result = Ok(());
        let mut settled = std::mem::take(&mut core.decided);
        loop {
            if core.candidates > 0 && goal(&core) {
                break;
            }
            core = self.gather(core);
            let Some(op) = core.log.poll_op() else {
                if core.log.awaits_spare() {
                    core = wait(&self.spared, core);
                    continue;
                }
                break;
            };
            if core.blocked > 0 && !core.log.is_blocked() {
                self.room.notify_all();
            }
            let completed;
            (core, completed) = self.perform(core, &mut *disk, op);
            core.settle(&completed, &mut settled);
            if let (Err(failure @ Failure::NoSpace(_)), false) =
                (&completed, self.policy.is_durable_on_return())
            {
                // Before anybody can look again: no call may succeed as if nothing were lost.
                core.loss = Some(failure.clone());
            }
            result = result.and(completed);
            if core.watchers > 0 {
                self.watch.notify_all();
            }
            if core.blocked > 0 && !core.log.is_blocked() {
                self.room.notify_all();
            }
            if !settled.is_empty() {
                drop(core);
                for (group, outcome) in settled.drain(..) {
                    group.settle(outcome);
                }
                core = self.lock();
            }
        }
        drop(disk);
        core.decided = settled;
        core.has_leader = false;
        seat.is_left = true;
        self.hand_on(&core);
        (core, result)
    }

    /// Performs one operation outside the lock and reports it.
    fn perform<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
        disk: &mut D,
        mut op: Op,
    ) -> (MutexGuard<'a, Core>, Result<(), Failure>) {
        let of_records = core.log.is_committing();
        let segment = core.log.active_segment();
        drop(core);
        let started = of_records.then(|| self.clock.now());
        let outcome = disk.perform(&mut op);
        let took = started.map(|started| self.clock.now().saturating_sub(started));
        let bytes = match &op {
            Op::WriteAt { buf, .. } => Some(buf.len()),
            _ => None,
        };
        core = self.lock();
        let is_ok = outcome.is_ok();
        let completed = core.log.handle_completion(op, outcome);
        if let (Some(took), Some(started), true) = (took, started, is_ok) {
            core.count_commit(started, took, bytes);
            if bytes.is_none()
                && let Some(slow) = self.slow_sync.as_ref().filter(|slow| took >= slow.threshold)
            {
                core.metrics.slow_syncs += 1;
                drop(core);
                slow.report(took);
                core = self.lock();
            }
        }
        core.count_rotation(segment);
        (core, completed)
    }

    /// Under [`CommitPolicy::Group`]: lets threads that are ready to append do so before the group is taken.
    fn gather<'a>(&'a self, mut core: MutexGuard<'a, Core>) -> MutexGuard<'a, Core> {
        let CommitPolicy::Group { max_bytes } = self.policy else { return core };
        loop {
            let bytes = core.log.group_bytes();
            if bytes == 0 || bytes >= max_bytes || core.log.is_blocked() {
                return core;
            }
            drop(core);
            std::thread::yield_now();
            core = self.lock();
            if core.log.group_bytes() == bytes {
                return core;
            }
        }
    }

    /// Tells one who wants to lead, and all who want to stage, that nobody leads.
    fn hand_on(&self, core: &Core) {
        self.wake_preparer(core);
        self.tell_candidate(core);
        if core.blocked > 0 {
            self.room.notify_all();
        }
    }

    /// Whoever is told leads, takes the log for itself, or tells the next one.
    fn tell_candidate(&self, core: &Core) {
        if core.candidates > 0 {
            self.turn.notify_one();
        }
    }

    /// Returns when somebody leaves the log to this thread, or for no reason. See [`Self::pass`].
    pub(crate) fn wait_for_turn<'a>(&'a self, mut core: MutexGuard<'a, Core>) -> MutexGuard<'a, Core> {
        if !core.is_led() {
            self.tell_candidate(&core);
        }
        core.candidates += 1;
        core = wait(&self.turn, core);
        core.candidates -= 1;
        core
    }

    fn lead_if_nobody_does<'a>(&'a self, core: MutexGuard<'a, Core>) -> Result<(), Failure> {
        if core.is_led() { Ok(()) } else { self.lead(core, |_| true).1 }
    }

    /// After a panic in the middle of things: nobody can say what is written. Wakes everybody with that.
    fn break_down(&self, core: &mut Core) {
        core.log.break_down("a thread panicked in the log");
        core.has_leader = false;
        core.is_exclusive = false;
        let failure = core.last_failure();
        for pending in core.pending.drain(..) {
            pending.group.settle(Err(failure.clone()));
        }
        self.turn.notify_all();
        self.room.notify_all();
        self.watch.notify_all();
        self.background.notify_all();
        self.spared.notify_all();
    }
}

impl<D: Disk> Shared<D> {
    /// Sleeps until somebody kicks the background thread, or until `deadline`. A turn that it was given goes on.
    pub(crate) fn sleep_in_background<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
        deadline: Option<Duration>,
    ) -> MutexGuard<'a, Core> {
        if !core.is_led() {
            self.tell_candidate(&core);
        }
        core.background.sleeps = true;
        core = match deadline {
            None => wait(&self.background, core),
            Some(deadline) => {
                let timeout = deadline.saturating_sub(self.clock.now());
                let waited = self.background.wait_timeout(core, timeout);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        core.background.sleeps = false;
        core
    }

    /// Has the background thread settle `group`, unless a leader is about to.
    pub(crate) fn kick_background(&self, group: &Group) {
        let mut core = self.lock();
        if group.outcome().is_some() || core.log.request_sync().is_err() || core.has_leader {
            return;
        }
        self.wake_background(&core);
    }

    pub(crate) fn stop_background(&self) {
        let mut core = self.lock();
        core.background.must_stop = true;
        self.background.notify_all();
        self.preparer.notify_all();
        self.turn.notify_all();
    }

    fn wake_background(&self, core: &Core) {
        if core.background.sleeps {
            self.background.notify_one();
        }
    }

    fn wake_preparer(&self, core: &Core) {
        if core.background.preparer_sleeps && core.log.wants_spare() {
            self.preparer.notify_one();
        }
    }

    pub(crate) fn sleep_until_spare_is_wanted<'a>(
        &'a self,
        mut core: MutexGuard<'a, Core>,
    ) -> MutexGuard<'a, Core> {
        core.background.preparer_sleeps = true;
        core = wait(&self.preparer, core);
        core.background.preparer_sleeps = false;
        core
    }

    /// Tells a rotation that an operation on the file it waits for is over.
    pub(crate) fn tell_spared(&self) {
        self.spared.notify_all();
    }

    /// Waits until `index` is durable, appended already or not.
    pub(crate) fn wait_durable(&self, index: Index) -> Result<(), Failure> {
        let mut core = self.lock();
        loop {
            if core.log.durable_next() > index {
                return Ok(());
            }
            core.check_open()?;
            core.log.check_poison()?;
            let is_staged = index < core.log.next_index();
            if is_staged && !matches!(self.policy, CommitPolicy::Interval(_)) {
                core.log.request_sync()?;
                let group = core.join(&self.clock);
                self.wait(core, &group)?;
                core = self.lock();
            } else {
                core.watchers += 1;
                core = wait(&self.watch, core);
                core.watchers -= 1;
            }
        }
    }

    /// Refuses every further call: the log is closed.
    pub(crate) fn finish_close(&self, mut core: MutexGuard<'_, Core>) {
        core.is_closed = true;
        core.is_exclusive = false;
        core.abandon_groups();
        self.watch.notify_all();
        self.turn.notify_all();
        self.room.notify_all();
    }

    /// The disk, once nobody leads any more.
    pub(crate) fn disk(&self) -> MutexGuard<'_, D> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// Somebody leads, or has the log for itself.
    pub(crate) fn is_led(&self) -> bool {
        self.has_leader || self.is_exclusive
    }

    /// Somebody wants to lead.
    pub(crate) fn has_candidates(&self) -> bool {
        self.candidates > 0
    }

    /// Refuses calls on a closed log, and tells the first caller after a loss.
    #[inline]
    pub(crate) fn check_open(&mut self) -> Result<(), Failure> {
        if self.is_closed {
            return Err(Failure::Closed);
        }
        if self.loss.is_none() { Ok(()) } else { self.loss.take().map_or(Ok(()), Err) }
    }

    /// The group that everything staged so far belongs to, or that is the last before it is durable.
    pub(crate) fn join(&mut self, clock: &Clock) -> Arc<Group> {
        let (start, end) = (self.log.group_start(), self.log.end_watermark());
        if let Some(last) = self.pending.back_mut().filter(|last| last.end > start || last.end == end) {
            last.end = end;
            return Arc::clone(&last.group);
        }
        let group = self.fresh_group();
        let since = self.has_leader.then(|| clock.now());
        self.pending.push_back(Pending { end, group: Arc::clone(&group), since });
        group
    }

    /// Why the last operations failed.
    fn last_failure(&self) -> Failure {
        let poison = self.log.poison().cloned().map(Failure::Poisoned);
        poison.or(self.no_space.clone()).unwrap_or(Failure::Closed)
    }

    fn fresh_group(&mut self) -> Arc<Group> {
        if let Some(mut group) = self.settled.pop_front() {
            if let Some(unshared) = Arc::get_mut(&mut group) {
                unshared.reset();
                return group;
            }
            if self.settled.len() < SETTLED_KEPT {
                self.settled.push_back(group);
            }
        }
        Arc::default()
    }

    /// Moves the groups that are decided to `settled`, with their outcomes.
    fn settle(&mut self, completed: &Result<(), Failure>, settled: &mut Vec<Outcome>) {
        let durable = self.log.durable_watermark();
        while self.pending.front().is_some_and(|pending| pending.end <= durable) {
            let pending = self.pending.pop_front();
            self.decide(pending, Ok(()), settled);
        }
        let Err(failure) = completed else { return };
        let end = match failure {
            Failure::NoSpace(_) => {
                self.no_space = Some(failure.clone());
                self.roll_backs += 1;
                self.log.end_watermark()
            }
            _ => durable,
        };
        while self.pending.back().is_some_and(|pending| pending.end > end) {
            let pending = self.pending.pop_back();
            self.decide(pending, Err(failure.clone()), settled);
        }
    }

    fn decide(&mut self, pending: Option<Pending>, outcome: Result<(), Failure>, settled: &mut Vec<Outcome>) {
        let Some(pending) = pending else { return };
        if self.settled.len() < SETTLED_KEPT {
            self.settled.push_back(Arc::clone(&pending.group));
        }
        settled.push((pending.group, outcome));
    }

    /// Fails whatever is not settled: the log is closed.
    pub(crate) fn abandon_groups(&mut self) {
        for pending in self.pending.drain(..) {
            pending.group.settle(Err(Failure::Closed));
        }
    }

    fn count_commit(&mut self, started: Duration, took: Duration, bytes: Option<usize>) {
        if let Some(bytes) = bytes {
            self.metrics.write_latency_ns.record_duration(took);
            self.metrics.group_bytes.record(to_u64(bytes));
            let written = self.log.written_watermark();
            for pending in self.pending.iter_mut().filter(|pending| pending.end <= written) {
                if let Some(since) = pending.since.take() {
                    self.metrics.queue_wait_ns.record_duration(started.saturating_sub(since));
                }
            }
            return;
        }
        self.metrics.sync_latency_ns.record_duration(took);
        let durable = self.log.durable_next().get();
        self.metrics.group_records.record(durable.saturating_sub(self.durable_records_counted));
        self.durable_records_counted = durable;
    }

    fn count_rotation(&mut self, before: SegmentId) {
        self.metrics.rotations += u64::from(self.log.active_segment() != before);
    }
}

/// The leader's seat. Left behind by a panic, it is cleared up, so that nobody waits for a leader who is gone.
struct Seat<'a, D: Disk> {
    shared: &'a Shared<D>,
    is_left: bool,
}

impl<D: Disk> Drop for Seat<'_, D> {
    fn drop(&mut self) {
        if !self.is_left {
            let mut core = self.shared.lock();
            self.shared.break_down(&mut core);
        }
    }
}

type Outcome = (Arc<Group>, Result<(), Failure>);

fn wait<'a>(condvar: &Condvar, core: MutexGuard<'a, Core>) -> MutexGuard<'a, Core> {
    // The flag of a poisoned lock stays up: the next call of `lock` sees it.
    condvar.wait(core).unwrap_or_else(PoisonError::into_inner)
}

/// Settled groups that are kept for another use.
const SETTLED_KEPT: usize = 4;

#[cfg(test)]
mod tests;
