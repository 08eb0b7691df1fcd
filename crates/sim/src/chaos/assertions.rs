//! Checks that stand in the program: what must hold always, and what must be seen to happen in some run.
//!
//! None of them panics. A check that fails is recorded, ends its run at the end of the instant, and fails the test.
//! Names are Antithesis' and those of the seed and its successors.

use std::collections::BTreeMap;

use crate::chaos::checks::{CheckFailure, Checks};
use crate::chaos::current;
use crate::chaos::site::{Site, SiteKind};
use crate::chaos::tally::AssertionStats;

/// `always_assert!(name, condition, "message {}", ..)`: the condition holds each time.
///
/// One that does not is recorded, ends the run at the end of the instant, and fails the test. The message is made
/// only then.
///
/// ```
/// let (acked, stored) = (3, 3);
/// samestep_sim::always_assert!(acked_is_stored, acked <= stored, "{acked} acked, {stored} stored");
/// ```
#[macro_export]
macro_rules! always_assert {
    ($name:ident, $condition:expr, $message:literal $($arguments:tt)*) => {
        $crate::chaos::macro_support::check(
            $crate::__site!(Always, ::core::stringify!($name)),
            $condition,
            || ::std::format!($message $($arguments)*),
        )
    };
    ($name:ident, $condition:expr, $message:expr $(,)?) => {
        $crate::chaos::macro_support::check(
            $crate::__site!(Always, ::core::stringify!($name)),
            $condition,
            || ::std::string::ToString::to_string(&$message),
        )
    };
}

/// `sometimes_assert!(name, condition, "message")`: the condition holds in some run; how often is counted.
///
/// ```
/// let retries = 0;
/// samestep_sim::sometimes_assert!(client_retries, retries > 0, "a request was sent twice");
/// ```
#[macro_export]
macro_rules! sometimes_assert {
    ($name:ident, $condition:expr $(, $message:expr)? $(,)?) => {
        $crate::chaos::macro_support::check(
            $crate::__site!(Sometimes, ::core::stringify!($name)),
            $condition,
            || ::std::string::String::new(),
        )
    };
}

/// `assert_always!(condition, "name")`, or with a message behind it: the condition holds each time, and is looked at
/// in some run.
#[macro_export]
macro_rules! assert_always {
    ($condition:expr, $name:literal $(, $($message:tt)*)?) => {
        $crate::chaos::macro_support::check($crate::__site!(Always, $name), $condition, || {
            $crate::__message!($($($message)*)?)
        })
    };
}

/// As [`assert_always!`], and no run need come here.
#[macro_export]
macro_rules! assert_always_or_unreachable {
    ($condition:expr, $name:literal $(, $($message:tt)*)?) => {
        $crate::chaos::macro_support::check($crate::__site!(AlwaysOrUnreachable, $name), $condition, || {
            $crate::__message!($($($message)*)?)
        })
    };
}

/// `assert_sometimes!(condition, "name")`: the condition holds in some run.
#[macro_export]
macro_rules! assert_sometimes {
    ($condition:expr, $name:literal $(,)?) => {
        $crate::chaos::macro_support::check($crate::__site!(Sometimes, $name), $condition, || {
            ::std::string::String::new()
        })
    };
}

/// `assert_reachable!("name")`: some run comes here.
#[macro_export]
macro_rules! assert_reachable {
    ($name:literal $(,)?) => {
        $crate::chaos::macro_support::check($crate::__site!(Reachable, $name), true, || {
            ::std::string::String::new()
        })
    };
}

/// `assert_unreachable!("name")`, or with a message behind it: no run comes here.
#[macro_export]
macro_rules! assert_unreachable {
    ($name:literal $(, $($message:tt)*)?) => {
        $crate::chaos::macro_support::check($crate::__site!(Unreachable, $name), false, || {
            $crate::__message!($($($message)*)?)
        })
    };
}

/// The text of a check that has one. Not for other callers.
#[doc(hidden)]
#[macro_export]
macro_rules! __message {
    () => {
        ::std::string::String::new()
    };
    ($($message:tt)+) => {
        ::std::format!($($message)+)
    };
}

/// Checks of two numbers, from which it is seen how near a run came. Not for other callers.
#[doc(hidden)]
#[macro_export]
macro_rules! __numeric {
    ($kind:ident, $left:expr, $operator:tt, $right:expr, $name:literal) => {
        match ($left, $right) {
            (left, right) => $crate::chaos::macro_support::check_numeric(
                $crate::__site!($kind, $name),
                left $operator right,
                $crate::chaos::macro_support::Number::to_i64(left),
                $crate::chaos::macro_support::Number::to_i64(right),
            ),
        }
    };
}

/// `assert_always_greater_than!(left, right, "name")`; the margin between both is kept.
#[macro_export]
macro_rules! assert_always_greater_than {
    ($left:expr, $right:expr, $name:literal $(,)?) => {
        $crate::__numeric!(Always, $left, >, $right, $name)
    };
}

/// As [`assert_always_greater_than!`], or equal.
#[macro_export]
macro_rules! assert_always_greater_than_or_equal_to {
    ($left:expr, $right:expr, $name:literal $(,)?) => {
        $crate::__numeric!(Always, $left, >=, $right, $name)
    };
}

/// `assert_always_less_than!(left, right, "name")`; the margin between both is kept.
#[macro_export]
macro_rules! assert_always_less_than {
    ($left:expr, $right:expr, $name:literal $(,)?) => {
        $crate::__numeric!(Always, $left, <, $right, $name)
    };
}

/// As [`assert_always_less_than!`], or equal.
#[macro_export]
macro_rules! assert_always_less_than_or_equal_to {
    ($left:expr, $right:expr, $name:literal $(,)?) => {
        $crate::__numeric!(Always, $left, <=, $right, $name)
    };
}

/// `assert_sometimes_greater_than!(left, right, "name")`: in some run; the margin between both is kept.
#[macro_export]
macro_rules! assert_sometimes_greater_than {
    ($left:expr, $right:expr, $name:literal $(,)?) => {
        $crate::__numeric!(Sometimes, $left, >, $right, $name)
    };
}

/// As [`assert_sometimes_greater_than!`], or equal.
#[macro_export]
macro_rules! assert_sometimes_greater_than_or_equal_to {
    ($left:expr, $right:expr, $name:literal $(,)?) => {
        $crate::__numeric!(Sometimes, $left, >=, $right, $name)
    };
}

/// `assert_sometimes_less_than!(left, right, "name")`: in some run; the margin between both is kept.
#[macro_export]
macro_rules! assert_sometimes_less_than {
    ($left:expr, $right:expr, $name:literal $(,)?) => {
        $crate::__numeric!(Sometimes, $left, <, $right, $name)
    };
}

/// As [`assert_sometimes_less_than!`], or equal.
#[macro_export]
macro_rules! assert_sometimes_less_than_or_equal_to {
    ($left:expr, $right:expr, $name:literal $(,)?) => {
        $crate::__numeric!(Sometimes, $left, <=, $right, $name)
    };
}

/// `assert_sometimes_all!("name", [condition, ..])`: all conditions hold at once in some run; the most that did is
/// kept. A condition may be named: `("leader is down", condition)`.
#[macro_export]
macro_rules! assert_sometimes_all {
    ($name:literal, [$(($_condition_name:literal, $condition:expr)),+ $(,)?] $(,)?) => {
        $crate::chaos::macro_support::check_all($crate::__site!(SometimesAll, $name), &[$($condition),+])
    };
    ($name:literal, [$($condition:expr),+ $(,)?] $(,)?) => {
        $crate::chaos::macro_support::check_all($crate::__site!(SometimesAll, $name), &[$($condition),+])
    };
}

/// `assert_sometimes_each!("name", [value, ..])`: counts how often the line is reached with each combination of
/// integers. A value may be named: `("replicas", count)`.
#[macro_export]
macro_rules! assert_sometimes_each {
    ($name:literal, [$(($_value_name:literal, $value:expr)),+ $(,)?] $(,)?) => {
        $crate::chaos::macro_support::check_each(
            $crate::__site!(SometimesEach, $name),
            &[$($crate::chaos::macro_support::Number::to_i64($value)),+],
        )
    };
    ($name:literal, [$($value:expr),+ $(,)?] $(,)?) => {
        $crate::chaos::macro_support::check_each(
            $crate::__site!(SometimesEach, $name),
            &[$($crate::chaos::macro_support::Number::to_i64($value)),+],
        )
    };
}

/// Checks by name, with how often each was made and held: those of the current run, or, outside of one, of all runs of
/// this thread's tests since [`reset_assertion_results`].
pub fn get_assertion_results() -> BTreeMap<String, AssertionStats> {
    current::with(|checks| checks.results())
}

/// Forgets what checks were made.
pub fn reset_assertion_results() {
    current::with(Checks::reset);
}

/// A check that holds or not.
#[doc(hidden)]
pub fn check(site: &'static Site, holds: bool, message: impl FnOnce() -> String) {
    current::with(|checks| checks.tally(site).stats.add(holds));
    // The message is the program's code, so that no table is borrowed here.
    if !holds && is_strict(site.kind()) {
        fail(site.name(), message(), Some(site));
    }
}

/// A check of two numbers.
#[doc(hidden)]
pub fn check_numeric(site: &'static Site, holds: bool, left: i64, right: i64) {
    current::with(|checks| checks.tally(site).stats.add_margin(left.saturating_sub(right)));
    check(site, holds, || format!("{left} against {right}"));
}

/// A check of several conditions at once.
#[doc(hidden)]
pub fn check_all(site: &'static Site, conditions: &[bool]) {
    let held = u32::try_from(conditions.iter().filter(|holds| **holds).count()).unwrap_or(u32::MAX);
    current::with(|checks| {
        let stats = &mut checks.tally(site).stats;
        stats.add(held as usize == conditions.len());
        stats.frontier = stats.frontier.max(held);
    });
}

/// A check that counts combinations of values.
#[doc(hidden)]
pub fn check_each(site: &'static Site, values: &[i64]) {
    current::with(|checks| {
        let stats = &mut checks.tally(site).stats;
        stats.add(true);
        match stats.buckets.get_mut(values) {
            Some(count) => *count += 1,
            None => drop(stats.buckets.insert(values.to_vec(), 1)),
        }
    });
}

/// Records that a check failed: a macro's, an invariant's or an oracle's.
pub(crate) fn fail(name: &str, detail: String, site: Option<&'static Site>) {
    let (time, node) = current::fail_world(name, &detail);
    current::with(|checks| checks.fail(CheckFailure { name: name.to_owned(), detail, site, time, node }));
}

/// Integers that numeric checks take.
#[doc(hidden)]
pub trait Number: Copy {
    /// The nearest value of an `i64`.
    fn to_i64(self) -> i64;
}

macro_rules! number {
    ($($integer:ty),*) => {$(
        impl Number for $integer {
            fn to_i64(self) -> i64 {
                // The value is beyond the greatest if it does not fit, as 64 bits with a sign always do.
                i64::try_from(self).unwrap_or(i64::MAX)
            }
        }
    )*};
}

number!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

fn is_strict(kind: SiteKind) -> bool {
    matches!(kind, SiteKind::Always | SiteKind::AlwaysOrUnreachable | SiteKind::Unreachable)
}
