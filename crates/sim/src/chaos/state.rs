//! State that a program shows to invariants and oracles, under names.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use serde_json::Value;

/// What a program shows of its state, as JSON or as values of its own types. Clones are handles to the same registry.
#[derive(Clone, Default)]
pub struct StateRegistry {
    shared: Rc<RefCell<Shared>>,
}

#[derive(Default)]
struct Shared {
    json: BTreeMap<String, Value>,
    typed: BTreeMap<String, Rc<dyn Any>>,
    changes: u64,
}

impl StateRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Shows `state` as `key`, in place of what was shown so before.
    pub fn register_state(&self, key: impl Into<String>, state: Value) {
        let key = key.into();
        self.change(|shared| shared.json.insert(key, state));
    }

    /// What is shown as `key` in JSON.
    pub fn get_state(&self, key: &str) -> Option<Value> {
        self.shared.borrow().json.get(key).cloned()
    }

    /// All that is shown in JSON, by key.
    pub fn get_all_states(&self) -> BTreeMap<String, Value> {
        self.shared.borrow().json.clone()
    }

    /// Shows `value` as `key`, in place of the value that was shown so before, of whatever type.
    pub fn publish<T: 'static>(&self, key: impl Into<String>, value: T) {
        let key = key.into();
        self.change(|shared| shared.typed.insert(key, Rc::new(value)));
    }

    /// What is shown as `key`, if it is a `T`.
    pub fn get<T: Clone + 'static>(&self, key: &str) -> Option<T> {
        self.inspect(key, T::clone)
    }

    /// What `f` says of the value that is shown as `key`, if it is a `T`. It may use the registry.
    pub fn inspect<T: 'static, R>(&self, key: &str, f: impl FnOnce(&T) -> R) -> Option<R> {
        let value = self.shared.borrow().typed.get(key).map(Rc::clone)?;
        value.downcast_ref().map(f)
    }

    /// Whether anything is shown as `key`.
    pub fn contains(&self, key: &str) -> bool {
        let shared = self.shared.borrow();
        shared.json.contains_key(key) || shared.typed.contains_key(key)
    }

    /// Shows nothing any more.
    pub fn clear(&self) {
        self.change(|shared| (std::mem::take(&mut shared.json), std::mem::take(&mut shared.typed)));
    }

    /// How often it was changed.
    pub fn changes(&self) -> u64 {
        self.shared.borrow().changes
    }

    /// `f` returns what it took out, which is dropped outside of the borrow: a drop may run code that uses the
    /// registry.
    fn change<T>(&self, f: impl FnOnce(&mut Shared) -> T) {
        let replaced = {
            let mut shared = self.shared.borrow_mut();
            shared.changes += 1;
            f(&mut shared)
        };
        drop(replaced);
    }
}

impl fmt::Debug for StateRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared.borrow();
        let typed: Vec<_> = shared.typed.keys().collect();
        f.debug_struct("StateRegistry")
            .field("json", &shared.json)
            .field("typed", &typed)
            .finish_non_exhaustive()
    }
}
