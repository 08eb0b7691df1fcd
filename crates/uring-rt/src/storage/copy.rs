//! Bytes that go from file to file without passing through the program.

use std::future::Future;
use std::io;
use std::ops::Range;

use super::UringFile;

impl UringFile {
    /// Copies a range of this file to `target`, at `offset` there, and tells how many bytes that were: fewer if the file
    /// ends before. The file system may share the blocks instead of copying them; alignment does not matter. Nothing is
    /// durable before a sync of `target`, which waits for a copy that was given up.
    ///
    /// On a thread, as no ring has an operation for it. It does not wait for its turn where devices are scheduled.
    ///
    /// # Errors
    ///
    /// [`CrossesDevices`](io::ErrorKind::CrossesDevices) if the file systems do not copy between each other,
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if both are one file and the ranges overlap,
    /// [`StorageFull`](io::ErrorKind::StorageFull); some bytes may have been copied then.
    ///
    /// # Panics
    ///
    /// If the range ends before it starts.
    pub fn copy_range(
        &self,
        range: Range<u64>,
        target: &Self,
        offset: u64,
    ) -> impl Future<Output = io::Result<u64>> + use<> {
        assert!(range.start <= range.end, "{range:?} ends before it starts");
        let (source, target) = (self.clone(), target.clone());
        async move {
            let from = source.fd()?;
            let copied = target.write_on_thread(move |to| {
                let Range { mut start, end } = range;
                let mut at = offset;
                while start < end {
                    let left = usize::try_from(end - start).unwrap_or(usize::MAX).min(STEP_BYTES);
                    let count =
                        rustix::fs::copy_file_range(&from, Some(&mut start), to, Some(&mut at), left)?;
                    if count == 0 {
                        break;
                    }
                }
                Ok(at)
            });
            Ok(copied.await? - offset)
        }
    }
}

/// A system call copies no more, so that it ends in time when the runtime does.
const STEP_BYTES: usize = 16 << 20;
