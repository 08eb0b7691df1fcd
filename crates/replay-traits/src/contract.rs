//! What every [`ReplaySource`] must keep, as checks that an implementation's own tests call.

use crate::record::{Index, ReplaySource};

/// Walks `source` to its end and compares it with `expected`, the records it must lend.
///
/// # Panics
///
/// If the source fails, lends other records than `expected`, lends them in another order, skips an index, or
/// lends one more after it has ended.
#[track_caller]
pub fn replay_source<S: ReplaySource>(mut source: S, expected: &[(Index, &[u8])]) {
    let mut previous: Option<Index> = None;
    for (index, payload) in expected {
        let lent = match source.next_record() {
            Ok(Some(record)) => (record.index, record.payload.to_vec()),
            Ok(None) => panic!("the source ended before record {index}"),
            Err(error) => panic!("record {index} was not lent: {error}"),
        };
        assert_eq!(lent.0, *index, "another index than expected");
        assert_eq!(lent.1, *payload, "record {index} has another payload");
        if let Some(previous) = previous {
            assert_eq!(Some(lent.0), previous.next(), "indices ascend by one");
        }
        previous = Some(lent.0);
    }
    for _ in 0..2 {
        match source.next_record() {
            Ok(None) => {}
            Ok(Some(record)) => panic!("record {} was lent behind the end", record.index),
            Err(error) => panic!("the end is not an error: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::replay_source;
    use crate::record::{Index, Record, ReplaySource};

    /// Lends the given indices, each with the payload `p`, and starts over after the end if told so.
    struct Source {
        indices: Vec<u64>,
        at: usize,
        wraps: bool,
    }

    impl ReplaySource for Source {
        type Error = Infallible;

        fn next_record(&mut self) -> Result<Option<Record<'_>>, Infallible> {
            let index = self.indices.get(self.at).copied();
            self.at = if index.is_none() && self.wraps { 0 } else { self.at + 1 };
            Ok(index.map(|number| Record { index: Index::new(number), payload: b"p" }))
        }
    }

    fn check(indices: &[u64], wraps: bool) {
        let source = Source { indices: indices.to_vec(), at: 0, wraps };
        replay_source(source, &[(Index::new(4), b"p"), (Index::new(5), b"p")]);
    }

    #[test]
    fn a_good_source_passes() {
        check(&[4, 5], false);
    }

    #[test]
    #[should_panic(expected = "another index")]
    fn a_gap_is_noticed() {
        check(&[4, 6], false);
    }

    #[test]
    #[should_panic(expected = "ended before record 5")]
    fn a_short_source_is_noticed() {
        check(&[4], false);
    }

    #[test]
    #[should_panic(expected = "behind the end")]
    fn a_long_source_is_noticed() {
        check(&[4, 5, 6], false);
    }

    #[test]
    #[should_panic(expected = "behind the end")]
    fn a_source_that_starts_over_is_noticed() {
        check(&[4, 5], true);
    }
}
