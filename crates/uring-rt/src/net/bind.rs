//! Addresses that a process which was killed has not given up yet.

use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::TimeProvider;

use crate::core::Core;
use crate::time::UringTime;

/// How long an address may be in use before that is believed.
const PATIENCE: Duration = Duration::from_secs(1);
const BETWEEN: Duration = Duration::from_millis(5);

/// What `bind` comes to, tried again for a while if the address is in use.
///
/// The kernel takes a ring apart on a thread of its own, after whoever waits for the process has been told that it is
/// gone, and until then what the ring accepts on or receives from is open: 8 to 20 ms were measured on Linux 6.18. Who
/// is started again at once must not fail for that.
pub(crate) async fn bind<T>(core: Rc<Core>, bind: impl Fn(Rc<Core>) -> io::Result<T>) -> io::Result<T> {
    let time = UringTime(Rc::clone(&core));
    let deadline = time.now() + PATIENCE;
    loop {
        match bind(Rc::clone(&core)) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && time.now() < deadline => {
                time.sleep(BETWEEN).await;
            }
            done => return done,
        }
    }
}
