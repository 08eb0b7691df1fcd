//! What must hold of all replicas, whatever goes wrong: one log, the same state after the same entry, and events that
//! are in the log once each.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use samestep_emission::{Change, Outbox};
use samestep_sim::oracle::{LogAgreement, ReplicaHashes, state_hash};

use super::client::payload;
use super::server::Watch;

/// Watches all replicas of one run. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Oracle {
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    log: LogAgreement<Vec<u8>>,
    hashes: ReplicaHashes,
    /// How often a replica took a leader's snapshot.
    installed: u64,
    boots: u64,
}

impl Oracle {
    /// The watch over one boot of a replica, which tells all its entries from its snapshot on.
    ///
    /// It panics when the replica disagrees with what any has told before, itself included: that fails the run.
    pub(super) fn replica(&self, name: &str) -> Rc<dyn Watch> {
        let mut state = self.state.borrow_mut();
        state.log.began_anew(name);
        state.boots += 1;
        Rc::new(Replica { name: name.to_owned(), oracle: self.clone() })
    }

    /// Whether each of `replicas` has applied all that any has.
    pub(super) fn all_have_everything(&self, replicas: &[String]) -> bool {
        let state = self.state.borrow();
        let entries = state.log.entries().len() as u64;
        replicas.iter().all(|name| state.log.length_of(name) == entries)
    }

    /// The events of the log, from the first time that each is in it: 1 and so on, without a gap, at least `published`
    /// of them.
    pub(super) fn events_in_order(&self, published: u64) -> Result<(), String> {
        let (state, mut seen) = (self.state.borrow(), BTreeSet::new());
        for entry in state.log.entries() {
            let Ok(Change::Emit { origin: Some(origin), payload: found, .. }) = Change::decode(entry) else {
                continue;
            };
            if !seen.insert(origin.number) {
                continue;
            }
            let next = seen.len() as u64;
            if origin.number != next || found != payload(next) {
                let found = found.escape_ascii();
                return Err(format!("event {next} of the log is number {}, {found}", origin.number));
            }
        }
        if (seen.len() as u64) < published {
            return Err(format!("{published} events were acknowledged, and {} are there", seen.len()));
        }
        Ok(())
    }

    pub(super) fn entries(&self) -> u64 {
        self.state.borrow().log.entries().len() as u64
    }

    pub(super) fn installed(&self) -> u64 {
        self.state.borrow().installed
    }

    pub(super) fn boots(&self) -> u64 {
        self.state.borrow().boots
    }
}

struct Replica {
    name: String,
    oracle: Oracle,
}

impl Watch for Replica {
    fn applied(&self, index: u64, entry: &[u8], outbox: &Outbox) {
        let state = &mut *self.oracle.state.borrow_mut();
        state.skip_to(&self.name, index - 1);
        let agreed = state.log.committed(&self.name, index - 1, entry.to_vec());
        agreed.unwrap_or_else(|error| panic!("{error}"));
        state.compare(&self.name, outbox);
    }

    fn rests(&self, outbox: &Outbox) {
        let state = &mut *self.oracle.state.borrow_mut();
        if outbox.applied().get() > state.log.length_of(&self.name) {
            state.skip_to(&self.name, outbox.applied().get());
            state.compare(&self.name, outbox);
        }
    }
}

impl State {
    /// A snapshot stands for the first `length` entries, which others have told: it has none that is not agreed on.
    fn skip_to(&mut self, name: &str, length: u64) {
        let (from, known) = (self.log.length_of(name), self.log.entries().len() as u64);
        assert!(length <= known, "{name} has a snapshot of {length} entries, and {known} are known");
        if from >= length {
            return;
        }
        self.installed += u64::from(from > 0);
        let entries: Vec<Vec<u8>> = self.log.entries().cloned().collect();
        for (index, entry) in (0..length).zip(entries).skip_while(|(index, _)| *index < from) {
            self.log.committed(name, index, entry).expect("it is what was agreed on");
        }
    }

    fn compare(&mut self, name: &str, outbox: &Outbox) {
        let hash = state_hash(&outbox.snapshot());
        let same = self.hashes.applied(name, outbox.applied().get(), hash);
        same.unwrap_or_else(|error| panic!("{error}"));
    }
}
