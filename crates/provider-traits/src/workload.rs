//! Test bodies that run in a simulator and on real sockets alike.
//!
//! A [`Workload`] is what one member of a [`Topology`] does. A runner makes one for each member, gives each its
//! [`WorkloadContext`], and drives them through three phases: [`setup`](Workload::setup) of all, then
//! [`run`](Workload::run) of all at once, then [`check`](Workload::check) of all. A run is over when every
//! client has ended; servers are then told by [`Shutdown`] and dropped if they do not end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::Providers;

/// Outcome of one phase of a workload.
pub type WorkloadResult = Result<(), Box<dyn Error>>;

/// What one member of a topology does. See the [module](self) for the phases.
pub trait Workload<P: Providers>: 'static {
    /// Prepares. All members are set up, one after the other in the topology's order, before any runs.
    fn setup(&mut self, context: &WorkloadContext<P>) -> impl Future<Output = WorkloadResult> {
        let _ = context;
        ready(Ok(()))
    }

    /// Does the member's work, at the same time as all other members. A server may run until
    /// [`WorkloadContext::shutdown`] tells it to end.
    fn run(&mut self, context: &WorkloadContext<P>) -> impl Future<Output = WorkloadResult>;

    /// Checks what is left when all have ended, one member after the other. Faults are over by then.
    fn check(&mut self, context: &WorkloadContext<P>) -> impl Future<Output = WorkloadResult> {
        let _ = context;
        ready(Ok(()))
    }
}

/// What one member is given: its world, its place in the topology, and the signal to end.
#[derive(Clone, Debug)]
pub struct WorkloadContext<P> {
    providers: P,
    topology: Topology,
    me: usize,
    shutdown: Shutdown,
}

impl<P: Providers> WorkloadContext<P> {
    /// The context of member number `me` of `topology`.
    ///
    /// # Panics
    ///
    /// If the topology has no such member.
    pub fn new(providers: P, topology: Topology, me: usize, shutdown: Shutdown) -> Self {
        assert!(me < topology.members().len(), "member {me} of {}", topology.members().len());
        Self { providers, topology, me, shutdown }
    }

    /// The world as this member sees it.
    pub fn providers(&self) -> &P {
        &self.providers
    }

    /// All members.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// This member.
    pub fn me(&self) -> &Member {
        &self.topology.members()[self.me]
    }

    /// The signal that the run is over.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }
}

/// Who takes part: servers first, then clients, each numbered from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    members: Rc<[Member]>,
}

impl Topology {
    /// `servers` servers named `server-0` and so on, and `clients` clients named `client-0` and so on, at the
    /// addresses that `address` gives for each place in that order, counted from 0.
    pub fn client_server(
        servers: usize,
        clients: usize,
        mut address: impl FnMut(usize) -> SocketAddr,
    ) -> Self {
        let servers = (0..servers).map(|number| (Role::Server, number));
        let clients = (0..clients).map(|number| (Role::Client, number));
        let members = servers.chain(clients).enumerate().map(|(place, (role, number))| Member {
            name: format!("{role}-{number}"),
            role,
            number,
            address: address(place),
        });
        Self { members: members.collect() }
    }

    /// All members, servers first.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The servers, by number.
    pub fn servers(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.role == Role::Server)
    }

    /// The clients, by number.
    pub fn clients(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.role == Role::Client)
    }

    /// The member called `name`.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

/// One member of a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    name: String,
    role: Role,
    number: usize,
    address: SocketAddr,
}

impl Member {
    /// Its name: role and number.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its number among those of its role, from 0.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Where it is to listen, if it does.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// What a member is. Complete by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Serves until told to end.
    Server,
    /// Runs to its end, which ends the run when all clients have.
    Client,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
        })
    }
}

/// A signal that is given once and stays given. Clones are handles to the same signal.
#[derive(Clone, Default)]
pub struct Shutdown {
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    is_requested: bool,
    /// One waker a waiting future, by its number.
    waiting: BTreeMap<u64, Waker>,
    next_waiting: u64,
}

impl Shutdown {
    /// A signal that is not given yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the signal and wakes all who wait for it.
    pub fn request(&self) {
        let waiting = {
            let mut state = self.state.borrow_mut();
            state.is_requested = true;
            std::mem::take(&mut state.waiting)
        };
        // Outside the borrow: a waker may run code that asks for the signal.
        waiting.into_values().for_each(Waker::wake);
    }

    /// Whether the signal was given.
    pub fn is_requested(&self) -> bool {
        self.state.borrow().is_requested
    }

    /// Ends when the signal is given.
    pub fn requested(&self) -> impl Future<Output = ()> + use<> {
        let place = {
            let mut state = self.state.borrow_mut();
            state.next_waiting += 1;
            Place { state: Rc::clone(&self.state), number: state.next_waiting }
        };
        poll_fn(move |cx| {
            let mut state = place.state.borrow_mut();
            if state.is_requested {
                return Poll::Ready(());
            }
            state.waiting.insert(place.number, cx.waker().clone());
            Poll::Pending
        })
    }
}

/// A waiting future's place, given up with it.
struct Place {
    state: Rc<RefCell<State>>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let waker = self.state.borrow_mut().waiting.remove(&self.number);
        // Outside the borrow, as above.
        drop(waker);
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").field("is_requested", &self.is_requested()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::net::SocketAddr;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};

    use super::{Role, Shutdown, Topology};

    #[test]
    fn servers_come_first_and_each_role_counts_from_zero() {
        let address = |place| SocketAddr::from(([10, 0, 0, 1], 9000 + u16::try_from(place).unwrap()));
        let topology = Topology::client_server(2, 1, address);
        let seen: Vec<_> =
            topology.members().iter().map(|m| (m.name(), m.role(), m.address().port())).collect();
        let expected = [
            ("server-0", Role::Server, 9000),
            ("server-1", Role::Server, 9001),
            ("client-0", Role::Client, 9002),
        ];
        assert_eq!(seen, expected);
        assert_eq!((topology.servers().count(), topology.clients().count()), (2, 1));
        assert_eq!(topology.member("server-1").unwrap().number(), 1);
        assert!(topology.member("server-2").is_none());
    }

    #[test]
    fn a_shutdown_stays_given() {
        let shutdown = Shutdown::new();
        let mut early = pin!(shutdown.requested());
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(early.as_mut().poll(&mut cx), Poll::Pending);
        shutdown.clone().request();
        assert_eq!(early.poll(&mut cx), Poll::Ready(()));
        assert_eq!(pin!(shutdown.requested()).poll(&mut cx), Poll::Ready(()));
    }

    #[test]
    fn a_future_that_waits_keeps_one_waker_and_takes_it_along() {
        let shutdown = Shutdown::new();
        {
            let mut waiting = pin!(shutdown.requested());
            for _ in 0..3 {
                let waker = Waker::from(Arc::new(Unequal));
                assert_eq!(waiting.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending);
            }
            assert_eq!(shutdown.state.borrow().waiting.len(), 1);
        }
        assert_eq!(shutdown.state.borrow().waiting.len(), 0);
    }

    /// Each in an `Arc` of its own, so that their wakers differ.
    struct Unequal;

    impl Wake for Unequal {
        fn wake(self: Arc<Self>) {}
    }
}
