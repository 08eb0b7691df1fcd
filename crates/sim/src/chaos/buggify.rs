//! Places where a program may be made to misbehave, as FoundationDB's `BUGGIFY` does it: in each run some places are
//! active, and an active place fires now and then. So a run has few kinds of misbehaviour, and those often.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use crate::chaos::checks::Checks;
use crate::chaos::current::{self, NoWorld};
use crate::chaos::site::{Site, SiteKind};
use crate::choice::{Chance, ChoiceFamily, Choices};

/// Whether this place misbehaves this time: with the chance that [`buggify_init`] was given (25 %) if the place is
/// active in this run, which it is with a chance of 25 %; never outside of a simulation.
///
/// ```
/// # fn flush() {}
/// // A batch that is cut short is rare in practice and must be right all the same.
/// let batch = if samestep_sim::buggify!() { 1 } else { 1000 };
/// # flush();
/// ```
///
/// A place may have a name: `buggify!("short batch")`.
#[macro_export]
macro_rules! buggify {
    ($($name:literal)?) => {
        $crate::chaos::macro_support::buggify(
            $crate::__site!(Buggify, ::core::concat!($($name)?)),
            ::core::option::Option::None,
        )
    };
}

/// As [`buggify!`], and an active place fires with the chance that is given, from 0.0 to 1.0.
#[macro_export]
macro_rules! buggify_with_prob {
    ($probability:expr $(, $name:literal)? $(,)?) => {
        $crate::chaos::macro_support::buggify(
            $crate::__site!(Buggify, ::core::concat!($($name)?)),
            ::core::option::Option::Some($probability),
        )
    };
}

/// A setting that is the default in most runs, and any value of a range in those in which this place is active. It is
/// decided once a run.
///
/// ```
/// let buffer_bytes = samestep_sim::buggify_knob!(65_536, 1..4_096);
/// # assert_eq!(buffer_bytes, 65_536);
/// ```
#[macro_export]
macro_rules! buggify_knob {
    ($default:expr, $range:expr $(, $name:literal)? $(,)?) => {
        $crate::chaos::macro_support::knob(
            $crate::__site!(Buggify, ::core::concat!($($name)?)),
            $default,
            $range,
        )
    };
}

/// Switches `buggify` on: a place is active in a run with the first chance, and an active one fires with the second.
/// Both are from 0.0 to 1.0. The choice of active places starts anew.
///
/// In a run this holds for the run; outside, for the thread's simulations that no runner drives.
pub fn buggify_init(activation_probability: f64, firing_probability: f64) {
    let buggify = Buggify::on(
        Chance::from_probability(activation_probability),
        Chance::from_probability(firing_probability),
    );
    current::with(|checks| checks.reset_buggify(buggify));
}

/// Switches `buggify` off, where [`buggify_init`] would switch it on.
pub fn buggify_reset() {
    current::with(|checks| checks.reset_buggify(Buggify::default()));
}

/// Switches `buggify` off for the rest of the run, and keeps what was seen of it.
pub(crate) fn disable_buggify() {
    current::with(|checks| checks.buggify = Buggify::default());
}

/// The `buggify` places that were executed so far in the current run, or, outside of one, in runs that ended.
pub fn buggify_sites() -> Vec<BuggifySite> {
    current::with(|checks| listing(checks))
}

/// What was seen of a `buggify` place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuggifySite {
    /// The place.
    pub site: &'static Site,
    /// In how many runs it was active.
    pub active_runs: u64,
    /// How often it was executed.
    pub calls: u64,
    /// How often it fired.
    pub fired: u64,
}

impl fmt::Display for BuggifySite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { site, active_runs, calls, fired } = self;
        write!(f, "buggify {site}: active in {active_runs} runs, fired {fired} of {calls} times")
    }
}

pub(crate) fn listing(checks: &Checks) -> Vec<BuggifySite> {
    let seen = checks.seen().filter(|(site, _)| site.kind() == SiteKind::Buggify);
    seen.filter_map(|(site, tally)| {
        let tally = tally.filter(|tally| tally.stats.total_checks > 0)?;
        let (calls, fired) = (tally.stats.total_checks, tally.stats.successes);
        Some(BuggifySite { site, active_runs: tally.active_runs, calls, fired })
    })
    .collect()
}

/// Whether `buggify` is on, and with which chances.
#[derive(Debug, Default)]
pub(crate) struct Buggify {
    chances: Option<Chances>,
    /// Decides where there is no world.
    own: Option<Choices>,
}

#[derive(Clone, Copy, Debug)]
struct Chances {
    activation: Chance,
    firing: Chance,
}

impl Buggify {
    /// On, with these chances.
    pub(crate) fn on(activation: Chance, firing: Chance) -> Self {
        Self { chances: Some(Chances { activation, firing }), own: None }
    }

    /// Lets `choices` decide where there is no world.
    #[cfg(test)]
    pub(crate) fn decide_by(&mut self, choices: Choices) {
        self.own = Some(choices);
    }

    fn decide<R>(&mut self, mut decide: impl FnMut(&mut Choices) -> R) -> R {
        match current::with_world_choices(&mut decide) {
            Ok(decided) => decided,
            Err(NoWorld) => decide(self.own.get_or_insert_with(|| Choices::drawn(current::thread_seed()))),
        }
    }
}

/// [`buggify!`] and [`buggify_with_prob!`].
#[doc(hidden)]
pub fn buggify(site: &'static Site, probability: Option<f64>) -> bool {
    current::with(|checks| {
        let Some(chances) = checks.buggify.chances else { return false };
        let fires = is_active(checks, site, chances) && {
            let chance = probability.map_or(chances.firing, Chance::from_probability);
            checks.buggify.decide(|choices| choices.happens(ChoiceFamily::Buggify, place(site), chance))
        };
        checks.tally(site).stats.add(fires);
        fires
    })
}

/// [`buggify_knob!`].
#[doc(hidden)]
pub fn knob<T: KnobValue>(site: &'static Site, default: T, range: Range<T>) -> T {
    current::with(|checks| {
        let Some(chances) = checks.buggify.chances else { return default };
        let is_active = is_active(checks, site, chances);
        checks.tally(site).stats.add(is_active);
        if !is_active || range.is_empty() {
            return default;
        }
        let span = range.end.offset_from(range.start);
        let offset = match checks.tally(site).knob {
            Some(offset) => offset,
            None => checks.buggify.decide(|choices| choices.pick(ChoiceFamily::Buggify, place(site), span)),
        };
        checks.tally(site).knob = Some(offset);
        range.start.at_offset(offset.min(span - 1))
    })
}

fn is_active(checks: &mut Checks, site: &'static Site, chances: Chances) -> bool {
    if let Some(is_active) = checks.tally(site).active {
        return is_active;
    }
    let decide =
        |choices: &mut Choices| choices.happens(ChoiceFamily::Buggify, place(site), chances.activation);
    let is_active = checks.buggify.decide(decide);
    let tally = checks.tally(site);
    tally.active = Some(is_active);
    tally.active_runs += u64::from(is_active);
    is_active
}

fn place(site: &'static Site) -> u32 {
    u32::try_from(site.index()).expect("fewer than 2^32 sites")
}

/// Values that [`buggify_knob!`] may set.
#[doc(hidden)]
pub trait KnobValue: Copy + PartialOrd {
    /// How far it is above `start`.
    fn offset_from(self, start: Self) -> u64;
    /// The value that is so far above it.
    fn at_offset(self, offset: u64) -> Self;
}

macro_rules! knob_value {
    ($($integer:ty),*) => {$(
        impl KnobValue for $integer {
            #[expect(
                clippy::allow_attributes,
                reason = "which of the casts can lose something depends on the type"
            )]
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_lossless,
                clippy::cast_possible_wrap,
                reason = "the difference of two values of at most 64 bits, and back"
            )]
            fn offset_from(self, start: Self) -> u64 {
                (self as i128 - start as i128) as u64
            }

            #[expect(
                clippy::allow_attributes,
                reason = "which of the casts can lose something depends on the type"
            )]
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_lossless,
                reason = "between two values of the type"
            )]
            fn at_offset(self, offset: u64) -> Self {
                (self as i128 + offset as i128) as Self
            }
        }
    )*};
}

knob_value!(u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);

/// In nanoseconds.
impl KnobValue for Duration {
    fn offset_from(self, start: Self) -> u64 {
        u64::try_from(self.saturating_sub(start).as_nanos()).unwrap_or(u64::MAX)
    }

    fn at_offset(self, offset: u64) -> Self {
        self.saturating_add(Self::from_nanos(offset))
    }
}
