//! One owned-buffer operation after the other, in one place.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use samestep_provider_traits::BufResult;

/// An operation that is begun with a buffer, and polled until it gives it back. Then it may be begun again.
pub(crate) trait Operation<T> {
    /// Hands it a buffer.
    ///
    /// # Panics
    ///
    /// If it is under way.
    fn begin(&mut self, buf: Vec<u8>);

    /// # Panics
    ///
    /// If it is not under way.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<BufResult<T, Vec<u8>>>;
}

/// The operation that `make` gives for each buffer.
///
/// The futures that the traits return have no name, so they are named by inference here, and hidden behind the
/// trait object. All of them have one type, so one box holds each in turn: nothing is allocated per operation.
pub(crate) fn operation<M, F, T>(make: M) -> Box<dyn Operation<T>>
where
    M: FnMut(Vec<u8>) -> F + 'static,
    F: Future<Output = BufResult<T, Vec<u8>>> + 'static,
{
    Box::new(Slot { make, future: Box::pin(None) })
}

struct Slot<M, F> {
    make: M,
    future: Pin<Box<Option<F>>>,
}

impl<M, F, T> Operation<T> for Slot<M, F>
where
    M: FnMut(Vec<u8>) -> F,
    F: Future<Output = BufResult<T, Vec<u8>>>,
{
    fn begin(&mut self, buf: Vec<u8>) {
        assert!(self.future.is_none(), "an operation was begun while one was under way");
        let future = (self.make)(buf);
        self.future.set(Some(future));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<BufResult<T, Vec<u8>>> {
        let future = self.future.as_mut().as_pin_mut().expect("an operation is polled only while under way");
        let outcome = ready!(future.poll(cx));
        self.future.set(None);
        Poll::Ready(outcome)
    }
}
