//! Each public name of the simulation seed's documentation, used, and its effect seen. docs/sim-seed-api.md maps the
//! names to our paths and to the tests here and elsewhere.

mod chaos;
mod events;
mod faults;
mod modules;
mod runner;
mod table;
mod wire;
