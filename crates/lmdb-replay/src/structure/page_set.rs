//! A set of pages, a bit each.

/// Pages from 0 to a limit that is set at the beginning.
#[derive(Debug)]
pub(crate) struct PageSet {
    words: Vec<u64>,
    len: u64,
}

impl PageSet {
    /// The empty set of pages less than `page_count`.
    pub(crate) fn new(page_count: u64) -> Self {
        let words = usize::try_from(page_count.div_ceil(64)).expect("a file's pages can be counted");
        Self { words: vec![0; words], len: 0 }
    }

    /// Adds a page less than the limit. `false` if it is in the set already.
    pub(crate) fn insert(&mut self, page: u64) -> bool {
        let word = &mut self.words[usize::try_from(page / 64).expect("the page is less than the limit")];
        let bit = 1 << (page % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        self.len += u64::from(is_new);
        is_new
    }

    /// How many pages there are.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }
}
