//! The worlds of a thread, and the one that runs now.
//!
//! All that a handle holds is the world's number. What it does goes through [`enter`], which borrows the world for
//! that one call; no user code runs inside.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::kernel::NodeId;
use crate::world::{Core, Shared};

/// Borrows the world for one call.
///
/// # Panics
///
/// If the world has ended, or belongs to another thread.
#[inline]
pub(crate) fn enter<R>(world: WorldId, body: impl FnOnce(&mut Core) -> R) -> R {
    WORLDS.with(|worlds| {
        let worlds = worlds.borrow();
        let Some(shared) = lookup(&worlds, world) else { ended() };
        body(&mut shared.core.borrow_mut())
    })
}

/// As [`enter`], and none if the world has ended: for what is dropped late.
#[inline]
pub(crate) fn try_enter<R>(world: WorldId, body: impl FnOnce(&mut Core) -> R) -> Option<R> {
    with(world, |shared| body(&mut shared.core.borrow_mut()))
}

/// Calls `body` with the world, if it is of this thread and has not ended. No code of users may run in it.
#[inline]
pub(crate) fn with<R>(world: WorldId, body: impl FnOnce(&Shared) -> R) -> Option<R> {
    WORLDS.with(|worlds| Some(body(lookup(&worlds.borrow(), world)?)))
}

/// As [`try_enter`], and none if the world is borrowed: for calls that may come from anywhere.
#[cfg(all(feature = "intercept", target_os = "linux"))]
pub(crate) fn try_enter_free<R>(world: WorldId, body: impl FnOnce(&mut Core) -> R) -> Option<R> {
    WORLDS.with(|worlds| {
        let worlds = worlds.try_borrow().ok()?;
        let mut core = lookup(&worlds, world)?.core.try_borrow_mut().ok()?;
        Some(body(&mut core))
    })
}

/// The world, if it is of this thread and has not ended.
pub(crate) fn find(world: WorldId) -> Option<Rc<Shared>> {
    WORLDS.with(|worlds| lookup(&worlds.borrow(), world).map(Rc::clone))
}

/// The world that runs is the last of the list.
#[inline]
fn lookup(worlds: &[Rc<Shared>], world: WorldId) -> Option<&Rc<Shared>> {
    match worlds.last() {
        Some(last) if last.id == world => Some(last),
        _ => worlds.iter().find(|shared| shared.id == world),
    }
}

#[cold]
#[inline(never)]
pub(crate) fn ended() -> ! {
    panic!("a handle of a simulated world was used after the world's end, or on another thread");
}

/// The world that runs on this thread now.
pub(crate) fn current() -> Option<WorldId> {
    CURRENT.get()
}

/// Makes `world` the current one until the guard is dropped.
#[inline]
pub(crate) fn make_current(world: WorldId) -> CurrentGuard {
    if LAST.get() != Some(world) {
        make_last(world);
    }
    CurrentGuard { before: CURRENT.replace(Some(world)), _not_send: PhantomData }
}

/// Puts the world where it is found at once.
#[cold]
fn make_last(world: WorldId) {
    WORLDS.with(|worlds| {
        let mut worlds = worlds.borrow_mut();
        if let Some(place) = worlds.iter().position(|shared| shared.id == world) {
            let last = worlds.len() - 1;
            worlds.swap(place, last);
            LAST.set(Some(world));
        }
    });
}

/// Puts back the world that was current before.
#[derive(Debug)]
pub(crate) struct CurrentGuard {
    before: Option<WorldId>,
    _not_send: PhantomData<Rc<()>>,
}

impl Drop for CurrentGuard {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// Adds a world to those of this thread.
pub(super) fn add(shared: Rc<Shared>) {
    LAST.set(Some(shared.id));
    WORLDS.with(|worlds| worlds.borrow_mut().push(shared));
}

/// Takes a world away from those of this thread.
pub(super) fn remove(world: WorldId) {
    LAST.set(None);
    let removed = WORLDS.with(|worlds| {
        let mut worlds = worlds.borrow_mut();
        let place = worlds.iter().position(|shared| shared.id == world)?;
        let removed = worlds.swap_remove(place);
        if worlds.is_empty() {
            // Nobody would free it when the thread ends.
            *worlds = Vec::new();
        }
        Some(removed)
    });
    // Dropped with nothing borrowed.
    drop(removed);
}

/// A world of this process. Numbers are used again after 2^24 worlds; they are no part of what is recorded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WorldId(u32);

impl WorldId {
    /// Bits of a number.
    pub(crate) const BITS: u32 = 24;

    /// A number that no other world of this process has, unless it is very old.
    pub(super) fn next() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed) & ((1 << Self::BITS) - 1))
    }

    /// The number, below 2^24.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// The world of this number.
    pub(crate) const fn from_number(number: u32) -> Self {
        Self(number)
    }
}

impl fmt::Debug for WorldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorldId")
    }
}

/// Where a handle belongs: a world, and in it one boot of a node, or the test itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) world: WorldId,
    pub(crate) node: Option<NodeId>,
    pub(crate) boot: u32,
    _not_send: PhantomData<Rc<()>>,
}

impl Home {
    /// Boot number `boot` of `node`; without a node, the test itself.
    pub(crate) const fn new(world: WorldId, node: Option<NodeId>, boot: u32) -> Self {
        Self { world, node, boot, _not_send: PhantomData }
    }
}

thread_local! {
    // What needs no drop is found without asking whether it is still there. Worlds take themselves out.
    static WORLDS: ManuallyDrop<RefCell<Vec<Rc<Shared>>>> =
        const { ManuallyDrop::new(RefCell::new(Vec::new())) };
    /// The last of them, if it is known.
    static LAST: Cell<Option<WorldId>> = const { Cell::new(None) };
    static CURRENT: Cell<Option<WorldId>> = const { Cell::new(None) };
}
