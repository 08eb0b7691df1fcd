//! Memory by the page: rather than of the allocator where a kernel keeps hold of it, as it is not to be inherited by a
//! process that is forked off, and a page of the allocator's has others in it.

use std::io;
use std::ptr::{self, NonNull};

/// Zeroed pages that a forked process does not have: there they are not mapped at all, so that nothing that it does to
/// them is seen by the kernel's ring, or copied behind the back of it.
#[derive(Debug)]
pub(super) struct Pages {
    start: NonNull<u8>,
    len: usize,
    /// What was mapped: more than `len`, if that was to be aligned.
    mapping: (NonNull<u8>, usize),
}

/// Whether pages are larger than usual, which spares the processor looking up many addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageSize {
    Usual,
    /// Out of those that the administrator set aside, see `/proc/sys/vm/nr_hugepages`.
    HugeReserved,
    /// As the kernel finds some; whether it did is not told.
    HugeWherePossible,
}

impl Pages {
    /// `len` bytes, rounded up to a page.
    ///
    /// # Errors
    ///
    /// Those of `mmap`.
    ///
    /// # Panics
    ///
    /// If `len` is zero.
    pub(super) fn new(len: usize, size: PageSize) -> io::Result<Self> {
        let this = Self::map(len, size)?;
        this.advise(libc::MADV_DONTFORK)?;
        Ok(this)
    }

    /// One page that a forked process has, with zeros in it.
    ///
    /// # Errors
    ///
    /// Those of `mmap`.
    pub(super) fn wiped_on_fork() -> io::Result<Self> {
        let this = Self::map(PAGE_BYTES, PageSize::Usual)?;
        this.advise(libc::MADV_WIPEONFORK)?;
        Ok(this)
    }

    fn map(len: usize, size: PageSize) -> io::Result<Self> {
        assert!(len > 0, "a mapping has pages");
        let unit = if size == PageSize::Usual { PAGE_BYTES } else { HUGE_BYTES };
        let len = len.checked_next_multiple_of(unit).ok_or(io::ErrorKind::OutOfMemory)?;
        let spare = if size == PageSize::HugeWherePossible { HUGE_BYTES } else { 0 };
        let mapped = len.checked_add(spare).ok_or(io::ErrorKind::OutOfMemory)?;
        let huge = if size == PageSize::HugeReserved { libc::MAP_HUGETLB } else { 0 };
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | huge;
        // SAFETY: the call makes a mapping where there is none, and touches no other.
        let at =
            unsafe { libc::mmap(ptr::null_mut(), mapped, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let whole = NonNull::new(at.cast::<u8>()).expect("no mapping begins at zero");
        let skipped = whole.as_ptr().align_offset(unit);
        let start = NonNull::new(whole.as_ptr().wrapping_add(skipped)).expect("within the mapping");
        let this = Self { start, len, mapping: (whole, mapped) };
        if size == PageSize::HugeWherePossible {
            // A kernel without them says so, and goes on with the usual ones.
            let _ = this.advise(libc::MADV_HUGEPAGE);
        }
        Ok(this)
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// In bytes, a multiple of the page.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn advise(&self, advice: i32) -> io::Result<()> {
        let (at, len) = self.mapping;
        // SAFETY: the advice is about a mapping of this value's own, and changes no byte of it in this process.
        let result = unsafe { libc::madvise(at.as_ptr().cast(), len, advice) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let (at, len) = self.mapping;
        // SAFETY: mapped in `new`, and unmapped only here; whoever has addresses of it holds this value.
        let unmapped = unsafe { libc::munmap(at.as_ptr().cast(), len) };
        debug_assert_eq!(unmapped, 0, "what was mapped can be unmapped");
    }
}

const PAGE_BYTES: usize = 4096;
/// Of x86-64 and of most others.
const HUGE_BYTES: usize = 2 << 20;
