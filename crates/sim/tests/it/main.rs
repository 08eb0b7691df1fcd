//! What users of the crate see.

mod contracts;
mod nodes;
mod world;
