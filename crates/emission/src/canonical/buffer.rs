//! The line under construction.

/// Bytes that are written from the front, into room that was made beforehand.
///
/// Room is made once a line, and short pieces are copied without a call: most of a line is short pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct LineBuffer {
    bytes: Vec<u8>,
    len: usize,
}

impl LineBuffer {
    /// Begins a new line of at most `bytes_max` bytes.
    #[inline]
    pub(super) fn begin(&mut self, bytes_max: usize) {
        self.len = 0;
        if self.bytes.len() < bytes_max {
            self.bytes.resize(bytes_max.next_power_of_two(), 0);
        }
    }

    /// # Panics
    ///
    /// Here and below: if the line gets longer than was said.
    #[inline]
    pub(super) fn put_byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        copy(&mut self.bytes[self.len..end], bytes);
        self.len = end;
    }

    /// Room for the next `len` bytes, to be filled by the caller.
    #[inline]
    pub(super) fn take(&mut self, len: usize) -> &mut [u8] {
        let start = self.len;
        self.len += len;
        &mut self.bytes[start..start + len]
    }

    /// The line so far.
    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Copies `from` to `to`, which are equally long. Up to 32 bytes by two copies of a fixed size that may overlap.
#[inline]
fn copy(to: &mut [u8], from: &[u8]) {
    match from.len() {
        0 => {}
        1 => to[0] = from[0],
        2..4 => copy_ends::<2>(to, from),
        4..8 => copy_ends::<4>(to, from),
        8..16 => copy_ends::<8>(to, from),
        16..=32 => copy_ends::<16>(to, from),
        _ => to.copy_from_slice(from),
    }
}

/// Copies the first and the last `N` bytes, which are all if there are at most twice as many.
#[inline]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    let behind = from.len() - N;
    to[..N].copy_from_slice(&from[..N]);
    to[behind..].copy_from_slice(&from[behind..]);
}

#[cfg(test)]
mod tests {
    use super::LineBuffer;

    #[test]
    fn pieces_of_all_lengths_stand_one_behind_the_other() {
        let text: Vec<u8> = (0..=255).collect();
        for len in 0..=70 {
            let mut buffer = LineBuffer::default();
            for _ in 0..2 {
                buffer.begin(2 * len + 2);
                buffer.put(&text[..len]);
                buffer.put_byte(b'|');
                buffer.put(&text[100..100 + len]);
                assert_eq!(buffer.as_bytes(), [&text[..len], b"|", &text[100..100 + len]].concat());
            }
        }
    }
}
