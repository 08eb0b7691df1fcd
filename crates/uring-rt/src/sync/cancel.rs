//! Being told to stop.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use crate::waiters::Waiters;
use crate::waits::WaitsOn;

/// Tells any number of tasks to stop. Clones are the same token; children are cancelled with their parent, and not the
/// other way around.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Rc<Token>);

#[derive(Debug)]
struct Token {
    is_cancelled: Cell<bool>,
    cancelled: Waiters,
    children: RefCell<Vec<Weak<Token>>>,
}

impl Default for Token {
    fn default() -> Self {
        let (is_cancelled, children) = (Cell::default(), RefCell::default());
        Self { is_cancelled, cancelled: Waiters::on(WaitsOn::Cancellation), children }
    }
}

impl CancelToken {
    /// Not cancelled yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A token that is cancelled when this one is, if not before.
    pub fn child(&self) -> Self {
        let child = Self::default();
        child.0.is_cancelled.set(self.is_cancelled());
        let mut children = self.0.children.borrow_mut();
        // Those that are gone are not kept: a parent of many short-lived ones stays small.
        if children.len() == children.capacity() {
            children.retain(|child| child.strong_count() > 0);
        }
        children.push(Rc::downgrade(&child.0));
        drop(children);
        child
    }

    /// Tells all who hold it, or a child of it, to stop. For good.
    pub fn cancel(&self) {
        // Not by recursion: chains of children may be long.
        let mut tokens = vec![Rc::clone(&self.0)];
        while let Some(token) = tokens.pop() {
            if !token.is_cancelled.replace(true) {
                tokens.extend(token.children.take().iter().filter_map(Weak::upgrade));
                token.cancelled.notify();
            }
        }
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.get()
    }

    /// Waits until it is cancelled.
    pub fn cancelled(&self) -> impl Future<Output = ()> + use<> {
        let token = Rc::clone(&self.0);
        async move { token.cancelled.until_true(|| token.is_cancelled.get()).await }
    }

    /// Runs `future` until it is over or the token is cancelled, and drops it then.
    pub async fn run<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut cancelled = std::pin::pin!(self.cancelled());
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| {
            // What is over counts, even if it was cancelled meanwhile.
            if let std::task::Poll::Ready(output) = future.as_mut().poll(cx) {
                return std::task::Poll::Ready(Some(output));
            }
            cancelled.as_mut().poll(cx).map(|()| None)
        })
        .await
    }
}

#[cfg(test)]
impl CancelToken {
    pub(super) fn children(&self) -> usize {
        self.0.children.borrow().len()
    }
}
