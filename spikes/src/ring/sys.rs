//! The ring, and the records of what the kernel may touch. All `unsafe` of the spike is here.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::task::Waker;
use std::time::Duration;

use io_uring::{IoUring, opcode, squeue, types};
use samestep_provider_traits::{IoBuf, IoBufMut};

/// Number of an operation, never used twice.
pub(super) type Key = u64;

/// A ring and its operations under way. Dropping it cancels them and waits for the kernel to be done with their
/// buffers before it frees those.
pub(super) struct Ring {
    uring: IoUring,
    records: BTreeMap<Key, Record>,
    next_key: Key,
}

/// What the driver keeps of an operation until its completion was seen and taken.
pub(super) struct Record {
    /// What the kernel may touch: a buffer, or nothing.
    resources: Box<dyn Any>,
    /// Tells the buffer among the resources how many bytes the kernel put there.
    complete: fn(&mut dyn Any, usize),
    /// Set by the completion.
    result: Option<i32>,
    pub(super) waker: Option<Waker>,
    /// What is done when the operation is over, whoever still waits for it.
    pub(super) at_end: Option<Box<dyn FnOnce()>>,
    /// What is done with the outcome if nobody waits for it any more.
    pub(super) orphan: Option<Orphan>,
}

/// Takes an outcome that nobody waits for.
pub(super) type Orphan = Box<dyn FnOnce(io::Result<u32>, Box<dyn Any>)>;

impl Ring {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { uring: IoUring::new(256)?, records: BTreeMap::new(), next_key: 0 })
    }

    pub(super) fn read<B: IoBufMut>(&mut self, fd: RawFd, mut buf: B, offset: u64) -> Key {
        let entry = opcode::Read::new(types::Fd(fd), buf.stable_mut_ptr(), len(buf.bytes_total()));
        self.start(entry.offset(offset).build(), buf, set_init::<B>)
    }

    pub(super) fn write<B: IoBuf>(&mut self, fd: RawFd, buf: B, offset: u64) -> Key {
        let entry = opcode::Write::new(types::Fd(fd), buf.stable_ptr(), len(buf.bytes_init()));
        self.start(entry.offset(offset).build(), buf, nothing)
    }

    pub(super) fn recv<B: IoBufMut>(&mut self, fd: RawFd, mut buf: B) -> Key {
        let entry = opcode::Recv::new(types::Fd(fd), buf.stable_mut_ptr(), len(buf.bytes_total()));
        self.start(entry.build(), buf, set_init::<B>)
    }

    pub(super) fn send<B: IoBuf>(&mut self, fd: RawFd, buf: B) -> Key {
        let entry = opcode::Send::new(types::Fd(fd), buf.stable_ptr(), len(buf.bytes_init()));
        self.start(entry.flags(MSG_NOSIGNAL).build(), buf, nothing)
    }

    /// The outcome is the new connection's descriptor.
    pub(super) fn accept(&mut self, fd: RawFd) -> Key {
        let entry = opcode::Accept::new(types::Fd(fd), std::ptr::null_mut(), std::ptr::null_mut());
        self.start(entry.flags(SOCK_CLOEXEC).build(), (), nothing)
    }

    pub(super) fn fdatasync(&mut self, fd: RawFd) -> Key {
        self.start(opcode::Fsync::new(types::Fd(fd)).flags(types::FsyncFlags::DATASYNC).build(), (), nothing)
    }

    pub(super) fn fsync(&mut self, fd: RawFd) -> Key {
        self.start(opcode::Fsync::new(types::Fd(fd)).build(), (), nothing)
    }

    /// Ends when `fd` has one of `events`.
    pub(super) fn poll(&mut self, fd: RawFd, events: u32) -> Key {
        self.start(opcode::PollAdd::new(types::Fd(fd), events).build(), (), nothing)
    }

    /// Asks the kernel to end an operation soon. It completes as any other, perhaps successfully.
    pub(super) fn cancel(&mut self, key: Key) {
        self.push(&opcode::AsyncCancel::new(key).build().user_data(CANCEL));
    }

    pub(super) fn record_mut(&mut self, key: Key) -> &mut Record {
        self.records.get_mut(&key).expect("a record stays until its outcome was taken")
    }

    /// The outcome of an operation that is over, and what it owned, which is the caller's again.
    pub(super) fn take<R: 'static>(&mut self, key: Key) -> Option<(io::Result<u32>, R)> {
        let result = self.records.get(&key)?.result?;
        let record = self.records.remove(&key)?;
        Some((outcome(result), *record.resources.downcast().expect("what was given is what comes back")))
    }

    /// Submits what was pushed and waits for a completion, at most for `patience`.
    pub(super) fn enter(&mut self, patience: Option<Duration>) -> io::Result<()> {
        let entered = match patience {
            Some(patience) => {
                let timespec = types::Timespec::from(patience);
                self.uring.submitter().submit_with_args(1, &types::SubmitArgs::new().timespec(&timespec))
            }
            None => self.uring.submit_and_wait(1),
        };
        match entered {
            Err(error) if is_harmless(&error) => Ok(()),
            entered => entered.map(|_| ()),
        }
    }

    /// Notes what has completed. Returns what is to be done outside any borrow of the ring.
    pub(super) fn reap(&mut self) -> Vec<Box<dyn FnOnce()>> {
        let mut to_do: Vec<Box<dyn FnOnce()>> = Vec::new();
        let completed: Vec<(Key, i32)> =
            self.uring.completion().map(|entry| (entry.user_data(), entry.result())).collect();
        for (key, result) in completed.into_iter().filter(|(key, _)| *key != CANCEL) {
            let record = self.record_mut(key);
            record.result = Some(result);
            if let Ok(count) = usize::try_from(result) {
                (record.complete)(&mut *record.resources, count);
            }
            let (at_end, orphan, waker) = (record.at_end.take(), record.orphan.take(), record.waker.take());
            if let Some(orphan) = orphan {
                let resources = self.records.remove(&key).expect("looked at above").resources;
                to_do.push(Box::new(move || orphan(outcome(result), resources)));
            }
            to_do.extend(at_end);
            to_do.extend(waker.map(|waker| Box::new(move || waker.wake()) as Box<dyn FnOnce()>));
        }
        to_do
    }

    fn start<R: 'static>(
        &mut self,
        entry: squeue::Entry,
        resources: R,
        complete: fn(&mut dyn Any, usize),
    ) -> Key {
        let key = self.next_key;
        self.next_key += 1;
        let resources = Box::new(resources);
        let record = Record { resources, complete, result: None, waker: None, at_end: None, orphan: None };
        self.records.insert(key, record);
        self.push(&entry.user_data(key));
        key
    }

    fn push(&mut self, entry: &squeue::Entry) {
        loop {
            // SAFETY: what the entry points to is owned by a record, at an address that is stable under moves
            // (`IoBuf`), and a record is dropped only when its completion was seen: see `take`, `reap`, `drop`.
            if unsafe { self.uring.submission().push(entry) }.is_ok() {
                return;
            }
            match self.uring.submit() {
                Err(error) if !is_harmless(&error) => panic!("the ring takes no operations: {error}"),
                _ => {}
            }
        }
    }

    fn is_busy(&self) -> bool {
        self.records.values().any(|record| record.result.is_none())
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let under_way: Vec<Key> =
            self.records.iter().filter(|(_, r)| r.result.is_none()).map(|(k, _)| *k).collect();
        for key in under_way {
            self.cancel(key);
        }
        let mut drained = Ok(());
        while drained.is_ok() && self.is_busy() {
            drained = self.enter(None);
            // Nobody is left to be told.
            drop(self.reap());
        }
        if drained.is_err() {
            // The kernel may still write to these: never free them.
            std::mem::forget(std::mem::take(&mut self.records));
        }
    }
}

/// The descriptor that an accept gave.
pub(super) fn own(accepted: u32) -> OwnedFd {
    let fd = RawFd::try_from(accepted).expect("descriptors are small");
    // SAFETY: it comes from a completed accept, whose outcome is taken once, so nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn set_init<B: IoBufMut>(buf: &mut dyn Any, count: usize) {
    let buf: &mut B = buf.downcast_mut().expect("what was given is what comes back");
    // SAFETY: the kernel wrote this many bytes from the front, and was asked for no more than fit.
    unsafe { buf.set_init(count) };
}

fn nothing(_: &mut dyn Any, _: usize) {}

fn outcome(result: i32) -> io::Result<u32> {
    u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

/// Interrupted, timed out, or busy with completions that are to be reaped first.
fn is_harmless(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::INTR, Errno::TIME, Errno::BUSY, Errno::AGAIN]
        .iter()
        .any(|e| error.raw_os_error() == Some(e.raw_os_error()))
}

fn len(bytes: usize) -> u32 {
    // The kernel moves at most 2 GiB at once, and says how much it was.
    u32::try_from(bytes).unwrap_or(1 << 30)
}

/// The number of every cancel operation, whose own outcome says nothing that its target's does not.
const CANCEL: Key = u64::MAX;
const MSG_NOSIGNAL: i32 = 0x4000;
const SOCK_CLOEXEC: i32 = 0o2_000_000;
