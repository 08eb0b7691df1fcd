//! A value on every shard, and values that stay on one.

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use crate::residents::ResidentId;
use crate::shards::{CallError, Caller, Shard, Submitted};

/// A value of one kind on every shard, each made, used and dropped at home. Clones are the same values.
///
/// Values that were not [stopped](Self::stop) are dropped when their shard ends, on its thread.
///
/// ```
/// use std::cell::Cell;
///
/// use samestep_uring_rt::{DriverChoice, Runtime, Sharded, run_shards};
///
/// let builder = Runtime::builder().driver(DriverChoice::RingOrThreads);
/// let sums = run_shards(2, &builder, |shard| async move {
///     if shard.number() > 0 {
///         return Ok(0);
///     }
///     // A `Cell` is not `Sync`, and need not be.
///     let counters = Sharded::start(&shard.caller(), |shard| async move { Cell::new(shard.number()) }).await?;
///     counters.invoke_on(1, |counter| async move { counter.set(counter.get() + 10) }).await?;
///     let sum = counters.map_reduce(|counter| async move { counter.get() }, 0, |sum, count| sum + count).await?;
///     counters.stop(|_counter| async {}).await?;
///     Ok::<_, samestep_uring_rt::CallError>(sum)
/// })?;
/// assert_eq!(sums, [Ok(11), Ok(0)]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Sharded<T> {
    caller: Caller,
    id: ResidentId,
    of: PhantomData<fn() -> T>,
}

/// A value of one shard that others may hold on to, send on, and let go, but not touch: it is used and dropped at home.
/// Made by [`Shard::keep`].
pub struct AtHome<T: 'static> {
    caller: Caller,
    home: usize,
    id: ResidentId,
    of: PhantomData<fn() -> T>,
}

impl<T: 'static> Sharded<T> {
    /// Makes a value on each shard.
    ///
    /// # Errors
    ///
    /// [`CallError`] if a shard has ended, or `make` panicked. Then those that were made are dropped again.
    pub async fn start<M, Fut>(caller: &Caller, make: M) -> Result<Self, CallError>
    where
        M: Fn(Shard) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = T> + 'static,
    {
        let sharded = Self { caller: caller.clone(), id: ResidentId::next(), of: PhantomData };
        let id = sharded.id;
        let all = sharded.on_all(|target| {
            let make = make.clone();
            caller.submit_within(target, move |shard| async move {
                let core = Rc::clone(shard.core());
                core.residents.insert(id, Rc::new(make(shard).await));
            })
        });
        match all.await {
            Ok(_) => Ok(sharded),
            Err(error) => {
                // Whoever has ended has dropped its value already.
                let _ = sharded.stop(|_| async {}).await;
                Err(error)
            }
        }
    }

    /// The value of the shard that this is called on, unless it was stopped.
    pub fn local(&self, shard: &Shard) -> Option<Rc<T>> {
        shard.core().residents.get(self.id)
    }

    /// Runs what `call` makes of the value of shard `target`, there, and gives its output.
    ///
    /// # Errors
    ///
    /// [`CallError`] if there is no such shard, it has ended, its value was stopped, or the call panicked.
    pub async fn invoke_on<C, Fut, R>(&self, target: usize, call: C) -> Result<R, CallError>
    where
        C: FnOnce(Rc<T>) -> Fut + Send + 'static,
        Fut: Future<Output = R> + 'static,
        R: Send + 'static,
    {
        self.submit(target, call).await?.ok_or(CallError::Stopped { shard: target })
    }

    /// Runs what `call` makes of each value, all at the same time, and gives the outputs in the order of the shards.
    ///
    /// # Errors
    ///
    /// The first of those of [`Self::invoke_on`], after all have ended.
    pub async fn invoke_on_all<C, Fut, R>(&self, call: C) -> Result<Vec<R>, CallError>
    where
        C: Fn(Rc<T>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = R> + 'static,
        R: Send + 'static,
    {
        let outputs = self.on_all(|target| self.submit(target, call.clone())).await?;
        (0..).zip(outputs).map(|(shard, output)| output.ok_or(CallError::Stopped { shard })).collect()
    }

    /// As [`Self::invoke_on_all`], with the outputs put together by `reduce`, in the order of the shards.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn map_reduce<C, Fut, R, A>(
        &self,
        map: C,
        initial: A,
        reduce: impl FnMut(A, R) -> A,
    ) -> Result<A, CallError>
    where
        C: Fn(Rc<T>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = R> + 'static,
        R: Send + 'static,
    {
        Ok(self.invoke_on_all(map).await?.into_iter().fold(initial, reduce))
    }

    /// Takes the values out, so that no call finds them any more, has each end as `end` says, and drops it at home once
    /// the last call that has it is over.
    ///
    /// # Errors
    ///
    /// The first [`CallError`], after all have ended. Values that are not there any more are none.
    pub async fn stop<C, Fut>(&self, end: C) -> Result<(), CallError>
    where
        C: Fn(Rc<T>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = ()> + 'static,
    {
        let id = self.id;
        let ended = self.on_all(|target| {
            let end = end.clone();
            self.caller.submit_within(target, move |shard| async move {
                let value = shard.core().residents.remove::<T>(id);
                if let Some(value) = value {
                    end(value).await;
                }
            })
        });
        ended.await.map(|_| ())
    }

    fn submit<C, Fut, R>(&self, target: usize, call: C) -> Submitted<Option<R>>
    where
        C: FnOnce(Rc<T>) -> Fut + Send + 'static,
        Fut: Future<Output = R> + 'static,
        R: Send + 'static,
    {
        submit_to_resident(&self.caller, target, self.id, call)
    }

    async fn on_all<R>(&self, submit: impl Fn(usize) -> Submitted<R>) -> Result<Vec<R>, CallError> {
        join_all((0..self.caller.count()).map(submit).collect()).await.into_iter().collect()
    }
}

impl<T: 'static> AtHome<T> {
    pub(crate) fn new(shard: &Shard, value: T) -> Self {
        let id = ResidentId::next();
        shard.core().residents.insert(id, Rc::new(value));
        Self { caller: shard.caller(), home: shard.number(), id, of: PhantomData }
    }

    /// The shard that has the value.
    pub fn home(&self) -> usize {
        self.home
    }

    /// The value, if this is called on its shard.
    pub fn local(&self, shard: &Shard) -> Option<Rc<T>> {
        shard.core().residents.get(self.id)
    }

    /// Runs what `call` makes of the value, at home, and gives its output.
    ///
    /// # Errors
    ///
    /// [`CallError`] if the shard has ended, or the call panicked.
    pub async fn invoke<C, Fut, R>(&self, call: C) -> Result<R, CallError>
    where
        C: FnOnce(Rc<T>) -> Fut + Send + 'static,
        Fut: Future<Output = R> + 'static,
        R: Send + 'static,
    {
        let output = submit_to_resident(&self.caller, self.home, self.id, call).await?;
        Ok(output.expect("the value is there as long as this is"))
    }
}

impl<T: 'static> Drop for AtHome<T> {
    fn drop(&mut self) {
        let id = self.id;
        // Not bounded by the inbox, as a drop cannot wait; by the number of such values instead.
        self.caller.post(self.home, move |core| drop(core.residents.remove::<T>(id)));
    }
}

fn submit_to_resident<T: 'static, C, Fut, R>(
    caller: &Caller,
    target: usize,
    id: ResidentId,
    call: C,
) -> Submitted<Option<R>>
where
    C: FnOnce(Rc<T>) -> Fut + Send + 'static,
    Fut: Future<Output = R> + 'static,
    R: Send + 'static,
{
    caller.submit_within(target, move |shard| async move {
        let value = shard.core().residents.get(id)?;
        Some(call(value).await)
    })
}

/// All outcomes, in order, once all are there.
async fn join_all<R>(mut calls: Vec<Submitted<R>>) -> Vec<Result<R, CallError>> {
    let mut outcomes: Vec<Option<Result<R, CallError>>> = calls.iter().map(|_| None).collect();
    poll_fn(move |cx| {
        for (call, outcome) in calls.iter_mut().zip(&mut outcomes) {
            if outcome.is_none()
                && let Poll::Ready(ended) = Pin::new(call).poll(cx)
            {
                *outcome = Some(ended);
            }
        }
        if outcomes.iter().any(Option::is_none) {
            return Poll::Pending;
        }
        Poll::Ready(outcomes.drain(..).flatten().collect())
    })
    .await
}

impl<T> Clone for Sharded<T> {
    fn clone(&self) -> Self {
        Self { caller: self.caller.clone(), ..*self }
    }
}

impl<T> fmt::Debug for Sharded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sharded").field("shards", &self.caller.count()).finish_non_exhaustive()
    }
}

impl<T: 'static> fmt::Debug for AtHome<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtHome").field("home", &self.home).finish_non_exhaustive()
    }
}
