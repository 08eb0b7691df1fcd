//! Any bytes as printable ASCII, reversibly.

use super::buffer::LineBuffer;

/// Appends `bytes`; each that is not printable ASCII (0x20 to 0x7e), and each of `\`, `|` and `=`, as `\xNN` with two
/// lower-case hexadecimal digits. At most [`ESCAPED_BYTES`] times as long.
#[inline]
pub(super) fn put_escaped(line: &mut LineBuffer, bytes: &[u8]) {
    // Many at a time: most text needs nothing.
    let mut rest = bytes;
    let mut plain = 0;
    while let Some((chunk, behind)) = rest.split_first_chunk::<CHUNK>() {
        if chunk.iter().fold(0, |any, &byte| any | escape_mask(byte)) != 0 {
            line.put(&bytes[plain..bytes.len() - rest.len()]);
            escape_each(line, chunk);
            plain = bytes.len() - behind.len();
        }
        rest = behind;
    }
    if rest.iter().fold(0, |any, &byte| any | escape_mask(byte)) == 0 {
        line.put(&bytes[plain..]);
    } else {
        line.put(&bytes[plain..bytes.len() - rest.len()]);
        escape_each(line, rest);
    }
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
    u8::from(byte.wrapping_sub(0x20) > 0x7e - 0x20)
        | u8::from(byte == b'\\')
        | u8::from(byte == b'|')
        | u8::from(byte == b'=')
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

    proptest! {
        #[test]
        fn chunks_change_nothing(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0x20..0x7f_u8], 0..80)) {
            prop_assert_eq!(escaped(&bytes), reference(&bytes));
        }
    }
}
