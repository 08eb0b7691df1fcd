//! Files and names that survive a crash.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the names in the folder `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
