//! Disks without a world.

use crate::choice::Choices;
use crate::fault::FaultLog;
use crate::kernel::Kernel;
use crate::trace::{Keep, Trace};

use super::DiskDue;

/// Time, events and decisions of this seed.
pub(super) fn kernel(seed: u64) -> Kernel<DiskDue> {
    Kernel::new(Choices::drawn(seed), Trace::new(&Keep::Hash), FaultLog::keeping())
}
