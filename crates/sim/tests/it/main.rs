//! What users of the crate see.

mod contracts;
mod network;
mod nodes;
mod seed;
mod storage_contract;
mod world;
