//! Keeps panics of simulated tasks off standard error: a campaign over many seeds has them by the thousand, and its
//! report tells each with the place where it happened.

use std::cell::{Cell, RefCell};
use std::panic;
use std::sync::Once;

/// Until the guard is dropped, panics of this thread are not printed, and where they happened is kept.
pub(super) fn quiet() -> QuietGuard {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if IS_QUIET.get() {
                LOCATION.with_borrow_mut(|last| *last = info.location().map(ToString::to_string));
            } else {
                before(info);
            }
        }));
    });
    QuietGuard { before: IS_QUIET.replace(true) }
}

/// Where the last panic of this thread happened, if panics are kept off standard error now.
pub(crate) fn take_location() -> Option<String> {
    LOCATION.with_borrow_mut(Option::take)
}

/// Lets panics be printed again.
pub(super) struct QuietGuard {
    before: bool,
}

impl Drop for QuietGuard {
    fn drop(&mut self) {
        IS_QUIET.set(self.before);
    }
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}
