//! Every decision of the world, from one place: drawn from the seed, or given by a tape.
//!
//! A decision has a plain outcome, 0: no fault, the shortest latency, first come first served. A [`Tape`] lists
//! the decisions that were not plain; a shorter tape is a simpler run, and shrinking is nothing but taking
//! entries away. A decision is known by its family, its place (a node, a link, a site) and its number there, so
//! that taking one away moves few others.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::draws::{Stream, scale};

/// What a decision is about. A shrinker takes whole families away first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ChoiceFamily {
    /// Which of the tasks that are ready runs next; plain is the one that waited longest.
    Schedule,
    /// How long a message or call takes; plain is the least.
    Latency,
    /// Whether and how a fault of the network acts; plain is not at all.
    Network,
    /// Whether and how a fault of a disk acts, and what a crash leaves; plain is not at all, and everything.
    Disk,
    /// Whether and how a node's clock is wrong; plain is not at all.
    Clock,
    /// Whether a node is killed, paused or restarted; plain is not at all.
    Node,
    /// Whether a `buggify` site is active, and fires; plain is not.
    Buggify,
    /// How large the system is and which faults are on; plain is the smallest, and none.
    Setup,
    /// What a test asked to have decided; plain is its first alternative.
    Test,
}

/// All families, in order.
pub(crate) const FAMILIES: [ChoiceFamily; 9] = [
    ChoiceFamily::Schedule,
    ChoiceFamily::Latency,
    ChoiceFamily::Network,
    ChoiceFamily::Disk,
    ChoiceFamily::Clock,
    ChoiceFamily::Node,
    ChoiceFamily::Buggify,
    ChoiceFamily::Setup,
    ChoiceFamily::Test,
];

/// Which decision: its family, its place there, and how many the place made before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChoiceKey {
    /// What it is about.
    pub family: ChoiceFamily,
    /// The node, link or site, numbered from 0 as the family's model sees fit.
    pub place: u32,
    /// How many decisions the place made before.
    pub number: u32,
}

/// The decisions of a run that were not plain, and their outcomes.
pub type Tape = BTreeMap<ChoiceKey, u64>;

/// A probability as a share of 2^32, so that decisions need no floating point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chance(u64);

impl Chance {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Always.
    pub const ALWAYS: Self = Self(1 << 32);

    /// `numerator` in `denominator`, at most always.
    ///
    /// # Panics
    ///
    /// If `denominator` is 0.
    pub const fn one_in(numerator: u32, denominator: u32) -> Self {
        let share = ((numerator as u64) << 32) / denominator as u64;
        if share > 1 << 32 { Self::ALWAYS } else { Self(share) }
    }

    /// The nearest share to `probability`, which is taken as 0 below it and not a number, and as 1 above it.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 2^32; casts of floats saturate"
    )]
    pub fn from_probability(probability: f64) -> Self {
        Self((probability.clamp(0.0, 1.0) * 4_294_967_296.0).round() as u64)
    }

    /// Whether it is never.
    pub const fn is_never(self) -> bool {
        self.0 == 0
    }
}

/// Makes the decisions of one run.
#[derive(Debug)]
pub(crate) struct Choices {
    root: Stream,
    /// How many decisions each place of each family made, and its stream.
    places: [Vec<Place>; FAMILIES.len()],
    source: Source,
    /// A bit for each family whose decisions are all plain.
    plain: u16,
    made: u64,
}

impl Choices {
    /// Decisions drawn from `seed`.
    pub(crate) fn drawn(seed: u64) -> Self {
        Self::from_source(seed, Source::Drawn)
    }

    /// Decisions drawn from `seed`, with a tape of those that were not plain.
    pub(crate) fn recorded(seed: u64) -> Self {
        Self::from_source(seed, Source::Recorded(Tape::new()))
    }

    /// Decisions given by `tape`, plain where it has none. The seed still decides what is no choice: the numbers
    /// a program draws, and when a fault may come.
    pub(crate) fn taped(seed: u64, tape: Tape) -> Self {
        Self::from_source(seed, Source::Taped(tape))
    }

    /// The same, and all decisions of these families are plain.
    pub(crate) fn with_plain(mut self, families: &[ChoiceFamily]) -> Self {
        self.plain = families.iter().fold(self.plain, |plain, family| plain | 1 << *family as u16);
        self
    }

    fn from_source(seed: u64, source: Source) -> Self {
        Self {
            root: Stream::from_seed(seed).fork("choices"),
            places: Default::default(),
            source,
            plain: 0,
            made: 0,
        }
    }

    /// One of `0..bound`; 0 is plain. Nothing is decided, and no number used up, if `bound` is below 2.
    #[inline]
    pub(crate) fn pick(&mut self, family: ChoiceFamily, place: u32, bound: u64) -> u64 {
        if bound < 2 {
            return 0;
        }
        self.decide(family, place, |value| scale(value, bound)).min(bound - 1)
    }

    /// A value of `range`, whose start is plain.
    #[inline]
    pub(crate) fn within(&mut self, family: ChoiceFamily, place: u32, range: Range<u64>) -> u64 {
        range.start + self.pick(family, place, range.end.saturating_sub(range.start))
    }

    /// Whether something of this chance happens; not is plain. Nothing is decided, and no number used up, if the
    /// chance is never.
    #[inline]
    pub(crate) fn happens(&mut self, family: ChoiceFamily, place: u32, chance: Chance) -> bool {
        !chance.is_never() && self.decide(family, place, |value| u64::from((value >> 32) < chance.0)) != 0
    }

    /// A value of `range` that the seed alone decides, not a choice: when a fault may come.
    pub(crate) fn seeded(&mut self, family: ChoiceFamily, place: u32, range: Range<u64>) -> u64 {
        let root = self.root;
        let place = self.place(family, place);
        let value = place.seeded.get_or_insert_with(|| root.fork("seeded").fork_number(place.key)).next_u64();
        range.start + scale(value, range.end.saturating_sub(range.start))
    }

    /// How many decisions were made.
    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    /// The decisions so far that were not plain; those of the tape that there is, if there is one; empty unless
    /// either is kept.
    pub(crate) fn tape(&self) -> Tape {
        match &self.source {
            Source::Recorded(tape) | Source::Taped(tape) => tape.clone(),
            Source::Drawn => Tape::new(),
        }
    }

    #[inline]
    fn decide(&mut self, family: ChoiceFamily, place: u32, outcome: impl FnOnce(u64) -> u64) -> u64 {
        self.made += 1;
        let stream = &mut self.place(family, place).choices;
        let number = stream.drawn();
        let value = outcome(stream.next_u64());
        if matches!(self.source, Source::Drawn) {
            return value;
        }
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.taped_or_kept(ChoiceKey { family, place, number }, value)
    }

    /// The tape's outcome, or the one that was drawn, which is then kept.
    #[cold]
    fn taped_or_kept(&mut self, key: ChoiceKey, drawn: u64) -> u64 {
        if self.plain & 1 << key.family as u16 != 0 {
            return 0;
        }
        match &mut self.source {
            Source::Drawn => drawn,
            Source::Recorded(tape) => {
                if drawn != 0 {
                    tape.insert(key, drawn);
                }
                drawn
            }
            Source::Taped(tape) => tape.get(&key).copied().unwrap_or(0),
        }
    }

    #[cold]
    fn add_places(&mut self, family: ChoiceFamily, place: u32) {
        let places = &mut self.places[family as usize];
        while places.len() <= place as usize {
            let key = (u64::from(family as u8) << 32) | places.len() as u64;
            places.push(Place { key, choices: self.root.fork_number(key), seeded: None });
        }
    }

    #[inline]
    fn place(&mut self, family: ChoiceFamily, place: u32) -> &mut Place {
        if self.places[family as usize].len() <= place as usize {
            self.add_places(family, place);
        }
        &mut self.places[family as usize][place as usize]
    }
}

#[derive(Debug)]
struct Place {
    key: u64,
    choices: Stream,
    seeded: Option<Stream>,
}

#[derive(Debug)]
enum Source {
    Drawn,
    Recorded(Tape),
    Taped(Tape),
}

#[cfg(test)]
mod tests {
    use super::{Chance, ChoiceFamily, Choices};

    fn some_choices(choices: &mut Choices) -> Vec<u64> {
        let mut all = Vec::new();
        for round in 0..50 {
            all.push(choices.pick(ChoiceFamily::Schedule, round % 3, 5));
            all.push(choices.within(ChoiceFamily::Latency, 0, 100..200));
            all.push(u64::from(choices.happens(ChoiceFamily::Disk, 1, Chance::one_in(1, 4))));
            all.push(choices.seeded(ChoiceFamily::Network, 2, 0..1000));
        }
        all
    }

    #[test]
    fn a_tape_gives_the_run_that_it_was_recorded_from() {
        let mut recorded = Choices::recorded(11);
        let expected = some_choices(&mut recorded);
        let tape = recorded.tape();
        assert!(tape.len() > 50, "{}", tape.len());
        assert_eq!(some_choices(&mut Choices::taped(11, tape)), expected);
        assert_eq!(some_choices(&mut Choices::drawn(11)), expected);
        assert_ne!(some_choices(&mut Choices::drawn(12)), expected);
    }

    #[test]
    fn an_empty_tape_is_plain() {
        let mut choices = Choices::taped(11, super::Tape::new());
        assert_eq!(choices.pick(ChoiceFamily::Schedule, 0, 5), 0);
        assert_eq!(choices.within(ChoiceFamily::Latency, 0, 100..200), 100);
        assert!(!choices.happens(ChoiceFamily::Disk, 1, Chance::ALWAYS));
    }

    #[test]
    fn taking_an_entry_away_moves_no_other() {
        let mut recorded = Choices::recorded(3);
        let expected = some_choices(&mut recorded);
        let mut tape = recorded.tape();
        let (first, _) = tape.pop_first().unwrap();
        let shorter = some_choices(&mut Choices::taped(3, tape));
        assert_eq!(expected.iter().zip(&shorter).filter(|(a, b)| a != b).count(), 1, "{first:?}");
    }

    #[test]
    fn chances_are_kept() {
        let mut choices = Choices::drawn(5);
        let chance = Chance::from_probability(0.25);
        assert_eq!(chance, Chance::one_in(1, 4));
        let hits = (0..40_000).filter(|_| choices.happens(ChoiceFamily::Test, 0, chance)).count();
        // Standard deviation sqrt(40000 * 3/16) = 87; six of them.
        assert!((9_480..=10_520).contains(&hits), "{hits}");
        assert_eq!(Chance::from_probability(f64::NAN), Chance::NEVER);
    }
}
