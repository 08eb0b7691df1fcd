//! A stack that threads push to and one takes whole (R. K. Treiber, 1986), linked through its nodes: neither side
//! ever waits for the other.

use std::ptr::{self, NonNull};

use super::sync::{AtomicPtr, Ordering};

/// The stack, of nodes that it does not own.
pub(super) struct Stack<N> {
    top: AtomicPtr<N>,
}

/// Something with a link.
///
/// # Safety
///
/// The link is the same at each call, and touched by nothing else while the node is in a stack.
pub(super) unsafe trait Node: Sized {
    fn link(&self) -> &AtomicPtr<Self>;
}

impl<N: Node> Stack<N> {
    pub(super) fn new() -> Self {
        Self { top: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Puts a node on top, or gives it back if the stack was closed.
    ///
    /// # Safety
    ///
    /// The node is in no stack, and lives until it was taken out.
    pub(super) unsafe fn push(&self, node: NonNull<N>) -> Result<(), NonNull<N>> {
        let mut top = self.top.load(Ordering::Relaxed);
        loop {
            if top == closed() {
                return Err(node);
            }
            // SAFETY: the node lives.
            unsafe { node.as_ref() }.link().store(top, Ordering::Relaxed);
            match self.top.compare_exchange_weak(top, node.as_ptr(), Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => top = now,
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.top.load(Ordering::Relaxed).is_null()
    }

    /// Takes all nodes out, in the order in which they came.
    pub(super) fn take(&self, each: impl FnMut(NonNull<N>)) {
        unstack(self.top.swap(ptr::null_mut(), Ordering::Acquire), each);
    }

    /// Takes all nodes out, and any more for ever.
    pub(super) fn close(&self, each: impl FnMut(NonNull<N>)) {
        unstack(self.top.swap(closed(), Ordering::Acquire), each);
    }
}

impl<N> std::fmt::Debug for Stack<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").finish_non_exhaustive()
    }
}

fn unstack<N: Node>(top: *mut N, mut each: impl FnMut(NonNull<N>)) {
    if top == closed() {
        return;
    }
    // What came last is on top: turned around, the links point the other way.
    let mut turned: *mut N = ptr::null_mut();
    let mut next = NonNull::new(top);
    while let Some(node) = next {
        // SAFETY: whoever pushed it promised that it lives, and it was taken out with all others, so the links are
        // this thread's.
        let link = unsafe { node.as_ref() }.link();
        next = NonNull::new(link.load(Ordering::Relaxed));
        link.store(turned, Ordering::Relaxed);
        turned = node.as_ptr();
    }
    let mut next = NonNull::new(turned);
    while let Some(node) = next {
        // SAFETY: as above; `each` is not given it yet.
        next = NonNull::new(unsafe { node.as_ref() }.link().load(Ordering::Relaxed));
        each(node);
    }
}

/// What the top of a closed stack is: nothing lies so close to address zero.
fn closed<N>() -> *mut N {
    ptr::without_provenance_mut(align_of::<N>())
}
