//! Text between the tags of HTML and of XML.

use std::fmt::{self, Write as _};

/// Text as it stands in an element, or in an attribute between double quotes.
///
/// Control characters are spelled out: a page shows nothing for them, XML 1.0 has no way to write most of them, and a
/// carriage return may be the very difference. A line feed is a reference, which attributes keep.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\n' => f.write_str("&#10;")?,
                '\u{fffe}' | '\u{ffff}' => write!(f, "{}", character.escape_unicode())?,
                other if other.is_control() => write!(f, "{}", other.escape_debug())?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::Escaped;

    #[test]
    fn what_is_markup_or_cannot_be_seen_is_spelled_out() {
        expect![[r"a&lt;b c=&quot;d&quot;&gt; &amp;amp;&#10;\r\t\0\u{1b}\u{ffff}\u{7f} é'"]]
            .assert_eq(&Escaped("a<b c=\"d\"> &amp;\n\r\t\0\u{1b}\u{ffff}\u{7f} é'").to_string());
    }
}
