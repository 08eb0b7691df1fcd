//! Who asked what of an object, when, and what was answered.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use crate::chaos::now;
use crate::oracle::linearizability::{Verdict, check};
use crate::oracle::specification::{Register, RegisterOperation, Specification};
use crate::time::SimTime;

/// The calls of all clients to one object. Clones are handles to the same history.
///
/// ```
/// use samestep_sim::oracle::{History, Register, RegisterOperation, RegisterOutcome, Verdict};
///
/// let history = History::new(Register::new());
/// let write = history.invoke("a", RegisterOperation::Write(Some(1)));
/// let read = history.invoke("b", RegisterOperation::Read);
/// // The write is underway, so the read may see it or not. That the write's answer is lost changes nothing.
/// read.returned(RegisterOutcome::Value(Some(1)));
/// drop(write);
/// assert!(matches!(history.check(), Verdict::Linearizable));
///
/// // But what was seen stays.
/// history.invoke("b", RegisterOperation::Read).returned(RegisterOutcome::Value(None));
/// assert!(matches!(history.check(), Verdict::Violation(_)));
/// ```
pub struct History<S: Specification> {
    shared: Rc<RefCell<Shared<S>>>,
}

struct Shared<S: Specification> {
    specification: Rc<S>,
    calls: BTreeMap<CallId, Call<S>>,
    /// Invocations and returns so far: the order in which they happened.
    moments: u64,
}

/// A call of a history, by the order in which calls began, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub(crate) u64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// One call of a history.
pub struct Call<S: Specification> {
    pub(crate) id: CallId,
    pub(crate) client: String,
    pub(crate) operation: S::Operation,
    pub(crate) invoked: u64,
    pub(crate) began: Option<SimTime>,
    pub(crate) returned: Option<Returned<S>>,
}

/// That a call returned.
pub(crate) struct Returned<S: Specification> {
    pub(crate) moment: u64,
    pub(crate) ended: Option<SimTime>,
    pub(crate) outcome: S::Outcome,
}

impl<S: Specification> History<S> {
    /// A history of no call to an object that behaves as `specification`.
    pub fn new(specification: S) -> Self {
        let shared = Shared { specification: Rc::new(specification), calls: BTreeMap::new(), moments: 0 };
        Self { shared: Rc::new(RefCell::new(shared)) }
    }

    /// `client` now asks for `operation`. What is returned is to be told how it ended; a call of which nothing more is
    /// told may have happened at any time since, or never.
    pub fn invoke(&self, client: impl Into<String>, operation: S::Operation) -> OpenCall<S> {
        let client = client.into();
        let began = now();
        let mut shared = self.shared.borrow_mut();
        let invoked = shared.moments;
        shared.moments += 1;
        let id = CallId(invoked);
        shared.calls.insert(id, Call { id, client, operation, invoked, began, returned: None });
        OpenCall { history: self.clone(), id }
    }

    /// Whether there is an order of all calls that returned, and of some of those that did not, in which each call
    /// stands after those that had returned when it began, and in which the object behaves as specified: Herlihy and
    /// Wing, "Linearizability", 1990.
    ///
    /// Gives up, with [`Verdict::Undecided`], after ten million steps.
    pub fn check(&self) -> Verdict<S> {
        self.check_within(STEPS_MAX)
    }

    /// As [`Self::check`], and gives up after `steps_max` steps.
    pub fn check_within(&self, steps_max: u64) -> Verdict<S> {
        let shared = self.shared.borrow();
        let calls: Vec<&Call<S>> = shared.calls.values().collect();
        check(shared.specification.as_ref(), &calls, steps_max)
    }

    /// How many calls there were.
    pub fn len(&self) -> usize {
        self.shared.borrow().calls.len()
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<S: Specification> Clone for History<S> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared) }
    }
}

impl<S: Specification> fmt::Debug for History<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.shared.borrow().calls.values()).finish()
    }
}

/// A call of which it is not known yet how it ended.
#[must_use = "a call that is not told to have returned may have happened at any time, or never"]
pub struct OpenCall<S: Specification> {
    history: History<S>,
    id: CallId,
}

impl<S: Specification> OpenCall<S> {
    /// It now returned `outcome`.
    pub fn returned(self, outcome: S::Outcome) {
        let ended = now();
        let mut shared = self.history.shared.borrow_mut();
        let moment = shared.moments;
        shared.moments += 1;
        if let Some(call) = shared.calls.get_mut(&self.id) {
            call.returned = Some(Returned { moment, ended, outcome });
        }
    }

    /// It did not happen, and never will: it was refused before anything was done. A time-out or a lost connection
    /// does not tell that.
    pub fn refused(self) {
        let call = self.history.shared.borrow_mut().calls.remove(&self.id);
        drop(call);
    }

    /// Its number.
    pub fn id(&self) -> CallId {
        self.id
    }
}

impl<S: Specification> fmt::Debug for OpenCall<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OpenCall").field(&self.id).finish()
    }
}

impl<S: Specification> Clone for Call<S> {
    fn clone(&self) -> Self {
        let returned = self.returned.as_ref();
        Self {
            id: self.id,
            client: self.client.clone(),
            operation: self.operation.clone(),
            invoked: self.invoked,
            began: self.began,
            returned: returned.map(|returned| Returned {
                moment: returned.moment,
                ended: returned.ended,
                outcome: returned.outcome.clone(),
            }),
        }
    }
}

impl<S: Specification> Call<S> {
    /// Its number.
    pub fn id(&self) -> CallId {
        self.id
    }

    /// Who asked.
    pub fn client(&self) -> &str {
        &self.client
    }

    /// For what.
    pub fn operation(&self) -> &S::Operation {
        &self.operation
    }

    /// What was answered, if anything.
    pub fn outcome(&self) -> Option<&S::Outcome> {
        self.returned.as_ref().map(|returned| &returned.outcome)
    }
}

/// `#3 a: Read -> Value(None)`, with its times if it was made in a simulated world.
impl<S: Specification> fmt::Display for Call<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {:?}", self.id, self.client, self.operation)?;
        match &self.returned {
            Some(returned) => write!(f, " -> {:?}", returned.outcome)?,
            None => f.write_str(" -> nobody knows")?,
        }
        match (self.began, self.returned.as_ref().and_then(|returned| returned.ended)) {
            (Some(began), Some(ended)) => write!(f, " ({began} to {ended})"),
            (Some(began), None) => write!(f, " (from {began} on)"),
            (None, _) => Ok(()),
        }
    }
}

impl<S: Specification> fmt::Debug for Call<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The calls of all clients to a store of keys and values. Each key is a register of its own: a history is linearizable
/// if and only if that of each object is (Herlihy and Wing, theorem 1), and so it is checked key by key. Clones are
/// handles to the same history.
pub struct KvHistory<K, V: Clone + Ord + fmt::Debug> {
    keys: Rc<RefCell<BTreeMap<K, History<Register<V>>>>>,
}

impl<K: Clone + Ord, V: Clone + Ord + fmt::Debug> KvHistory<K, V> {
    /// A history of no call to a store that is empty.
    pub fn new() -> Self {
        Self { keys: Rc::default() }
    }

    /// `client` now reads `key`; the outcome is [`RegisterOutcome::Value`](crate::oracle::RegisterOutcome::Value).
    pub fn get(&self, client: impl Into<String>, key: K) -> OpenCall<Register<V>> {
        self.key(key).invoke(client, RegisterOperation::Read)
    }

    /// `client` now writes `value` to `key`; the outcome is [`RegisterOutcome::Done`](crate::oracle::RegisterOutcome::Done).
    pub fn put(&self, client: impl Into<String>, key: K, value: V) -> OpenCall<Register<V>> {
        self.key(key).invoke(client, RegisterOperation::Write(Some(value)))
    }

    /// `client` now asks for `operation` on `key`.
    pub fn invoke(
        &self,
        client: impl Into<String>,
        key: K,
        operation: RegisterOperation<V>,
    ) -> OpenCall<Register<V>> {
        self.key(key).invoke(client, operation)
    }

    /// The verdict on the first key whose history is not linearizable, or else on the first that is undecided.
    pub fn check(&self) -> Option<(K, Verdict<Register<V>>)> {
        let keys = self.keys.borrow();
        let mut undecided = None;
        for (key, history) in keys.iter() {
            match history.check() {
                Verdict::Linearizable => {}
                violation @ Verdict::Violation(_) => return Some((key.clone(), violation)),
                verdict @ Verdict::Undecided { .. } => {
                    undecided.get_or_insert_with(|| (key.clone(), verdict));
                }
            }
        }
        undecided
    }

    fn key(&self, key: K) -> History<Register<V>> {
        self.keys.borrow_mut().entry(key).or_insert_with(|| History::new(Register::new())).clone()
    }
}

impl<K: Clone + Ord, V: Clone + Ord + fmt::Debug> Default for KvHistory<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V: Clone + Ord + fmt::Debug> Clone for KvHistory<K, V> {
    fn clone(&self) -> Self {
        Self { keys: Rc::clone(&self.keys) }
    }
}

impl<K: fmt::Debug, V: Clone + Ord + fmt::Debug> fmt::Debug for KvHistory<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.keys.borrow().iter()).finish()
    }
}

const STEPS_MAX: u64 = 10_000_000;
