//! Where the tests run.

use std::future::Future;
use std::time::Duration;

#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
pub(crate) use byte_streams::pair;
use samestep_provider_traits::{Providers, TimeProvider};
use samestep_tokio_providers::{TokioProviders, TokioRuntime};

/// Runs `test`, and fails if it hangs.
pub(crate) fn run<Fut: Future<Output = ()>>(test: impl FnOnce(TokioProviders) -> Fut) {
    let root = tempfile::tempdir().unwrap();
    let world = TokioProviders::new(root.path(), 7);
    let time = world.time().clone();
    let limit = Duration::from_secs(60);
    TokioRuntime::new().unwrap().block_on(time.timeout(limit, test(world))).expect("the test hangs");
}

#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
mod byte_streams {
    use samestep_provider_adapters::PollStream;
    use samestep_provider_traits::{NetworkProvider, Providers, TcpListener};
    use samestep_tokio_providers::{TokioProviders, TokioTcpStream};

    /// Both ends of a connection.
    pub(crate) async fn pair(
        world: &TokioProviders,
        buffer_bytes: usize,
    ) -> (PollStream<TokioTcpStream>, PollStream<TokioTcpStream>) {
        let listener = world.network().bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let near = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        let over = |stream| PollStream::with_buffer_bytes(stream, buffer_bytes);
        (over(near), over(far))
    }
}
