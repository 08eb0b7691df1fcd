//! Tasks of a node.

use std::future::{Future, poll_fn};
use std::task::Poll;

use samestep_provider_traits::TaskProvider;

use crate::world::registry::{Home, ended, find};
use crate::world::{SimJoinHandle, WeakSimWorld};

/// Starts tasks on one boot of a node. Once the node is down, what is started is cancelled at once.
#[derive(Clone, Copy, Debug)]
pub struct SimTaskProvider {
    home: Home,
}

impl SimTaskProvider {
    /// Starts tasks of the test itself, which no fault stops.
    pub fn new(world: impl Into<WeakSimWorld>) -> Self {
        Self::of(world.into().home())
    }

    pub(crate) const fn of(home: Home) -> Self {
        Self { home }
    }
}

impl TaskProvider for SimTaskProvider {
    type JoinHandle<T: 'static> = SimJoinHandle<T>;

    #[track_caller]
    fn spawn<F>(&self, name: &str, future: F) -> SimJoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let Some(shared) = find(self.home.world) else { ended() };
        shared.spawn(self.home, name, future)
    }

    fn yield_now(&self) -> impl Future<Output = ()> + use<> {
        let mut has_yielded = false;
        poll_fn(move |cx| {
            if has_yielded {
                return Poll::Ready(());
            }
            has_yielded = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }
}
