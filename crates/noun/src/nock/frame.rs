//! What waits for a value.

use crate::atom::Atom;
use crate::cell::Cell;
use crate::noun::Noun;

/// What to do next.
pub(crate) enum Step {
    /// Evaluate the second on the first.
    Eval(Noun, Noun),
    /// Give this to the innermost frame.
    Value(Noun),
}

/// A formula that waits for the value of a part.
pub(crate) enum Frame {
    /// `[formula formula]`, of which the head is under way.
    Autocons { subject: Noun, tail: Noun },
    /// `[formula formula]`, of which the tail is under way.
    Cons { head: Noun },
    /// 2, of which the new subject is under way.
    NockSubject { subject: Noun, formula: Noun },
    /// 2, of which the new formula is under way.
    NockFormula { subject: Noun },
    /// 3.
    IsCell,
    /// 4.
    Increment,
    /// 5, of which the left side is under way.
    EqualLeft { subject: Noun, right: Noun },
    /// 5, of which the right side is under way.
    EqualRight { left: Noun },
    /// 6, of which the condition is under way.
    Branch { subject: Noun, branches: Cell },
    /// 7.
    Compose { formula: Noun },
    /// 8.
    Extend { subject: Noun, formula: Noun },
    /// 9.
    Call { axis: Atom },
    /// 10, of which the new part is under way.
    EditPart { subject: Noun, axis: Atom, target: Noun },
    /// 10, of which the target is under way.
    EditTarget { axis: Atom, part: Noun },
    /// 11, of which the clue is under way.
    Hint { subject: Noun, tag: Noun, formula: Noun },
    /// 12, of which the reference is under way.
    ScryReference { subject: Noun, path: Noun },
    /// 12, of which the path is under way.
    ScryPath { reference: Noun },
}
