//! Reads, writes and syncs on a bare ring.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use io_uring::squeue::Flags;
use io_uring::{cqueue, opcode, squeue, types};

use super::Ring;
use crate::draws::Draws;
use crate::figures::{Clock, ENTERS, Figures};
use crate::files::{self, BLOCK_BYTES, Direction, STREAM_CHUNKS, check_block, check_chunk, mark_chunk};

pub(super) fn round_trips(count: u64) -> io::Result<Figures> {
    let mut ring = Ring::new(&File::open("/dev/zero")?, 1, 8)?;
    let clock = Clock::start();
    for _ in 0..count {
        let entry = read_entry(&mut ring, 0, 8, 0);
        ring.push(&entry);
        ring.enter(1)?;
        assert_eq!(ring.next().map(|entry| entry.result()), Some(8), "zeros do not end");
    }
    let figures = clock.stop(count);
    assert_eq!(ring.buffers[0].bytes(), [0; 8], "zeros");
    Ok(figures)
}

pub(super) fn reads(path: &Path, depth: u64, count: u64) -> io::Result<Figures> {
    let mut ring = Ring::new(&open(path)?, usize::try_from(depth).expect("it is small"), BLOCK_BYTES)?;
    let (blocks, mut draws, mut started) = (files::blocks_of(path), Draws::new(0), 0);
    let mut under_way = vec![0; ring.buffers.len()];
    let mut start = |ring: &mut Ring, slot: usize| {
        if started < count {
            started += 1;
            let block = draws.below(blocks);
            let entry = read_entry(ring, slot, BLOCK_BYTES, block * BLOCK_BYTES as u64);
            ring.push(&entry);
            block
        } else {
            0
        }
    };
    let clock = Clock::start();
    for (slot, block) in under_way.iter_mut().enumerate() {
        *block = start(&mut ring, slot);
    }
    let mut done = 0;
    while done < count {
        ring.enter(1)?;
        while let Some(entry) = ring.next() {
            let slot = slot_of(&entry, BLOCK_BYTES);
            check_block(ring.buffers[slot].bytes(), under_way[slot]);
            under_way[slot] = start(&mut ring, slot);
            done += 1;
        }
    }
    Ok(clock.stop(count).with(ENTERS, ring.entered as f64 / count as f64))
}

/// Each turn a write of a block for each writer, in one, and a sync that is linked to it.
pub(super) fn appends(path: &Path, writers: u64, count: u64) -> io::Result<Figures> {
    let group_bytes = usize::try_from(writers).expect("it is small") * BLOCK_BYTES;
    let mut ring = Ring::new(&open(path)?, 1, group_bytes)?;
    let sync = opcode::Fsync::new(types::Fixed(0)).flags(types::FsyncFlags::DATASYNC).build();
    let clock = Clock::start();
    for at in (0..count * BLOCK_BYTES as u64).step_by(group_bytes) {
        mark_chunk(ring.buffers[0].bytes_mut(), at);
        let write = write_entry(&mut ring, 0, group_bytes, at).flags(Flags::IO_LINK);
        ring.push(&write);
        ring.push(&sync);
        ring.enter(2)?;
        let mut results = [0; 2].map(|_| ring.next().map(|entry| entry.result()));
        results.sort_unstable();
        assert_eq!(results, [Some(0), Some(result_of(group_bytes))], "written and synced");
    }
    Ok(clock.stop(count))
}

pub(super) fn stream(path: &Path, direction: Direction, chunk: usize) -> io::Result<Figures> {
    let file = open(path)?;
    let mut ring = Ring::new(&file, usize::try_from(STREAM_CHUNKS).expect("it is small"), chunk)?;
    let chunks = files::blocks_of(path) * BLOCK_BYTES as u64 / chunk as u64;
    let mut under_way = vec![0; ring.buffers.len()];
    let mut started = 0;
    let mut start = |ring: &mut Ring, slot: usize| {
        let at = started * chunk as u64;
        if started < chunks {
            started += 1;
            let entry = if direction == Direction::Read {
                read_entry(ring, slot, chunk, at)
            } else {
                mark_chunk(ring.buffers[slot].bytes_mut(), at);
                write_entry(ring, slot, chunk, at)
            };
            ring.push(&entry);
        }
        at
    };
    let clock = Clock::start();
    for (slot, at) in under_way.iter_mut().enumerate() {
        *at = start(&mut ring, slot);
    }
    let mut done = 0;
    while done < chunks {
        ring.enter(1)?;
        while let Some(entry) = ring.next() {
            let slot = slot_of(&entry, chunk);
            if direction == Direction::Read {
                check_chunk(ring.buffers[slot].bytes(), under_way[slot]);
            }
            under_way[slot] = start(&mut ring, slot);
            done += 1;
        }
    }
    if direction == Direction::Write {
        file.sync_data()?;
    }
    Ok(clock.stop(chunks))
}

fn open(path: &Path) -> io::Result<File> {
    let direct = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    OpenOptions::new().read(true).write(true).custom_flags(direct).open(path)
}

fn read_entry(ring: &mut Ring, slot: usize, len: usize, at: u64) -> squeue::Entry {
    let to = ring.buffers[slot].bytes_mut().as_mut_ptr();
    opcode::ReadFixed::new(types::Fixed(0), to, len_of(len), index_of(slot))
        .offset(at)
        .build()
        .user_data(slot as u64)
}

fn write_entry(ring: &mut Ring, slot: usize, len: usize, at: u64) -> squeue::Entry {
    let from = ring.buffers[slot].bytes().as_ptr();
    opcode::WriteFixed::new(types::Fixed(0), from, len_of(len), index_of(slot))
        .offset(at)
        .build()
        .user_data(slot as u64)
}

/// Whose completion it is, which must be of the whole.
fn slot_of(entry: &cqueue::Entry, len: usize) -> usize {
    assert_eq!(entry.result(), result_of(len), "all of it was moved");
    usize::try_from(entry.user_data()).expect("it is a slot")
}

fn result_of(len: usize) -> i32 {
    i32::try_from(len).expect("chunks are small")
}

fn len_of(len: usize) -> u32 {
    u32::try_from(len).expect("chunks are small")
}

fn index_of(slot: usize) -> u16 {
    u16::try_from(slot).expect("there are few buffers")
}
