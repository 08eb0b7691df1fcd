//! The physical limits: what is left of each row when the log is taken away.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Result;
use crate::engines::{Engine, Opened, Setup, Subject, Writer};
use crate::payload::Checker;
use crate::rows::Durability;

pub(super) fn open(engine: Engine, dir: &Path, setup: &Setup) -> Result<Opened> {
    fs::create_dir_all(dir)?;
    read_headers(dir)?;
    let mut files = Files {
        dir: dir.to_owned(),
        segment_bytes: setup.segment_bytes,
        header_bytes: header_bytes(engine, setup),
        file: None,
        number: 0,
        offset: 0,
        buf: Vec::with_capacity(2 * WRITE_BYTES + setup.payload_bytes * setup.writers),
        group: match setup.durability {
            Durability::Synced => Group::Synced { records: setup.writers, staged: 0 },
            Durability::Unsynced => Group::Buffered,
        },
    };
    if setup.prefill && setup.one_segment && engine != Engine::LimitGrowing {
        let file = files.next_file()?;
        let zeros = vec![0; 1 << 20];
        let mut offset = 0;
        while offset < setup.segment_bytes {
            file.write_all_at(&zeros, offset)?;
            offset += zeros.len() as u64;
        }
        file.sync_all()?;
    }
    Ok(Opened { subject: Box::new(files), records: None })
}

/// Reads 1 MiB at a time and checksums each payload.
pub(super) fn replay(
    engine: Engine,
    dir: &Path,
    setup: &Setup,
    mut checker: Checker,
) -> Result<(Checker, Duration)> {
    let header_bytes = header_bytes(engine, setup);
    let record_bytes = header_bytes + setup.payload_bytes;
    let mut buf = vec![0; READ_BYTES / record_bytes * record_bytes];
    let seeded = crc32fast::Hasher::new();
    for path in paths(dir)? {
        let file = File::open(path)?;
        let mut offset = 0;
        loop {
            let bytes = read_full(&file, &mut buf, offset)?;
            for record in buf[..bytes].chunks_exact(record_bytes) {
                let (header, payload) = record.split_at(header_bytes);
                if header_bytes > 0 {
                    if is_zero(header) {
                        break;
                    }
                    if header_bytes >= FRAME_HEADER_BYTES && !is_header_good(&seeded, header) {
                        return Err("a header's checksum does not hold".into());
                    }
                    let expected = u32::from_le_bytes(header[..4].try_into()?);
                    if crc32fast::hash(payload) != expected {
                        return Err("a checksum does not hold".into());
                    }
                } else if is_zero(&payload[..16]) {
                    break;
                }
                checker.take(payload)?;
            }
            offset += bytes as u64;
            if bytes < buf.len() {
                break;
            }
        }
    }
    Ok((checker, Duration::ZERO))
}

/// Opens each file, reads its first block and closes it.
fn read_headers(dir: &Path) -> Result<()> {
    let mut block = [0; 4096];
    for path in paths(dir)? {
        let _bytes = File::open(path)?.read_at(&mut block, 0)?;
    }
    Ok(())
}

/// All files in `dir`, oldest first.
fn paths(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn read_full(file: &File, buf: &mut [u8], offset: u64) -> Result<usize> {
    let mut read = 0;
    while read < buf.len() {
        match file.read_at(&mut buf[read..], offset + read as u64)? {
            0 => break,
            bytes => read += bytes,
        }
    }
    Ok(read)
}

/// Bytes in front of a payload: none where the disk is the limit, else a checksum and what a log needs besides.
fn header_bytes(engine: Engine, setup: &Setup) -> usize {
    match (engine, setup.durability) {
        (Engine::LimitFrames, _) => FRAME_HEADER_BYTES,
        (_, Durability::Synced) => 0,
        (_, Durability::Unsynced) => 8,
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// The second checksum of a format that proves its headers by themselves, bound to 8 bytes of where it stands.
fn is_header_good(seeded: &crc32fast::Hasher, header: &[u8]) -> bool {
    header_crc(seeded, header).to_le_bytes() == header[4..8]
}

fn header_crc(seeded: &crc32fast::Hasher, header: &[u8]) -> u32 {
    let mut bound = [0; 44];
    bound[..4].copy_from_slice(&header[..4]);
    bound[12..].copy_from_slice(&header[8..40]);
    let mut hasher = seeded.clone();
    hasher.update(&bound);
    hasher.finalize()
}

/// Numbered files, written one behind the other.
struct Files {
    dir: PathBuf,
    segment_bytes: u64,
    header_bytes: usize,
    file: Option<File>,
    number: u32,
    offset: u64,
    buf: Vec<u8>,
    group: Group,
}

enum Group {
    /// So many records go out in one write with one barrier.
    Synced { records: usize, staged: usize },
    /// Writes of 64 KiB, no barrier.
    Buffered,
}

impl Files {
    fn next_file(&mut self) -> Result<&File> {
        if let Some(old) = self.file.take() {
            old.sync_data()?;
        }
        self.number += 1;
        self.offset = 0;
        let path = self.dir.join(format!("{:06}", self.number));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(self.file.insert(file))
    }

    fn write(&mut self) -> Result<()> {
        if self.buf.is_empty() {
            return Ok(());
        }
        let is_full = self.offset + self.buf.len() as u64 > self.segment_bytes;
        if self.file.is_none() || is_full {
            self.next_file()?;
        }
        let file = self.file.as_ref().expect("just made");
        file.write_all_at(&self.buf, self.offset)?;
        self.offset += self.buf.len() as u64;
        self.buf.clear();
        Ok(())
    }
}

impl Subject for Files {
    fn writers(&mut self, _count: usize) -> Vec<Box<dyn Writer + Send + '_>> {
        vec![Box::new(self)]
    }

    fn close(mut self: Box<Self>) -> Result<()> {
        self.write()
    }
}

impl Writer for &mut Files {
    fn append(&mut self, payload: &[u8]) -> Result<()> {
        match &mut self.group {
            Group::Synced { records, staged } => {
                self.buf.extend_from_slice(payload);
                *staged += 1;
                if *staged < *records {
                    return Ok(());
                }
                *staged = 0;
                self.write()?;
                Ok(self.file.as_ref().expect("written to").sync_data()?)
            }
            Group::Buffered => {
                let crc = crc32fast::hash(payload);
                let mut header = [0; FRAME_HEADER_BYTES];
                header[..4].copy_from_slice(&crc.to_le_bytes());
                if self.header_bytes == FRAME_HEADER_BYTES {
                    let checksum = header_crc(&crc32fast::Hasher::new(), &header);
                    header[4..8].copy_from_slice(&checksum.to_le_bytes());
                } else {
                    let len = u32::try_from(payload.len())?;
                    header[4..8].copy_from_slice(&len.to_le_bytes());
                }
                self.buf.extend_from_slice(&header[..self.header_bytes]);
                self.buf.extend_from_slice(payload);
                if self.buf.len() >= WRITE_BYTES { self.write() } else { Ok(()) }
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.write()
    }
}

/// Bytes gathered for one write where nothing is synced.
const WRITE_BYTES: usize = 64 << 10;
/// Bytes read at a time.
const READ_BYTES: usize = 1 << 20;
/// Bytes of a frame's header in our format.
const FRAME_HEADER_BYTES: usize = 40;
