//! A ring that does everything as late, as short and in as odd an order as a ring may.
//!
//! It makes the system calls itself, at the moment of completion: a buffer that was freed or changed in between is
//! then written or read, as by the kernel, but where sanitizers and tests see it. All is drawn from a seed.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use super::arena::Arena;
use super::perform::{perform_short, receive};
use super::ring::{Cqe, FLAG_BUFFER, FLAG_MORE, FLAG_NOTIFICATION, Full, Ring, Wait};
use super::sqe::{Op, Sqe};
use super::threads::is_full_success;

/// How hard a mock ring makes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adversary {
    pub(crate) seed: u64,
    /// Submissions that are taken before the next enter.
    pub(crate) entries: usize,
    /// Out of 256: completions that come at all in one turn.
    pub(crate) promptness: u8,
    /// Out of 256: receives and sends that move less than they could.
    pub(crate) shortness: u8,
    /// Out of 256: reads and writes of files that do.
    pub(crate) file_shortness: u8,
    /// Out of 256: enters that fail with an error that is to be tried again.
    pub(crate) interruptions: u8,
    /// Out of 256: multishot operations that end, with what they had, or for want of a buffer.
    pub(crate) fatigue: u8,
    /// Out of 256: cancellations that find nothing, so that the operation goes on.
    pub(crate) deafness: u8,
    /// Completions that the ring keeps; more wait for the next enter, as when the kernel's queue overflows.
    pub(crate) completions: usize,
    /// Operations of this name fail with this error number.
    pub(crate) failing: Option<(&'static str, i32)>,
    /// Whether operations end at all.
    pub(crate) is_stuck: bool,
    /// Whether it cuts files, or leaves that to threads.
    pub(crate) can_truncate: bool,
}

impl Adversary {
    /// As bad as it gets while everything still ends.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            entries: 4,
            promptness: 140,
            shortness: 90,
            file_shortness: 90,
            interruptions: 60,
            fatigue: 60,
            deafness: 100,
            completions: 3,
            failing: None,
            is_stuck: false,
            can_truncate: seed.is_multiple_of(2),
        }
    }
}

/// What a mock ring was asked, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Pushed(&'static str),
    /// With so many submissions, and whether it was to wait.
    Entered(usize, bool),
    Completed(&'static str, i32),
}

/// The ring.
pub(crate) struct MockRing {
    adversary: Adversary,
    random: u64,
    queued: VecDeque<Sqe>,
    /// Chains under way: the first of each is next.
    under_way: Vec<VecDeque<Sqe>>,
    overflowed: VecDeque<Cqe>,
    overflows: u64,
    /// Files that it was told to keep.
    kept: BTreeSet<RawFd>,
    done: Vec<Cqe>,
    buffers: VecDeque<(u16, usize, u32)>,
    seen: Rc<RefCell<Vec<Seen>>>,
}

impl MockRing {
    pub(crate) fn new(adversary: Adversary) -> Self {
        Self {
            adversary,
            random: adversary.seed,
            queued: VecDeque::new(),
            under_way: Vec::new(),
            overflowed: VecDeque::new(),
            overflows: 0,
            kept: BTreeSet::new(),
            done: Vec::new(),
            buffers: VecDeque::new(),
            seen: Rc::default(),
        }
    }

    /// What it was asked, for as long as anybody wants to know.
    pub(crate) fn seen(&self) -> Rc<RefCell<Vec<Seen>>> {
        Rc::clone(&self.seen)
    }

    /// SplitMix64, by Sebastiano Vigna.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn chance(&mut self, of_256: u8) -> bool {
        self.draw() % 256 < u64::from(of_256)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.draw() % bound as u64).expect("below the bound")
    }

    fn take_submissions(&mut self) {
        while let Some(sqe) = self.queued.pop_front() {
            match sqe.op {
                Op::Cancel { user_data } => {
                    self.cancel(|target| target == user_data);
                    self.complete(&sqe, 0, 0);
                }
                Op::CancelAll => {
                    self.cancel(|_| true);
                    self.complete(&sqe, 0, 0);
                }
                _ => {
                    let mut chain = VecDeque::from([sqe]);
                    while chain.back().is_some_and(|last| last.is_linked) {
                        chain.push_back(self.queued.pop_front().expect("a chain is submitted in one call"));
                    }
                    self.under_way.push(chain);
                }
            }
        }
    }

    /// Ends operations early, or does not, as a kernel that cannot: the operation then ends by itself.
    fn cancel(&mut self, is_meant: impl Fn(u64) -> bool) {
        if self.adversary.is_stuck {
            return;
        }
        for chain in std::mem::take(&mut self.under_way) {
            let is_first_meant = is_meant(chain[0].user_data);
            if is_first_meant && !self.chance(self.adversary.deafness) {
                for sqe in &chain {
                    self.complete(sqe, -libc::ECANCELED, 0);
                }
            } else {
                self.under_way.push(chain);
            }
        }
    }

    /// Lets some of what is under way end, in any order.
    fn progress(&mut self) {
        let mut left = std::mem::take(&mut self.under_way);
        while !left.is_empty() {
            let at = self.below(left.len());
            let chain = left.swap_remove(at);
            let is_now = !self.adversary.is_stuck && self.chance(self.adversary.promptness);
            if is_now {
                self.advance(chain);
            } else {
                self.under_way.push(chain);
            }
        }
    }

    /// Does one step of a chain.
    fn advance(&mut self, mut chain: VecDeque<Sqe>) {
        let sqe = chain[0];
        let Some((result, flags)) = self.attempt(&sqe) else {
            self.under_way.push(chain);
            return;
        };
        self.complete(&sqe, result, flags);
        if flags & FLAG_MORE != 0 {
            self.under_way.push(chain);
            return;
        }
        chain.pop_front();
        if is_full_success(&sqe.op, result) {
            if !chain.is_empty() {
                self.under_way.push(chain);
            }
        } else {
            for sqe in &chain {
                self.complete(sqe, -libc::ECANCELED, 0);
            }
        }
    }

    /// What one step of an operation gives, if it does not wait for a peer.
    fn attempt(&mut self, sqe: &Sqe) -> Option<(i32, u32)> {
        match self.adversary.failing {
            Some((name, error)) if name == sqe.op.name() => return Some((-error, 0)),
            _ => {}
        }
        let is_file = matches!(sqe.op, Op::Read { .. } | Op::Write { .. });
        let shortness = if is_file { self.adversary.file_shortness } else { self.adversary.shortness };
        let bytes_max = if self.chance(shortness) { 1 + self.below(100) } else { usize::MAX };
        let bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
        match sqe.op {
            Op::RecvMulti { fd, .. } => {
                if self.chance(self.adversary.fatigue) {
                    return Some((-libc::ENOBUFS, 0));
                }
                let Some((buffer, at, len)) = self.buffers.pop_front() else {
                    return Some((-libc::ENOBUFS, 0));
                };
                let to = std::ptr::with_exposed_provenance_mut(at);
                // SAFETY: the buffer is the ring's until a completion names it.
                let result = unsafe { receive(fd, to, len.min(bytes_max)) };
                if !matches!(result, Some(1..)) {
                    self.buffers.push_front((buffer, at, len));
                    return result.map(|result| (result, 0));
                }
                let more = if self.chance(self.adversary.fatigue) { 0 } else { FLAG_MORE };
                Some((result?, FLAG_BUFFER | more | u32::from(buffer) << 16))
            }
            Op::AcceptMulti { .. } => {
                // SAFETY: promised to `push`.
                let result = unsafe { perform_short(&sqe.op, bytes_max) }?;
                let is_last = result < 0 || self.chance(self.adversary.fatigue);
                Some((result, if is_last { 0 } else { FLAG_MORE }))
            }
            op => {
                // SAFETY: promised to `push`.
                let result = unsafe { perform_short(&op, bytes_max) }?;
                Some((result, 0))
            }
        }
    }

    fn complete(&mut self, sqe: &Sqe, result: i32, flags: u32) {
        self.seen.borrow_mut().push(Seen::Completed(sqe.op.name(), result));
        let cqe = Cqe { user_data: sqe.user_data, result, flags };
        if matches!(sqe.op, Op::SendZeroCopy { .. }) && result >= 0 {
            self.overflowed.push_back(Cqe { flags: FLAG_MORE, ..cqe });
            self.overflowed.push_back(Cqe { result: 0, flags: FLAG_NOTIFICATION, ..cqe });
        } else {
            self.overflowed.push_back(cqe);
        }
    }

    /// Moves completions to where they are reaped, as far as there is room.
    fn publish(&mut self) {
        while self.done.len() < self.adversary.completions {
            let Some(cqe) = self.overflowed.pop_front() else { return };
            self.done.push(cqe);
        }
    }
}

impl Ring for MockRing {
    unsafe fn push(&mut self, sqe: Sqe) -> Result<(), Full> {
        if self.room() == 0 {
            return Err(Full);
        }
        if let Op::Close { fd } = sqe.op {
            assert!(!self.kept.contains(&fd), "descriptor {fd} is closed, and may be another file's soon");
        }
        self.seen.borrow_mut().push(Seen::Pushed(sqe.op.name()));
        self.queued.push_back(sqe);
        Ok(())
    }

    fn room(&self) -> usize {
        self.adversary.entries - self.queued.len()
    }

    fn pending(&self) -> usize {
        self.queued.len()
    }

    fn enter(&mut self, wait: Wait) -> io::Result<()> {
        self.seen.borrow_mut().push(Seen::Entered(self.queued.len(), wait != Wait::No));
        self.overflows += u64::from(!self.overflowed.is_empty());
        if self.chance(self.adversary.interruptions) {
            let errors = [libc::EINTR, libc::EAGAIN, libc::EBUSY];
            let error = errors[self.below(errors.len())];
            self.publish();
            return Err(io::Error::from_raw_os_error(error));
        }
        self.take_submissions();
        self.progress();
        self.publish();
        let patience = match wait {
            Wait::AtMost(Some(patience)) => patience.min(NAP),
            Wait::AtMost(None) => NAP,
            Wait::No => return Ok(()),
        };
        if self.done.is_empty() {
            // A peer, or a clock, may need the time.
            #[expect(
                clippy::disallowed_methods,
                reason = "this ring is the world to the code that is tested"
            )]
            std::thread::sleep(patience);
        }
        Ok(())
    }

    fn reap(&mut self, into: &mut Vec<Cqe>) {
        into.append(&mut self.done);
    }

    fn has_events(&self) -> bool {
        !self.done.is_empty() || !self.overflowed.is_empty()
    }

    fn can_truncate(&self) -> bool {
        self.adversary.can_truncate
    }

    fn overflows(&self) -> u64 {
        self.overflows
    }

    fn completions_max(&self) -> usize {
        self.adversary.completions * 4
    }

    unsafe fn give_arena(&mut self, arena: &Arena) -> io::Result<()> {
        for buffer in 0..arena.count() {
            // SAFETY: the caller's promise.
            unsafe { self.give_buffer(arena, buffer) };
        }
        Ok(())
    }

    unsafe fn give_buffer(&mut self, arena: &Arena, buffer: u16) {
        let len = u32::try_from(arena.buffer_bytes()).expect("buffers are small");
        assert!(self.buffers.iter().all(|(other, ..)| *other != buffer), "buffer {buffer} was given twice");
        self.buffers.push_back((buffer, arena.address(buffer).expose_provenance(), len));
    }

    fn keep_file(&mut self, fd: RawFd) {
        assert!(self.kept.insert(fd), "descriptor {fd} is kept twice");
    }

    fn forget_file(&mut self, fd: RawFd) {
        self.kept.remove(&fd);
    }

    fn signal_events(&mut self, _: bool) {}
}

impl Drop for MockRing {
    fn drop(&mut self) {
        let is_idle =
            self.under_way.is_empty() && self.queued.iter().all(|sqe| matches!(sqe.op, Op::CancelAll));
        if !std::thread::panicking() {
            assert!(is_idle, "a ring was closed with operations under way: {:?}", self.under_way);
        }
    }
}

/// How long a wait lasts at most.
const NAP: Duration = Duration::from_micros(200);
