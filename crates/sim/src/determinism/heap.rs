//! Makes a heap's addresses come in another order.

use crate::draws::{Stream, scale};

/// Blocks that stay until this is dropped; between them are holes, freed in random order, which the allocator hands
/// out in an order of its own. A program whose values are allocated one after another finds them at rising addresses
/// on a fresh heap; here it does not.
pub(super) struct Shuffled {
    _kept: Vec<Vec<u8>>,
}

impl Shuffled {
    /// Blocks of all small sizes, as `seed` shuffles them.
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Stream::from_seed(seed).fork("heap");
        let mut kept = Vec::new();
        for size in (BYTES_STEP..=BYTES_MAX).step_by(BYTES_STEP) {
            let mut blocks: Vec<Vec<u8>> = (0..2 * HOLES).map(|_| Vec::with_capacity(size)).collect();
            // Every other one stays, so that holes do not become one.
            let mut holes = Vec::with_capacity(HOLES);
            while let Some(hole) = blocks.pop() {
                holes.push(hole);
                kept.extend(blocks.pop());
            }
            while !holes.is_empty() {
                let place = scale(random.next_u64(), holes.len() as u64);
                drop(holes.swap_remove(usize::try_from(place).unwrap_or(0)));
            }
        }
        Self { _kept: kept }
    }
}

const BYTES_STEP: usize = 16;
const BYTES_MAX: usize = 1024;
/// Holes of each size.
const HOLES: usize = 32;
