//! What a program says of itself while it is tested: where it may be made to misbehave (`buggify`), what must hold
//! (`always`), what must be seen to happen (`sometimes`), and the state that invariants look at.
//!
//! Each such place is a [`Site`] of the program, known before it is ever executed: the linker gathers all sites of
//! the binary, so that one that no seed reaches is reported. What a run saw of a site is tallied in the run's own
//! table; outside of a run, in a table of the thread.

mod assertions;
mod buggify;
mod checks;
mod contracts;
mod current;
mod invariant;
mod site;
mod state;
mod tally;

pub use assertions::{get_assertion_results, reset_assertion_results};
pub use buggify::{BuggifySite, buggify_init, buggify_reset, buggify_sites};
pub use checks::CheckFailure;
pub use contracts::{ContractViolation, validate_assertion_contracts};
pub use invariant::{Invariant, InvariantCheck, InvariantView, invariant_fn};
pub use site::{Site, SiteKind, sites};
pub use state::StateRegistry;
pub use tally::AssertionStats;

pub use crate::fault::{FaultEvent, FaultFamily, FaultLog};
pub use crate::runner::panic_on_assertion_violations;

pub(crate) use buggify::{Buggify, disable_buggify, listing as buggify_listing};
pub(crate) use checks::Checks;
pub(crate) use contracts::{all_sometimes_reached, violations as contract_violations};
pub(crate) use current::{Scope, now, publish as publish_checks};
pub(crate) use invariant::{Invariants, JsonInvariant};

/// What the macros of this crate expand to. Not for other callers.
#[doc(hidden)]
pub mod macro_support {
    pub use super::assertions::{Number, check, check_all, check_each, check_numeric};
    pub use super::buggify::{KnobValue, buggify, knob};
}

#[cfg(test)]
mod tests;
