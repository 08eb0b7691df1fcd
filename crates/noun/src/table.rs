//! A hash table for hashes that are already there, in which nothing depends on addresses or seeds.

/// Values by hash; whether a value is the one that is looked for, the caller says.
#[derive(Debug)]
pub(crate) struct Table<V> {
    /// Number of an entry plus one, or 0 for a free place. A power of two in length, at most half full.
    places: Vec<u32>,
    entries: Vec<(u32, V)>,
}

impl<V> Table<V> {
    pub(crate) fn new() -> Self {
        Self { places: vec![0; 16], entries: Vec::new() }
    }

    /// Adds a value that is not in it yet.
    pub(crate) fn insert(&mut self, hash: u32, value: V) {
        self.entries.push((hash, value));
        if self.entries.len() * 2 > self.places.len() {
            self.places = vec![0; self.places.len() * 2];
            for number in 0..self.entries.len() {
                self.place(number);
            }
        } else {
            self.place(self.entries.len() - 1);
        }
    }

    /// The value with this hash for which `is_it` holds.
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(&V) -> bool) -> Option<&V> {
        let mut at = self.home(hash);
        while let Some(number) = self.places[at].checked_sub(1) {
            let (found, value) = &self.entries[number as usize];
            if *found == hash && is_it(value) {
                return Some(value);
            }
            at = (at + 1) & (self.places.len() - 1);
        }
        None
    }

    fn place(&mut self, number: usize) {
        let mut at = self.home(self.entries[number].0);
        while self.places[at] != 0 {
            at = (at + 1) & (self.places.len() - 1);
        }
        self.places[at] = u32::try_from(number + 1).expect("fewer than 2^32 nouns fit into memory");
    }

    /// Where the search for a hash starts. Mugs and what [`spread`] gives differ in their low bits.
    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.places.len() - 1)
    }
}

/// A hash of a number: that of MurmurHash3's 64-bit finalizer, whose every bit depends on all of them.
pub(crate) fn spread(number: u64) -> u32 {
    let mixed = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    let [_, _, _, _, high @ ..] = (mixed ^ (mixed >> 33)).to_le_bytes();
    u32::from_le_bytes(high)
}
