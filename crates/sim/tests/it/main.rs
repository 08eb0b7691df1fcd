//! What users of the crate see.

mod check;
mod contracts;
mod disk_bytes;
mod disk_families;
mod disk_faults;
mod disk_names;
mod network;
mod nodes;
mod seed;
mod seeds;
mod storage_contract;
mod world;
