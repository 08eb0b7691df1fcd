//! The 31-bit hash of nouns.

use crate::cell::Cell;
use crate::noun::Noun;

/// The mug of an atom with these little-endian bytes, none of them a zero at the end.
pub(crate) fn mug_bytes(bytes: &[u8]) -> u32 {
    fold(bytes, ATOM_SEED, ATOM_FALLBACK)
}

/// The mug of a cell, which it and every cell below it remember from now on.
///
/// Depth first with a stack of its own; a cell whose mug is known is not entered, so sharing costs nothing.
pub(crate) fn mug_cell(root: &Cell) -> u32 {
    let mut path = vec![root];
    while let Some(cell) = path.last() {
        match (known(cell.head()), known(cell.tail())) {
            (Ok(head), Ok(tail)) => {
                cell.set_mug(mug_both(head, tail));
                path.pop();
            }
            (Err(unknown), _) | (_, Err(unknown)) => path.push(unknown),
        }
    }
    root.cached_mug()
}

/// The mug of a noun if it is known or quickly found, otherwise the cell to ask first.
fn known(noun: &Noun) -> Result<u32, &Cell> {
    match noun {
        Noun::Atom(atom) => Ok(atom.mug()),
        Noun::Cell(cell) => match cell.cached_mug() {
            0 => Err(cell),
            mug => Ok(mug),
        },
    }
}

/// The mug of a cell whose halves have these mugs.
fn mug_both(head: u32, tail: u32) -> u32 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&head.to_le_bytes());
    bytes[4..].copy_from_slice(&tail.to_le_bytes());
    let length = 8 - tail.leading_zeros() as usize / 8;
    fold(&bytes[..length], CELL_SEED, CELL_FALLBACK)
}

/// Hashes with one seed after the other until folding to 31 bits leaves something.
fn fold(bytes: &[u8], seed: u32, fallback: u32) -> u32 {
    (0..TRIES)
        .map(|try_number| murmur3(bytes, seed.wrapping_add(try_number)))
        .map(|hash| (hash >> 31) ^ (hash & 0x7fff_ffff))
        .find(|mug| *mug != 0)
        .unwrap_or(fallback)
}

/// MurmurHash3, the 32-bit variant for x86, by Austin Appleby, in the public domain.
fn murmur3(bytes: &[u8], seed: u32) -> u32 {
    let mut hash = seed;
    let (blocks, rest) = bytes.as_chunks::<4>();
    for block in blocks {
        hash ^= scramble(u32::from_le_bytes(*block));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    if !rest.is_empty() {
        let mut block = [0; 4];
        block[..rest.len()].copy_from_slice(rest);
        hash ^= scramble(u32::from_le_bytes(block));
    }
    // The algorithm mixes in the length as 32 bits.
    #[expect(clippy::cast_possible_truncation, reason = "the algorithm takes the length modulo 2^32")]
    let length = bytes.len() as u32;
    hash ^= length;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

fn scramble(block: u32) -> u32 {
    block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593)
}

const ATOM_SEED: u32 = 0xcafe_babe;
const ATOM_FALLBACK: u32 = 0x7fff;
const CELL_SEED: u32 = 0xdead_beef;
const CELL_FALLBACK: u32 = 0xfffe;
const TRIES: u32 = 8;

#[cfg(test)]
mod tests;
