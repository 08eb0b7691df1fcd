//! Values that live on a shard, and that other threads know by a number.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names a value on each shard that has one for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ResidentId(u64);

/// The values of one shard. They are dropped there, at the latest when the shard shuts down.
#[derive(Debug, Default)]
pub(crate) struct Residents(RefCell<BTreeMap<ResidentId, Rc<dyn Any>>>);

impl ResidentId {
    /// One that was never given out in this process.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Residents {
    pub(crate) fn insert(&self, id: ResidentId, value: Rc<dyn Any>) {
        let before = self.0.borrow_mut().insert(id, value);
        drop(before);
    }

    pub(crate) fn get<T: 'static>(&self, id: ResidentId) -> Option<Rc<T>> {
        let value = Rc::clone(self.0.borrow().get(&id)?);
        Some(value.downcast().expect("the number and the type come from one handle"))
    }

    pub(crate) fn remove<T: 'static>(&self, id: ResidentId) -> Option<Rc<T>> {
        let value = self.0.borrow_mut().remove(&id)?;
        Some(value.downcast().expect("the number and the type come from one handle"))
    }

    /// Drops all, outside of any borrow: what one drops may remove others.
    pub(crate) fn clear(&self) {
        loop {
            let first = self.0.borrow_mut().pop_first();
            let Some(value) = first else { return };
            drop(value);
        }
    }
}
