//! Numbers that must not be mistaken for one another.

use std::fmt;

/// Declares a number with its own type: `new`, `get`, `Display`, `Default` (0).
macro_rules! number {
    ($(#[$doc:meta])* pub struct $name:ident;) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The one with number `number`.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number.
            pub const fn get(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A subscription. Given out by the outbox from 1 on, in the order of the log, and never given out again: who
    /// still speaks of one that was removed speaks of nothing, not of its successor.
    pub struct SubscriptionId;
}

number! {
    /// Position of an event in its subscription: dense, from 1 on. 0 stands for "before the first".
    pub struct Seq;
}

number! {
    /// A reign of one leader over the log. Started by a record of the log, so that all replicas agree on it; ascends
    /// by one. 0 stands for "before the first".
    pub struct Epoch;
}

number! {
    /// Term in which a leader was elected, as the consensus below counts it. Never goes back.
    pub struct Term;
}

number! {
    /// A node of the cluster. Kept, not interpreted.
    pub struct NodeId;
}

number! {
    /// One who emits events and numbers them, so that an event proposed twice is emitted once.
    pub struct ProducerId;
}

number! {
    /// A point in the caller's time. How long one tick takes is the caller's affair; ticks never go back.
    pub struct Tick;
}

impl Seq {
    /// The position after this one.
    ///
    /// # Panics
    ///
    /// After `u64::MAX`, which no log reaches: the outbox refuses to emit there.
    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Tick {
    /// The point `ticks` later, or `None` behind the last one there is: that never comes.
    pub(crate) fn plus(self, ticks: u64) -> Option<Self> {
        self.0.checked_add(ticks).map(Self)
    }

    /// Ticks from `earlier` to this one; 0 if that is later.
    pub(crate) const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
