//! The thread that makes segments ahead of time, for logs that ask for it: see
//! [`Options::prepares_segments`](crate::Options::prepares_segments).

use crate::commit::Shared;
use crate::disk::Disk;

/// Performs the second lane of operations on `disk`, until it is told to stop.
pub(crate) fn run<D: Disk>(shared: &Shared<D>, mut disk: D) {
    // Dropped when this thread ends, however it does: a rotation must not wait for one that is gone.
    let _post = Post { shared };
    let mut core = shared.lock();
    while !core.background.must_stop {
        if let Some(mut op) = core.log.poll_spare_op() {
            drop(core);
            let outcome = disk.perform(&mut op);
            core = shared.lock();
            core.log.handle_spare_completion(&outcome);
            shared.tell_spared();
        } else {
            core = shared.sleep_until_spare_is_wanted(core);
        }
    }
}

struct Post<'a, D: Disk> {
    shared: &'a Shared<D>,
}

impl<D: Disk> Drop for Post<'_, D> {
    fn drop(&mut self) {
        self.shared.lock().log.abandon_spare();
        self.shared.tell_spared();
    }
}
