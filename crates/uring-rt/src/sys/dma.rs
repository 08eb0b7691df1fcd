//! The registered arena: memory that the kernel has looked up once, for reads and writes of files.
//!
//! A buffer of it is a block and a handle to the arena, which so lives as long as the last of its buffers, wherever that
//! is: with the program, or in the record of an operation under way.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::rc::Rc;

use samestep_provider_traits::{AlignedBuf, IoBuf, IoBufMut};

use super::pages::{PageSize, Pages};
use crate::blocks::{Block, Blocks, PAGE_BYTES};
use crate::dma::HugePages;

/// One region of memory, and which parts of it are taken.
#[derive(Debug)]
pub(crate) struct DmaArena {
    pages: Pages,
    huge_pages: HugePages,
    blocks: RefCell<Blocks>,
    /// The ring that looked the region up, from which others take it over.
    registered_in: Cell<Option<RawFd>>,
    /// Operations that went by way of it.
    operations: Cell<u64>,
}

impl DmaArena {
    /// An arena of at least so many bytes.
    ///
    /// # Errors
    ///
    /// Those of `mmap`.
    ///
    /// # Panics
    ///
    /// If `bytes` is zero.
    pub(crate) fn new(bytes: usize, wanted: HugePages) -> io::Result<Rc<Self>> {
        let huge = || Pages::new(bytes, PageSize::HugeReserved).map(|pages| (pages, HugePages::Reserved));
        let advised =
            || Pages::new(bytes, PageSize::HugeWherePossible).map(|pages| (pages, HugePages::WherePossible));
        let usual = || Pages::new(bytes, PageSize::Usual).map(|pages| (pages, HugePages::None));
        let (pages, huge_pages) = match wanted {
            HugePages::Reserved => huge().or_else(|_| advised()).or_else(|_| usual())?,
            HugePages::WherePossible => advised().or_else(|_| usual())?,
            HugePages::None => usual()?,
        };
        let count = u32::try_from(pages.len() / PAGE_BYTES).map_err(|_| io::ErrorKind::OutOfMemory)?;
        Ok(Rc::new(Self {
            pages,
            huge_pages,
            blocks: RefCell::new(Blocks::new(count)),
            registered_in: Cell::new(None),
            operations: Cell::new(0),
        }))
    }

    /// Its length.
    pub(crate) fn bytes(&self) -> usize {
        self.pages.len()
    }

    /// Bytes that buffers have now.
    pub(crate) fn bytes_taken(&self) -> usize {
        self.bytes() - self.blocks.borrow().bytes_free()
    }

    pub(crate) fn huge_pages(&self) -> HugePages {
        self.huge_pages
    }

    pub(crate) fn operations(&self) -> u64 {
        self.operations.get()
    }

    /// A buffer of `len` bytes, if there is room. It holds what its memory held last.
    pub(crate) fn take(self: &Rc<Self>, len: usize) -> Option<DmaBuffer> {
        let block = self.blocks.borrow_mut().take(len)?;
        Some(DmaBuffer(Home::Arena { arena: Rc::clone(self), block: ManuallyDrop::new(block), len }))
    }

    /// Where it is, as the kernel is told.
    pub(super) fn vector(&self) -> libc::iovec {
        libc::iovec { iov_base: self.pages.start().as_ptr().cast(), iov_len: self.pages.len() }
    }

    /// Whether `len` bytes from `at` are all in it.
    pub(super) fn contains(&self, at: *const u8, len: u32) -> bool {
        let skip = at.addr().wrapping_sub(self.pages.start().as_ptr().addr());
        skip < self.pages.len() && self.pages.len() - skip >= len as usize
    }

    pub(super) fn registered_in(&self) -> &Cell<Option<RawFd>> {
        &self.registered_in
    }

    /// An operation went by way of it.
    pub(super) fn note_operation(&self) {
        self.operations.set(self.operations.get() + 1);
    }
}

/// A buffer for reads and writes of files, at a multiple of 4096: of the shard's arena, as long as that has room, else
/// of the heap. From [`Runtime::alloc_dma`](crate::Runtime::alloc_dma) and
/// [`UringStorage::alloc_dma`](crate::UringStorage::alloc_dma).
///
/// The kernel looks the arena up once; a read or write that is given one of its buffers, or a slice of one, needs that no
/// more. A buffer goes back to the arena when it is dropped, wherever that is: dropped with a future whose operation is
/// under way, it does so when the kernel is done with it. Its length is fixed, and its bytes are at first whatever they
/// were last, zeros or what an earlier buffer of this shard held.
pub struct DmaBuffer(Home);

enum Home {
    Arena { arena: Rc<DmaArena>, block: ManuallyDrop<Block>, len: usize },
    Heap { buf: ManuallyDrop<AlignedBuf>, spares: Rc<Spares> },
}

/// Large buffers of the heap that nobody has now, for the next of their length: the system takes its time to make one, and
/// to clear it.
#[derive(Debug, Default)]
pub(crate) struct Spares {
    bufs: RefCell<Vec<AlignedBuf>>,
    bytes: Cell<usize>,
}

impl Spares {
    /// A buffer of the heap, which comes back here. It holds zeros, or what it held last.
    pub(crate) fn take(self: &Rc<Self>, len: usize, alignment_bytes: usize) -> DmaBuffer {
        let mut bufs = self.bufs.borrow_mut();
        let fits = |buf: &AlignedBuf| buf.len() == len && buf.alignment_bytes() == alignment_bytes;
        let buf = match bufs.iter().rposition(fits) {
            Some(place) => {
                self.bytes.set(self.bytes.get() - len);
                bufs.swap_remove(place)
            }
            None => AlignedBuf::zeroed(len, alignment_bytes),
        };
        DmaBuffer(Home::Heap { buf: ManuallyDrop::new(buf), spares: Rc::clone(self) })
    }

    fn give(&self, buf: AlignedBuf) {
        let bytes = self.bytes.get() + buf.len();
        if buf.len() >= SPARE_BYTES_MIN && bytes <= SPARES_BYTES_MAX {
            self.bytes.set(bytes);
            self.bufs.borrow_mut().push(buf);
        }
    }
}

impl DmaBuffer {
    /// Whether it is of the arena. The kernel need not look it up, if [that was registered](crate::ArenaInfo).
    pub fn is_in_arena(&self) -> bool {
        matches!(self.0, Home::Arena { .. })
    }

    fn start(&self) -> NonNull<u8> {
        match &self.0 {
            Home::Arena { arena, block, .. } => {
                let start = arena.pages.start().as_ptr().wrapping_add(block.start_bytes());
                NonNull::new(start).expect("within the region")
            }
            Home::Heap { buf, .. } => {
                NonNull::new(buf.stable_ptr().cast_mut()).expect("blocks are not at zero")
            }
        }
    }

    fn length(&self) -> usize {
        match &self.0 {
            Home::Arena { len, .. } => *len,
            Home::Heap { buf, .. } => buf.len(),
        }
    }
}

impl Drop for DmaBuffer {
    fn drop(&mut self) {
        match &mut self.0 {
            Home::Arena { arena, block, .. } => {
                // SAFETY: taken once, as the value is dropped.
                let block = unsafe { ManuallyDrop::take(block) };
                arena.blocks.borrow_mut().give(block);
            }
            Home::Heap { buf, spares } => {
                // SAFETY: as above.
                let buf = unsafe { ManuallyDrop::take(buf) };
                spares.give(buf);
            }
        }
    }
}

impl Deref for DmaBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the block is this value's alone, at least as long, and initialised since its pages were mapped, as a
        // block of the heap is by `zeroed`.
        unsafe { std::slice::from_raw_parts(self.start().as_ptr(), self.length()) }
    }
}

impl DerefMut for DmaBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start().as_ptr(), self.length()) }
    }
}

// SAFETY: a block stays where it is while its handle is moved, and is nobody else's until that is dropped; the arena
// lives as long as its buffers, and its bytes are initialised.
unsafe impl IoBuf for DmaBuffer {
    fn stable_ptr(&self) -> *const u8 {
        self.start().as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.length()
    }
}

// SAFETY: the value owns its block.
unsafe impl IoBufMut for DmaBuffer {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        match &mut self.0 {
            Home::Arena { .. } => self.start().as_ptr(),
            Home::Heap { buf, .. } => buf.stable_mut_ptr(),
        }
    }

    fn bytes_total(&self) -> usize {
        self.length()
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

impl fmt::Debug for DmaBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DmaBuffer")
            .field("len", &self.length())
            .field("is_in_arena", &self.is_in_arena())
            .finish_non_exhaustive()
    }
}

// In a slice of a slice it still needs no box in the record of its operation.
const _: () = assert!(size_of::<DmaBuffer>() <= 40);

/// The allocator has smaller ones at hand itself.
const SPARE_BYTES_MIN: usize = 64 * 1024;
/// What is kept of them all.
const SPARES_BYTES_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use samestep_provider_traits::IoBuf;

    use super::{DmaArena, HugePages, Spares};

    #[test]
    fn large_buffers_of_the_heap_are_used_again() {
        let spares = Rc::new(Spares::default());
        let mut one = spares.take(1 << 20, 4096);
        one.fill(7);
        let at = one.stable_ptr();
        drop(one);
        for (len, alignment) in [((1 << 20) - 1, 4096), (1 << 20, 512)] {
            assert_ne!(spares.take(len, alignment).stable_ptr(), at);
        }
        let again = spares.take(1 << 20, 4096);
        assert_eq!((again.stable_ptr(), again[5]), (at, 7));
        // Not small ones, and not without end.
        drop(spares.take(100, 4096));
        let many: Vec<_> = (0..40).map(|_| spares.take(1 << 20, 4096)).collect();
        drop((many, again));
        assert_eq!(spares.bytes.get(), spares.bufs.borrow().iter().map(|buf| buf.len()).sum());
        assert!(spares.bytes.get() <= 16 << 20 && spares.bufs.borrow().len() >= 14);
        assert!(spares.bufs.borrow().iter().all(|buf| buf.len() >= 64 << 10));
    }

    #[test]
    fn buffers_are_of_the_arena_and_go_back_to_it() {
        let arena = DmaArena::new(64 << 10, HugePages::None).unwrap();
        let mut one = arena.take(5000).unwrap();
        assert_eq!((one.len(), &one[..], arena.bytes_taken()), (5000, &[0; 5000][..], 8192));
        one.fill(7);
        assert!(arena.contains(one.stable_ptr(), 5000) && one.stable_ptr().addr().is_multiple_of(4096));
        let rest: Vec<_> = std::iter::from_fn(|| arena.take(8192)).collect();
        assert_eq!((rest.len(), arena.bytes_taken()), (7, 64 << 10));
        let (first, last) = (arena.vector().iov_base.cast::<u8>(), 64 << 10);
        assert!(arena.contains(first, last) && !arena.contains(first, last + 1));
        assert!(!arena.contains(first.wrapping_sub(1), 1) && !arena.contains(first.wrapping_add(65536), 0));
        assert!(rest.iter().all(|buffer| buffer.iter().all(|byte| *byte == 0)), "they are apart");
        drop(rest);
        // The last buffer keeps the memory.
        let taken = arena.bytes_taken();
        drop(arena);
        assert_eq!((taken, one[4999]), (8192, 7));
    }

    #[test]
    fn huge_pages_are_used_or_said_not_to_be() {
        for wanted in [HugePages::Reserved, HugePages::WherePossible] {
            let arena = DmaArena::new(1, wanted).unwrap();
            assert_eq!(arena.bytes(), 2 << 20);
            assert!(arena.vector().iov_base.addr().is_multiple_of(2 << 20));
            assert_ne!(arena.huge_pages(), HugePages::None);
            arena.take(2 << 20).unwrap().fill(1);
        }
    }
}
