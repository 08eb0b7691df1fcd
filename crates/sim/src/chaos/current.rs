//! Which table the macros write to: that of the run whose code is being executed, or the thread's own.

use std::cell::RefCell;
use std::rc::Rc;

use crate::ambient::get_current_sim_seed;
use crate::chaos::checks::Checks;
use crate::choice::Choices;
use crate::kernel::NodeId;
use crate::runner::Failure;
use crate::time::SimTime;
use crate::world::{registry::current, try_enter};

/// Makes a table the current one of the thread until it is dropped; scopes nest.
#[must_use]
pub(crate) struct Scope(());

impl Scope {
    /// Enters the scope of `checks`.
    pub(crate) fn enter(checks: &Rc<RefCell<Checks>>) -> Self {
        SCOPES.with_borrow_mut(|scopes| scopes.push(Rc::clone(checks)));
        Self(())
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let checks = SCOPES.with_borrow_mut(Vec::pop);
        drop(checks);
    }
}

/// Calls `f` with the current table. No code of the program may run in it.
pub(crate) fn with<R>(f: impl FnOnce(&mut Checks) -> R) -> R {
    let checks = SCOPES.with_borrow(|scopes| scopes.last().map(Rc::clone));
    match checks {
        Some(checks) => f(&mut checks.borrow_mut()),
        None => OWN.with_borrow_mut(f),
    }
}

/// Adds to the thread's own table, for the functions that ask it after a run.
pub(crate) fn publish(checks: &Checks) {
    OWN.with_borrow_mut(|own| own.absorb(checks));
}

/// Calls `f` with the decisions of the current world, if one is stepped.
pub(crate) fn with_world_choices<R>(f: impl FnOnce(&mut Choices) -> R) -> Result<R, NoWorld> {
    current().and_then(|world| try_enter(world, |core| f(&mut core.kernel.choices))).ok_or(NoWorld)
}

/// Makes the run of the current world, if there is one, a failed one; when and where that was.
pub(crate) fn fail_world(name: &str, message: &str) -> (Option<SimTime>, Option<NodeId>) {
    let told = current().and_then(|world| {
        try_enter(world, |core| {
            core.fail(Failure::Check { name: name.to_owned(), message: message.to_owned() });
            (Some(core.kernel.now), core.kernel.node)
        })
    });
    told.unwrap_or_default()
}

/// The time of the current world, if one is stepped.
pub(crate) fn now() -> Option<SimTime> {
    current().and_then(|world| try_enter(world, |core| core.kernel.now))
}

/// The seed that the thread was given for what is not in a world.
pub(crate) fn thread_seed() -> u64 {
    get_current_sim_seed()
}

/// No world is being stepped.
#[derive(Debug)]
pub(crate) struct NoWorld;

thread_local! {
    static SCOPES: RefCell<Vec<Rc<RefCell<Checks>>>> = const { RefCell::new(Vec::new()) };
    static OWN: RefCell<Checks> = RefCell::default();
}
