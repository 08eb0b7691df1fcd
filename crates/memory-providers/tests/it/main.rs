//! What a world in memory promises beside the contract of the traits, and that contract; and that the contract's suites
//! notice what breaks it.

mod contract;
mod defects;
mod deferred;
mod faults;
mod world;
