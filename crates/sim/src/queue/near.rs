//! What is near: few keys in a sorted array.

use super::Key;

/// Keys in order, the first of which are taken away.
#[derive(Debug)]
pub(super) struct Near {
    /// Those before `head` were taken.
    keys: Vec<Key>,
    head: usize,
}

impl Near {
    pub(super) const fn new() -> Self {
        Self { keys: Vec::new(), head: 0 }
    }

    #[inline]
    pub(super) fn first(&self) -> Option<Key> {
        self.keys.get(self.head).copied()
    }

    pub(super) fn last(&self) -> Option<Key> {
        self.keys.last().copied()
    }

    /// Takes the first away.
    #[inline]
    pub(super) fn pop(&mut self) {
        self.head += 1;
        if self.head >= self.keys.len() {
            self.keys.clear();
            self.head = 0;
        } else if self.head >= TAKEN_MAX && self.head * 2 >= self.keys.len() {
            self.forget_taken();
        }
    }

    /// Puts `key` in its place, which is looked for from the end if there are few.
    #[inline]
    pub(super) fn insert(&mut self, key: Key) {
        if self.len() > FEW {
            return self.insert_among_many(key);
        }
        self.keys.push(key);
        let keys = &mut self.keys[self.head..];
        let mut place = keys.len() - 1;
        while place > 0 && keys[place - 1] > key {
            keys[place] = keys[place - 1];
            place -= 1;
        }
        keys[place] = key;
    }

    /// Takes `key` away, if it is there.
    pub(super) fn remove(&mut self, key: Key) {
        if let Ok(place) = self.keys[self.head..].binary_search(&key) {
            self.keys.remove(self.head + place);
        }
        if self.head >= self.keys.len() {
            self.keys.clear();
            self.head = 0;
        }
    }

    /// Puts `key` behind all others, wherever it belongs, until [`Self::sort`].
    pub(super) fn push_unsorted(&mut self, key: Key) {
        self.keys.push(key);
    }

    /// Brings the keys in order.
    pub(super) fn sort(&mut self) {
        self.keys[self.head..].sort_unstable();
    }

    /// Takes all keys from `place` on away.
    pub(super) fn truncate(&mut self, place: usize) {
        self.keys.truncate(self.head + place);
    }

    /// The keys that are there.
    pub(super) fn as_slice(&self) -> &[Key] {
        &self.keys[self.head..]
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.keys.len() - self.head
    }

    #[cold]
    fn insert_among_many(&mut self, key: Key) {
        let place = self.as_slice().partition_point(|other| *other < key);
        self.keys.insert(self.head + place, key);
    }

    #[cold]
    fn forget_taken(&mut self) {
        self.keys.drain(..self.head);
        self.head = 0;
    }
}

/// Of so many keys, the place of another is found the sooner the simpler the search is.
const FEW: usize = 16;
/// So many keys that were taken are kept before the others are moved to the front.
const TAKEN_MAX: usize = 64;
