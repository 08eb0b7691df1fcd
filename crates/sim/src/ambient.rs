//! Random numbers for code that has no provider at hand: the seed's `sim_random` and its kin.
//!
//! Inside a world each boot of each node has a stream of its own, so that what one node draws shifts no other. Outside
//! of worlds the thread has one.

use std::cell::Cell;
use std::ops::Range;

use samestep_provider_traits::{RandomProvider, RandomRange, RandomValue};

use crate::draws::Stream;
use crate::providers::record_draw;
use crate::world::registry::current;
use crate::world::{Core, try_enter};

/// A random value from the current stream: integers over their whole range, `bool` evenly, `f64` from 0 up to but
/// not 1.
///
/// ```
/// samestep_sim::set_sim_seed(7);
/// let dice: u64 = samestep_sim::sim_random_range(1..7);
/// samestep_sim::set_sim_seed(7);
/// assert_eq!(samestep_sim::sim_random_range(1..7), dice);
/// ```
pub fn sim_random<T: RandomValue>() -> T {
    Current.random()
}

/// A random value from `range`, of the current stream.
///
/// # Panics
///
/// If `range` is empty.
pub fn sim_random_range<T: RandomRange>(range: Range<T>) -> T {
    Current.random_range(range)
}

/// A random value from `range`, of the current stream; its start, and nothing drawn, if it is empty.
pub fn sim_random_range_or_default<T: RandomRange + PartialOrd>(range: Range<T>) -> T {
    if range.start < range.end { Current.random_range(range) } else { range.start }
}

/// Begins the current stream anew, from `seed`.
pub fn set_sim_seed(seed: u64) {
    with(|ambient| *ambient = Ambient::new(seed));
}

/// The seed of the current stream: the one that was set last, or the world's; 0 outside of worlds if none was set.
pub fn get_current_sim_seed() -> u64 {
    with(|ambient| ambient.seed)
}

/// As [`get_current_sim_seed`], by its newer name.
pub fn current_sim_seed() -> u64 {
    get_current_sim_seed()
}

/// Begins the current stream anew, from seed 0.
pub fn reset_sim_rng() {
    set_sim_seed(0);
}

/// A stream, and the seed that it came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ambient {
    seed: u64,
    stream: Stream,
}

impl Ambient {
    /// The stream from `seed`.
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed, stream: Stream::from_seed(seed) }
    }

    /// The stream that belongs to a part of the world of this seed.
    pub(crate) fn of_part(seed: u64, part: Stream) -> Self {
        Self { seed, stream: part.fork("ambient") }
    }
}

/// The current stream as a provider.
#[derive(Clone)]
struct Current;

impl RandomProvider for Current {
    fn next_u64(&self) -> u64 {
        let value = with(|ambient| ambient.stream.next_u64());
        if let Some(world) = current() {
            try_enter(world, |core| record_draw(&mut core.kernel, value));
        }
        value
    }

    fn fork(&self, _name: &str) -> Self {
        unreachable!("the current stream is forked by nobody: it is private to this module")
    }
}

fn with<R>(body: impl FnOnce(&mut Ambient) -> R) -> R {
    let mut body = Some(body);
    let inside = current()
        .and_then(|world| try_enter(world, |core: &mut Core| body.take().map(|body| body(core.ambient()))));
    if let Some(Some(result)) = inside {
        return result;
    }
    let body = body.take().expect("only a world that is there takes it");
    let mut ambient = OF_THREAD.get();
    let result = body(&mut ambient);
    OF_THREAD.set(ambient);
    result
}

thread_local! {
    static OF_THREAD: Cell<Ambient> = const { Cell::new(Ambient::new(0)) };
}
