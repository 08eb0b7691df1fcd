//! What a world in memory promises beside the contract of the traits, and that contract.

mod contract;
mod faults;
mod world;
