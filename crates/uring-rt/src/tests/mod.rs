//! Everything above the ring, on rings that misbehave in every way a ring may.

mod contract;
mod failures;
mod loops;
mod ownership;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use crate::runtime::Runtime;
use crate::sys::{Adversary, MockRing, Ring, Seen};
use crate::{ShutdownError, UringProviders};

/// What one ring was asked.
type Log = Rc<RefCell<Vec<Seen>>>;

/// A runtime on two mock rings, and what they are asked: the main one first.
fn runtime(adversary: Adversary, patience: Duration) -> (Runtime, [Log; 2]) {
    let rings = [0, 1]
        .map(|number| MockRing::new(Adversary { seed: adversary.seed.wrapping_add(number), ..adversary }));
    let logs = [rings[0].seen(), rings[1].seen()];
    let [main, latency] = rings.map(|ring| Box::new(ring) as Box<dyn Ring>);
    (Runtime::on_rings(main, Some(latency), patience), logs)
}

/// Runs `test` in a world on mock rings, and shuts it down.
fn world<Fut: Future<Output = ()>>(
    adversary: Adversary,
    test: impl FnOnce(UringProviders) -> Fut,
) -> Result<(), ShutdownError> {
    let root = tempfile::tempdir().unwrap();
    let (runtime, _) = runtime(adversary, Duration::from_secs(2));
    let world = runtime.providers(root.path(), adversary.seed).unwrap();
    runtime.block_on(test(world));
    assert_eq!(runtime.stats().completions_unknown, 0, "a completion named nothing");
    runtime.shutdown()
}
