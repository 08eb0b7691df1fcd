//! The definition of a test: members, faults, checks.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::{Range, RangeInclusive};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::workload::Role;

use crate::chaos::{Invariant, InvariantView, StateRegistry};
use crate::choice::{Chance, ChoiceFamily, Choices};
use crate::oracle::{History, KvHistory, Specification};
use crate::runner::builder::Finishers;
use crate::runner::chaos::Chaos;
use crate::runner::cluster::{BodyFuture, MemberPlan, OnError};
use crate::runner::context::{Peer, SimContext};
use crate::runner::inject::FaultContext;

/// A test as [`check`](crate::check) has it defined, anew for each run.
///
/// Whatever is shared by members and checks of one run is made in the definition: an `Rc<Cell<..>>` will do, as all of
/// a run is on one thread.
pub struct Test {
    pub(crate) choices: Choices,
    pub(crate) members: Vec<MemberPlan>,
    groups: usize,
    pub(crate) chaos: Option<Chaos>,
    pub(crate) invariants: Vec<Box<dyn Invariant>>,
    pub(crate) injectors: Vec<(String, Injector)>,
    pub(crate) auditors: Vec<(String, Auditor)>,
    pub(crate) at_end: Vec<(String, EndCheck)>,
    pub(crate) state: StateRegistry,
    pub(crate) liveness_limit: Duration,
    pub(crate) end_rule: EndRule,
    pub(crate) finishers: Finishers,
    /// What tells apart one definition from another, for the configuration's hash.
    pub(crate) description: String,
}

/// What a test does to its system beside what chance does.
pub(crate) type Injector = Box<dyn FnOnce(FaultContext) -> BodyFuture>;
/// What looks at the system when all faults are healed and all clients have ended.
pub(crate) type Auditor = Box<dyn FnOnce(SimContext) -> BodyFuture>;
/// What is looked at in the end.
pub(crate) type EndCheck = Box<dyn FnOnce(&InvariantView<'_>) -> Result<(), String>>;

/// How many members of a kind there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    min: usize,
    max: usize,
    is_one: bool,
}

impl From<usize> for Count {
    fn from(count: usize) -> Self {
        Self { min: count, max: count, is_one: count == 1 }
    }
}

/// Another in each seed; the least is the plain one.
impl From<RangeInclusive<usize>> for Count {
    fn from(counts: RangeInclusive<usize>) -> Self {
        Self { min: *counts.start(), max: (*counts.end()).max(*counts.start()), is_one: false }
    }
}

/// What a check says: `bool`, or a `Result` whose error says what is wrong.
pub trait Holds {
    /// The error, if it does not hold.
    fn into_verdict(self) -> Result<(), String>;
}

impl Holds for bool {
    fn into_verdict(self) -> Result<(), String> {
        if self { Ok(()) } else { Err(String::new()) }
    }
}

impl<E: fmt::Display> Holds for Result<(), E> {
    fn into_verdict(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

impl Test {
    pub(crate) fn new(choices: Choices) -> Self {
        Self {
            choices,
            members: Vec::new(),
            groups: 0,
            chaos: None,
            invariants: Vec::new(),
            injectors: Vec::new(),
            auditors: Vec::new(),
            at_end: Vec::new(),
            state: StateRegistry::new(),
            liveness_limit: Duration::from_secs(120),
            end_rule: EndRule::AllClients,
            finishers: Finishers::default(),
            description: String::new(),
        }
    }

    /// Adds servers: `3` of them, or another number in each seed, such as `1..=3`. They are called by `name` with a
    /// hyphen and a number, or by `name` alone if there is one for certain; the name alone stands for all of them.
    ///
    /// `run` is called for each boot, and what it returns is dropped when the server is killed. A server that ends
    /// without an error is done; one that ends with an error fails the test, unless it [restarts](Node::restarts).
    pub fn node<F, R>(&mut self, name: &str, count: impl Into<Count>, run: F) -> Node<'_>
    where
        F: Fn(SimContext) -> R + 'static,
        R: Future<Output = Result<(), Box<dyn Error>>> + 'static,
    {
        let first = self.members.len();
        self.add(name, count.into(), Role::Server, run);
        Node { test: self, first }
    }

    /// Adds a client, which no fault kills. The test is over when all clients have ended, faults are healed, and all
    /// checks are made; it fails if one ends with an error.
    pub fn client<F, R>(&mut self, name: &str, run: F)
    where
        F: Fn(SimContext) -> R + 'static,
        R: Future<Output = Result<(), Box<dyn Error>>> + 'static,
    {
        self.add(name, Count::from(1), Role::Client, run);
    }

    /// Adds several clients, numbered as [servers](Self::node) are.
    pub fn clients<F, R>(&mut self, name: &str, count: impl Into<Count>, run: F)
    where
        F: Fn(SimContext) -> R + 'static,
        R: Future<Output = Result<(), Box<dyn Error>>> + 'static,
    {
        self.add(name, count.into(), Role::Client, run);
    }

    /// What goes wrong. Nothing, unless told.
    pub fn chaos(&mut self, chaos: Chaos) {
        self.describe(&chaos);
        self.chaos = Some(chaos);
    }

    /// Does things to the system by a plan of its own, while faults act.
    pub fn inject<F, R>(&mut self, name: &str, run: F)
    where
        F: FnOnce(FaultContext) -> R + 'static,
        R: Future<Output = Result<(), Box<dyn Error>>> + 'static,
    {
        self.describe(name);
        self.injectors.push((name.to_owned(), Box::new(|context| Box::pin(run(context)))));
    }

    /// What holds after each instant that changed the [state](Self::state) that the system shows.
    pub fn always<V: Holds>(&mut self, name: &str, holds: impl FnMut(&InvariantView<'_>) -> V + 'static) {
        self.invariants.push(Box::new(StateInvariant { name: name.to_owned(), holds }));
    }

    /// What holds after each instant in which anything happened. Events are kept for it.
    pub fn invariant(&mut self, invariant: impl Invariant + 'static) {
        self.invariants.push(Box::new(invariant));
    }

    /// Looks at the system as a client does, after all clients have ended and all faults are healed. These run one
    /// after the other.
    pub fn finally<F, R>(&mut self, name: &str, run: F)
    where
        F: FnOnce(SimContext) -> R + 'static,
        R: Future<Output = Result<(), Box<dyn Error>>> + 'static,
    {
        if self.auditors.is_empty() {
            self.add("auditor", Count::from(1), Role::Client, |_| async { Ok(()) });
            self.members.last_mut().expect("it was just added").is_auditor = true;
        }
        self.auditors.push((name.to_owned(), Box::new(|context| Box::pin(run(context)))));
    }

    /// What holds in the end.
    pub fn at_end<V: Holds>(&mut self, name: &str, holds: impl FnOnce(&InvariantView<'_>) -> V + 'static) {
        self.at_end.push((name.to_owned(), Box::new(|view| holds(view).into_verdict())));
    }

    /// That the calls told to `history` are linearizable, in the end.
    pub fn linearizable<S: Specification + 'static>(&mut self, name: &str, history: &History<S>) {
        let history = history.clone();
        self.at_end(name, move |_| history.check().into_result());
    }

    /// That the calls told to `history` are linearizable, key by key, in the end.
    pub fn linearizable_store<K, V>(&mut self, name: &str, history: &KvHistory<K, V>)
    where
        K: Clone + Ord + fmt::Debug + 'static,
        V: Clone + Ord + fmt::Debug + 'static,
    {
        let history = history.clone();
        self.at_end(name, move |_| match history.check() {
            None => Ok(()),
            Some((key, verdict)) => verdict.into_result().map_err(|why| format!("key {key:?}: {why}")),
        });
    }

    /// What the system shows of its state; members have it by [`SimContext::state`].
    pub fn state(&self) -> StateRegistry {
        self.state.clone()
    }

    /// One of `0..bound`, another in each seed; 0 is the plain one, to which a failure is shrunk if it can be. 0 if
    /// `bound` is 0.
    pub fn pick(&mut self, bound: u64) -> u64 {
        self.choices.pick(ChoiceFamily::Test, 0, bound)
    }

    /// A value of `range`, another in each seed; its start is the plain one.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        self.choices.within(ChoiceFamily::Test, 0, range)
    }

    /// Some of `all`, others in each seed, and never none: such as the operations that clients may ask for. That many
    /// bugs show only where something never happens is why. All is the plain one.
    pub fn some_of<T: Clone>(&mut self, all: &[T]) -> Vec<T> {
        let mut is_left_out =
            |_: &&T| self.choices.happens(ChoiceFamily::Test, SOME_OF, Chance::one_in(1, 2));
        let some: Vec<T> = all.iter().filter(|item| !is_left_out(item)).cloned().collect();
        if some.is_empty() { all.first().cloned().into_iter().collect() } else { some }
    }

    /// How much simulated time clients have after all faults are healed; two minutes unless told.
    pub fn liveness_limit(&mut self, limit: Duration) {
        self.describe(&limit);
        self.liveness_limit = limit;
    }

    /// One of `0..bound`, as part of what a run is set up with.
    pub(crate) fn pick_setup(&mut self, bound: u64) -> u64 {
        self.choices.pick(ChoiceFamily::Setup, DRAWN, bound)
    }

    pub(crate) fn add<F, R>(&mut self, name: &str, count: Count, role: Role, run: F)
    where
        F: Fn(SimContext) -> R + 'static,
        R: Future<Output = Result<(), Box<dyn Error>>> + 'static,
    {
        self.describe(&(name, count));
        let group = self.groups;
        self.groups += 1;
        let place = u32::try_from(group).expect("fewer than 2^32 kinds of members");
        let spread = (count.max - count.min + 1) as u64;
        let more = self.choices.pick(ChoiceFamily::Setup, COUNTS + place, spread);
        let count_now = count.min + usize::try_from(more).unwrap_or(0);
        let body: Rc<dyn Fn(SimContext) -> BodyFuture> =
            Rc::new(move |context| -> Pin<Box<dyn Future<Output = _>>> { Box::pin(run(context)) });
        for number in 0..count_now {
            let name = if count.is_one { name.to_owned() } else { format!("{name}-{number}") };
            let ip = self.next_ip(role);
            let peer = Peer { name, role, number, ip, tags: Vec::new(), locality: None };
            let body = Rc::clone(&body);
            self.members.push(MemberPlan {
                peer,
                body,
                group,
                on_error: OnError::default(),
                is_panic_an_error: false,
                is_auditor: false,
            });
        }
    }

    /// Servers are 10.0.1.1 and so on, clients 10.0.0.1 and so on, as the seed's successors have it.
    fn next_ip(&self, role: Role) -> IpAddr {
        let before = self.members.iter().filter(|member| member.peer.role == role).count();
        let [high, low] = u16::try_from(before + 1).expect("at most 65,534 members of a role").to_be_bytes();
        let third = if role == Role::Server { 128 + high } else { high };
        if high == 0 && role == Role::Server {
            return Ipv4Addr::new(10, 0, 1, low).into();
        }
        Ipv4Addr::new(10, u8::from(high > 0), third, low).into()
    }

    fn describe(&mut self, what: &(impl fmt::Debug + ?Sized)) {
        let _ = write!(self.description, "{what:?};");
    }
}

impl fmt::Debug for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<_> = self.members.iter().map(|member| &member.peer.name).collect();
        f.debug_struct("Test").field("members", &members).field("chaos", &self.chaos).finish_non_exhaustive()
    }
}

/// Servers that were just added, for what is rarely said of them.
#[derive(Debug)]
pub struct Node<'a> {
    test: &'a mut Test,
    first: usize,
}

impl Node<'_> {
    /// One that ends with an error is down, and boots again after this time, as under a supervisor.
    pub fn restarts(self, after: Duration) -> Self {
        let first = self.first;
        for member in &mut self.test.members[first..] {
            member.on_error = OnError::Restart(after);
        }
        self
    }

    /// As [`restarts`](Self::restarts), and one that panics boots again as well: a program that crashes rather than go on
    /// with what it does not trust. A panic of a task that it started fails the test.
    pub fn restarts_on_panic(self, after: Duration) -> Self {
        let first = self.first;
        let node = self.restarts(after);
        for member in &mut node.test.members[first..] {
            member.is_panic_an_error = true;
        }
        node
    }

    /// Gives them a tag: each the next of `values`, round and round.
    pub fn tag(self, key: &str, values: &[&str]) -> Self {
        let first = self.first;
        for (member, value) in self.test.members[first..].iter_mut().zip(values.iter().cycle()) {
            member.peer.tags.push((key.to_owned(), (*value).to_owned()));
        }
        self
    }
}

struct StateInvariant<F> {
    name: String,
    holds: F,
}

impl<V: Holds, F: FnMut(&InvariantView<'_>) -> V> Invariant for StateInvariant<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn observe(&mut self, view: &InvariantView<'_>) -> Result<(), String> {
        (self.holds)(view).into_verdict()
    }

    fn wants_events(&self) -> bool {
        false
    }
}

/// When the work of a run is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndRule {
    /// When all clients have ended.
    AllClients,
    /// When one has, which the others are then told.
    FirstClient,
}

/// Places of the decisions on counts and configurations lie behind those of faults.
const COUNTS: u32 = 3_000;
const DRAWN: u32 = 4_000;
/// The place of decisions on what is left out; those below are of [`Test::pick`] and of injectors.
const SOME_OF: u32 = 2;
