//! Canonical events: one line of text for one thing that happened.

use std::fmt::{self, Write as _};

/// One thing that happened, as a canonical line.
///
/// The line is `name|key=value|key=value`, fields in the order in which they were given. In names, keys and
/// values each byte that is not printable ASCII (0x20 to 0x7e), and each of `\`, `|` and `=`, is written
/// `\xNN` with two lower-case hexadecimal digits. So two events give one line only if they are equal field by
/// field, and a line holds no line break.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    line: String,
}

impl Event {
    /// An event called `name`, without fields.
    pub fn new(name: &str) -> Self {
        let mut event = Self { line: String::with_capacity(64) };
        event.escape(name.as_bytes());
        event
    }

    /// Adds a field whose value is what `value` displays.
    pub fn field(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.key(key);
        // A `String` never refuses a write, so an error here can only be the value's own.
        write!(Escaped(&mut self), "{value}").expect("a field's Display failed");
        self
    }

    /// Adds a field whose value is `value`, byte for byte.
    pub fn bytes(mut self, key: &str, value: &[u8]) -> Self {
        self.key(key);
        self.escape(value);
        self
    }

    /// The canonical line, without a line break.
    pub fn as_str(&self) -> &str {
        &self.line
    }

    fn key(&mut self, key: &str) {
        self.line.push('|');
        self.escape(key.as_bytes());
        self.line.push('=');
    }

    fn escape(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\\' | b'|' | b'=' => self.escape_byte(byte),
                0x20..=0x7e => self.line.push(char::from(byte)),
                _ => self.escape_byte(byte),
            }
        }
    }

    fn escape_byte(&mut self, byte: u8) {
        self.line.push_str("\\x");
        self.line.push(char::from(HEX[usize::from(byte >> 4)]));
        self.line.push(char::from(HEX[usize::from(byte & 0xf)]));
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// Escapes what is displayed into it.
struct Escaped<'a>(&'a mut Event);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.escape(text.as_bytes());
        Ok(())
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::Event;

    #[track_caller]
    fn check(event: &Event, line: &str) {
        assert_eq!(event.as_str(), line);
    }

    #[test]
    fn fields_keep_their_order() {
        check(&Event::new("append").field("index", 3).field("aux", 1), "append|index=3|aux=1");
    }

    #[test]
    fn separators_breaks_and_foreign_bytes_are_escaped() {
        check(&Event::new("e").bytes("v", b"a|b=c\\d\n\xff~"), "e|v=a\\x7cb\\x3dc\\x5cd\\x0a\\xff~");
        check(&Event::new("a|b").field("k=", "\u{fc}"), "a\\x7cb|k\\x3d=\\xc3\\xbc");
    }

    #[test]
    fn events_that_differ_give_lines_that_differ() {
        let one = Event::new("e").field("a", "1|b=2");
        let two = Event::new("e").field("a", 1).field("b", 2);
        assert_ne!(one.as_str(), two.as_str());
        assert_ne!(Event::new("e").field("a", "").as_str(), Event::new("e").as_str());
    }
}
