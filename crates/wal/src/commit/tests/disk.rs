//! A disk in memory at which threads change before and after each operation.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use crate::disk::Disk;
use crate::op::Op;
use crate::sync::scheduled;

/// All clones are one disk.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryDisk(Arc<Mutex<State>>);

/// Which operations fail.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// So many writes succeed; those behind them find no space,
    pub(super) writes_before_full: Option<u64>,
    /// and so many of them fail until there is space again.
    pub(super) full_for: u64,
    /// So many barriers succeed; those behind them fail.
    pub(super) syncs_before_error: Option<u64>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    is_locked: bool,
    faults: Faults,
    opened: usize,
}

impl MemoryDisk {
    pub(super) fn set_faults(&self, faults: Faults) {
        self.0.lock().unwrap().faults = faults;
    }

    /// How many files were opened that were there.
    pub(super) fn opened(&self) -> usize {
        self.0.lock().unwrap().opened
    }

    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.lock().unwrap().files.clone()
    }

    /// Forgets the lock, as the system does when a process ends.
    pub(super) fn unlock(&self) {
        self.0.lock().unwrap().is_locked = false;
    }
}

impl Disk for MemoryDisk {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        scheduled::step();
        let outcome = self.0.lock().unwrap().perform(op);
        scheduled::step();
        outcome
    }

    fn reader(&self) -> Self {
        self.clone()
    }
}

impl State {
    fn perform(&mut self, op: &mut Op) -> io::Result<u64> {
        self.fail(op)?;
        let name = op.file().map(|file| file.to_string()).unwrap_or_default();
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let at = |offset: u64| usize::try_from(offset).expect("test logs are small");
        match op {
            Op::CreateDir | Op::SyncParent | Op::SyncDir | Op::SyncData { .. } | Op::Close { .. } => {}
            Op::Lock if self.is_locked => return Err(io::ErrorKind::WouldBlock.into()),
            Op::Lock => {
                self.is_locked = true;
                self.files.entry(name).or_default();
            }
            Op::List { names } => *names = self.files.keys().cloned().collect(),
            Op::Open { .. } => {
                let len = self.files.get(&name).ok_or_else(missing)?.len() as u64;
                self.opened += 1;
                return Ok(len);
            }
            Op::Create { .. } => drop(self.files.insert(name, Vec::new())),
            Op::ReadAt { offset, buf, .. } => {
                let bytes = self.files.get(&name).ok_or_else(missing)?;
                let rest = bytes.get(at(*offset)..).unwrap_or_default();
                let len = rest.len().min(buf.len());
                buf[..len].copy_from_slice(&rest[..len]);
                return Ok(len as u64);
            }
            Op::WriteAt { offset, buf, .. } => {
                let bytes = self.files.get_mut(&name).ok_or_else(missing)?;
                let end = at(*offset) + buf.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[at(*offset)..end].copy_from_slice(buf);
            }
            Op::WriteZeros { len, .. } | Op::SetLen { len, .. } => {
                self.files.get_mut(&name).ok_or_else(missing)?.resize(at(*len), 0);
            }
            Op::Remove { .. } => drop(self.files.remove(&name).ok_or_else(missing)?),
        }
        Ok(0)
    }

    fn fail(&mut self, op: &Op) -> io::Result<()> {
        let faults = &mut self.faults;
        match op {
            Op::WriteAt { .. } | Op::WriteZeros { .. } | Op::Create { .. } => {
                match &mut faults.writes_before_full {
                    Some(0) if faults.full_for > 0 => {
                        faults.full_for -= 1;
                        Err(io::ErrorKind::StorageFull.into())
                    }
                    Some(left) => {
                        *left = left.saturating_sub(1);
                        Ok(())
                    }
                    None => Ok(()),
                }
            }
            Op::SyncData { .. } | Op::SyncDir => match &mut faults.syncs_before_error {
                Some(0) => Err(io::ErrorKind::Other.into()),
                Some(left) => {
                    *left -= 1;
                    Ok(())
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}
