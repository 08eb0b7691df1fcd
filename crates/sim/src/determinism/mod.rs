//! Checks that a seed is a run: runs it twice, the second time elsewhere, and compares all that both recorded.
//!
//! Elsewhere is another thread and a heap of another shape, and now and then a process of its own. A thread has hash keys
//! of its own, its values lie in other places, and the time on the wall is another; a process has none of the statics
//! that earlier runs left behind, and its code lies elsewhere. What depends on one of these makes the two runs differ, as
//! soon as it changes anything that is recorded: what is sent, slept, drawn, started, stored, noted or checked, and in
//! which order.

mod divergence;
mod heap;
mod witness;

use std::cell::Cell;
use std::thread;

use crate::determinism::heap::Shuffled;
use crate::trace::Keep;

pub use divergence::Divergence;
pub(crate) use witness::Witness;

/// Makes the run, keeping what it is told to.
pub(crate) type Run<'a> = dyn Fn(Keep) -> Witness + Sync + 'a;

/// Makes a run once more by `run`, on another thread and heap, and compares it with `first`.
///
/// # Errors
///
/// [`Divergence`] if they differ.
pub(crate) fn compare(first: &Witness, run: &Run<'_>) -> Result<(), Box<Divergence>> {
    let there = |attempt, keep| Ok::<_, Never>(elsewhere(first.seed, attempt, || run(keep)));
    let Ok(divergence) = Comparison { place: "on another thread and heap", run, there: &there }.of(first);
    divergence.map_or(Ok(()), Err)
}

/// As [`compare`], with a run that `process` makes in a process of its own.
///
/// # Errors
///
/// That of `process`.
pub(crate) fn compare_with_process<E>(
    first: &Witness,
    run: &Run<'_>,
    process: &dyn Fn(Keep) -> Result<Witness, E>,
) -> Result<Option<Box<Divergence>>, E> {
    let there = |_, keep| process(keep);
    Comparison { place: "in a process of its own", run, there: &there }.of(first)
}

/// Runs that are made here and there.
struct Comparison<'a, E> {
    /// Where there is.
    place: &'static str,
    run: &'a Run<'a>,
    /// The run with this number, from 0.
    there: &'a dyn Fn(u64, Keep) -> Result<Witness, E>,
}

impl<E> Comparison<'_, E> {
    fn of(&self, first: &Witness) -> Result<Option<Box<Divergence>>, E> {
        let second = (self.there)(0, Keep::Hash)?;
        if first.is_same(&second) {
            return Ok(None);
        }
        let is_long = first.events.max(second.events) > EVENTS_KEPT_MAX;
        // What differs by chance differs again, though it may be elsewhere.
        for attempt in 1..=ATTEMPTS {
            let pair = if is_long { self.bisect(attempt)? } else { self.whole(attempt)? };
            if let Some((left, right)) = pair {
                return Ok(Some(Box::new(Divergence::between(&left, &right, self.place))));
            }
        }
        Ok(Some(Box::new(Divergence::between(first, &second, self.place))))
    }

    /// Two runs that differ, with all their events.
    fn whole(&self, attempt: u64) -> Result<Option<(Witness, Witness)>, E> {
        let (left, right) = ((self.run)(Keep::All), (self.there)(attempt, Keep::All)?);
        Ok((!left.is_same(&right)).then_some((left, right)))
    }

    /// Two runs that differ, with the events around the first that does: first it is found between two of the hashes
    /// that were kept on the way, and then the runs are made again. None if they do not differ there again.
    fn bisect(&self, attempt: u64) -> Result<Option<(Witness, Witness)>, E> {
        let (left, right) = ((self.run)(Keep::Marks), (self.there)(2 * attempt, Keep::Marks)?);
        let difference = |left: &Witness, right: &Witness| {
            Some(left.marks.as_ref()?.first_difference(right.marks.as_ref()?))
        };
        let Some(found) = difference(&left, &right).filter(|_| !left.is_same(&right)) else {
            return Ok(None);
        };
        let window = found.start.saturating_sub(EVENTS_BEFORE)..found.end;
        let (left, right) =
            ((self.run)(Keep::Window(window.clone())), (self.there)(2 * attempt + 1, Keep::Window(window))?);
        let is_there = difference(&left, &right).is_some_and(|again| again.start == found.start);
        Ok((is_there && !left.is_same(&right)).then_some((left, right)))
    }
}

/// Calls `run` on a thread of its own, with a heap that is full of holes.
fn elsewhere(seed: u64, attempt: u64, run: impl FnOnce() -> Witness + Send) -> Witness {
    thread::scope(|scope| {
        let run = scope.spawn(move || {
            let _holes = Shuffled::new(seed ^ attempt);
            SALT.set(attempt + 1);
            run()
        });
        run.join().expect("a run contains the panics of its test")
    })
}

/// Shifts what no program should know, such as the keys of hash maps where those are intercepted: on the threads of
/// runs that are compared with a first one it is another number.
#[cfg(all(feature = "intercept", target_os = "linux"))]
pub(crate) fn salt() -> u64 {
    SALT.get()
}

/// There is no error of this type.
enum Never {}

thread_local! {
    static SALT: Cell<u64> = const { Cell::new(0) };
}

/// How often runs are made that keep their events, to find where they differ.
const ATTEMPTS: u64 = 5;
/// Runs of so many events are kept whole to find where they differ; of longer ones, the events around that place.
const EVENTS_KEPT_MAX: u64 = 50_000;
const EVENTS_BEFORE: u64 = 8;

#[cfg(test)]
mod tests;
