//! What users of the crate see.

mod builder;
mod check;
mod contracts;
mod disk_bytes;
mod disk_families;
mod disk_faults;
mod disk_names;
mod environment;
mod groups;
mod members;
mod names;
mod network;
mod nodes;
mod readme;
mod seed;
mod seeds;
mod storage_contract;
mod timeline;
mod world;
