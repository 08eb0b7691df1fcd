//! Any bytes as printable ASCII, reversibly.

use super::buffer::LineBuffer;

/// Appends `bytes`; each that is not printable ASCII (0x20 to 0x7e), and each of `\`, `|` and `=`, as `\xNN` with two
/// lower-case hexadecimal digits. At most [`ESCAPED_BYTES`] times as long.
#[inline]
pub(super) fn put_escaped(line: &mut LineBuffer, bytes: &[u8]) {
    // Most text needs nothing.
    if is_plain(bytes) {
        line.put(bytes);
    } else {
        put_by_chunks(line, bytes);
    }
}

/// Whether nothing in `bytes` must be escaped. Many at a time, and the last of them, which may overlap with those
/// before, at once.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    match bytes.len() {
        0..4 => bytes.iter().all(|&byte| escape_mask(byte) == 0),
        4..8 => ends_are_plain::<4>(bytes),
        8..16 => ends_are_plain::<8>(bytes),
        16..=32 => ends_are_plain::<16>(bytes),
        33..=64 => ends_are_plain::<32>(bytes),
        _ => {
            let (chunks, _) = bytes.as_chunks::<64>();
            chunks.iter().all(chunk_is_plain) && bytes.last_chunk::<64>().is_some_and(chunk_is_plain)
        }
    }
}

/// Whether the first and the last `N` bytes are plain, which are all if there are at most twice as many.
#[inline]
fn ends_are_plain<const N: usize>(bytes: &[u8]) -> bool {
    let ends = bytes.first_chunk::<N>().zip(bytes.last_chunk::<N>());
    ends.is_some_and(|(first, last)| chunk_is_plain(first) & chunk_is_plain(last))
}

#[inline]
fn chunk_is_plain<const N: usize>(chunk: &[u8; N]) -> bool {
    chunk.iter().fold(0, |any, &byte| any | escape_mask(byte)) == 0
}

fn put_by_chunks(line: &mut LineBuffer, bytes: &[u8]) {
    let (chunks, rest) = bytes.as_chunks::<CHUNK>();
    for chunk in chunks {
        if chunk_is_plain(chunk) {
            line.put(chunk);
        } else {
            escape_each(line, chunk);
        }
    }
    escape_each(line, rest);
}

fn escape_each(line: &mut LineBuffer, bytes: &[u8]) {
    for &byte in bytes {
        if escape_mask(byte) == 0 {
            line.put_byte(byte);
        } else {
            let digit = |nibble: u8| HEX[usize::from(nibble)];
            line.put(&[b'\\', b'x', digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
}

/// Not 0 if `byte` must be escaped. Without branches, so that the compiler looks at many at once.
#[inline]
fn escape_mask(byte: u8) -> u8 {
    // `\` and `|` differ in one bit.
    u8::from(byte.wrapping_sub(0x20) > 0x7e - 0x20) | u8::from(byte | 0x20 == b'|') | u8::from(byte == b'=')
}

/// Length of one escaped byte.
pub(super) const ESCAPED_BYTES: usize = 4;
const CHUNK: usize = 32;
const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ESCAPED_BYTES, put_escaped};
    use crate::canonical::buffer::LineBuffer;

    fn escaped(bytes: &[u8]) -> String {
        let mut line = LineBuffer::default();
        line.begin(ESCAPED_BYTES * bytes.len());
        put_escaped(&mut line, bytes);
        String::from_utf8(line.as_bytes().to_vec()).expect("ASCII")
    }

    #[test]
    fn vectors() {
        assert_eq!(escaped(b""), "");
        assert_eq!(escaped(b"a b~"), "a b~");
        assert_eq!(escaped(b"a|b=c\\d\n\0\x7f\x80\xff"), r"a\x7cb\x3dc\x5cd\x0a\x00\x7f\x80\xff");
        assert_eq!(escaped("twenty plain letters|".as_bytes()), r"twenty plain letters\x7c");
    }

    /// Byte by byte, as the description says it.
    fn reference(bytes: &[u8]) -> String {
        let each = |&byte: &u8| match byte {
            b'\\' | b'|' | b'=' => format!("\\x{byte:02x}"),
            0x20..=0x7e => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        };
        bytes.iter().map(each).collect()
    }

    /// Each byte at each place of texts of each length up to some.
    #[test]
    fn every_byte_is_found_at_every_place() {
        for len in 1..=140 {
            for at in 0..len {
                for byte in [b'\\', b'|', b'=', b'\n', 0x1f, 0x20, 0x7e, 0x7f, 0x80, 0xff] {
                    let mut text = vec![b'a'; len];
                    text[at] = byte;
                    assert_eq!(escaped(&text), reference(&text));
                }
            }
        }
        assert!((0..=255).all(|byte| escaped(&[byte]) == reference(&[byte])));
    }

    proptest! {
        #[test]
        fn chunks_change_nothing(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0x20..0x7f_u8], 0..200)) {
            prop_assert_eq!(escaped(&bytes), reference(&bytes));
        }
    }
}
