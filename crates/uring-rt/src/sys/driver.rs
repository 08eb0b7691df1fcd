//! The driver: who owns what the kernel may touch, until the kernel is done with it.
//!
//! Each operation has a record from its submission to its last completion. A future holds the record's key and
//! nothing else, so that dropping it frees nothing; what the operation brought then goes to the record's
//! [`Owner`]. The driver is dropped drained, or leaks: see [`Driver::drain`].

mod counters;
mod held;
mod outcome;
mod polled;
mod samples;

use std::collections::VecDeque;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use samestep_provider_traits::IoBufMut;

pub use self::counters::RingStats;
pub(crate) use self::counters::{DriverCounters, LaneCounters};
use self::held::Parts;
pub(crate) use self::outcome::{Closed, Outcome, Owned, outcome};
use self::samples::Samples;
use super::arena::Arena;
use super::dma::DmaArena;
use super::erased::Erased;
use super::message::USER_DATA_SILENT;
use super::ring::{Cqe, Registered, Ring, Wait, is_harmless, picked_buffer};
use super::sqe::{Op, Prepared, Sqe};
use super::task::Wakee;
use crate::attention::{Attention, Reason};
use crate::clock::monotonic;
use crate::schedule::Charge;
use crate::slots::{Key, Slots};

/// Whose operation it is: keeps the descriptor open, and is told what nobody awaits.
pub(crate) trait Owner {
    /// A completion of an operation that was started with `tag`.
    ///
    /// Called outside of any borrow of the driver, for each completion of a detached operation, and for the last
    /// one of an operation that somebody awaits, if it [is to be told](Self::is_to_be_told); and once more, if that one
    /// looks no more, with what it leaves.
    fn completed(self: Rc<Self>, completion: Completion);

    /// The last completion of an operation that somebody awaits came, and what it owned is theirs. Tells whether
    /// [`Self::completed`] is to be called for it, too: not if all that there is to note is noted here. Called under a
    /// borrow of the driver, so that nobody may be woken.
    fn is_to_be_told(&self, _tag: Tag) -> bool {
        true
    }

    /// Each who waits for its operations, and for what, if that is not the operation that is under way.
    fn each_waiter(&self, _each: &mut dyn FnMut(&Waker, Option<&'static str>)) {}
}

/// What a completion said.
pub(crate) struct Completion {
    /// Which of its operations, in the owner's own numbers.
    pub(crate) tag: Tag,
    /// Not negative, or an error number with its sign changed.
    pub(crate) result: i32,
    /// The buffer of the ring that was filled, if one was picked; the owner's until it gives it back.
    pub(crate) buffer: Option<Picked>,
    /// Whether it was the operation's last.
    pub(crate) is_last: bool,
    /// What the operation owned, at the last completion of a detached one. If somebody awaits it, it is theirs.
    pub(crate) owned: Option<Owned>,
    /// It was told before, when somebody still awaited the operation: what it owned is news, that it ended is not.
    pub(crate) was_told: bool,
}

/// A buffer that is not the ring's for now. The only handle to it: whoever has it gives it
/// [back](Driver::give_back).
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a buffer that is not given back is lost to the ring"]
pub(crate) struct Picked {
    lane: usize,
    buffer: u16,
}

/// What the owner calls its operation. Owners are not told the ends of awaited operations with tag
/// [`TAG_UNTOLD`].
pub(crate) type Tag = u8;

/// Who gets the outcome of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attendance {
    /// A future, by its key.
    Awaited,
    /// The owner.
    Detached,
}

/// What a dropped future leaves to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnDrop {
    /// The operation is asked to end soon.
    Cancel,
    /// It is left to end by itself.
    Leave,
}

/// Rings, and the records of what is under way on them.
pub(crate) struct Driver {
    /// The main one first.
    lanes: Vec<Lane>,
    /// Where the latency ring is, if there is one.
    latency: Option<usize>,
    /// Where the poll ring is, if it was made.
    poll: Option<usize>,
    /// Freed after all rings were drained, or not at all.
    records: ManuallyDrop<Slots<Record>>,
    /// Is told whether something may be under way on the latency ring.
    attention: Rc<Attention>,
    cqes: Vec<Cqe>,
    /// What rings look up for good, those to come, too.
    arena: Option<Rc<DmaArena>>,
    counters: DriverCounters,
    /// Of rings that are gone.
    counters_before: Vec<LaneCounters>,
    /// If durations are asked for.
    samples: Option<Box<Samples>>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Operations are under way, and none begins.
    Draining,
    /// Nothing is under way, and the rings are gone.
    Drained,
    /// Operations that did not end own what they own for good.
    Leaked,
}

/// One ring and what waits to be pushed to it.
struct Lane {
    ring: ManuallyDrop<Box<dyn Ring>>,
    /// What its receives pick from, if it does any. Freed after all rings were drained, or not at all.
    arena: Option<ManuallyDrop<Arena>>,
    backlog: VecDeque<Sqe>,
    in_flight: usize,
    counters: LaneCounters,
}

/// Which ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RingId {
    /// The one that a parked thread waits on.
    Main,
    /// The one whose events ask the running task to yield.
    Latency,
    /// The one whose completions the device is asked for, see [`Driver::add_poll_ring`].
    Poll,
}

/// What is known of an operation under way.
struct Record {
    owned: Erased,
    fills: Option<u32>,
    owner: Option<Rc<dyn Owner>>,
    tag: Tag,
    ring: RingId,
    op: Op,
    /// What a zero-copy send said before it was done with its buffer.
    result_before: Option<i32>,
    /// Of an operation that is done in parts.
    parts: Option<Box<Parts>>,
    /// Dropped when it has ended.
    charge: Option<Charge>,
    state: State,
}

enum State {
    Awaited(Option<Wakee>),
    Detached,
    /// A part of another operation, with its number.
    Part(Key, usize),
    /// Its last completion was seen, with this result, and its future has not looked yet.
    Ended(i32),
}

/// What is to be done after reaping, outside of any borrow of the driver.
pub(crate) enum Notice {
    /// A future can go on.
    Wake(Wakee),
    /// An owner is told.
    Tell(Rc<dyn Owner>, Completion),
    /// What nobody wants any more, to be dropped where dropping may start operations.
    Drop(Owned),
}

impl Driver {
    /// A driver of `main`, and of `latency` if there is one, each with the buffers that its receives pick from.
    ///
    /// # Errors
    ///
    /// If a ring does not take its buffers.
    pub(crate) fn new(
        main: (Box<dyn Ring>, Arena),
        latency: Option<(Box<dyn Ring>, Arena)>,
    ) -> io::Result<Self> {
        let lane = |(ring, arena)| Lane {
            ring: ManuallyDrop::new(ring),
            arena: Some(ManuallyDrop::new(arena)),
            backlog: VecDeque::new(),
            in_flight: 0,
            counters: LaneCounters::default(),
        };
        let has_latency = latency.is_some();
        let mut this = Self {
            latency: has_latency.then_some(1),
            poll: None,
            lanes: std::iter::once(main).chain(latency).map(lane).collect(),
            records: ManuallyDrop::new(Slots::new()),
            attention: Rc::default(),
            cqes: Vec::new(),
            arena: None,
            counters: DriverCounters::default(),
            counters_before: Vec::new(),
            samples: None,
            phase: Phase::Open,
        };
        for lane in &mut this.lanes {
            // SAFETY: the arena is freed after the ring is idle and gone only; which buffers are the ring's is kept
            // by `Picked`, of which there is one for each that is not.
            unsafe { lane.ring.give_arena(lane.arena.as_ref().expect("made with one")) }?;
        }
        Ok(this)
    }

    /// Starts an operation. Whoever awaits it polls the key; `owner` is told the rest.
    ///
    /// # Errors
    ///
    /// Gives the operation back if the driver was shut down.
    #[inline]
    pub(crate) fn start(
        &mut self,
        ring: RingId,
        prepared: Prepared,
        owner: Option<Rc<dyn Owner>>,
        tag: Tag,
        attendance: Attendance,
    ) -> Result<Key, Closed> {
        let (key, sqe) = self.record(ring, prepared, owner, tag, attendance)?;
        self.push(ring, &[sqe]);
        Ok(key)
    }

    /// Starts two operations of one owner, the second of which begins when the first succeeded in full, and is
    /// cancelled if that did not. The first is awaited, the second is detached.
    pub(crate) fn start_linked(
        &mut self,
        first: Prepared,
        second: Prepared,
        owner: &Rc<dyn Owner>,
        tags: (Tag, Tag),
    ) -> Result<Key, Closed> {
        let main = RingId::Main;
        let (one, first) = self.record(main, first, Some(Rc::clone(owner)), tags.0, Attendance::Awaited)?;
        let Ok((_, second)) = self.record(main, second, Some(Rc::clone(owner)), tags.1, Attendance::Detached)
        else {
            unreachable!("the driver took the first and is open")
        };
        self.push(main, &[Sqe { is_linked: true, ..first }, second]);
        Ok(one)
    }

    #[inline]
    fn record(
        &mut self,
        ring: RingId,
        prepared: Prepared,
        owner: Option<Rc<dyn Owner>>,
        tag: Tag,
        attendance: Attendance,
    ) -> Result<(Key, Sqe), Closed> {
        let Prepared { op, owned, fills, charge } = prepared;
        if self.phase != Phase::Open {
            let kept = Owned { value: owned, filled: None };
            return Err(Closed(Outcome { result: -libc::ECANCELED, owned: kept, _owner: owner }));
        }
        let state = match attendance {
            Attendance::Awaited => State::Awaited(None),
            Attendance::Detached => State::Detached,
        };
        let (result_before, parts) = (None, None);
        let record = Record { owned, fills, owner, tag, ring, op, result_before, parts, charge, state };
        let key = self.records.insert(record);
        self.counters.started += 1;
        if let Some(samples) = &mut self.samples {
            samples.begin(key);
        }
        let lane = self.lane_of(ring);
        self.lanes[lane].in_flight += 1;
        if self.latency == Some(lane) {
            self.attention.set(Reason::UrgentUnderWay);
        }
        Ok((key, Sqe { user_data: key.to_bits(), is_linked: false, op }))
    }

    /// The outcome of an awaited operation once it has ended; else `cx` is woken then.
    #[inline]
    pub(crate) fn poll(&mut self, key: Key, cx: &mut Context<'_>) -> Poll<Outcome> {
        let record = self.records.get_mut(key).expect("the record of a future that has not ended stays");
        match &mut record.state {
            State::Ended(_) => Poll::Ready(self.take(key)),
            State::Awaited(Some(waker)) if waker.will_wake(cx.waker()) => Poll::Pending,
            State::Awaited(waker) => {
                *waker = Some(Wakee::of(cx.waker()));
                Poll::Pending
            }
            State::Detached | State::Part(..) => unreachable!("a detached operation has no future"),
        }
    }

    /// The future of an operation is gone. What it brought, or will bring, is its owner's; the notice, if there is
    /// one, is to be given outside of any borrow of the driver.
    pub(crate) fn abandon(&mut self, key: Key, on_drop: OnDrop) -> Option<Notice> {
        let record = self.records.get_mut(key)?;
        if matches!(record.state, State::Ended(_)) {
            self.counters.orphans += 1;
            let (tag, owner) = (record.tag, record.owner.take());
            let Outcome { result, owned, .. } = self.take(key);
            return Some(notice_of(owner, tag, result, owned, tag != TAG_UNTOLD));
        }
        record.state = State::Detached;
        self.counters.orphans += 1;
        if on_drop == OnDrop::Cancel {
            self.cancel(key);
        }
        None
    }

    /// Asks an operation to end soon. It ends as any other, perhaps successfully.
    pub(crate) fn cancel(&mut self, key: Key) {
        let Some(record) = self.records.get(key) else { return };
        let ring = record.ring;
        // What a device was given it does, and what was leaked is heard of no more.
        if ring == RingId::Poll || self.phase == Phase::Leaked {
            return;
        }
        self.counters.cancels += 1;
        self.push(ring, &[unrecorded(Op::Cancel { user_data: key.to_bits() })]);
    }

    /// One turn of the rings: submits what is queued, waits if asked to, and adds what is to be done to `notices`.
    /// Enters each ring at most once, and only if there is a reason to.
    ///
    /// # Errors
    ///
    /// If the kernel does not take what it is given: a broken invariant of this crate, or a ring that is no more.
    pub(crate) fn turn(&mut self, wait: Wait, notices: &mut Vec<Notice>) -> io::Result<()> {
        for lane in (0..self.lanes.len()).rev() {
            if !self.lanes[lane].backlog.is_empty() {
                self.flush_backlog(lane);
            }
            // A device that is polled tells nothing unless it is asked, so that nobody may sleep.
            let is_polling = self.is_polling();
            let is_asked = is_polling && self.poll == Some(lane);
            let wait = if lane == 0 && !is_polling { wait } else { Wait::No };
            let ring = &self.lanes[lane].ring;
            let has_events = ring.has_events();
            // What is there already is news enough, and so is what came of the other ring.
            let wait = if has_events || !notices.is_empty() { Wait::No } else { wait };
            // A ring without events has none to be reaped but by an enter.
            if wait != Wait::No || has_events || is_asked || ring.pending() > 0 {
                self.enter(lane, wait)?;
                self.reap(lane, notices);
            }
        }
        Ok(())
    }

    /// Whether the latency ring has news. Costs no system call.
    pub(crate) fn has_urgent_events(&self) -> bool {
        // Nothing comes of a ring on which nothing is under way.
        let lane = self.latency.and_then(|lane| self.lanes.get(lane));
        lane.is_some_and(|lane| lane.in_flight > 0 && lane.ring.has_events())
    }

    /// Tells, without a borrow of the driver, whether [`Self::has_urgent_events`] is worth asking.
    pub(crate) fn attention(&self) -> Rc<Attention> {
        Rc::clone(&self.attention)
    }

    /// Whether a ring has news, or was given something that it does not know of yet.
    pub(crate) fn has_work(&self) -> bool {
        let has_work =
            |lane: &Lane| lane.ring.has_events() || lane.ring.pending() > 0 || !lane.backlog.is_empty();
        self.lanes.iter().any(has_work) || self.is_polling()
    }

    /// Whether a ring was given something that it does not know of yet.
    pub(crate) fn has_submissions(&self) -> bool {
        self.lanes.iter().any(|lane| lane.ring.pending() > 0)
    }

    /// Whether news on the latency ring wakes a thread that waits on the main one.
    pub(crate) fn signal_events(&mut self, are_signalled: bool) {
        if let Some(lane) = self.latency.and_then(|lane| self.lanes.get_mut(lane)) {
            lane.ring.signal_events(are_signalled);
        }
    }

    /// Whether the rings and their buffers are gone.
    pub(crate) fn is_drained(&self) -> bool {
        self.phase == Phase::Drained
    }

    /// Whether there is a ring whose events ask the running task to yield.
    pub(crate) fn has_latency_ring(&self) -> bool {
        self.latency.is_some() && !self.lanes.is_empty()
    }

    /// Copies out of a buffer that a completion named, see [`Arena::copy_out`].
    ///
    /// # Panics
    ///
    /// If the driver was shut down, see [`Self::is_drained`].
    pub(crate) fn copy_out<B: IoBufMut>(
        &self,
        buffer: &Picked,
        start: usize,
        end: usize,
        buf: &mut B,
    ) -> usize {
        // SAFETY: a `Picked` exists for each buffer that is not the ring's, and `give_back` consumes it.
        unsafe { self.lanes[buffer.lane].arena().copy_out(buffer.buffer, start, end, buf) }
    }

    /// Gives a buffer back to the ring.
    #[expect(clippy::needless_pass_by_value, reason = "the handle is given up")]
    pub(crate) fn give_back(&mut self, buffer: Picked) {
        if matches!(self.phase, Phase::Open | Phase::Draining) {
            self.counters.buffers_back += 1;
            let lane = &mut self.lanes[buffer.lane];
            let arena = lane.arena.as_ref().expect("it is a buffer of one");
            // SAFETY: `buffer` was the only handle to it, so nobody touches it from here on but the ring.
            unsafe { lane.ring.give_buffer(arena, buffer.buffer) };
        }
    }

    /// Has the rings look up the memory of `arena` for good, and those to come. One that cannot does without.
    ///
    /// # Errors
    ///
    /// Why the main ring does not, see [`Ring::register_arena`].
    pub(crate) fn register_arena(&mut self, arena: &Rc<DmaArena>) -> io::Result<Registered> {
        let mut lanes = self.lanes.iter_mut();
        let main = lanes.next().ok_or(io::ErrorKind::Unsupported)?;
        let mut how = main.ring.register_arena(arena)?;
        for lane in lanes {
            if let Ok(Registered::Each) = lane.ring.register_arena(arena) {
                how = Registered::Each;
            }
        }
        self.arena = Some(Rc::clone(arena));
        Ok(how)
    }

    /// Has the rings look a file up for good; to be undone by [`Self::forget_file`] before it is closed.
    pub(crate) fn keep_file(&mut self, fd: &impl AsRawFd) {
        // Files are not read or written on the latency ring.
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            if self.latency != Some(number) {
                lane.ring.keep_file(fd.as_raw_fd());
            }
        }
    }

    /// Undoes [`Self::keep_file`].
    pub(crate) fn forget_file(&mut self, fd: &impl AsRawFd) {
        if self.phase != Phase::Leaked {
            self.lanes.iter_mut().for_each(|lane| lane.ring.forget_file(fd.as_raw_fd()));
        }
    }

    /// Operations under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.lanes.iter().map(|lane| lane.in_flight).sum()
    }

    /// Whether files are cut by an operation of the main ring.
    pub(crate) fn can_truncate(&self) -> bool {
        self.lanes.first().is_some_and(|main| main.ring.can_truncate())
    }

    /// Ends everything: no operation starts from here on, all are asked to end, and this waits for the last
    /// completion of each, as long as something moves within `patience`. Then rings, records and buffers are freed.
    ///
    /// What owners and futures are told in the meantime is added to `notices`.
    ///
    /// # Errors
    ///
    /// The number of operations that did not end. Their records, the buffers and the rings are then never freed,
    /// as the kernel may still write there.
    pub(crate) fn drain(&mut self, patience: Duration, notices: &mut Vec<Notice>) -> Result<(), usize> {
        match self.phase {
            Phase::Open | Phase::Draining => self.phase = Phase::Draining,
            Phase::Drained => return Ok(()),
            Phase::Leaked => return Err(self.in_flight()),
        }
        let (mut moved_at, mut asked_at) = (monotonic(), None::<Duration>);
        while self.in_flight() > 0 {
            let now = monotonic();
            let waited = now.saturating_sub(moved_at);
            if waited >= patience {
                break;
            }
            // Asked again now and then: one that was begun by another's end may have escaped.
            let is_to_ask = asked_at.is_none_or(|asked| now.saturating_sub(asked) >= DRAIN_STEP);
            if is_to_ask {
                asked_at = Some(now);
            }
            let before = self.in_flight();
            for lane in 0..self.lanes.len() {
                if self.lanes[lane].in_flight == 0 {
                    continue;
                }
                // A poll ring has no cancellation.
                if is_to_ask && self.poll != Some(lane) {
                    let ring = if lane == 0 { RingId::Main } else { RingId::Latency };
                    self.push(ring, &[unrecorded(Op::CancelAll)]);
                }
                self.flush_backlog(lane);
                let entered = self.enter(lane, Wait::AtMost(Some(DRAIN_STEP.min(patience - waited))));
                self.reap(lane, notices);
                if entered.is_err() {
                    // The ring is no more, and nothing will be heard of what is in it.
                    moved_at = Duration::ZERO;
                }
            }
            if self.in_flight() < before {
                moved_at = monotonic();
            }
        }
        let left = self.in_flight();
        if left > 0 {
            // The kernel may still write to what records, arenas and rings own: it stays theirs, for good.
            self.phase = Phase::Leaked;
            return Err(left);
        }
        self.counters = self.counters();
        for lane in self.lanes.drain(..) {
            self.counters_before.push(lane.counters);
            drop(ManuallyDrop::into_inner(lane.ring));
            drop(lane.arena.map(ManuallyDrop::into_inner));
        }
        self.phase = Phase::Drained;
        Ok(())
    }

    /// Gives everything up as it is, for good: in a process that was forked off, whose rings are its parent's.
    pub(crate) fn leak(&mut self) {
        if self.phase != Phase::Drained {
            self.phase = Phase::Leaked;
        }
    }

    /// Where a ring is, or what does in its place.
    fn lane_of(&self, ring: RingId) -> usize {
        match ring {
            RingId::Main => 0,
            RingId::Latency => self.latency.unwrap_or(0),
            RingId::Poll => self.poll.unwrap_or(0),
        }
    }

    #[inline]
    fn take(&mut self, key: Key) -> Outcome {
        let record = self.records.get_mut(key).expect("looked at by the caller");
        let State::Ended(result) = record.state else { unreachable!("looked at by the caller") };
        let value = std::mem::replace(&mut record.owned, Erased::new(()));
        let owned = Owned::new(value, record.fills, result);
        let keeper = record.owner.take();
        // What is left is nothing whose drop does anything.
        self.records.discard(key);
        Outcome { result, owned, _owner: keeper }
    }

    /// Queues a chain, of which all are submitted in one call.
    fn push(&mut self, ring: RingId, chain: &[Sqe]) {
        let lane = self.lane_of(ring);
        let lane = &mut self.lanes[lane];
        if lane.backlog.is_empty() && lane.may_push(chain.len()) {
            for sqe in chain {
                lane.push(*sqe);
            }
        } else {
            self.counters.backlogged += 1;
            lane.backlog.extend(chain);
        }
    }

    fn flush_backlog(&mut self, lane: usize) {
        let lane = &mut self.lanes[lane];
        while !lane.backlog.is_empty() {
            let linked_len = lane.backlog.iter().take_while(|sqe| sqe.is_linked).count();
            let chain_len = lane.backlog.len().min(linked_len + 1);
            if !lane.may_push(chain_len) {
                return;
            }
            for _ in 0..chain_len {
                let sqe = lane.backlog.pop_front().expect("counted above");
                lane.push(sqe);
            }
        }
    }

    fn enter(&mut self, lane: usize, wait: Wait) -> io::Result<()> {
        self.lanes[lane].counters.enters += 1;
        match self.lanes[lane].ring.enter(wait) {
            Err(error) if is_harmless(&error) => {
                self.counters.harmless_errors += 1;
                Ok(())
            }
            entered => entered,
        }
    }

    fn reap(&mut self, lane: usize, notices: &mut Vec<Notice>) {
        let mut cqes = std::mem::take(&mut self.cqes);
        self.lanes[lane].ring.reap(&mut cqes);
        for cqe in cqes.drain(..) {
            self.complete(lane, cqe, notices);
        }
        self.cqes = cqes;
        if self.latency == Some(lane) && self.lanes[lane].in_flight == 0 {
            self.attention.clear(Reason::UrgentUnderWay);
        }
    }

    fn complete(&mut self, lane: usize, cqe: Cqe, notices: &mut Vec<Notice>) {
        self.lanes[lane].counters.completions += 1;
        if cqe.user_data >= USER_DATA_RESERVED {
            return;
        }
        let buffer = picked_buffer(cqe.flags).map(|buffer| Picked { lane, buffer });
        self.counters.buffers_picked += u64::from(buffer.is_some());
        let key = Key::from_bits(cqe.user_data);
        let is_polled = self.poll == Some(lane) && self.records.get(key).is_some();
        if is_polled && self.is_refused(key, cqe.result, notices) {
            return;
        }
        let Some(record) = self.records.get_mut(key) else {
            self.counters.stale += 1;
            if let Some(buffer) = buffer {
                self.give_back(buffer);
            }
            return;
        };
        let tag = record.tag;
        if cqe.has_more() {
            if matches!(record.op, Op::SendZeroCopy { .. }) {
                record.result_before = Some(cqe.result);
                return;
            }
            if let Some(samples) = &mut self.samples {
                samples.end(key, &record.op);
            }
            if let Some(owner) = &record.owner {
                let completion = Completion {
                    tag,
                    result: cqe.result,
                    buffer,
                    is_last: false,
                    owned: None,
                    was_told: false,
                };
                notices.push(Notice::Tell(Rc::clone(owner), completion));
            }
            return;
        }
        self.lanes[lane].in_flight -= 1;
        if let State::Part(whole, number) = record.state {
            drop(self.records.remove(key));
            self.part_ended(whole, number, cqe.result, notices);
            return;
        }
        let result = if cqe.is_notification() { record.result_before.unwrap_or(0) } else { cqe.result };
        self.end(key, result, buffer, notices);
    }

    /// An operation has ended, all its parts included.
    fn end(&mut self, key: Key, result: i32, buffer: Option<Picked>, notices: &mut Vec<Notice>) {
        let record = self.records.get_mut(key).expect("looked at by the caller");
        record.charge = None;
        if let Some(samples) = &mut self.samples {
            samples.end(key, &record.op);
        }
        let tag = record.tag;
        match std::mem::replace(&mut record.state, State::Ended(result)) {
            State::Awaited(waker) => {
                if tag != TAG_UNTOLD
                    && let Some(owner) = &record.owner
                    && owner.is_to_be_told(tag)
                {
                    let completion =
                        Completion { tag, result, buffer, is_last: true, owned: None, was_told: false };
                    notices.push(Notice::Tell(Rc::clone(owner), completion));
                }
                if let Some(wakee) = waker {
                    notices.push(Notice::Wake(wakee));
                }
            }
            State::Detached => {
                let owner = record.owner.take();
                let Outcome { owned, .. } = self.take(key);
                let mut notice = notice_of(owner, tag, result, owned, false);
                if let Notice::Tell(_, completion) = &mut notice {
                    completion.buffer = buffer;
                }
                notices.push(notice);
            }
            State::Ended(_) | State::Part(..) => {
                unreachable!("the kernel completed an operation after its last completion")
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.phase != Phase::Drained {
            // Whoever drops a driver that is open unwinds, or has no better idea.
            let mut notices = Vec::new();
            if self.drain(DRAIN_PATIENCE, &mut notices).is_err() {
                return;
            }
        }
        // SAFETY: nothing is under way, so the kernel touches none of what the records own; not used again.
        unsafe { ManuallyDrop::drop(&mut self.records) };
    }
}

impl Lane {
    fn arena(&self) -> &Arena {
        self.arena.as_ref().expect("the lane's ring picks buffers")
    }

    fn may_push(&self, chain_len: usize) -> bool {
        // The completions of what is in flight must find room, or the kernel has to store them elsewhere.
        let pushed = self.in_flight.saturating_sub(self.backlog.len());
        self.ring.room() >= chain_len && pushed <= self.ring.completions_max()
    }

    fn push(&mut self, sqe: Sqe) {
        self.counters.submissions += 1;
        // SAFETY: what the operation points at is owned by its record (`Prepared` was made of both), at addresses
        // that are stable under moves, and a record gives it away after the last completion only; a driver that
        // cannot wait for that never frees its records, see `Driver::drain`.
        let pushed = unsafe { self.ring.push(sqe) };
        pushed.expect("there is room, as was just looked at");
    }
}

fn notice_of(owner: Option<Rc<dyn Owner>>, tag: Tag, result: i32, kept: Owned, was_told: bool) -> Notice {
    match owner {
        Some(owner) => Notice::Tell(
            owner,
            Completion { tag, result, buffer: None, is_last: true, owned: Some(kept), was_told },
        ),
        None => Notice::Drop(kept),
    }
}

/// A submission whose completion tells nothing.
fn unrecorded(op: Op) -> Sqe {
    Sqe { user_data: USER_DATA_SILENT, is_linked: false, op }
}

/// The tag of operations whose owner need not be told.
pub(crate) const TAG_UNTOLD: Tag = 0;
/// No key has these values, as generations end below them.
const USER_DATA_RESERVED: u64 = USER_DATA_SILENT;
/// How long a drain waits before it asks again.
const DRAIN_STEP: Duration = Duration::from_millis(50);
/// How long a driver that is dropped waits.
const DRAIN_PATIENCE: Duration = Duration::from_secs(30);
