//! How long something takes, the same for whoever is measured.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// Does `work`, which gives the number of its operations, and prints that number, the nanoseconds that it took, and
/// those that this process used of a processor, which do not grow with what else runs on the machine.
pub(crate) fn measure(work: impl FnOnce() -> u64) {
    let (start, used) = (Instant::now(), processor_nanos());
    let operations = work();
    println!("{operations} {} {}", start.elapsed().as_nanos(), processor_nanos() - used);
}

fn processor_nanos() -> i64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
