//! The two shapes of which records and snapshots are made: numbers, and bytes with their length in front.
//!
//! A number is unsigned LEB128: seven bits a byte, lowest first, the top bit set in all but the last. Only the
//! shortest form is read, so that equal values have equal bytes.

/// Appends `value`, in 1 to 10 bytes.
pub(crate) fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(low_bits(value) | 0x80);
        value >>= 7;
    }
    out.push(low_bits(value));
}

fn low_bits(value: u64) -> u8 {
    (value & 0x7f) as u8
}

/// Appends the length of `bytes` and `bytes`.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads from the front of a slice, and never past its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WireReader<'a> {
    rest: &'a [u8],
}

impl<'a> WireReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, WireError> {
        let (&first, rest) = self.rest.split_first().ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(first)
    }

    #[inline]
    pub(crate) fn number(&mut self) -> Result<u64, WireError> {
        // Most are small.
        if let Some((&first, rest)) = self.rest.split_first()
            && first < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(first));
        }
        self.long_number()
    }

    fn long_number(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for position in 0..NUMBER_BYTES_MAX {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            let shift = 7 * position;
            // The tenth byte has room for one bit.
            if position == NUMBER_BYTES_MAX - 1 && bits > 1 {
                return Err(WireError::Number);
            }
            value |= bits << shift;
            if byte < 0x80 {
                // A last byte of zero adds nothing: there is a shorter form.
                return if byte == 0 && position > 0 { Err(WireError::Number) } else { Ok(value) };
            }
        }
        Err(WireError::Number)
    }

    /// A number of at most 32 bits.
    pub(crate) fn number_u32(&mut self) -> Result<u32, WireError> {
        u32::try_from(self.number()?).map_err(|_| WireError::Number)
    }

    /// Bytes, at most `bytes_max` of them.
    pub(crate) fn bytes(&mut self, bytes_max: usize) -> Result<&'a [u8], WireError> {
        let bytes = self.number()?;
        let len = usize::try_from(bytes).unwrap_or(usize::MAX);
        if len > bytes_max {
            return Err(WireError::Long { bytes, bytes_max });
        }
        self.take(len)
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(WireError::Short)?;
        self.rest = rest;
        Ok(*head)
    }

    /// Bytes that are left.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }
}

/// Why bytes are no value of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireError {
    /// They end too early.
    Short,
    /// A number is not in its shortest form, or too large for its place.
    Number,
    /// A length exceeds what its place allows.
    Long { bytes: u64, bytes_max: usize },
}

const NUMBER_BYTES_MAX: u32 = 10;

#[cfg(test)]
mod tests {
    use super::{WireError, WireReader, put_bytes, put_number};

    /// Boundaries of LEB128, by hand.
    #[test]
    fn numbers() {
        let vectors: [(u64, &[u8]); 6] = [
            (0, &[0]),
            (0x7f, &[0x7f]),
            (0x80, &[0x80, 1]),
            (300, &[0xac, 2]),
            (1 << 63, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ];
        for (value, bytes) in vectors {
            let mut out = Vec::new();
            put_number(&mut out, value);
            assert_eq!(out, bytes, "{value}");
            let mut reader = WireReader::new(bytes);
            assert_eq!(reader.number(), Ok(value));
            assert_eq!(reader.remaining(), 0);
        }
    }

    #[test]
    fn only_the_shortest_form_is_a_number() {
        let nine = [0xff; 9];
        let eleven = [&nine[..], &[0xff, 1]].concat();
        let too_large = [&nine[..], &[2]].concat();
        for bytes in [&[0x80, 0][..], &[0xff, 0x80, 0], &eleven, &too_large] {
            assert_eq!(WireReader::new(bytes).number(), Err(WireError::Number), "{bytes:?}");
        }
        for bytes in [&[][..], &[0x80], &nine] {
            assert_eq!(WireReader::new(bytes).number(), Err(WireError::Short), "{bytes:?}");
        }
    }

    #[test]
    fn a_length_is_bounded_before_it_is_believed() {
        let mut out = Vec::new();
        put_bytes(&mut out, b"abc");
        assert_eq!(WireReader::new(&out).bytes(3), Ok(&b"abc"[..]));
        assert_eq!(WireReader::new(&out).bytes(2), Err(WireError::Long { bytes: 3, bytes_max: 2 }));
        assert_eq!(WireReader::new(&out[..3]).bytes(3), Err(WireError::Short));
    }
}
