//! Files and names that survive a crash.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the names in the folder `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Replaces the file `name` in `dir` by `bytes`, or leaves it: by a new file and a rename, each made durable.
#[cfg(feature = "vere")]
pub(crate) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.tmp"));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, dir.join(name))?;
    sync_dir(dir)
}
