//! Finds where two transcripts part, and shows it.

use std::fmt::{self, Write as _};
use std::ops::Range;

/// Where `left` and `right` part, or `None` if they are equal byte for byte.
pub(crate) fn first_difference(left: &str, right: &str) -> Option<Difference> {
    if left == right {
        return None;
    }
    let equal_bytes = left.bytes().zip(right.bytes()).take_while(|(left, right)| left == right).count();
    let before = &left.as_bytes()[..equal_bytes];
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line_number = before.split(|byte| *byte == b'\n').count();
    Some(Difference { line_number, column_bytes: equal_bytes - line_start })
}

/// Where two transcripts part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The first line that differs, counted from 1.
    pub(crate) line_number: usize,
    /// How many bytes of that line are equal.
    pub(crate) column_bytes: usize,
}

/// The line of `text` at which it parts from another, with the lines around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Excerpt<'a> {
    text: &'a str,
    difference: Difference,
}

impl<'a> Excerpt<'a> {
    pub(crate) fn new(text: &'a str, difference: Difference) -> Self {
        Self { text, difference }
    }
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let marked = self.difference.line_number;
        let first = marked.saturating_sub(CONTEXT_LINES).max(1);
        // Not `lines()`: it drops a `\r` before the break, which may be the very difference.
        let lines = self.text.split_terminator('\n').enumerate().skip(first - 1).take(2 * CONTEXT_LINES + 1);
        let mut last = first - 1;
        for (at, line) in lines.take_while(|(at, _)| *at < marked + CONTEXT_LINES) {
            last = at + 1;
            let mark = if last == marked { '>' } else { ' ' };
            let column_bytes = if last == marked { self.difference.column_bytes } else { 0 };
            writeln!(f, "    {mark} {last:>5} | {}", Clipped { line, column_bytes })?;
        }
        if last < marked {
            writeln!(f, "    > {:>5} | (the transcript ends here)", last + 1)?;
        }
        Ok(())
    }
}

/// A line made fit for a terminal: without control characters, and not much wider than a screen.
struct Clipped<'a> {
    line: &'a str,
    /// A byte that must stay visible.
    column_bytes: usize,
}

impl fmt::Display for Clipped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.window();
        if start > 0 {
            write!(f, "[{start} bytes] ..")?;
        }
        for character in self.line[start..end].chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_debug())?;
            } else {
                f.write_char(character)?;
            }
        }
        if end < self.line.len() {
            write!(f, ".. [{} bytes]", self.line.len() - end)?;
        }
        Ok(())
    }
}

impl Clipped<'_> {
    fn window(&self) -> Range<usize> {
        if self.line.len() <= LINE_BYTES_MAX {
            return 0..self.line.len();
        }
        let start = self.column_bytes.saturating_sub(LINE_BYTES_MAX / 2);
        let start = self.line.floor_char_boundary_at(start);
        start..self.line.floor_char_boundary_at(start + LINE_BYTES_MAX)
    }
}

/// `str::floor_char_boundary`, which is younger than our oldest compiler.
trait FloorCharBoundary {
    fn floor_char_boundary_at(&self, at: usize) -> usize;
}

impl FloorCharBoundary for str {
    fn floor_char_boundary_at(&self, at: usize) -> usize {
        let at = at.min(self.len());
        (0..=at).rev().find(|at| self.is_char_boundary(*at)).expect("0 is a boundary")
    }
}

const CONTEXT_LINES: usize = 3;
const LINE_BYTES_MAX: usize = 160;

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::{Excerpt, first_difference};

    #[track_caller]
    fn check(left: &str, right: &str, expected: &Expect) {
        let shown = match first_difference(left, right) {
            None => "equal".to_owned(),
            Some(difference) => {
                let (left, right) = (Excerpt::new(left, difference), Excerpt::new(right, difference));
                format!("line {}\n{left}  --\n{right}", difference.line_number)
            }
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn equal_is_equal() {
        check("a\nb\n", "a\nb\n", &expect!["equal"]);
        check("", "", &expect!["equal"]);
    }

    #[test]
    fn three_lines_of_context_on_both_sides() {
        check(
            "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
            "1\n2\n3\n4\nfive\n6\n7\n8\n9\n",
            &expect![[r#"
            line 5
                      2 | 2
                      3 | 3
                      4 | 4
                >     5 | 5
                      6 | 6
                      7 | 7
                      8 | 8
              --
                      2 | 2
                      3 | 3
                      4 | 4
                >     5 | five
                      6 | 6
                      7 | 7
                      8 | 8
        "#]],
        );
    }

    #[test]
    fn one_ends_before_the_other() {
        check(
            "1\n",
            "1\n2\n",
            &expect![[r#"
            line 2
                      1 | 1
                >     2 | (the transcript ends here)
              --
                      1 | 1
                >     2 | 2
        "#]],
        );
        check(
            "",
            "1\n",
            &expect![[r#"
            line 1
                >     1 | (the transcript ends here)
              --
                >     1 | 1
        "#]],
        );
    }

    /// A carriage return is a byte like any other, and is shown.
    #[test]
    fn a_carriage_return_differs() {
        check(
            "a\r\n",
            "a\n",
            &expect![[r#"
            line 1
                >     1 | a\r
              --
                >     1 | a
        "#]],
        );
    }

    #[test]
    fn long_lines_are_clipped_around_the_difference() {
        let long = |byte: &str| format!("{}{byte}{}\n", "x".repeat(1000), "y".repeat(1000));
        let (left, right) = (long("1"), long("\u{e9}"));
        let difference = first_difference(&left, &right).expect("they differ");
        for (text, digit) in [(&left, "1y"), (&right, "\u{e9}y")] {
            let shown = Excerpt::new(text, difference).to_string();
            assert!(shown.contains(digit), "{shown}");
            assert!(shown.len() < 300, "{shown}");
        }
    }

    /// Two characters may share their first bytes; the cut falls between characters all the same.
    #[test]
    fn characters_are_not_cut() {
        let long = |end: &str| format!("{}{end}\n", "\u{e9}".repeat(300));
        let (left, right) = (long("\u{e8}"), long("\u{ea}"));
        let difference = first_difference(&left, &right).expect("they differ");
        assert!(Excerpt::new(&left, difference).to_string().contains('\u{e8}'));
    }
}
