//! What one member of a simulated system is given.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::workload::{Role, Shutdown};
use samestep_provider_traits::{NetworkProvider, RandomProvider, TimeProvider};
use xxhash_rust::xxh3::xxh3_64;

use crate::chaos::StateRegistry;
use crate::kernel::NodeId;
use crate::providers::{
    SimNetworkProvider, SimProviders, SimRandomProvider, SimStorageProvider, SimTaskProvider, SimTcpListener,
    SimTcpStream, SimTimeProvider,
};
use crate::trace::Traced;
use crate::world::registry::current;
use crate::world::{Down, try_enter};

/// What one boot of one member of a simulated system is given: its world, its place in the system, and who else there
/// is. Clones are handles to the same.
#[derive(Clone)]
pub struct SimContext {
    inner: Rc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) providers: SimProviders,
    pub(crate) node: NodeId,
    pub(crate) me: usize,
    pub(crate) peers: Rc<[Peer]>,
    pub(crate) boot: u32,
    pub(crate) last_down: Option<Down>,
    pub(crate) shutdown: Shutdown,
    pub(crate) state: StateRegistry,
}

/// A member of a simulated system.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Its name: that of its kind, with a hyphen and its number if there may be several.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Its number among those of its kind, from 0.
    pub number: usize,
    /// Its address.
    pub ip: IpAddr,
    /// Its tags: keys with their values.
    pub tags: Vec<(String, String)>,
    /// Where it stands, if that is told.
    pub locality: Option<LocalityInfo>,
}

/// Where a member stands: each number counts from 0 and tells apart what is in the same larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct LocalityInfo {
    /// Its data centre.
    pub data_centre: usize,
    /// Its zone there.
    pub zone: usize,
    /// Its machine there, whose processes share what happens to it.
    pub machine: usize,
}

impl Peer {
    /// Its value of the tag `key`.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str())
    }
}

impl SimContext {
    pub(crate) fn new(inner: Inner) -> Self {
        Self { inner: Rc::new(inner) }
    }

    /// The world as this boot sees it.
    pub fn providers(&self) -> SimProviders {
        self.inner.providers.clone()
    }

    /// Clocks and timers.
    pub fn time(&self) -> &SimTimeProvider {
        self.inner.providers.time()
    }

    /// Tasks.
    pub fn task(&self) -> &SimTaskProvider {
        self.inner.providers.task()
    }

    /// Random streams.
    pub fn random(&self) -> &SimRandomProvider {
        self.inner.providers.random()
    }

    /// TCP, UDP and names.
    pub fn network(&self) -> &SimNetworkProvider {
        self.inner.providers.network()
    }

    /// Files and folders.
    pub fn storage(&self) -> &SimStorageProvider {
        self.inner.providers.storage()
    }

    /// Ends when `duration` has passed.
    pub async fn sleep(&self, duration: Duration) {
        self.time().sleep(duration).await;
    }

    /// Listens at this member's address.
    pub async fn listen(&self, port: u16) -> io::Result<SimTcpListener> {
        self.network().bind(SocketAddr::new(self.my_ip(), port)).await
    }

    /// Connects to `name:port`. If there are several of that name, one after the other is tried, from any of them on.
    ///
    /// # Errors
    ///
    /// That of the last one that was tried; [`InvalidInput`](ErrorKind::InvalidInput) if there is no port.
    pub async fn connect(&self, target: &str) -> io::Result<SimTcpStream> {
        let malformed = || io::Error::new(ErrorKind::InvalidInput, format!("{target:?} is no name and port"));
        let (name, port) = target.rsplit_once(':').ok_or_else(malformed)?;
        let port = port.parse().map_err(|_| malformed())?;
        let addresses = self.network().lookup(name, port).await?;
        let first = if addresses.len() > 1 { self.random().random_range(0..addresses.len()) } else { 0 };
        let mut outcome = Err(io::Error::from(ErrorKind::NotFound));
        for place in 0..addresses.len() {
            outcome = self.network().connect(addresses[(first + place) % addresses.len()]).await;
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// This member.
    pub fn me(&self) -> &Peer {
        &self.inner.peers[self.inner.me]
    }

    /// Its node in the world.
    pub fn node(&self) -> NodeId {
        self.inner.node
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.me().name
    }

    /// Its number among those of its kind, from 0.
    pub fn number(&self) -> usize {
        self.me().number
    }

    /// Its address.
    pub fn my_ip(&self) -> IpAddr {
        self.me().ip
    }

    /// All members but this one, servers first.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        let me = self.inner.me;
        self.inner.peers.iter().enumerate().filter(move |(place, _)| *place != me).map(|(_, peer)| peer)
    }

    /// The servers, this one among them if it is one.
    pub fn servers(&self) -> impl Iterator<Item = &Peer> {
        self.inner.peers.iter().filter(|peer| peer.role == Role::Server)
    }

    /// The clients, this one among them if it is one.
    pub fn clients(&self) -> impl Iterator<Item = &Peer> {
        self.inner.peers.iter().filter(|peer| peer.role == Role::Client)
    }

    /// The member called `name`.
    pub fn get_peer_by_name(&self, name: &str) -> Option<&Peer> {
        self.inner.peers.iter().find(|peer| peer.name == name)
    }

    /// The members whose names begin so.
    pub fn get_peers_with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Peer> {
        self.inner.peers.iter().filter(move |peer| peer.name.starts_with(prefix))
    }

    /// The members that have this tag.
    pub fn tagged<'a>(&'a self, key: &'a str, value: &'a str) -> impl Iterator<Item = &'a Peer> {
        self.inner.peers.iter().filter(move |peer| peer.tag(key) == Some(value))
    }

    /// The signal that this boot, or the run, is to end.
    pub fn shutdown(&self) -> &Shutdown {
        &self.inner.shutdown
    }

    /// What the system shows of its state, the same for all members.
    pub fn state(&self) -> &StateRegistry {
        &self.inner.state
    }

    /// How often it booted before.
    pub fn boot(&self) -> u32 {
        self.inner.boot
    }

    /// How it went down last, if it ever did.
    pub fn last_down(&self) -> Option<Down> {
        self.inner.last_down
    }

    /// Says something that is recorded, for timelines and invariants.
    pub fn note(&self, name: &str, value: impl fmt::Display) {
        let value = value.to_string();
        let words = [u64::from(b'N'), xxh3_64(name.as_bytes()), xxh3_64(value.as_bytes()), 0];
        if let Some(world) = current() {
            let what = || Traced::Note { name: name.to_owned(), value };
            try_enter(world, |core| core.kernel.record(words, what));
        }
    }
}

impl fmt::Debug for SimContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimContext")
            .field("me", self.me())
            .field("boot", &self.boot())
            .finish_non_exhaustive()
    }
}
