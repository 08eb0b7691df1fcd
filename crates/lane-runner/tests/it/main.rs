//! The runner as its users see it: a program with lanes in it, run from a folder with a lock file.

mod browser;
mod command;
mod expected;
mod planted;
mod reports;
mod sanitized;
mod soak;
mod unruly;
