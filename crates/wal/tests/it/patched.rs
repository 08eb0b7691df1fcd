//! A good log with bytes written over it. A fuzz target and a property test share this entry.
//!
//! Random bytes as files hardly ever pass a checksum; a good log that is changed in places is good almost everywhere,
//! and what reads it is reached to its last branch.

use std::sync::LazyLock;

use samestep_wal::verify::{Depth, Severity, Verify};
use samestep_wal::{Disk, TailModel};

use crate::disk::{Image, SimDisk};
use crate::model::{ByIndex, Model};
use crate::sample;

/// Changes a log, closed or not, as `data` says, then verifies, opens and reads it under both models of a tail. No
/// panic; and unless a checksum was made right, it is refused by a typed error or holds what the log held after one
/// of its calls: nothing invented, no batch in part. What is refused is a finding of `verify`.
pub(crate) fn survive(data: &[u8]) {
    let (&choice, patches) = data.split_first().unwrap_or((&0, &[]));
    let mut image = LOGS[usize::from(choice & 1)].clone();
    let mut is_forged = false;
    let mut rest = patches;
    while let Some((patch, behind)) = rest.split_first_chunk::<5>() {
        rest = behind;
        let [file, low, high, what, len] = *patch;
        let count = image.len();
        let bytes = image.values_mut().nth(usize::from(file) % count).expect("there is a file");
        let at = usize::from(u16::from_le_bytes([low, high])) % bytes.len().max(1);
        let end = bytes.len().min(at + usize::from(len));
        match what % 8 {
            0 | 1 => {
                let taken = rest.len().min(end - at);
                bytes[at..at + taken].copy_from_slice(&rest[..taken]);
                rest = &rest[taken..];
            }
            2 => bytes.truncate(at),
            3 => bytes.resize(bytes.len() + usize::from(len), 0),
            4 => {
                let from = at / 512 * 512;
                let to = bytes.len().min(from + 512);
                bytes[from..to].fill(0);
            }
            5 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= len),
            6 => {
                is_forged = true;
                forge_block(bytes, at);
            }
            _ => {
                is_forged = true;
                forge_frame(u64::from(file) % 8, bytes, at / 8 * 8);
            }
        }
    }
    let damages = damages(&image);
    for tail in [TailModel::Sector, TailModel::Evidence] {
        let mut options = sample::defaults();
        options.tail = tail;
        let by_index = if choice & 2 == 0 { ByIndex::No } else { ByIndex::Too };
        match sample::read_on(SimDisk::from_image(&image), &options, by_index) {
            Ok(found) => assert!(is_forged || MODELS.contains(&found), "{found:#?}"),
            Err(error) => assert!(damages > 0, "refused, and `verify` finds nothing: {error}"),
        }
    }
}

/// How many damages `verify` names in `image`.
fn damages(image: &Image) -> usize {
    let mut disk = SimDisk::from_image(image);
    let mut verify = Verify::new(Depth::Frames, TailModel::Sector);
    let mut damages = 0;
    while let Some(mut op) = verify.poll_op() {
        let outcome = disk.perform(&mut op);
        verify.handle_completion(op, outcome).expect("listing succeeds");
        while let Some(finding) = verify.poll_finding() {
            damages += usize::from(finding.severity() == Severity::Damage);
        }
    }
    damages
}

/// Makes the checksum of the block around `at` right, as a header of a segment or a slot of `wal.meta` has it.
fn forge_block(bytes: &mut [u8], at: usize) {
    let start = at / 4096 * 4096;
    if let Some(block) = bytes.get_mut(start..start + 128) {
        let checksum = crc32fast::hash(&block[..124]);
        block[124..].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Makes the checksums of the frame at `at` right, if it has a payload that ends in the file.
fn forge_frame(segment: u64, bytes: &mut [u8], at: usize) {
    let Some(frame) = bytes.get_mut(at..).filter(|rest| rest.len() >= 40) else { return };
    let len = u32::from_le_bytes(frame[4..8].try_into().expect("4 bytes")) as usize;
    if let Some(payload) = frame[40..].get(..len) {
        let checksum = crc32fast::hash(payload);
        frame[24..28].copy_from_slice(&checksum.to_le_bytes());
    }
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(b"samestep-wal-tst");
    hasher.update(&segment.to_le_bytes());
    hasher.update(&(at as u64).to_le_bytes());
    hasher.update(&frame[4..40]);
    let checksum = hasher.finalize();
    frame[..4].copy_from_slice(&checksum.to_le_bytes());
}

static LOGS: LazyLock<[Image; 2]> = LazyLock::new(|| [true, false].map(|is_closed| sample::log(is_closed).0));

/// What the log held, before its first call and after each.
static MODELS: LazyLock<Vec<Model>> = LazyLock::new(|| {
    let mut models = vec![Model::new()];
    for call in sample::CALLS {
        let mut model = models.last().expect("there is one").clone();
        model.apply(call);
        models.push(model);
    }
    models
});
