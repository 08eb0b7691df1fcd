//! Random numbers of a node.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use samestep_provider_traits::RandomProvider;

use crate::draws::Stream;
use crate::kernel::Kernel;
use crate::trace::Traced;
use crate::world::registry::{Home, current};
use crate::world::{WeakSimWorld, enter, try_enter};

/// A stream of random numbers: a function of the world's seed, the node, how often it booted, and the names of the
/// forks that lead to it. Each number drawn is recorded.
///
/// The same seed and names give the same numbers in every version of this crate with the same major number.
#[derive(Clone)]
pub struct SimRandomProvider {
    source: Source,
}

#[derive(Clone)]
enum Source {
    /// The root of a boot, of which there is one, however many handles are made.
    Boot(Home),
    /// A fork, or a stream of no world.
    Own(Rc<Cell<Stream>>),
}

impl SimRandomProvider {
    /// The stream from `seed`, in whatever world it is used.
    pub fn new(seed: u64) -> Self {
        Self::own(Stream::from_seed(seed))
    }

    /// The stream of the test itself.
    pub fn of_world(world: impl Into<WeakSimWorld>) -> Self {
        Self::of(world.into().home())
    }

    pub(crate) const fn of(home: Home) -> Self {
        Self { source: Source::Boot(home) }
    }

    fn own(stream: Stream) -> Self {
        Self { source: Source::Own(Rc::new(Cell::new(stream))) }
    }
}

impl RandomProvider for SimRandomProvider {
    fn next_u64(&self) -> u64 {
        match &self.source {
            Source::Boot(home) => enter(home.world, |core| {
                let value = core.random_of(*home).next_u64();
                record_draw(&mut core.kernel, value);
                value
            }),
            Source::Own(stream) => {
                let mut next = stream.get();
                let value = next.next_u64();
                stream.set(next);
                if let Some(world) = current() {
                    try_enter(world, |core| record_draw(&mut core.kernel, value));
                }
                value
            }
        }
    }

    fn fork(&self, name: &str) -> Self {
        let stream = match &self.source {
            Source::Boot(home) => enter(home.world, |core| *core.random_of(*home)),
            Source::Own(stream) => stream.get(),
        };
        Self::own(stream.fork(name))
    }
}

impl fmt::Debug for SimRandomProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimRandomProvider").finish_non_exhaustive()
    }
}

/// Records a number that a program drew.
pub(crate) fn record_draw<E>(kernel: &mut Kernel<E>, value: u64) {
    kernel.record([u64::from(b'R'), value, 0, 0], || Traced::Drew { value });
}
