//! Work that was put off.

use crate::tidy::Violation;
use crate::tidy::source::{Source, Text};
use crate::tidy::tree::Tree;

/// No stub, no left-over print and no test that is not run.
pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    tree.sources().iter().flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for call in source.tokens().windows(3) {
        let Some((name, advice)) = MACROS.iter().find(|(name, _)| call[0].is_word(name)) else { continue };
        // `todo != 1` begins like a macro and is none.
        if call[1].text == Text::Sign('!') && matches!(call[2].text, Text::Sign('(' | '[' | '{')) {
            violations.push(Violation::new(
                source.path(),
                call[0].line_number,
                format!("`{name}!`: {advice}"),
            ));
        }
    }
    for tokens in source.outer_attributes() {
        let is_conditional = tokens.first().is_some_and(|first| first.is_word("cfg_attr"));
        let words = tokens.iter().take(if is_conditional { tokens.len() } else { 1 });
        if let Some(word) = words.into_iter().find(|token| token.is_word("ignore")) {
            let what = "`ignore`: mend the test, or make it say at run time why it is skipped";
            violations.push(Violation::new(source.path(), word.line_number, what));
        }
    }
    violations
}

const MACROS: [(&str, &str); 3] = [
    ("todo", "write it, or return an error that says what is missing"),
    ("unimplemented", "write it, or return an error that says what is missing"),
    ("dbg", "remove it"),
];
