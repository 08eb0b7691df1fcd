//! A hash table for hashes that are already there, in which nothing depends on addresses or seeds.

/// Numbers by hash; whether a number is the one that is looked for, the caller says.
#[derive(Debug)]
pub(crate) struct Table {
    /// `hash << 32 | number + 1`, or 0 for a free place. Empty or a power of two in length, at most half full.
    places: Vec<u64>,
    count: usize,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { places: Vec::new(), count: 0 }
    }

    /// Adds a number below `u32::MAX` that is not in it yet.
    pub(crate) fn insert(&mut self, hash: u32, number: u32) {
        if (self.count + 1) * 2 > self.places.len() {
            let full = std::mem::take(&mut self.places);
            self.places = vec![0; (full.len() * 2).max(16)];
            full.into_iter().filter(|place| *place != 0).for_each(|place| self.put(place));
        }
        self.put((u64::from(hash) << 32) | (u64::from(number) + 1));
        self.count += 1;
    }

    /// The number with this hash for which `is_it` holds.
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        if self.places.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        while self.places[at] != 0 {
            let (found, number) = parts(self.places[at]);
            if found == hash && is_it(number - 1) {
                return Some(number - 1);
            }
            at = (at + 1) & (self.places.len() - 1);
        }
        None
    }

    fn put(&mut self, place: u64) {
        let mut at = self.home(parts(place).0);
        while self.places[at] != 0 {
            at = (at + 1) & (self.places.len() - 1);
        }
        self.places[at] = place;
    }

    /// Where the search for a hash starts. Mugs and what [`spread`] gives differ in their low bits.
    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.places.len() - 1)
    }
}

/// The high and the low half.
fn parts(place: u64) -> (u32, u32) {
    let [a, b, c, d, high @ ..] = place.to_le_bytes();
    (u32::from_le_bytes(high), u32::from_le_bytes([a, b, c, d]))
}

/// A hash of a number: that of MurmurHash3's 64-bit finalizer, whose every bit depends on all of them.
pub(crate) fn spread(number: u64) -> u32 {
    let mixed = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    parts(mixed ^ (mixed >> 33)).0
}
