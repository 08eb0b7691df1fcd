//! Lines under construction, one behind the other.

use super::head::{HEAD_BYTES, Head};

/// Bytes that are written behind those that were, into room that was made beforehand.
///
/// Room is made once a line, and short pieces are copied without a call: most of a line is short pieces. Lines stay
/// until there are many, so that they are hashed together: a hash is slow at its ends.
#[derive(Clone, Debug, Default)]
pub(super) struct LineBuffer {
    bytes: Vec<u8>,
    /// Where the last line begins.
    start: usize,
    len: usize,
}

impl LineBuffer {
    /// Begins a new line of a head and at most `bytes_max` bytes, behind the others.
    #[inline]
    pub(super) fn begin(&mut self, bytes_max: usize) {
        self.start = self.len;
        let needed = self.len + HEAD_BYTES + bytes_max;
        if self.bytes.len() < needed {
            self.bytes.resize(needed.next_power_of_two(), 0);
        }
    }

    /// Forgets all lines.
    pub(super) fn clear(&mut self) {
        (self.start, self.len) = (0, 0);
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

    /// Appends what `write` writes and says how long it is; at most once a line, at its front.
    #[inline]
    pub(super) fn put_head(&mut self, write: impl FnOnce(&mut Head) -> usize) {
        let head = self.bytes[self.len..].first_chunk_mut().expect("there is room for a line");
        self.len += write(head);
    }

    /// The lines so far.
    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The last line.
    #[inline]
    pub(super) fn last(&self) -> &[u8] {
        &self.bytes[self.start..self.len]
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
        33..=64 => copy_ends::<32>(to, from),
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
        for len in 0..=140 {
            let mut buffer = LineBuffer::default();
            let mut all = Vec::new();
            for _ in 0..2 {
                buffer.begin(2 * len + 2);
                buffer.put_head(|head| {
                    head[..5].copy_from_slice(b"ab___");
                    2
                });
                buffer.put(&text[..len]);
                buffer.put_byte(b'|');
                buffer.put(&text[100..100 + len]);
                buffer.put_byte(b'\n');
                let line = [b"ab", &text[..len], b"|", &text[100..100 + len], b"\n"].concat();
                all.extend_from_slice(&line);
                assert_eq!((buffer.last(), buffer.as_bytes()), (&line[..], &all[..]));
            }
            buffer.clear();
            assert_eq!((buffer.last(), buffer.as_bytes()), (&b""[..], &b""[..]));
        }
    }
}
