//! Bytes on a medium: as many as were ever put there, zeros elsewhere.

use std::collections::BTreeMap;

/// Bytes at offsets, kept in pieces of equal length, so that holes take no memory.
#[derive(Debug)]
pub(super) struct Media {
    pieces: BTreeMap<u64, Box<[u8]>>,
    piece_bytes: u64,
}

impl Media {
    /// Nothing but zeros, to be written by sectors of this length.
    pub(super) fn new(sector_bytes: usize) -> Self {
        Self { pieces: BTreeMap::new(), piece_bytes: (sector_bytes as u64).max(PIECE_BYTES) }
    }

    /// Reads all of `out` from `offset`.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) {
        self.each(offset, out.len(), |piece, within, range| match self.pieces.get(&piece) {
            Some(bytes) => {
                let count = range.len();
                out[range].copy_from_slice(&bytes[within..within + count]);
            }
            None => out[range].fill(0),
        });
    }

    /// Puts `bytes` at `offset`, and tells whether it was others there.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let mut differs = false;
        let piece_bytes = usize::try_from(self.piece_bytes).expect("a piece is in memory");
        let (size, pieces) = (self.piece_bytes, &mut self.pieces);
        each_piece(size, offset, bytes.len(), |piece, within, range| {
            let bytes = &bytes[range];
            let there = pieces.get_mut(&piece).map(|there| &mut there[within..within + bytes.len()]);
            match there {
                Some(there) if there != bytes => there.copy_from_slice(bytes),
                None if bytes.iter().any(|byte| *byte != 0) => {
                    let mut made: Box<[u8]> = vec![0; piece_bytes].into();
                    made[within..within + bytes.len()].copy_from_slice(bytes);
                    pieces.insert(piece, made);
                }
                _ => return,
            }
            differs = true;
        });
        differs
    }

    /// Turns over bit number `bit`, and tells whether there was one to turn over.
    pub(super) fn flip(&mut self, bit: u64) -> bool {
        let (piece, within) = (bit / 8 / self.piece_bytes, bit / 8 % self.piece_bytes);
        let Some(bytes) = self.pieces.get_mut(&piece) else { return false };
        bytes[usize::try_from(within).expect("a piece is in memory")] ^= 1 << (bit % 8);
        true
    }

    /// Makes everything from `len` on zeros.
    pub(super) fn truncate(&mut self, len: u64) {
        let (piece, within) = (len / self.piece_bytes, len % self.piece_bytes);
        // Most often there is nothing behind.
        if self.pieces.last_key_value().is_none_or(|(last, _)| *last < piece) {
            return;
        }
        let mut behind = self.pieces.split_off(&piece);
        if let Some(mut bytes) = behind.remove(&piece).filter(|_| within > 0) {
            bytes[usize::try_from(within).expect("a piece is in memory")..].fill(0);
            self.pieces.insert(piece, bytes);
        }
    }

    /// Behind here are zeros.
    pub(super) fn end(&self) -> u64 {
        self.pieces.last_key_value().map_or(0, |(last, _)| (last + 1) * self.piece_bytes)
    }

    fn each(&self, offset: u64, len: usize, visit: impl FnMut(u64, usize, std::ops::Range<usize>)) {
        each_piece(self.piece_bytes, offset, len, visit);
    }
}

/// Calls `visit` with each piece that `len` bytes from `offset` are in, where they begin in it, and which they are.
fn each_piece(
    piece_bytes: u64,
    offset: u64,
    len: usize,
    mut visit: impl FnMut(u64, usize, std::ops::Range<usize>),
) {
    let mut done = 0;
    while done < len {
        let at = offset + done as u64;
        let within = at % piece_bytes;
        let count = usize::try_from(piece_bytes - within).map_or(len - done, |rest| rest.min(len - done));
        visit(at / piece_bytes, usize::try_from(within).expect("a piece is in memory"), done..done + count);
        done += count;
    }
}

/// Four pages: a small file costs little, a large one few pieces.
const PIECE_BYTES: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use super::Media;
    use crate::draws::{Stream, scale};

    /// Against a vector: writes, cuts, flipped bits and reads across the borders of pieces.
    #[test]
    fn it_is_a_vector_with_zeros_behind() {
        const LEN: usize = 100_000;
        let mut random = Stream::from_seed(1);
        let mut draw = |bound: usize| usize::try_from(scale(random.next_u64(), bound as u64)).unwrap();
        let (mut media, mut vector) = (Media::new(512), vec![0_u8; LEN]);
        for _ in 0..2000 {
            let (start, len) = (draw(LEN), draw(20_000));
            let range = start..LEN.min(start + len);
            match draw(8) {
                0 => {
                    media.truncate(start as u64);
                    vector[start..].fill(0);
                }
                1 => {
                    let is_there = media.flip(start as u64 * 8 + 3);
                    assert!(is_there || vector[start] == 0);
                    vector[start] ^= if is_there { 8 } else { 0 };
                }
                2..5 => {
                    let bytes = vec![u8::try_from(draw(3)).unwrap(); range.len()];
                    assert_eq!(media.write(start as u64, &bytes), vector[range.clone()] != bytes);
                    vector[range].copy_from_slice(&bytes);
                }
                _ => {
                    let mut bytes = vec![9; range.len()];
                    media.read(start as u64, &mut bytes);
                    assert_eq!(bytes, vector[range]);
                }
            }
            let last = vector.iter().rposition(|byte| *byte != 0);
            assert!(last.is_none_or(|last| (last as u64) < media.end()));
        }
    }

    #[test]
    fn holes_take_no_memory() {
        let mut media = Media::new(4096);
        assert!(media.write(1 << 40, b"far"));
        assert!(!media.write(5, &[0; 100]), "zeros over zeros");
        assert_eq!(media.pieces.len(), 1);
        media.truncate(1 << 40);
        assert_eq!((media.pieces.len(), media.end()), (0, 0));
    }
}
