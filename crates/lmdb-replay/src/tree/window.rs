//! A run of pages in memory, so that a walk in order costs one read for many pages.

use crate::data_file::DataFile;
use crate::error::ReadError;
use crate::read_at::ReadAt;

/// The last run of pages that was read. Its memory is bounded by [`RUN_BYTES_MAX`], or one page if that is larger.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    first: u64,
    count: u64,
    /// How many pages the next run has, if it is near.
    run: u64,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), first: 0, count: 0, run: 1 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes page `page`, which is in the file, part of the run, and returns where it begins in [`Self::bytes`].
    ///
    /// After an error the run is empty.
    pub(crate) fn load<R: ReadAt + ?Sized>(
        &mut self,
        file: &DataFile<R>,
        page: u64,
    ) -> Result<usize, ReadError> {
        let page_bytes = file.page_bytes();
        if !(self.first..self.first + self.count).contains(&page) {
            let run_max = (RUN_BYTES_MAX / page_bytes).max(1) as u64;
            let is_near = page.abs_diff(self.first + self.count) <= 2 * run_max;
            self.run = if is_near { (self.run * 4).min(run_max) } else { 1 };
            // Writers put pages that follow each other a little out of order. What was in the last run is not wanted.
            let end = self.first + self.count;
            let behind = (page & !(BEHIND_PAGES - 1)).max(if page >= end { end } else { 0 });
            let first = if self.run == 1 { page } else { behind };
            // The two meta pages are never wanted.
            let first = first.max(2).min(page);
            let count = (page - first + self.run).min(file.page_count() - first);
            self.count = 0;
            self.bytes.resize(usize::try_from(count).expect("a run is short") * page_bytes, 0);
            file.read_pages(first, &mut self.bytes)?;
            (self.first, self.count) = (first, count);
        }
        Ok(usize::try_from(page - self.first).expect("a run is short") * page_bytes)
    }

    /// The pages from `page` on, if `count` of them are in the run.
    pub(crate) fn get<R: ReadAt + ?Sized>(&self, file: &DataFile<R>, page: u64, count: u64) -> Option<&[u8]> {
        let skipped = usize::try_from(page.checked_sub(self.first)?).ok()?;
        let count = usize::try_from(count).ok()?;
        let start = skipped.checked_mul(file.page_bytes())?;
        self.bytes.get(start..)?.get(..count.checked_mul(file.page_bytes())?)
    }
}

const RUN_BYTES_MAX: usize = 256 * 1024;
const BEHIND_PAGES: u64 = 16;
