//! A stack read by its frame pointers: each frame begins with the address of the one it was called from, and behind
//! that, where that goes on.
//!
//! What has no frame pointers has anything in their place: nothing is believed, and the walk ends at the first that
//! cannot be one.

use std::ops::Range;

/// What a thread's registers were when it was interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers {
    /// Of the instruction to come.
    pub(crate) counter: usize,
    pub(crate) frame: usize,
    pub(crate) stack: usize,
}

/// Writes where the thread was, and from where that was called and so on, to `frames`; tells how many they are.
///
/// `read` is asked for words between the stack's pointer and its end, aligned ones only, each frame's above those before:
/// this ends. Allocates nothing, and panics at nothing.
pub(crate) fn walk(
    registers: Registers,
    stack: &Range<usize>,
    read: impl Fn(usize) -> usize,
    frames: &mut [usize; FRAMES_MAX],
) -> usize {
    frames[0] = registers.counter;
    let mut len = 1;
    if !stack.contains(&registers.stack) {
        // It runs on another stack, of which nothing is known.
        return len;
    }
    let (mut frame, mut least) = (registers.frame, registers.stack);
    while len < FRAMES_MAX {
        let is_frame =
            frame >= least && frame.is_multiple_of(WORD) && frame <= stack.end.saturating_sub(2 * WORD);
        if !is_frame {
            break;
        }
        let from = read(frame + WORD);
        if from < LEAST_CODE {
            break;
        }
        frames[len] = from;
        len += 1;
        least = frame + 2 * WORD;
        frame = read(frame);
    }
    len
}

/// More are not looked at.
pub(crate) const FRAMES_MAX: usize = 64;
const WORD: usize = size_of::<usize>();
/// Nothing is mapped below.
const LEAST_CODE: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FRAMES_MAX, Registers, WORD, walk};

    const START: usize = 0x10_0000;

    /// Walks a stack of these words; whatever is asked for is in it.
    fn frames(registers: Registers, words: &[usize]) -> Vec<usize> {
        let stack = START..START + words.len() * WORD;
        let mut frames = [0; FRAMES_MAX];
        let read = |at: usize| {
            assert!(at >= registers.stack && at.is_multiple_of(WORD), "{at:#x}");
            words[(at - START) / WORD]
        };
        let len = walk(registers, &stack, read, &mut frames);
        frames[..len].to_vec()
    }

    const fn at(word: usize) -> usize {
        START + word * WORD
    }

    fn registers(frame: usize, stack: usize) -> Registers {
        Registers { counter: 0x4000, frame, stack }
    }

    #[test]
    fn frames_are_followed_to_the_outermost() {
        let words = [7, at(4), 0x5000, 7, at(6), 0x6000, 0, 0];
        assert_eq!(frames(registers(at(1), at(0)), &words), [0x4000, 0x5000, 0x6000]);
    }

    #[test]
    fn what_is_no_frame_ends_it() {
        let words = [7, at(4), 0x5000, 7, at(6), 0x6000, 0, 0];
        // Below the stack's pointer, above its end, at its last word, not aligned, and none at all.
        for frame in [at(0), at(8), at(7), at(1) + 1, 0, usize::MAX, 0x5000] {
            assert_eq!(frames(registers(frame, at(1)), &words), [0x4000], "{frame:#x}");
        }
        // Of a stack that is another one.
        assert_eq!(frames(registers(at(1), 0x1000), &words), [0x4000]);
        // One that points at itself, or back.
        assert_eq!(frames(registers(at(1), at(0)), &[7, at(1), 0x5000, 7]), [0x4000, 0x5000]);
        assert_eq!(frames(registers(at(2), at(0)), &[7, 0x9000, at(0), 0x5000, 7, 7]), [0x4000, 0x5000]);
    }

    #[test]
    fn a_deep_stack_is_cut() {
        let words: Vec<usize> =
            (0..1000).map(|word| if word % 2 == 0 { at(word + 2) } else { 0x5000 + word }).collect();
        assert_eq!(frames(registers(at(0), at(0)), &words).len(), FRAMES_MAX);
    }

    proptest! {
        /// Whatever is on the stack and in the registers, nothing outside is read: `read` would panic.
        #[test]
        fn any_words_are_walked(
            words in prop::collection::vec(prop_oneof![0..200_usize, any::<usize>(), (0..60_usize).prop_map(at)], 1..60),
            frame in prop_oneof![any::<usize>(), (0..60_usize).prop_map(at)],
            stack in prop_oneof![any::<usize>(), (0..60_usize).prop_map(at)],
        ) {
            let found = frames(registers(frame, stack), &words);
            prop_assert!(found.len() <= 1 + words.len() / 2);
        }
    }
}
