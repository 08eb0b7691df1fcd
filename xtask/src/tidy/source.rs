//! A Rust file as tokens, without its comments, and with the lines on which they stand.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::tidy::Violation;

/// A Rust file.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    line_count: usize,
    tokens: Vec<Token>,
}

/// A token. Groups are opened up: their brackets are tokens like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: Text,
    pub(crate) line_number: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    Word(String),
    Sign(char),
    /// A number, character or string, whatever it says.
    Literal,
}

impl Source {
    /// Reads the text of the file at `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, Violation> {
        let stream = TokenStream::from_str(text).map_err(|error| {
            Violation::new(path, error.span().start().line, "is not Rust: mend it, or name it otherwise")
        })?;
        let mut tokens = Vec::new();
        open_up(stream, &mut tokens);
        Ok(Self { path: path.to_owned(), line_count: text.lines().count(), tokens })
    }

    /// Where it stands, below the root of the workspace.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its number of lines.
    pub(crate) fn line_count(&self) -> usize {
        self.line_count
    }

    /// Its tokens in order. Doc comments are attributes, as the compiler has it.
    pub(crate) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Its inner attributes (`#![..]`, `//!`), each as its tokens between the brackets.
    pub(crate) fn inner_attributes(&self) -> impl Iterator<Item = &[Token]> {
        attributes(&self.tokens, &[Text::Sign('#'), Text::Sign('!'), Text::Sign('[')])
    }

    /// Its outer attributes (`#[..]`, `///`), each as its tokens between the brackets.
    pub(crate) fn outer_attributes(&self) -> impl Iterator<Item = &[Token]> {
        attributes(&self.tokens, &[Text::Sign('#'), Text::Sign('[')])
    }
}

impl Token {
    /// Whether it is this word.
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(&self.text, Text::Word(text) if text == word)
    }
}

fn attributes<'a>(tokens: &'a [Token], opening: &'a [Text]) -> impl Iterator<Item = &'a [Token]> {
    let opens = move |window: &[Token]| window.iter().map(|token| &token.text).eq(opening);
    tokens.windows(opening.len()).enumerate().filter(move |(_, window)| opens(window)).map(|(at, _)| {
        let inside = &tokens[at + opening.len()..];
        let mut depth = 1_usize;
        let length = inside.iter().take_while(|token| {
            match token.text {
                Text::Sign('[') => depth += 1,
                Text::Sign(']') => depth -= 1,
                _ => {}
            }
            depth > 0
        });
        &inside[..length.count()]
    })
}

fn open_up(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let mut push = |text, line_number| tokens.push(Token { text, line_number });
        let line_number = tree.span().start().line;
        match tree {
            TokenTree::Ident(word) => push(Text::Word(word.to_string()), line_number),
            TokenTree::Punct(sign) => push(Text::Sign(sign.as_char()), line_number),
            TokenTree::Literal(_) => push(Text::Literal, line_number),
            TokenTree::Group(group) => {
                let brackets = match group.delimiter() {
                    Delimiter::Parenthesis => Some(('(', ')')),
                    Delimiter::Brace => Some(('{', '}')),
                    Delimiter::Bracket => Some(('[', ']')),
                    Delimiter::None => None,
                };
                if let Some((opening, _)) = brackets {
                    push(Text::Sign(opening), line_number);
                }
                open_up(group.stream(), tokens);
                if let Some((_, closing)) = brackets {
                    let line_number = group.span_close().start().line;
                    tokens.push(Token { text: Text::Sign(closing), line_number });
                }
            }
        }
    }
}
