//! One reduction at a time.
//!
//! From the specification of Nock 4K, <https://docs.urbit.org/nock/definition>.

use crate::atom::Atom;
use crate::nock::edit::edit;
use crate::nock::frame::{Frame, Step};
use crate::nock::{CrashReason, Halt, Nock, ScryAnswer};
use crate::noun::Noun;

impl Nock<'_> {
    /// Begins to evaluate `formula` on `subject`.
    pub(super) fn reduce(&mut self, subject: Noun, formula: &Noun) -> Result<Step, Halt> {
        let (operator, rest) = formula.as_pair().ok_or(CrashReason::AtomicFormula)?;
        let Noun::Atom(opcode) = operator else {
            return self.first(subject, operator, |subject| Frame::Autocons { subject, tail: rest.clone() });
        };
        let Some(opcode @ 0..=12) = opcode.as_u64() else {
            return Err(CrashReason::UnknownOpcode { opcode: opcode.to_string() }.into());
        };
        let malformed = || CrashReason::MalformedFormula { opcode };
        if let 0 | 1 | 3 | 4 = opcode {
            return self.reduce_simple(opcode, subject, rest);
        }
        let (first, second) = rest.as_pair().ok_or_else(malformed)?;
        match opcode {
            2 => {
                self.first(subject, first, |subject| Frame::NockSubject { subject, formula: second.clone() })
            }
            5 => self.first(subject, first, |subject| Frame::EqualLeft { subject, right: second.clone() }),
            6 => {
                let branches = second.as_cell().ok_or_else(malformed)?.clone();
                self.first(subject, first, |subject| Frame::Branch { subject, branches })
            }
            7 => self.then(subject, first, Frame::Compose { formula: second.clone() }),
            8 => self.first(subject, first, |subject| Frame::Extend { subject, formula: second.clone() }),
            9 => self.then(subject, second, Frame::Call { axis: axis(first)?.clone() }),
            10 => {
                let (at, part) = first.as_pair().ok_or_else(malformed)?;
                let (axis, target) = (axis(at)?.clone(), second.clone());
                self.first(subject, part, |subject| Frame::EditPart { subject, axis, target })
            }
            11 => match first.as_pair() {
                None => Ok(Step::Eval(subject, second.clone())),
                Some((tag, clue)) => {
                    let (tag, formula) = (tag.clone(), second.clone());
                    self.first(subject, clue, |subject| Frame::Hint { subject, tag, formula })
                }
            },
            _ => self.first(subject, first, |subject| Frame::ScryReference { subject, path: second.clone() }),
        }
    }

    /// Goes on with the formula that waited for `value`.
    pub(super) fn resume(&mut self, frame: Frame, value: Noun) -> Result<Step, Halt> {
        match frame {
            Frame::Autocons { subject, tail } => self.then(subject, &tail, Frame::Cons { head: value }),
            Frame::Cons { head } => Ok(Step::Value(Noun::cell(head, value))),
            Frame::NockSubject { subject, formula } => {
                self.then(subject, &formula, Frame::NockFormula { subject: value })
            }
            Frame::NockFormula { subject } => Ok(Step::Eval(subject, value)),
            Frame::IsCell => Ok(Step::Value(Noun::from(value.is_cell()))),
            Frame::Increment => {
                let atom = value.as_atom().ok_or(CrashReason::IncrementOfCell)?;
                Ok(Step::Value(atom.increment().into()))
            }
            Frame::EqualLeft { subject, right } => {
                self.then(subject, &right, Frame::EqualRight { left: value })
            }
            Frame::EqualRight { left } => Ok(Step::Value(Noun::from(left == value))),
            Frame::Branch { subject, branches } => match value.as_u64() {
                Some(0) => Ok(Step::Eval(subject, branches.head().clone())),
                Some(1) => Ok(Step::Eval(subject, branches.tail().clone())),
                _ => Err(CrashReason::NotLoobean.into()),
            },
            Frame::Compose { formula } => Ok(Step::Eval(value, formula)),
            Frame::Extend { subject, formula } => Ok(Step::Eval(Noun::cell(value, subject), formula)),
            Frame::Call { axis } => {
                let formula = at(&value, &axis)?.clone();
                Ok(Step::Eval(value, formula))
            }
            Frame::EditPart { subject, axis, target } => {
                self.then(subject, &target, Frame::EditTarget { axis, part: value })
            }
            Frame::EditTarget { axis, part } => {
                let edited = edit(&value, &axis, part).ok_or_else(|| no_such(&axis))?;
                Ok(Step::Value(edited))
            }
            Frame::Hint { subject, tag, formula } => {
                self.trace.enter(self.frames.len(), tag, value);
                Ok(Step::Eval(subject, formula))
            }
            Frame::ScryReference { subject, path } => {
                self.then(subject, &path, Frame::ScryPath { reference: value })
            }
            Frame::ScryPath { reference } => self.scry(&reference, &value),
        }
    }

    /// Opcodes with one part: 0, 1, 3 and 4.
    fn reduce_simple(&mut self, opcode: u64, subject: Noun, rest: &Noun) -> Result<Step, Halt> {
        match opcode {
            0 => Ok(Step::Value(at(&subject, axis(rest)?)?.clone())),
            1 => Ok(Step::Value(rest.clone())),
            3 => self.then(subject, rest, Frame::IsCell),
            _ => self.then(subject, rest, Frame::Increment),
        }
    }

    /// Evaluates `formula` for a frame that needs the subject again.
    fn first(
        &mut self,
        subject: Noun,
        formula: &Noun,
        frame: impl FnOnce(Noun) -> Frame,
    ) -> Result<Step, Halt> {
        let again = subject.clone();
        self.then(subject, formula, frame(again))
    }

    /// Evaluates `formula` for `frame`; a look into the subject or a constant at once, without a turn on the stack.
    ///
    /// Each such turn goes from the first part of a formula to the second, and from that to its end, so this does
    /// not recurse further than that.
    fn then(&mut self, subject: Noun, formula: &Noun, frame: Frame) -> Result<Step, Halt> {
        if let Some((Noun::Atom(opcode), rest)) = formula.as_pair() {
            match opcode.as_u64() {
                Some(0) => {
                    let value = at(&subject, axis(rest)?)?.clone();
                    return self.resume(frame, value);
                }
                Some(1) => return self.resume(frame, rest.clone()),
                _ => {}
            }
        }
        self.frames.push(frame);
        Ok(Step::Eval(subject, formula.clone()))
    }

    fn scry(&mut self, reference: &Noun, path: &Noun) -> Result<Step, Halt> {
        let scry = self.scry.as_mut().ok_or(CrashReason::BareScry)?;
        match scry(reference, path) {
            ScryAnswer::Known(value) => Ok(Step::Value(value)),
            ScryAnswer::Absent => Err(CrashReason::ScryAbsent { path: path.to_string() }.into()),
            ScryAnswer::Blocked => Err(Halt::Blocked { path: path.to_string() }),
        }
    }
}

/// The axis that a formula names.
fn axis(noun: &Noun) -> Result<&Atom, CrashReason> {
    noun.as_atom().filter(|axis| !axis.is_zero()).ok_or(CrashReason::BadAxis)
}

fn at<'a>(noun: &'a Noun, axis: &Atom) -> Result<&'a Noun, CrashReason> {
    noun.at_axis(axis).ok_or_else(|| no_such(axis))
}

fn no_such(axis: &Atom) -> CrashReason {
    CrashReason::NoSuchAxis { axis: axis.to_string() }
}
