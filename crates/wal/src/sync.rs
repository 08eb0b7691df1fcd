//! What the threads of the blocking face meet at: the standard library's primitives, and in unit tests the same
//! ones driven by a schedule, so that a seed decides who goes on at each step and nobody can hang unnoticed.

#[cfg(not(test))]
mod real;
#[cfg(test)]
pub(crate) mod scheduled;

#[cfg(not(test))]
pub(crate) use real::{Condvar, Mutex, MutexGuard, OnceLock, Thread};
#[cfg(test)]
pub(crate) use scheduled::{Condvar, Mutex, MutexGuard, OnceLock, Thread};
