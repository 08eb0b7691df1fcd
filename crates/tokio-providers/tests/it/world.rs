//! Where the tests run.

use std::future::Future;
use std::time::Duration;

use samestep_provider_traits::{Providers, TimeProvider};
use samestep_tokio_providers::{TokioProviders, TokioRuntime};

/// Runs `test` in a fresh root, and fails if it hangs.
pub(crate) fn run<Fut: Future<Output = ()>>(test: impl FnOnce(TokioProviders) -> Fut) {
    let root = tempfile::tempdir().unwrap();
    let world = TokioProviders::new(root.path(), 7);
    let time = world.time().clone();
    let limit = Duration::from_secs(60);
    TokioRuntime::new().unwrap().block_on(time.timeout(limit, test(world))).expect("the test hangs");
}
