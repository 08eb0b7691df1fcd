//! A shard's arena: made when its first buffer is asked for, as large as the kernel lets it be, and never a reason for a
//! call to fail.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;

use rustix::process::{Resource, getrlimit};

use crate::core::Core;
use crate::info::{Choice, Feature};
use crate::runtime::Runtime;
use crate::storage::UringStorage;
use crate::sys::{DmaArena, DmaBuffer, Driver, Registered, Spares};

/// Pages that are larger than usual, for a shard's arena: see
/// [`RuntimeBuilder::dma_arena`](crate::RuntimeBuilder::dma_arena). Complete by definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HugePages {
    /// The usual ones.
    #[default]
    None,
    /// Wherever the kernel finds some.
    WherePossible,
    /// Of those that the administrator set aside (`/proc/sys/vm/nr_hugepages`); if there are none left, as
    /// [`Self::WherePossible`].
    Reserved,
}

/// The arena of a shard, from [`RuntimeInfo::arena`](crate::RuntimeInfo::arena).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArenaInfo {
    /// What the builder asked for, in bytes.
    pub wanted_bytes: usize,
    /// What it has, in bytes: more by what rounding up to a page adds, less if the kernel locks no more.
    pub bytes: usize,
    /// Whether the kernel has looked it up for good, or why not.
    pub registration: Registration,
    /// Which pages it is made of. Those [where possible](HugePages::WherePossible) may be the usual ones after all.
    pub huge_pages: HugePages,
    /// The limit on locked memory when the arena was made, if there is one: `RLIMIT_MEMLOCK`, which counts for users
    /// without `CAP_IPC_LOCK`.
    pub memlock_bytes: Option<u64>,
}

/// Whether the kernel looks up the memory of a shard's arena once, or at each operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Registration {
    /// No buffer was asked for so far, and so there is no arena.
    NotAsked,
    /// The builder was asked for none: buffers are of the heap.
    SwitchedOff,
    /// Once: what one ring looked up the others took over (6.12).
    Shared,
    /// Once for each ring: the kernel is older than 6.12, and each counts against the limit.
    Each,
    /// The driver has no ring that could.
    NoRing,
    /// The limit on locked memory allows not even the smallest arena.
    NoLockedMemory,
    /// The kernel refused for another reason.
    Refused,
    /// There is no memory for an arena: buffers are of the heap.
    NoMemory,
}

impl Registration {
    fn is_used(self) -> bool {
        matches!(self, Self::Shared | Self::Each)
    }
}

impl fmt::Display for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAsked => "no buffer of the arena was asked for yet",
            Self::SwitchedOff => "the builder was asked for none",
            Self::Shared => "looked up once, for all rings",
            Self::Each => "looked up once for each ring",
            Self::NoRing => "no ring that could look it up",
            Self::NoLockedMemory => "the limit on locked memory is too low",
            Self::Refused => "the kernel refused to look it up",
            Self::NoMemory => "no memory can be had",
        })
    }
}

impl fmt::Display for ArenaInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = if self.registration.is_used() { "yes" } else { "no" };
        write!(f, "{:<24}{used:<5}{}", "arena", self.registration)?;
        let is_cut = self.bytes < self.wanted_bytes;
        match self.bytes / 1024 {
            0 => {}
            kib if is_cut => write!(f, ", {kib} KiB of {} KiB", self.wanted_bytes / 1024)?,
            kib => write!(f, ", {kib} KiB")?,
        }
        let is_limited = self.bytes > 0 && is_cut || self.registration == Registration::NoLockedMemory;
        let Some(limit) = self.memlock_bytes.filter(|_| is_limited) else { return Ok(()) };
        write!(
            f,
            ": RLIMIT_MEMLOCK is {} KiB; raise it by `ulimit -l`, or LimitMEMLOCK= in a unit",
            limit / 1024
        )
    }
}

/// What a shard knows of its arena.
pub(crate) struct Dma {
    wanted_bytes: usize,
    huge_pages: HugePages,
    made: RefCell<Option<Made>>,
    heap: Rc<Spares>,
    from_heap: Cell<u64>,
}

struct Made {
    /// None if the builder wanted none, or there is no memory.
    arena: Option<Rc<DmaArena>>,
    registration: Registration,
    memlock_bytes: Option<u64>,
}

impl Dma {
    pub(crate) fn new(wanted_bytes: usize, huge_pages: HugePages) -> Self {
        let (made, heap, from_heap) = Default::default();
        Self { wanted_bytes, huge_pages, made, heap, from_heap }
    }

    /// Where buffers of the heap come from.
    pub(crate) fn heap(&self) -> &Rc<Spares> {
        &self.heap
    }

    /// A buffer, of the arena if that has room; the first one makes the arena.
    fn alloc(&self, driver: &RefCell<Driver>, len: usize) -> DmaBuffer {
        let mut made = self.made.borrow_mut();
        let made = made.get_or_insert_with(|| self.make(&mut driver.borrow_mut()));
        let taken = made.arena.as_ref().filter(|_| len > 0).and_then(|arena| arena.take(len));
        taken.unwrap_or_else(|| {
            self.from_heap.set(self.from_heap.get() + 1);
            self.heap.take(len, ALIGNMENT_BYTES)
        })
    }

    /// The largest arena that the kernel looks up, of the wanted size or a half of it, a quarter, and so on; if it looks
    /// up none, one that it does not.
    fn make(&self, driver: &mut Driver) -> Made {
        let memlock_bytes = getrlimit(Resource::Memlock).current;
        let without = |registration| Made { arena: None, registration, memlock_bytes };
        if self.wanted_bytes == 0 {
            return without(Registration::SwitchedOff);
        }
        let mut bytes = self.wanted_bytes;
        loop {
            let Ok(arena) = DmaArena::new(bytes, self.huge_pages) else {
                return without(Registration::NoMemory);
            };
            let registration = match driver.register_arena(&arena) {
                Ok(Registered::Once) => Registration::Shared,
                Ok(Registered::Each) => Registration::Each,
                Err(error) if is_for_want_of_locked_memory(&error) => {
                    if bytes / 2 >= BYTES_MIN {
                        bytes /= 2;
                        continue;
                    }
                    Registration::NoLockedMemory
                }
                Err(error) if error.kind() == io::ErrorKind::Unsupported => Registration::NoRing,
                Err(_) => Registration::Refused,
            };
            // Memory that is not locked may be as much as was wanted.
            let unlocked = || DmaArena::new(self.wanted_bytes, self.huge_pages).ok();
            let arena = if registration.is_used() { Some(arena) } else { unlocked() };
            return Made { arena, registration, memlock_bytes };
        }
    }

    pub(crate) fn info(&self) -> ArenaInfo {
        let made = self.made.borrow();
        let made = made.as_ref();
        let arena = made.and_then(|made| made.arena.as_ref());
        ArenaInfo {
            wanted_bytes: self.wanted_bytes,
            bytes: arena.map_or(0, |arena| arena.bytes()),
            registration: made.map_or(Registration::NotAsked, |made| made.registration),
            huge_pages: arena.map_or(HugePages::None, |arena| arena.huge_pages()),
            memlock_bytes: made.and_then(|made| made.memlock_bytes),
        }
    }

    /// What that says of the kernel's features.
    pub(crate) fn choices(&self) -> [Choice; 2] {
        let registration = self.info().registration;
        let (fixed, cloned) = (Feature::RegisteredBuffers, Feature::ClonedBuffers);
        let why_not = match registration {
            Registration::NotAsked => "no buffer of the arena was asked for yet",
            Registration::SwitchedOff => "the builder was asked for none",
            Registration::NoRing => "no ring that could",
            Registration::NoLockedMemory => "the limit on locked memory is too low",
            Registration::NoMemory => "no memory can be had",
            _ => "the kernel refused",
        };
        match registration {
            Registration::Shared => [
                Choice::used(fixed, "files are read and written without looking memory up"),
                Choice::used(cloned, "what one ring looked up the others take over"),
            ],
            Registration::Each => [
                Choice::used(fixed, "files are read and written without looking memory up"),
                Choice::unused(cloned, "the kernel is older than 6.12"),
            ],
            _ => [Choice::unused(fixed, why_not), Choice::unused(cloned, why_not)],
        }
    }

    /// Operations by way of the registered arena, buffers that were of the heap, and bytes of the arena that buffers
    /// have now.
    pub(crate) fn counters(&self) -> (u64, u64, u64) {
        let made = self.made.borrow();
        let arena = made.as_ref().and_then(|made| made.arena.as_ref());
        let operations = arena.map_or(0, |arena| arena.operations());
        (operations, self.from_heap.get(), arena.map_or(0, |arena| arena.bytes_taken() as u64))
    }
}

impl Core {
    pub(crate) fn alloc_dma(&self, len: usize) -> DmaBuffer {
        self.dma.alloc(&self.driver, len)
    }
}

impl Runtime {
    /// A buffer of `len` bytes for reads and writes of files, at a multiple of 4096, see [`DmaBuffer`]. The first one
    /// makes the shard's [arena](crate::RuntimeBuilder::dma_arena).
    pub fn alloc_dma(&self, len: usize) -> DmaBuffer {
        self.core().alloc_dma(len)
    }
}

impl UringStorage {
    /// As [`Runtime::alloc_dma`].
    pub fn alloc_dma(&self, len: usize) -> DmaBuffer {
        self.core().alloc_dma(len)
    }
}

/// What `io_uring_register` says if the user may lock no more memory. A kernel that has none left says the same, and a
/// smaller arena is right then, too.
fn is_for_want_of_locked_memory(error: &io::Error) -> bool {
    [libc::ENOMEM, libc::EPERM].iter().any(|number| error.raw_os_error() == Some(*number))
}

/// An arena that is smaller is not worth the trouble.
const BYTES_MIN: usize = 64 * 1024;
const ALIGNMENT_BYTES: usize = 4096;
