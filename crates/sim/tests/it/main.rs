//! What users of the crate see.

mod contracts;
mod nodes;
mod storage_contract;
mod world;
