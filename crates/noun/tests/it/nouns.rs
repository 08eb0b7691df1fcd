//! Nouns at random.

use proptest::prelude::*;
use samestep_noun::{Atom, Noun};

/// A noun with some sharing: parts are taken again from what was made before.
pub(crate) fn any_noun() -> impl Strategy<Value = Noun> {
    let steps = prop::collection::vec((any_atom(), any::<(u8, u8, bool)>()), 1..60);
    steps.prop_map(|steps| {
        let mut made: Vec<Noun> = vec![Noun::ZERO];
        for (atom, (left, right, is_cell)) in steps {
            let pick = |at: u8| made[usize::from(at) % made.len()].clone();
            made.push(if is_cell { Noun::cell(pick(left), pick(right)) } else { Noun::Atom(atom) });
        }
        made.pop().unwrap()
    })
}

pub(crate) fn any_atom() -> impl Strategy<Value = Atom> {
    let small = (0..20_u64).prop_map(Atom::new);
    let direct = any::<u64>().prop_map(Atom::new);
    let large = prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Atom::from_le_bytes(&bytes));
    prop_oneof![small, direct, large]
}

/// The same structure in other memory, with nothing shared: parts that come again are made again.
pub(crate) fn rebuilt(noun: &Noun) -> Noun {
    match noun {
        Noun::Atom(atom) => Noun::Atom(Atom::from_le_bytes(&atom.as_le_bytes())),
        Noun::Cell(cell) => Noun::cell(rebuilt(cell.head()), rebuilt(cell.tail())),
    }
}

/// How many atoms and cells are in a noun that is written out, or `None` for more than `max`.
pub(crate) fn size(noun: &Noun, max: usize) -> Option<usize> {
    let mut pending = vec![noun];
    let mut count = 0;
    while let Some(noun) = pending.pop() {
        count += 1;
        if count > max {
            return None;
        }
        pending.extend(noun.as_pair().into_iter().flat_map(|(head, tail)| [head, tail]));
    }
    Some(count)
}
