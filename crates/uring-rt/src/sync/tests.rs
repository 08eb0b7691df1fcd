use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::{
    Barrier, CancelToken, Gate, GateClosed, Mutex, Notify, OnceCell, RecvError, RwLock, Semaphore,
    SenderGone, TryAcquireError, TrySendError, broadcast, channel, unbounded_channel, watch,
};

/// Counts how often it was woken.
#[derive(Default)]
struct Wakes(AtomicU32);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A future that is polled by hand, as a task that is polled only when it was woken.
struct Polled<'a, T> {
    future: Pin<Box<dyn Future<Output = T> + 'a>>,
    wakes: Arc<Wakes>,
    seen: u32,
}

impl<'a, T> Polled<'a, T> {
    /// Polled once, and waiting.
    #[track_caller]
    fn waiting(future: impl Future<Output = T> + 'a) -> Self {
        let mut polled = Self { future: Box::pin(future), wakes: Arc::default(), seen: 0 };
        assert!(polled.poll().is_pending(), "it was to wait");
        polled
    }

    fn poll(&mut self) -> Poll<T> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn was_woken(&mut self) -> bool {
        let wakes = self.wakes.0.load(Ordering::Relaxed);
        std::mem::replace(&mut self.seen, wakes) != wakes
    }

    /// What it ends with, now that it was woken.
    #[track_caller]
    fn woken(mut self) -> T {
        assert!(self.was_woken(), "nobody woke it");
        match self.poll() {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("it was woken and waits on"),
        }
    }

    /// It waits, and is right to.
    #[track_caller]
    fn still_waits(&mut self) {
        assert!(!self.was_woken(), "it was woken");
        assert!(self.poll().is_pending(), "nobody woke it, and it is over");
    }
}

#[track_caller]
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn permits_go_to_those_who_came_first() {
    let semaphore = Semaphore::new(3);
    let mut held = now(semaphore.acquire(3)).unwrap();
    let large = Polled::waiting(semaphore.acquire(2));
    let mut small = Polled::waiting(semaphore.acquire(1));
    drop(held.split(1));
    // One is free, but the first in line wants two.
    small.still_waits();
    assert_eq!(semaphore.try_acquire(1).unwrap_err(), TryAcquireError::NoPermits);
    drop(held.split(1));
    assert_eq!((held.count(), large.woken().unwrap().count()), (1, 2));
    assert_eq!(small.woken().unwrap().count(), 1);
    drop(held);
    assert_eq!(semaphore.available(), 3);
}

/// Who gives up makes room in the line, and hands on what it had been given.
#[test]
fn who_gives_up_waiting_for_permits_takes_none() {
    let semaphore = Semaphore::new(1);
    let held = now(semaphore.acquire(1)).unwrap();
    let large = Polled::waiting(semaphore.acquire(2));
    let first = Polled::waiting(semaphore.acquire(1));
    let second = Polled::waiting(semaphore.acquire(1));
    drop(held);
    // The large request held up the others; without it the first goes on.
    drop(large);
    assert_eq!(semaphore.available(), 0, "it is the first one's");
    drop(first);
    drop(second.woken());
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_closed_semaphore_gives_no_permits() {
    let semaphore = Semaphore::new(0);
    let waiting = Polled::waiting(semaphore.acquire(1));
    semaphore.close();
    waiting.woken().unwrap_err();
    now(semaphore.acquire(0)).unwrap_err();
    assert_eq!(semaphore.try_acquire(0).unwrap_err(), TryAcquireError::Closed);
}

#[test]
fn forgotten_permits_are_gone_and_added_ones_are_there() {
    let semaphore = Semaphore::new(1);
    semaphore.try_acquire(1).unwrap().forget();
    assert_eq!(semaphore.available(), 0);
    let waiting = Polled::waiting(semaphore.acquire(2));
    semaphore.add(2);
    drop(waiting.woken());
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn a_mutex_goes_from_one_to_the_next() {
    let mutex = Mutex::new(0);
    let mut first = now(mutex.lock());
    let second = Polled::waiting(async { *mutex.lock().await += 10 });
    assert!(mutex.try_lock().is_none());
    *first += 1;
    drop(first);
    assert!(mutex.try_lock().is_none(), "it is the second one's, who waited");
    second.woken();
    assert_eq!(mutex.into_inner(), 11);
}

#[test]
fn writers_wait_for_readers_and_readers_for_writers_before_them() {
    let lock = RwLock::new(1);
    let (one, two) = (now(lock.read()), now(lock.read()));
    let mut writer = Polled::waiting(async { *lock.write().await = 2 });
    let late = Polled::waiting(async { *lock.read().await });
    assert!(lock.try_read().is_none(), "a writer waits");
    drop(one);
    writer.still_waits();
    drop(two);
    writer.woken();
    assert_eq!(late.woken(), 2);
    assert_eq!(*lock.try_write().unwrap(), 2);
}

#[test]
fn a_gate_closes_behind_the_last() {
    let gate = Gate::new();
    let (one, two) = (gate.enter().unwrap(), gate.enter().unwrap());
    let mut closing = Polled::waiting(gate.close());
    assert_eq!(gate.enter().unwrap_err(), GateClosed);
    drop(one);
    closing.still_waits();
    drop(two);
    closing.woken();
    now(gate.close());
}

#[test]
fn a_signal_passes_one_and_is_kept_once() {
    let notify = Notify::new();
    notify.notify_one();
    notify.notify_one();
    now(notify.notified());
    let first = Polled::waiting(notify.notified());
    let second = Polled::waiting(notify.notified());
    let mut third = Polled::waiting(notify.notified());
    notify.notify_one();
    // Told, and gone before it looked: the next is told.
    drop(first);
    second.woken();
    third.still_waits();
    notify.notify_all();
    let mut late = Polled::waiting(notify.notified());
    // Told with all others: that is nobody else's business.
    drop(third);
    late.still_waits();
}

#[test]
fn a_value_is_made_once_and_by_the_next_if_the_first_gives_up() {
    let cell = OnceCell::new();
    let first = Polled::waiting(cell.get_or_init(std::future::pending::<u8>));
    let second = Polled::waiting(cell.get_or_try_init(|| async { Err::<u8, _>("failed") }));
    let third = Polled::waiting(cell.get_or_init(|| async { 7 }));
    drop(first);
    assert_eq!(second.woken(), Err("failed"));
    assert_eq!((*third.woken(), cell.get()), (7, Some(&7)));
    assert_eq!(now(cell.get_or_init(|| async { 8 })), &7);
    assert_eq!(cell.set(9), Err(9));
}

#[test]
fn a_barrier_lets_groups_through() {
    let barrier = Barrier::new(3);
    for _ in 0..2 {
        let one = Polled::waiting(barrier.wait());
        // Who gives up has not come.
        drop(Polled::waiting(barrier.wait()));
        let mut two = Polled::waiting(barrier.wait());
        two.still_waits();
        assert!(now(barrier.wait()), "the last is the one");
        assert!(!one.woken() && !two.woken());
    }
    assert!(now(Barrier::new(0).wait()));
}

#[test]
fn children_are_cancelled_with_their_parent_and_not_it_with_them() {
    let parent = CancelToken::new();
    let (child, other) = (parent.child(), parent.child());
    let grandchild = child.child();
    let waiting = Polled::waiting(grandchild.cancelled());
    let mut alone = Polled::waiting(other.cancelled());
    child.cancel();
    waiting.woken();
    assert!(!parent.is_cancelled());
    alone.still_waits();
    let running = Polled::waiting(other.run(std::future::pending::<()>()));
    assert_eq!(now(other.run(async { 5 })), Some(5));
    parent.cancel();
    alone.woken();
    assert_eq!(running.woken(), None);
    assert!(parent.child().is_cancelled(), "a child of what was cancelled");
}

/// A token that many tasks have had a child of keeps none that is gone.
#[test]
fn children_that_are_gone_are_not_kept() {
    let parent = CancelToken::new();
    for _ in 0..10_000 {
        drop(parent.child());
    }
    assert!(parent.children() < 100, "{} children", parent.children());
}

#[test]
fn who_watches_sees_the_newest() {
    let (sender, mut receiver) = watch(0);
    sender.send(1);
    assert_eq!(sender.send(2), 1);
    let mut other = receiver.clone();
    now(receiver.changed()).unwrap();
    assert_eq!(*receiver.borrow(), 2);
    {
        let changed = Polled::waiting(receiver.changed());
        sender.modify(|value| *value += 1);
        changed.woken().unwrap();
    }
    now(receiver.wait_for(|value| *value == 3)).unwrap();
    // Dropped before it looked: what it was to be told is told again.
    now(other.changed()).unwrap();
    drop(Polled::waiting(other.changed()));
    sender.send(4);
    now(other.changed()).unwrap();
    let mut late = sender.subscribe();
    drop(sender);
    assert_eq!(now(late.changed()), Err(SenderGone));
    assert_eq!(now(late.wait_for(|value| *value == 4)), Ok(()));
}

#[test]
fn everybody_gets_every_value_or_is_told() {
    let (sender, mut slow) = broadcast(2);
    let mut quick = sender.subscribe();
    {
        let receiving = Polled::waiting(quick.recv());
        sender.send(1);
        assert_eq!(receiving.woken(), Ok(1));
    }
    sender.send(2);
    sender.send(3);
    let mut late = sender.subscribe();
    assert_eq!(late.try_recv(), Ok(None));
    assert_eq!(now(slow.recv()), Err(RecvError::Lagged { missed: 1 }));
    for receiver in [&mut slow, &mut quick] {
        assert_eq!((now(receiver.recv()), now(receiver.recv())), (Ok(2), Ok(3)));
    }
    let other = sender.clone();
    drop(sender);
    other.send(4);
    drop(other);
    assert_eq!((now(late.recv()), now(late.recv())), (Ok(4), Err(RecvError::Closed)));
}

#[test]
fn a_channel_keeps_order_and_its_bound() {
    let (sender, mut receiver) = channel(1);
    sender.try_send(1).unwrap();
    let second = Polled::waiting(sender.send(2));
    let mut third = Polled::waiting(sender.send(3));
    assert_eq!(receiver.try_recv(), Some(1));
    assert_eq!(sender.try_send(9), Err(TrySendError::Full(9)), "there is room, but it is the second one's");
    second.woken().unwrap();
    third.still_waits();
    assert_eq!(now(receiver.recv()), Some(2));
    third.woken().unwrap();
    {
        let other = sender.clone();
        drop(sender);
        assert_eq!(now(receiver.recv()), Some(3));
        let mut end = Polled::waiting(receiver.recv());
        end.still_waits();
        drop(other);
        assert_eq!(end.woken(), None);
    }
}

#[test]
fn a_channel_without_receiver_gives_values_back() {
    let (sender, receiver) = channel(1);
    sender.try_send(1).unwrap();
    let waiting = Polled::waiting(sender.send(2));
    drop(receiver);
    assert_eq!(waiting.woken(), Err(2));
    assert_eq!(sender.try_send(3), Err(TrySendError::Closed(3)));
    let (sender, mut receiver) = unbounded_channel();
    (0..1000).for_each(|number| sender.try_send(number).unwrap());
    assert_eq!((receiver.len(), now(receiver.recv())), (1000, Some(0)));
}

/// A send that was given room, and is dropped before it looked, leaves the room to the next.
#[test]
fn a_dropped_send_sends_nothing_and_takes_no_room() {
    let (sender, mut receiver) = channel(1);
    sender.try_send(1).unwrap();
    let first = Polled::waiting(sender.send(2));
    let second = Polled::waiting(sender.send(3));
    assert_eq!(receiver.try_recv(), Some(1));
    drop(first);
    second.woken().unwrap();
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Some(3), None));
}

/// Whoever is woken may use the lock at once, from within the wake.
#[test]
fn wakers_are_called_when_nothing_is_borrowed() {
    thread_local! {
        static AGAIN: RefCell<Option<Rc<Semaphore>>> = const { RefCell::new(None) };
        static LOOKED: Cell<u32> = const { Cell::new(0) };
    }
    struct Looks;
    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            AGAIN.with_borrow(|semaphore| {
                let semaphore = semaphore.as_ref().unwrap();
                assert!(semaphore.try_acquire(1).is_err());
                semaphore.add(1);
            });
            LOOKED.set(LOOKED.get() + 1);
        }
    }
    let semaphore = Rc::new(Semaphore::new(0));
    AGAIN.set(Some(Rc::clone(&semaphore)));
    let mut waiting = Box::pin(semaphore.acquire(1));
    let waker = Waker::from(Arc::new(Looks));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    semaphore.add(1);
    assert_eq!((LOOKED.get(), semaphore.available()), (1, 1));
    drop(waiting);
    assert_eq!(semaphore.available(), 2, "what it was given and did not look at");
}
