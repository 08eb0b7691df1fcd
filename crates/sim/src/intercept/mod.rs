//! Catches what code in a world asks the operating system for behind the simulator's back: random bytes, clocks and
//! threads. Feature `intercept`, on Linux.
//!
//! The crate then defines `getrandom`, `clock_gettime`, `gettimeofday` and `pthread_create`, which the linker takes
//! in place of the C library's. Outside of worlds they hand each call on. Inside, random bytes come from the seed and
//! clocks show simulated time, so that third-party code that reads them is its seed too; a thread is started, and
//! fails the run, as nothing decides when it runs. Each call is counted, with the places in the program it came from.
//!
//! What goes past the C library, by a system call of its own, is not seen.

mod hooks;
mod site;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use crate::draws::Stream;
use crate::runner::Failure;
use crate::trace::Traced;
use crate::world::registry::{current, try_enter_free};
use crate::world::{Core, SimWorld};

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Intercepted {
    /// Random bytes: most often the keys of a hash map.
    RandomBytes,
    /// A clock.
    Clock,
    /// A thread.
    Thread,
}

impl fmt::Display for Intercepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RandomBytes => "random bytes",
            Self::Clock => "a clock",
            Self::Thread => "a thread",
        })
    }
}

/// How often something was asked for in a world, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterceptedCalls {
    /// What.
    pub what: Intercepted,
    /// How often.
    pub count: u64,
    /// From where, each place once: of the first calls only. Function, file and line, as far as symbols tell.
    pub sites: Vec<String>,
}

/// The calls of one world.
#[derive(Debug)]
pub(crate) struct Calls {
    random: Stream,
    calls: BTreeMap<Intercepted, InterceptedCalls>,
}

impl Calls {
    /// No calls. Random bytes are those of `seed`, and others for another `salt`, of which no program should know.
    pub(crate) fn new(seed: u64, salt: u64) -> Self {
        Self { random: Stream::from_seed(seed).fork("intercepted").fork_number(salt), calls: BTreeMap::new() }
    }

    /// All calls, by what was asked for.
    pub(crate) fn all(&self) -> Vec<InterceptedCalls> {
        self.calls.values().cloned().collect()
    }
}

impl SimWorld {
    /// What code in this world asked the operating system for. Empty on systems other than Linux.
    pub fn intercepted(&self) -> Vec<InterceptedCalls> {
        self.shared.core.borrow().intercepted.all()
    }
}

/// Makes sure that the linker takes our functions: they are named here, and this is called by each world.
pub(crate) fn link() {
    std::hint::black_box(hooks::addresses());
}

/// Handles a call of the current world, if there is one and it is not busy with itself: `answer` gives what the
/// caller gets.
fn intercept<R>(what: Intercepted, answer: impl FnOnce(&mut Core) -> R) -> Option<R> {
    // Not a call that comes from here, such as one for a backtrace.
    let world = current().filter(|_| !IS_BUSY.replace(true))?;
    let result = try_enter_free(world, |core| {
        core.kernel.record([u64::from(b'I'), what as u64, 0, 0], || Traced::Note {
            name: "intercepted".to_owned(),
            value: what.to_string(),
        });
        let calls = core.intercepted.calls.entry(what);
        let calls = calls.or_insert_with(|| InterceptedCalls { what, count: 0, sites: Vec::new() });
        calls.count += 1;
        (answer(core), core.intercepted.calls[&what].count <= SAMPLES)
    });
    let answer = result.map(|(answer, is_sample)| {
        if is_sample {
            let site = site::of_caller();
            try_enter_free(world, |core| note_site(core, what, site));
        }
        answer
    });
    IS_BUSY.set(false);
    answer
}

fn note_site(core: &mut Core, what: Intercepted, site: String) {
    if what == Intercepted::Thread {
        core.fail(Failure::EscapedThread { site: site.clone() });
    }
    if let Some(calls) = core.intercepted.calls.get_mut(&what)
        && !calls.sites.contains(&site)
    {
        calls.sites.push(site);
    }
}

/// Calls of a kind whose place is looked for, which takes milliseconds.
const SAMPLES: u64 = 16;

thread_local! {
    static IS_BUSY: Cell<bool> = const { Cell::new(false) };
}

#[cfg(test)]
mod tests;
