//! Whether a history is linearizable, and if not, the least that shows it.

use std::collections::BTreeSet;
use std::fmt;

use crate::oracle::history::Call;
use crate::oracle::search::{Asked, Goal, Window, search};
use crate::oracle::specification::Specification;

/// What is known of a history. Complete by definition.
#[derive(Debug)]
pub enum Verdict<S: Specification> {
    /// There is an order that explains it.
    Linearizable,
    /// There is none.
    Violation(Box<Explanation<S>>),
    /// The search was given up: fewer calls at a time, or fewer whose outcome nobody knows, make it shorter.
    Undecided {
        /// The steps that were not enough.
        steps_max: u64,
    },
}

impl<S: Specification> Verdict<S> {
    /// The verdict as an outcome: anything but linearizable is an error that says why.
    pub fn into_result(self) -> Result<(), String> {
        match self {
            Self::Linearizable => Ok(()),
            Self::Violation(explanation) => Err(explanation.to_string()),
            Self::Undecided { steps_max } => {
                Err(format!("nobody knows whether it is linearizable: {steps_max} steps were not enough"))
            }
        }
    }
}

/// Calls that no order explains. Each of them matters: without it, or if it is not known when it returned, there would
/// be an order, or it changes the state, so that it must be known.
pub struct Explanation<S: Specification> {
    states_before: Vec<S::State>,
    calls: Vec<Call<S>>,
    culprit: usize,
    longest: (S::State, Vec<usize>),
}

impl<S: Specification> Explanation<S> {
    /// The states in which the object may have been before these calls.
    pub fn states_before(&self) -> &[S::State] {
        &self.states_before
    }

    /// The calls, by when they began.
    pub fn calls(&self) -> &[Call<S>] {
        &self.calls
    }

    /// The call whose return made it impossible: up to then there was an order.
    pub fn culprit(&self) -> &Call<S> {
        &self.calls[self.culprit]
    }

    /// The longest order that was found.
    pub fn longest_order(&self) -> impl Iterator<Item = &Call<S>> {
        self.longest.1.iter().map(|&place| &self.calls[place])
    }
}

impl<S: Specification> fmt::Display for Explanation<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "not linearizable: no order explains these calls")?;
        write!(f, "  before them it was")?;
        for (place, state) in self.states_before.iter().take(STATES_SHOWN_MAX).enumerate() {
            write!(f, "{} {state:?}", if place == 0 { "" } else { " or" })?;
        }
        let more = self.states_before.len().saturating_sub(STATES_SHOWN_MAX);
        writeln!(f, "{}", if more == 0 { String::new() } else { format!(" or {more} others") })?;
        for (place, call) in self.calls.iter().enumerate() {
            let mark = if place == self.culprit { "    <- impossible since this returned" } else { "" };
            writeln!(f, "  {call}{mark}")?;
        }
        write!(f, "  the longest order begins with {:?}", self.longest.0)?;
        for call in self.longest_order() {
            write!(f, ", {}", call.id)?;
        }
        Ok(())
    }
}

impl<S: Specification> fmt::Debug for Explanation<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Checks `calls`, which are by invocation, window by window: where no call is open, all that matters of what was
/// before are the states in which the object may be.
pub(crate) fn check<S: Specification>(specification: &S, calls: &[&Call<S>], steps_max: u64) -> Verdict<S> {
    let mut steps = steps_max;
    let mut states = BTreeSet::from([specification.initial()]);
    for window in windows(calls) {
        let asked: Vec<_> = window.iter().map(|call| asked(call, u64::MAX)).collect();
        let is_last = asked.iter().any(|asked| asked.returned.is_none());
        let goal = if is_last { Goal::Any } else { Goal::AllFinals };
        let Some(found) =
            search(&Window { specification, calls: &asked, initial: &states }, goal, &mut steps)
        else {
            return Verdict::Undecided { steps_max };
        };
        if found.finals.is_empty() {
            return match explain(specification, window, &states, steps_max) {
                Some(explanation) => Verdict::Violation(Box::new(explanation)),
                None => Verdict::Undecided { steps_max },
            };
        }
        states = found.finals;
    }
    Verdict::Linearizable
}

/// Cuts where no call is open. One that never returned is open for ever.
fn windows<'a, 'b, S: Specification>(calls: &'a [&'b Call<S>]) -> impl Iterator<Item = &'a [&'b Call<S>]> {
    let mut rest = calls;
    std::iter::from_fn(move || {
        let mut open_until = rest.first()?.invoked;
        let is_open = |call: &&Call<S>| {
            let is_open = call.invoked <= open_until;
            let returned = call.returned.as_ref().map_or(u64::MAX, |returned| returned.moment);
            open_until = open_until.max(returned);
            is_open
        };
        let length = rest.iter().copied().take_while(is_open).count();
        let (window, after) = rest.split_at(length);
        rest = after;
        Some(window)
    })
}

/// A call as it was known just after moment `until`.
fn asked<S: Specification>(call: &Call<S>, until: u64) -> Asked<'_, S> {
    let returned = call.returned.as_ref().map(|returned| returned.moment);
    Asked { call, returned: returned.filter(|moment| *moment <= until) }
}

/// The least of `window`, which has no order, that still has none.
fn explain<S: Specification>(
    specification: &S,
    window: &[&Call<S>],
    initial: &BTreeSet<S::State>,
    steps_max: u64,
) -> Option<Explanation<S>> {
    let find = |calls: &[Asked<'_, S>]| {
        search(&Window { specification, calls, initial }, Goal::Any, &mut steps_max.clone())
    };
    let has_none = |calls: &[Asked<'_, S>]| find(calls).is_some_and(|found| found.finals.is_empty());
    let known = |until: u64| -> Vec<Asked<'_, S>> {
        window.iter().filter(|call| call.invoked <= until).map(|call| asked(call, until)).collect()
    };

    // What has an order has one up to any moment too, so that the first moment without one can be bisected.
    let mut returns: Vec<u64> =
        window.iter().filter_map(|call| Some(call.returned.as_ref()?.moment)).collect();
    returns.sort_unstable();
    let first = returns.partition_point(|&until| !has_none(&known(until)));
    let culprit = *returns.get(first)?;
    let mut calls = known(culprit);

    // Each of these steps allows more, so that what has no order afterwards had none before.
    for place in (0..calls.len()).rev() {
        if calls[place].returned == Some(culprit) {
            continue;
        }
        let mut fewer = calls.clone();
        let Asked { call, returned } = calls[place];
        if specification.is_read(&call.operation, returned.and_then(|_| call.outcome())) {
            fewer.remove(place);
        } else {
            fewer[place].returned = None;
        }
        if has_none(&fewer) {
            calls = fewer;
        }
    }
    let longest = find(&calls)?.longest?;
    let culprit = calls.iter().position(|asked| asked.returned == Some(culprit))?;
    let shown = calls.iter().map(|asked| {
        let mut call = asked.call.clone();
        if asked.returned.is_none() {
            call.returned = None;
        }
        call
    });
    let (calls, states_before) = (shown.collect(), initial.iter().cloned().collect());
    Some(Explanation { states_before, calls, culprit, longest })
}

const STATES_SHOWN_MAX: usize = 4;
