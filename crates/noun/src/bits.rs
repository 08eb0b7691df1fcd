//! Bits, the lowest of each byte first.

use crate::atom::Atom;

/// Appends bits.
#[derive(Debug)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// The last bits, fewer than 64, which are not in `bytes` yet.
    tail: u64,
    tail_bits: u32,
}

impl BitWriter {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), tail: 0, tail_bits: 0 }
    }

    /// Appends the low `count` bits of `value`, which has no others; at most 64.
    pub(crate) fn push(&mut self, value: u64, count: u32) {
        debug_assert!(count == 64 || value >> count == 0, "bits above those that were named");
        self.tail |= value.checked_shl(self.tail_bits).unwrap_or(0);
        let total_bits = self.tail_bits + count;
        if total_bits >= 64 {
            self.bytes.extend_from_slice(&self.tail.to_le_bytes());
            self.tail = value.checked_shr(64 - self.tail_bits).unwrap_or(0);
            self.tail_bits = total_bits - 64;
        } else {
            self.tail_bits = total_bits;
        }
    }

    /// Appends an atom without zero bits above it.
    pub(crate) fn push_atom(&mut self, atom: &Atom) {
        let bytes = atom.as_le_bytes();
        let mut bits_left = atom.bit_length();
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let count = bits_left.min(64);
            self.push(u64::from_le_bytes(word), u32::try_from(count).expect("at most 64"));
            bits_left -= count;
        }
    }

    /// How many bits there are.
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64 * 8 + u64::from(self.tail_bits)
    }

    /// The bytes; the last one is filled up with zero bits.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let length = self.tail_bits.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&self.tail.to_le_bytes()[..length]);
        self.bytes
    }
}

/// Takes bits from the front; nothing is taken when there are too few.
#[derive(Clone, Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The bits taken so far.
    at: u64,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The same bits, from bit `at` on, which is not behind the end.
    pub(crate) fn at_bit(&self, at: u64) -> Self {
        Self { bytes: self.bytes, at }
    }

    /// The bits taken so far.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    pub(crate) fn bits_left(&self) -> u64 {
        self.bytes.len() as u64 * 8 - self.at
    }

    pub(crate) fn bit(&mut self) -> Option<bool> {
        Some(self.bits(1)? == 1)
    }

    /// The next `count` bits as a number; at most 64.
    pub(crate) fn bits(&mut self, count: u32) -> Option<u64> {
        if u64::from(count) > self.bits_left() {
            return None;
        }
        let value = self.peek();
        self.at += u64::from(count);
        Some(if count < 64 { value & ((1 << count) - 1) } else { value })
    }

    /// Takes zero bits and the one bit behind them; gives how many zeros there were.
    pub(crate) fn zeros(&mut self) -> Option<u64> {
        let mut count = 0;
        let mut ahead = self.clone();
        loop {
            let left = ahead.bits_left();
            if left == 0 {
                return None;
            }
            let zeros = u64::from(ahead.peek().trailing_zeros());
            if zeros < 64 {
                self.at = ahead.at + zeros + 1;
                return Some(count + zeros);
            }
            let step = left.min(64);
            count += step;
            ahead.at += step;
        }
    }

    /// The next `count` bits as an atom.
    pub(crate) fn atom(&mut self, count: u64) -> Option<Atom> {
        if count <= 64 {
            return self.bits(u32::try_from(count).expect("at most 64")).map(Atom::new);
        }
        if count > self.bits_left() {
            return None;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(count.div_ceil(8)).ok()?);
        let mut bits_left = count;
        while bits_left > 0 {
            let step = bits_left.min(64);
            let word = self.bits(u32::try_from(step).expect("at most 64"))?;
            bytes.extend_from_slice(&word.to_le_bytes()[..usize::try_from(step.div_ceil(8)).ok()?]);
            bits_left -= step;
        }
        Some(Atom::from_le_bytes(&bytes))
    }

    /// The next 64 bits, zeros behind the end, without taking them.
    fn peek(&self) -> u64 {
        let first = usize::try_from(self.at / 8).expect("positions are within a slice");
        let shift = u32::try_from(self.at % 8).expect("below 8");
        let rest = &self.bytes[first..];
        let window = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut window = [0; 16];
            window[..rest.len()].copy_from_slice(rest);
            window
        });
        let wide = u128::from_le_bytes(window) >> shift;
        #[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
        let low = wide as u64;
        low
    }
}

#[cfg(test)]
mod tests;
