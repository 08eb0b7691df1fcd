//! Rows on files: random reads, durable appends, streams. What is read is looked at, and what was written is read back.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::draws::Draws;
use crate::figures::{Clock, Figures};
use crate::peers::{Access, Peer};

/// `count` reads of a block each at random, `depth` at a time, of a file that [`prepare`] made.
pub(crate) async fn reads<P: Peer>(peer: P, path: PathBuf, depth: u64, count: u64) -> Figures {
    let file = peer.open(&path, Access::Direct).await;
    let blocks = blocks_of(&path);
    let left = Rc::new(Cell::new(count));
    let read_some = |task| {
        let (peer, file, left) = (peer.clone(), file.clone(), Rc::clone(&left));
        async move {
            let mut draws = Draws::new(task);
            let (mut buf, mut done) = (peer.buf(&file, BLOCK_BYTES), 0);
            while left.get() > 0 {
                left.set(left.get() - 1);
                let block = draws.below(blocks);
                let read;
                (read, buf) = peer.read(&file, buf, block * BLOCK_BYTES as u64).await;
                assert_eq!(read, BLOCK_BYTES, "the file does not end here");
                check_block(P::bytes(&buf), block);
                done += 1;
            }
            done
        }
    };
    let enters = peer.enters();
    let clock = Clock::start();
    let mut done = 0;
    for task in (0..depth).map(|task| peer.spawn(read_some(task))).collect::<Vec<_>>() {
        done += task.await;
    }
    let figures = clock.stop(count);
    assert_eq!(done, count, "each block was read");
    figures.with_enters(enters, peer.enters())
}

/// `count` blocks by `writers` in turns into a file of zeros, each made durable before its writer goes on.
pub(crate) async fn appends<P: Peer>(
    peer: P,
    path: PathBuf,
    writers: u64,
    count: u64,
    syncing: Syncing,
) -> Figures {
    let file = peer.open(&path, Access::Direct).await;
    let next = Rc::new(Cell::new(0));
    let write_some = || {
        let (peer, file, next) = (peer.clone(), file.clone(), Rc::clone(&next));
        async move {
            let (mut buf, mut done) = (peer.buf(&file, BLOCK_BYTES), 0);
            while next.get() < count {
                let block = next.replace(next.get() + 1);
                mark_block(P::bytes_mut(&mut buf), block);
                let at = block * BLOCK_BYTES as u64;
                let written;
                (written, buf) = match syncing {
                    Syncing::Linked => peer.write_and_sync(&file, buf, at).await,
                    Syncing::Shared => {
                        let ended = peer.write(&file, buf, at).await;
                        peer.sync(&file).await;
                        ended
                    }
                };
                assert_eq!(written, BLOCK_BYTES, "all of it is written");
                done += 1;
            }
            done
        }
    };
    let clock = Clock::start();
    let mut done = 0;
    for task in (0..writers).map(|_| peer.spawn(write_some())).collect::<Vec<_>>() {
        done += task.await;
    }
    let figures = clock.stop(count);
    assert_eq!(done, count, "each block was written");
    figures
}

/// The file from front to back by `chunk` bytes, some chunks at a time: for those that have no streams of their own.
pub(crate) async fn stream<P: Peer>(peer: P, path: PathBuf, direction: Direction, chunk: usize) -> Figures {
    let file = peer.open(&path, Access::Direct).await;
    let chunks = blocks_of(&path) * BLOCK_BYTES as u64 / chunk as u64;
    let next = Rc::new(Cell::new(0));
    let move_some = || {
        let (peer, file, next) = (peer.clone(), file.clone(), Rc::clone(&next));
        async move {
            let (mut buf, mut done) = (peer.buf(&file, chunk), 0);
            while next.get() < chunks {
                let number = next.replace(next.get() + 1);
                let at = number * chunk as u64;
                let moved;
                if direction == Direction::Read {
                    (moved, buf) = peer.read(&file, buf, at).await;
                    check_chunk(P::bytes(&buf), at);
                } else {
                    mark_chunk(P::bytes_mut(&mut buf), at);
                    (moved, buf) = peer.write(&file, buf, at).await;
                }
                assert_eq!(moved, chunk, "chunks are whole");
                done += 1;
            }
            done
        }
    };
    let clock = Clock::start();
    let mut done = 0;
    for task in (0..STREAM_CHUNKS).map(|_| peer.spawn(move_some())).collect::<Vec<_>>() {
        done += task.await;
    }
    if direction == Direction::Write {
        peer.sync(&file).await;
    }
    assert_eq!(done, chunks, "each chunk was moved");
    clock.stop(chunks)
}

/// How a writer makes durable what it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syncing {
    /// By one call that writes and syncs.
    Linked,
    /// By a call that syncs, which others may share.
    Shared,
}

/// Which way a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// Makes a file of so many blocks, each with its number at both ends; or leaves the one that is there.
pub(crate) fn prepare(path: &Path, blocks: u64) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() == blocks * BLOCK_BYTES as u64) {
        return Ok(());
    }
    let mut file = File::create(path)?;
    let mut chunk = vec![0; CHUNK_BYTES_MAX];
    for at in (0..blocks * BLOCK_BYTES as u64).step_by(CHUNK_BYTES_MAX) {
        mark_chunk(&mut chunk, at);
        file.write_all(&chunk)?;
    }
    file.set_len(blocks * BLOCK_BYTES as u64)?;
    file.sync_all()
}

/// Makes a file of so many blocks of zeros, which are on the disk: writes to it change no metadata.
pub(crate) fn prepare_zeros(path: &Path, blocks: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    io::copy(&mut io::repeat(0).take(blocks * BLOCK_BYTES as u64), &mut file)?;
    file.flush()?;
    file.sync_all()
}

/// Looks at each of so many blocks.
pub(crate) fn check(path: &Path, blocks: u64) -> io::Result<()> {
    let file = File::open(path)?;
    let mut block = vec![0; BLOCK_BYTES];
    for number in 0..blocks {
        file.read_exact_at(&mut block, number * BLOCK_BYTES as u64)?;
        check_block(&block, number);
    }
    Ok(())
}

pub(crate) fn blocks_of(path: &Path) -> u64 {
    fs::metadata(path).expect("the file was made before").len() / BLOCK_BYTES as u64
}

pub(crate) fn mark_block(bytes: &mut [u8], block: u64) {
    let mark = mark_of(block);
    bytes[..8].copy_from_slice(&mark);
    bytes[BLOCK_BYTES - 8..BLOCK_BYTES].copy_from_slice(&mark);
}

pub(crate) fn check_block(bytes: &[u8], block: u64) {
    let mark = mark_of(block);
    assert!(bytes[..8] == mark && bytes[BLOCK_BYTES - 8..BLOCK_BYTES] == mark, "block {block} is another");
}

/// Marks all blocks of a chunk that is at `at`.
pub(crate) fn mark_chunk(bytes: &mut [u8], at: u64) {
    let first = at / BLOCK_BYTES as u64;
    (first..).zip(bytes.chunks_mut(BLOCK_BYTES)).for_each(|(block, bytes)| mark_block(bytes, block));
}

pub(crate) fn check_chunk(bytes: &[u8], at: u64) {
    let first = at / BLOCK_BYTES as u64;
    (first..).zip(bytes.chunks(BLOCK_BYTES)).for_each(|(block, bytes)| check_block(bytes, block));
}

fn mark_of(block: u64) -> [u8; 8] {
    (block ^ 0xa5a5_0000_5a5a_0000).to_le_bytes()
}

pub(crate) const BLOCK_BYTES: usize = 4096;
/// Chunks of a stream that are under way.
pub(crate) const STREAM_CHUNKS: u64 = 8;
pub(crate) const CHUNK_BYTES_MAX: usize = 1 << 20;
