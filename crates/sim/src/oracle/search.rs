//! The search for an order that explains a history.
//!
//! Wing and Gong, "Testing and verifying concurrent objects", 1993, with Lowe's memory of what was tried already
//! ("Testing for linearizability", 2017): a set of calls that lead to a state is entered once.

use std::collections::BTreeSet;

use crate::oracle::history::Call;
use crate::oracle::specification::Specification;

/// One window of a history: calls by invocation, and the states in which it may begin.
pub(crate) struct Window<'a, S: Specification> {
    pub(crate) specification: &'a S,
    pub(crate) calls: &'a [Asked<'a, S>],
    pub(crate) initial: &'a BTreeSet<S::State>,
}

/// A call as the search sees it.
pub(crate) struct Asked<'a, S: Specification> {
    pub(crate) call: &'a Call<S>,
    /// When it returned, if that counts; else it may come at any time after its invocation, or never.
    pub(crate) returned: Option<u64>,
}

impl<S: Specification> Clone for Asked<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Specification> Copy for Asked<'_, S> {}

/// What a search found.
pub(crate) struct Found<S: Specification> {
    /// The states in which the window may end; one of them if no more were asked for; empty if it cannot end.
    pub(crate) finals: BTreeSet<S::State>,
    /// The longest order that was found: the state in which it began, and places of calls.
    pub(crate) longest: Option<(S::State, Vec<usize>)>,
}

/// How much is to be found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Whether there is an order.
    Any,
    /// All states in which one may end.
    AllFinals,
}

/// Searches, and takes what it needs from `steps`; none if that was not enough.
pub(crate) fn search<S: Specification>(
    window: &Window<'_, S>,
    goal: Goal,
    steps: &mut u64,
) -> Option<Found<S>> {
    let mut found = Found { finals: BTreeSet::new(), longest: None };
    for initial in window.initial {
        Search::new(window, initial.clone()).run(goal, steps, &mut found)?;
        if goal == Goal::Any && !found.finals.is_empty() {
            break;
        }
    }
    Some(found)
}

struct Search<'a, S: Specification> {
    window: &'a Window<'a, S>,
    initial: S::State,
    state: S::State,
    /// The moments that are not yet in order, as a ring through place 0.
    moments: Moments,
    /// The calls in order, each with the state before it.
    order: Vec<(usize, S::State)>,
    chosen: Box<[u64]>,
    tried: BTreeSet<(Box<[u64]>, S::State)>,
    /// How many calls that returned are not in order.
    missing: usize,
}

impl<'a, S: Specification> Search<'a, S> {
    fn new(window: &'a Window<'a, S>, initial: S::State) -> Self {
        let returned = |asked: &&Asked<'_, S>| asked.returned.is_some();
        Self {
            state: initial.clone(),
            initial,
            moments: Moments::of(window.calls),
            order: Vec::new(),
            chosen: vec![0; window.calls.len().div_ceil(64)].into(),
            tried: BTreeSet::new(),
            missing: window.calls.iter().filter(returned).count(),
            window,
        }
    }

    fn run(mut self, goal: Goal, steps: &mut u64, found: &mut Found<S>) -> Option<()> {
        self.note(found);
        let mut at = self.moments.first();
        loop {
            if self.missing == 0 && goal == Goal::Any {
                return Some(());
            }
            *steps = steps.checked_sub(1)?;
            match self.moments.what(at) {
                What::Invoked(place) if self.take(place) => {
                    self.note(found);
                    at = self.moments.first();
                }
                What::Invoked(_) => at = self.moments.after(at),
                // A call that is not in order had returned: whatever comes now is too late for it.
                What::Returned | What::End => match self.give_back() {
                    Some(place) => at = self.moments.after(self.moments.invocation(place)),
                    None => return Some(()),
                },
            }
        }
    }

    /// Puts a call next in order, if the object could have done it, and that was not tried yet.
    fn take(&mut self, place: usize) -> bool {
        let Asked { call, returned } = &self.window.calls[place];
        let outcome = returned.and_then(|_| call.outcome());
        let Some(state) = self.window.specification.step(&self.state, &call.operation, outcome) else {
            return false;
        };
        self.chosen[place / 64] ^= 1 << (place % 64);
        if !self.tried.insert((self.chosen.clone(), state.clone())) {
            self.chosen[place / 64] ^= 1 << (place % 64);
            return false;
        }
        self.order.push((place, std::mem::replace(&mut self.state, state)));
        self.moments.lift(place);
        self.missing -= usize::from(returned.is_some());
        true
    }

    fn give_back(&mut self) -> Option<usize> {
        let (place, state) = self.order.pop()?;
        self.state = state;
        self.chosen[place / 64] ^= 1 << (place % 64);
        self.moments.unlift(place);
        self.missing += usize::from(self.window.calls[place].returned.is_some());
        Some(place)
    }

    fn note(&self, found: &mut Found<S>) {
        if self.missing == 0 {
            found.finals.insert(self.state.clone());
        }
        if found.longest.as_ref().is_none_or(|(_, order)| order.len() < self.order.len()) {
            let order = self.order.iter().map(|(place, _)| *place).collect();
            found.longest = Some((self.initial.clone(), order));
        }
    }
}

/// Invocations and returns in the order in which they happened: a doubly linked ring, whose place 0 is its end.
struct Moments {
    what: Vec<What>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// Of each call, the places of its invocation and return.
    places: Vec<(usize, Option<usize>)>,
}

#[derive(Clone, Copy)]
enum What {
    Invoked(usize),
    Returned,
    End,
}

impl Moments {
    fn of<S: Specification>(calls: &[Asked<'_, S>]) -> Self {
        let invoked = calls.iter().enumerate().map(|(place, asked)| (asked.call.invoked, place, false));
        let returned = calls.iter().enumerate();
        let returned = returned.filter_map(|(place, asked)| Some((asked.returned?, place, true)));
        let mut moments: Vec<_> = invoked.chain(returned).collect();
        moments.sort_unstable();
        let mut places = vec![(0, None); calls.len()];
        let mut what = vec![What::End];
        for (at, (_, place, is_return)) in (1..).zip(&moments) {
            if *is_return {
                places[*place].1 = Some(at);
                what.push(What::Returned);
            } else {
                places[*place].0 = at;
                what.push(What::Invoked(*place));
            }
        }
        let count = what.len();
        let next = (1..=count).map(|at| at % count).collect();
        let previous = (0..count).map(|at| (at + count - 1) % count).collect();
        Self { what, next, previous, places }
    }

    fn first(&self) -> usize {
        self.next[0]
    }

    fn after(&self, at: usize) -> usize {
        self.next[at]
    }

    fn what(&self, at: usize) -> What {
        self.what[at]
    }

    fn invocation(&self, place: usize) -> usize {
        self.places[place].0
    }

    fn lift(&mut self, place: usize) {
        let (invoked, returned) = self.places[place];
        self.unlink(invoked);
        if let Some(returned) = returned {
            self.unlink(returned);
        }
    }

    /// Undoes the last [`Self::lift`] that is not undone, in reverse order.
    fn unlift(&mut self, place: usize) {
        let (invoked, returned) = self.places[place];
        if let Some(returned) = returned {
            self.link(returned);
        }
        self.link(invoked);
    }

    fn unlink(&mut self, at: usize) {
        let (previous, next) = (self.previous[at], self.next[at]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    fn link(&mut self, at: usize) {
        let (previous, next) = (self.previous[at], self.next[at]);
        self.next[previous] = at;
        self.previous[next] = at;
    }
}
