//! Public behaviour of nouns and of the machine.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alloc;
mod any;
mod deep;
mod machine;
mod nouns;
mod public;
mod vectors;
