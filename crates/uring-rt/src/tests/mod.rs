//! Everything above the ring, on rings that misbehave in every way a ring may.

mod contract;
mod failures;
mod loops;
mod ownership;
mod polled;
mod scheduled;
mod shared;
mod shares;
mod streams;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use crate::runtime::Runtime;
use crate::storage::Devices;
use crate::sys::{Adversary, MockRing, Ring, Seen};
use crate::{IoProperties, PollChoice, Polling, ShutdownError, UringProviders};

/// What one ring was asked.
type Log = Rc<RefCell<Vec<Seen>>>;

/// A runtime on two mock rings, and what they are asked: the main one first.
fn runtime(adversary: Adversary, patience: Duration) -> (Runtime, [Log; 2]) {
    let rings = [0, 1]
        .map(|number| MockRing::new(Adversary { seed: adversary.seed.wrapping_add(number), ..adversary }));
    let logs = [rings[0].seen(), rings[1].seen()];
    let [main, latency] = rings.map(|ring| Box::new(ring) as Box<dyn Ring>);
    (Runtime::on_rings(main, Some(latency), Devices::unpolled(Polling::SwitchedOff), patience), logs)
}

/// A runtime on three mock rings that polls all files with direct I/O, and what the main ring and the poll ring are
/// asked.
fn polled_runtime(main: Adversary, poll: Adversary) -> (Runtime, [Log; 2]) {
    let rings = [main, main, poll].map(MockRing::new);
    let logs = [rings[0].seen(), rings[2].seen()];
    let [main, latency, poll] = rings.map(|ring| Box::new(ring) as Box<dyn Ring>);
    let devices = Devices::polled(true, Box::new(|| Ok(poll)));
    (Runtime::on_rings(main, Some(latency), devices, PATIENCE), logs)
}

/// As [`polled_runtime`] with devices that are scheduled, and polled only if `polling` says so.
fn scheduled_runtime(main: Adversary, polling: PollChoice, properties: IoProperties) -> (Runtime, [Log; 2]) {
    let rings = [main, main, main].map(MockRing::new);
    let logs = [rings[0].seen(), rings[2].seen()];
    let [main, latency, poll] = rings.map(|ring| Box::new(ring) as Box<dyn Ring>);
    let devices = match polling {
        PollChoice::Never => Devices::unpolled(Polling::SwitchedOff),
        _ => Devices::polled(true, Box::new(|| Ok(poll))),
    };
    let devices = devices.scheduled(properties);
    (Runtime::on_rings(main, Some(latency), devices, PATIENCE), logs)
}

/// Runs `test` in a world on mock rings, and shuts it down.
fn world<Fut: Future<Output = ()>>(
    adversary: Adversary,
    test: impl FnOnce(UringProviders) -> Fut,
) -> Result<(), ShutdownError> {
    let root = tempfile::tempdir().unwrap();
    let (runtime, _) = runtime(adversary, PATIENCE);
    let world = runtime.providers(root.path(), adversary.seed).unwrap();
    runtime.block_on(test(world));
    assert_eq!(runtime.stats().completions_unknown, 0, "a completion named nothing");
    runtime.shutdown()
}

/// So long that a machine with more to do than it can does not make a ring look stuck.
const PATIENCE: Duration = Duration::from_secs(60);
