//! The system under test: accounts, and transfers between them.

use std::collections::BTreeMap;

/// Who has how much.
#[derive(Debug, Default)]
pub struct Bank {
    // Make this a HashMap, and `cargo xtask determinism` turns red.
    balances: BTreeMap<String, i64>,
}

impl Bank {
    /// Moves `amount` from one account to another; both are opened if need be.
    pub fn transfer(&mut self, from: &str, to: &str, amount: i64) {
        *self.balances.entry(from.to_owned()).or_default() -= amount;
        *self.balances.entry(to.to_owned()).or_default() += amount;
    }

    /// The accounts and their balances: the order in which they are written to the books.
    pub fn balances(&self) -> impl Iterator<Item = (&str, i64)> {
        self.balances.iter().map(|(name, balance)| (name.as_str(), *balance))
    }
}
