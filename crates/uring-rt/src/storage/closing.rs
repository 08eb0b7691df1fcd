//! Closing a descriptor on the ring, so that whoever lets go of a file never waits for the disk.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::rc::Rc;
use std::task::Waker;

use crate::core::Core;
use crate::sys::{Attendance, Completion, Owner, Prepared, RingId, outcome};
use crate::waiters::Waiters;

/// A close under way.
pub(super) struct Closing {
    /// Until the kernel took it.
    fd: RefCell<Option<OwnedFd>>,
    result: Cell<Option<i32>>,
    waiters: Waiters,
}

impl Closing {
    /// Closes `fd` on the ring, or at once if the runtime has ended.
    pub(super) fn start(core: &Core, fd: OwnedFd) -> Rc<Self> {
        let prepared = Prepared::close(&fd);
        let this = Rc::new(Self {
            fd: RefCell::new(Some(fd)),
            result: Cell::new(None),
            waiters: Waiters::default(),
        });
        let owner = Rc::clone(&this) as Rc<dyn Owner>;
        let started =
            core.driver.borrow_mut().start(RingId::Main, prepared, Some(owner), 0, Attendance::Detached);
        if started.is_err() {
            drop(this.fd.take());
            this.result.set(Some(0));
        }
        this
    }

    /// Waits for the end, and tells what the kernel said.
    pub(super) async fn ended(&self) -> io::Result<()> {
        outcome(self.waiters.until(|| self.result.get()).await).map(|_| ())
    }
}

impl Owner for Closing {
    fn completed(self: Rc<Self>, completion: Completion) {
        let fd = self.fd.take();
        let result = if completion.result == -libc::ECANCELED {
            // The runtime ends, and the kernel did not begin.
            drop(fd);
            0
        } else {
            // Closed, even if with an error: the number may be another file's by now.
            let _ = fd.map(IntoRawFd::into_raw_fd);
            completion.result
        };
        self.result.set(Some(result));
        self.waiters.notify();
    }

    fn each_waiter(&self, each: &mut dyn FnMut(&Waker, Option<&'static str>)) {
        self.waiters.each(|waker| each(waker, None));
    }
}
