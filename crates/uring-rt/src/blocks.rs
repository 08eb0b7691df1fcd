//! Which parts of one region of memory are taken: blocks of some sizes, without the memory itself.
//!
//! Sizes are the powers of two of a page. A block that is given back waits for the next of its size; neighbours are
//! joined only when a larger one is wanted and there is none, so that what is taken and given back again and again
//! costs a few instructions each time (buddies, after Knowlton 1965, joined late).

/// The free blocks of a region.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// Of each order, the pages at which free blocks begin. Each block begins at a multiple of its own size.
    free: [Vec<u32>; ORDERS],
    pages_free: u32,
    /// Nothing was given back since all neighbours were joined.
    is_joined: bool,
}

/// A block that was taken. The only handle to it; whoever has it [gives it back](Blocks::give).
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a block that is not given back is lost"]
pub(crate) struct Block {
    page: u32,
    order: u8,
}

impl Blocks {
    /// All of `pages` pages, free.
    ///
    /// # Panics
    ///
    /// If that is more than `u32` counts, less one.
    pub(crate) fn new(pages: u32) -> Self {
        assert!(pages < u32::MAX, "pages are counted in 32 bits");
        let mut this = Self { free: [const { Vec::new() }; ORDERS], pages_free: pages, is_joined: true };
        let mut page = 0;
        while page < pages {
            let order = (pages - page).ilog2().min(page.trailing_zeros()) as usize;
            let order = order.min(ORDERS - 1);
            this.free[order].push(page);
            page += 1 << order;
        }
        this
    }

    /// A block of at least so many bytes, if there is one.
    pub(crate) fn take(&mut self, bytes: usize) -> Option<Block> {
        let order = order_of(bytes)?;
        let mut from = self.first_free(order);
        if from.is_none() && !self.is_joined {
            self.join();
            from = self.first_free(order);
        }
        let from = from?;
        let page = self.free[from].pop().expect("looked at just now");
        // The upper halves of what is too large stay free.
        for half in (usize::from(order)..from).rev() {
            self.free[half].push(page + (1 << half));
        }
        self.pages_free -= 1 << order;
        Some(Block { page, order })
    }

    /// Takes a block back.
    #[expect(clippy::needless_pass_by_value, reason = "the handle is given up")]
    pub(crate) fn give(&mut self, block: Block) {
        self.free[usize::from(block.order)].push(block.page);
        self.pages_free += 1 << block.order;
        self.is_joined = false;
    }

    /// Bytes that are not taken, in whatever pieces.
    pub(crate) fn bytes_free(&self) -> usize {
        self.pages_free as usize * PAGE_BYTES
    }

    fn first_free(&self, order: u8) -> Option<usize> {
        (usize::from(order)..ORDERS).find(|order| !self.free[*order].is_empty())
    }

    /// Joins all free neighbours, as far as it goes.
    fn join(&mut self) {
        for order in 0..ORDERS - 1 {
            let pages = 1 << order;
            let mut single = std::mem::take(&mut self.free[order]);
            // Lowest last, so that memory in use stays together.
            single.sort_unstable_by(|one, other| other.cmp(one));
            let mut left = Vec::with_capacity(single.len());
            while let Some(page) = single.pop() {
                let is_lower_half = page & pages == 0;
                if is_lower_half && single.last() == Some(&(page + pages)) {
                    single.pop();
                    self.free[order + 1].push(page);
                } else {
                    left.push(page);
                }
            }
            left.reverse();
            self.free[order] = left;
        }
        self.is_joined = true;
    }
}

impl Block {
    /// Where it begins, from the region's start.
    pub(crate) fn start_bytes(&self) -> usize {
        self.page as usize * PAGE_BYTES
    }

    /// How long it is.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        PAGE_BYTES << self.order
    }
}

/// The smallest order of which a block has so many bytes.
fn order_of(bytes: usize) -> Option<u8> {
    let pages = bytes.div_ceil(PAGE_BYTES).checked_next_power_of_two()?.max(1);
    let order = pages.trailing_zeros() as usize;
    (order < ORDERS).then(|| u8::try_from(order).expect("orders are few"))
}

/// The unit of all sizes, and what every block is aligned to at least.
pub(crate) const PAGE_BYTES: usize = 4096;
/// The largest block is 2 GiB, more than one operation moves.
const ORDERS: usize = 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Block, Blocks, PAGE_BYTES};

    #[test]
    fn a_block_is_the_next_power_of_two_and_aligned_to_it() {
        let mut blocks = Blocks::new(1024);
        for (bytes, expected) in [(0, 1), (1, 1), (4096, 1), (4097, 2), (12_288, 4), (1 << 20, 256)] {
            let block = blocks.take(bytes).unwrap();
            assert_eq!(block.bytes(), expected * PAGE_BYTES, "{bytes}");
            assert!(block.start_bytes().is_multiple_of(block.bytes()));
        }
        assert_eq!(blocks.take(usize::MAX), None);
        assert_eq!(blocks.take(8 << 20), None, "the region has 4 MiB");
    }

    #[test]
    fn what_was_cut_small_comes_together_again() {
        let mut blocks = Blocks::new(16);
        let small: Vec<Block> = (0..16).map(|_| blocks.take(1).unwrap()).collect();
        assert_eq!((blocks.take(1), blocks.bytes_free()), (None, 0));
        for block in small {
            blocks.give(block);
        }
        let whole = blocks.take(16 * PAGE_BYTES).unwrap();
        assert_eq!(whole.start_bytes(), 0);
    }

    /// A region need not be a power of two long: all of it can be taken.
    #[test]
    fn every_page_can_be_had() {
        for pages in 0..70 {
            let mut blocks = Blocks::new(pages);
            let taken = std::iter::from_fn(|| blocks.take(PAGE_BYTES)).count();
            assert_eq!(taken, pages as usize);
        }
    }

    proptest! {
        /// No two blocks overlap, none leaves the region, and all that was given back can be had again in one piece.
        #[test]
        fn blocks_never_overlap(
            pages in 1_u32..300,
            steps in prop::collection::vec((0_usize..40 * PAGE_BYTES, any::<prop::sample::Index>()), 1..200),
        ) {
            let mut blocks = Blocks::new(pages);
            let mut taken: Vec<Block> = Vec::new();
            for (bytes, which) in steps {
                // More are given back than taken when much is taken.
                if !taken.is_empty() && which.index(3) > 0 && bytes % 2 == 0 {
                    let block = taken.swap_remove(which.index(taken.len()));
                    blocks.give(block);
                } else if let Some(block) = blocks.take(bytes) {
                    prop_assert!(block.bytes() >= bytes);
                    prop_assert!(block.start_bytes() + block.bytes() <= pages as usize * PAGE_BYTES);
                    for other in &taken {
                        let is_apart = block.start_bytes() + block.bytes() <= other.start_bytes()
                            || other.start_bytes() + other.bytes() <= block.start_bytes();
                        prop_assert!(is_apart, "{block:?} {other:?}");
                    }
                    taken.push(block);
                }
                let in_use: usize = taken.iter().map(Block::bytes).sum();
                prop_assert_eq!(blocks.bytes_free(), pages as usize * PAGE_BYTES - in_use);
            }
            for block in taken {
                blocks.give(block);
            }
            let largest = 1 << pages.ilog2();
            prop_assert!(blocks.take(largest * PAGE_BYTES).is_some(), "not all neighbours were joined");
        }
    }
}
