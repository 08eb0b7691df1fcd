//! Any bytes as the files of a log. The fuzz targets and a property test share this entry.

use std::collections::BTreeMap;
use std::io;

use samestep_wal::verify::{Depth, Verify};
use samestep_wal::{Disk, Index, Op, Options, TailModel, Wal};

/// Whether checksums of header blocks, sidecars and first frames are made right before the files are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checksums {
    /// No.
    AsTheyAre,
    /// Yes.
    Mended,
}

/// Cuts `data` into files, then verifies, opens and reads them. No panic, no read of more bytes than there are.
pub(crate) fn survive(data: &[u8], checksums: Checksums) {
    let files = files(data, checksums);
    let mut disk = Files { files: files.clone(), open_bytes: 0 };
    let mut verify = Verify::new(Depth::Frames, TailModel::Sector);
    while let Some(mut op) = verify.poll_op() {
        if let Op::ReadAt { file, buf, .. } = &op {
            let bytes = disk.files.get(&file.to_string()).map_or(0, Vec::len);
            assert!(buf.len() <= bytes, "{} bytes are asked for of {bytes}", buf.len());
        }
        let outcome = disk.perform(&mut op);
        verify.handle_completion(op, outcome).expect("listing succeeds");
        while verify.poll_finding().is_some() {}
    }
    let mut options = Options::default();
    options.segment_bytes = 8192;
    for tail in [TailModel::Sector, TailModel::Evidence] {
        options.tail = tail;
        let disk = Files { files: files.clone(), open_bytes: 0 };
        let Ok((wal, _)) = Wal::open_on(disk, options.clone()) else { continue };
        if let Ok(mut reader) = wal.reader(Index::new(0)) {
            while let Ok(Some(_)) = reader.next_entry() {}
        }
    }
}

/// The first byte says how many segments there are; the rest is dealt out among the files in equal parts.
fn files(data: &[u8], checksums: Checksums) -> BTreeMap<String, Vec<u8>> {
    let (count, rest) = data.split_first().map_or((0, data), |(count, rest)| (usize::from(count % 3), rest));
    let mut names = vec!["wal.meta".to_owned()];
    for id in 1..=count + 1 {
        names.push(format!("seg-{id:020}.wal"));
        names.push(format!("seg-{id:020}.wal.idx"));
    }
    let part = rest.len().div_ceil(names.len()).max(1);
    let mut parts = rest.chunks(part);
    let mut files = BTreeMap::new();
    for (number, name) in names.into_iter().enumerate() {
        let mut bytes = parts.next().unwrap_or_default().to_vec();
        if checksums == Checksums::Mended {
            mend(&name, (number as u64).div_ceil(2), &mut bytes);
        }
        files.insert(name, bytes);
    }
    files
}

/// Puts the fixed parts in place and makes the checksums right.
fn mend(name: &str, id: u64, bytes: &mut Vec<u8>) {
    if name.contains(".idx") {
        bytes.resize(bytes.len().max(72), 0);
        bytes[..8].copy_from_slice(b"\x89WAX\r\n\x1a\x01");
        bytes[8..12].copy_from_slice(&[1, 0, 0, 0]);
        bytes[16..32].fill(0);
        let end = bytes.len() - 4;
        let checksum = crc32fast::hash(&bytes[..end]);
        bytes[end..].copy_from_slice(&checksum.to_le_bytes());
        return;
    }
    let frames = bytes.split_off(bytes.len().min(128));
    bytes.resize(8192, 0);
    let magic = if name == "wal.meta" { b"\x89WAM\r\n\x1a\x01" } else { b"\x89WAL\r\n\x1a\x01" };
    bytes[..8].copy_from_slice(magic);
    bytes[8..16].copy_from_slice(&[1, 0, 1, 0, 0, 0, 0, 0]);
    bytes[16..32].fill(0);
    if name == "wal.meta" {
        bytes[32] &= !1;
    } else {
        bytes[32..40].copy_from_slice(&id.to_le_bytes());
        bytes[68..80].copy_from_slice(&[8, 0, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0]);
        mend_frames(&frames, id, bytes);
    }
    let checksum = crc32fast::hash(&bytes[..124]);
    bytes[124..128].copy_from_slice(&checksum.to_le_bytes());
}

/// Lays `data` out as frames of 40 bytes and a short payload, chained, with right checksums.
fn mend_frames(data: &[u8], id: u64, bytes: &mut [u8]) {
    let mut at = 4096;
    let mut chain: [u8; 4] = bytes[64..68].try_into().expect("4 bytes");
    for part in data.chunks(48) {
        let len = part.first().map_or(0, |byte| usize::from(byte % 32));
        let frame = (40 + len).next_multiple_of(8);
        if at + frame > bytes.len() {
            return;
        }
        bytes[at..at + part.len().min(frame)].copy_from_slice(&part[..part.len().min(frame)]);
        bytes[at + 4..at + 8].copy_from_slice(&u32::try_from(len).expect("below 32").to_le_bytes());
        bytes[at + 10..at + 16].fill(0);
        let payload = crc32fast::hash(&bytes[at + 40..at + 40 + len]);
        bytes[at + 24..at + 28].copy_from_slice(&payload.to_le_bytes());
        bytes[at + 28..at + 32].copy_from_slice(&chain);
        bytes[at + 36] = (bytes[at + 36] % 7).max(1);
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&[0; 16]);
        hasher.update(&id.to_le_bytes());
        hasher.update(&(at as u64).to_le_bytes());
        hasher.update(&bytes[at + 4..at + 40]);
        chain = hasher.finalize().to_le_bytes();
        bytes[at..at + 4].copy_from_slice(&chain);
        at += frame;
    }
}

/// Files in memory.
#[derive(Debug)]
struct Files {
    files: BTreeMap<String, Vec<u8>>,
    open_bytes: u64,
}

impl Files {
    fn bytes(&mut self, file: samestep_wal::FileName) -> io::Result<&mut Vec<u8>> {
        self.files.get_mut(&file.to_string()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for Files {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        match op {
            Op::List { names } => names.extend(self.files.keys().cloned()),
            Op::Open { file } => {
                self.open_bytes = self.bytes(*file)?.len() as u64;
                return Ok(self.open_bytes);
            }
            Op::Create { file } => drop(self.files.insert(file.to_string(), Vec::new())),
            Op::ReadAt { file, offset, buf } => {
                let bytes = self.bytes(*file)?;
                // Two header blocks may be asked for without a look at the length; all else is bounded by it.
                let bound = bytes.len().max(2 * 4096);
                assert!(buf.len() <= bound, "{} bytes are asked for of {}", buf.len(), bytes.len());
                let rest = usize::try_from(*offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                let len = rest.len().min(buf.len());
                buf[..len].copy_from_slice(&rest[..len]);
                return Ok(len as u64);
            }
            Op::WriteAt { file, offset, buf } => {
                let start = usize::try_from(*offset).map_err(io::Error::other)?;
                let bytes = self.bytes(*file)?;
                bytes.resize(bytes.len().max(start + buf.len()), 0);
                bytes[start..start + buf.len()].copy_from_slice(buf);
            }
            Op::WriteZeros { file, len, .. } | Op::SetLen { file, len } => {
                let len = usize::try_from(*len).map_err(io::Error::other)?;
                self.bytes(*file)?.resize(len, 0);
            }
            Op::Remove { file } => drop(self.files.remove(&file.to_string())),
            _ => {}
        }
        Ok(0)
    }

    fn reader(&self) -> Self {
        Self { files: self.files.clone(), open_bytes: 0 }
    }
}
