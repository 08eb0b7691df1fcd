//! Places of a program that the simulator knows by file and line, gathered by the linker.
//!
//! Each macro puts a pointer to its site in a section of the binary, which the linker joins into one array (ELF and
//! Mach-O). On other hosts a site is known from its first execution on, and one never executed is not reported.

use std::cmp::Ordering;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{self, AtomicU32};

/// A place in a program's source that stands for a check or a possible fault.
pub struct Site {
    kind: SiteKind,
    name: &'static str,
    module: &'static str,
    file: &'static str,
    line: u32,
    column: u32,
    index: AtomicU32,
}

impl Site {
    /// What the macros of this crate make.
    #[doc(hidden)]
    pub const fn new(
        kind: SiteKind,
        name: &'static str,
        module: &'static str,
        (file, line, column): (&'static str, u32, u32),
    ) -> Self {
        Self { kind, name, module, file, line, column, index: AtomicU32::new(UNKNOWN) }
    }

    /// What stands there.
    pub const fn kind(&self) -> SiteKind {
        self.kind
    }

    /// Its name; empty if it has none.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The path of its module.
    pub const fn module(&self) -> &'static str {
        self.module
    }

    /// Its source file, as the compiler was given it.
    pub const fn file(&self) -> &'static str {
        self.file
    }

    /// Its line, from 1.
    pub const fn line(&self) -> u32 {
        self.line
    }

    /// Its place among all sites of the binary.
    pub(crate) fn index(&'static self) -> usize {
        let index = self.index.load(atomic::Ordering::Relaxed);
        if index != UNKNOWN {
            return index as usize;
        }
        registry::learn(self);
        self.index.load(atomic::Ordering::Relaxed) as usize
    }

    fn place(&self) -> (&'static str, u32, u32, &'static str) {
        (self.file, self.line, self.column, self.name)
    }
}

impl PartialEq for Site {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Site {}

impl PartialOrd for Site {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By file, line and column.
impl Ord for Site {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

/// `"name" at file:line`, or without the name.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.name.is_empty() {
            write!(f, "{:?} at ", self.name)?;
        }
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {self}", self.kind)
    }
}

/// What stands at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SiteKind {
    /// A condition that holds each time, and is looked at in some run.
    Always,
    /// A condition that holds each time, if it is looked at.
    AlwaysOrUnreachable,
    /// A condition that holds in some run.
    Sometimes,
    /// A line that some run reaches.
    Reachable,
    /// A line that no run reaches.
    Unreachable,
    /// Conditions that all hold at once in some run.
    SometimesAll,
    /// A line that is reached with many values.
    SometimesEach,
    /// A place where the program may be made to misbehave.
    Buggify,
}

impl SiteKind {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::AlwaysOrUnreachable => "always or unreachable",
            Self::Sometimes => "sometimes",
            Self::Reachable => "reachable",
            Self::Unreachable => "unreachable",
            Self::SometimesAll => "sometimes all",
            Self::SometimesEach => "sometimes each",
            Self::Buggify => "buggify",
        }
    }
}

impl fmt::Display for SiteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// All sites of the binary, executed or not, by file and line.
pub fn sites() -> &'static [&'static Site] {
    registry::all()
}

/// Makes the site of the macro that uses it. Not for other callers.
#[doc(hidden)]
#[macro_export]
macro_rules! __site {
    ($kind:ident, $name:expr) => {{
        static SITE: $crate::chaos::Site = $crate::chaos::Site::new(
            $crate::chaos::SiteKind::$kind,
            $name,
            ::core::module_path!(),
            (::core::file!(), ::core::line!(), ::core::column!()),
        );
        // SAFETY: the section holds nothing but such pointers, see `registry::gathered`.
        #[used]
        #[cfg_attr(
            any(target_os = "linux", target_os = "android", target_os = "freebsd"),
            unsafe(link_section = "samestep_sites")
        )]
        #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,samestep_sites"))]
        static ENTRY: &$crate::chaos::Site = &SITE;
        &SITE
    }};
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple"))]
mod registry {
    use super::{OnceLock, Site, atomic};

    pub(super) fn all() -> &'static [&'static Site] {
        static ALL: OnceLock<Vec<&'static Site>> = OnceLock::new();
        ALL.get_or_init(|| {
            let mut all = gathered().to_vec();
            // The linker's order is its own; that of the source is the same in every build.
            all.sort_unstable();
            for (index, site) in (0_u32..).zip(&all) {
                site.index.store(index, atomic::Ordering::Relaxed);
            }
            all
        })
    }

    /// Numbers all sites; `_site` is one of them.
    pub(super) fn learn(_site: &'static Site) {
        all();
    }

    fn gathered() -> &'static [&'static Site] {
        // So that the section is there in a binary without any other site.
        let _ = crate::__site!(AlwaysOrUnreachable, "");
        let start = (&raw const START).cast::<&'static Site>();
        let stop = (&raw const STOP).cast::<&'static Site>();
        let count = (stop.addr() - start.addr()) / size_of::<&Site>();
        // SAFETY: the linker defines both symbols as the ends of the section in which `__site!`, and nothing else,
        // puts statics of type `&'static Site`: so many initialised, aligned pointers that are never written.
        unsafe { std::slice::from_raw_parts(start, count) }
    }

    // SAFETY: both are defined by the linker for each section whose name is an identifier (ELF), or for the named
    // section (Mach-O). Their address alone is used.
    unsafe extern "Rust" {
        #[cfg_attr(not(target_vendor = "apple"), link_name = "__start_samestep_sites")]
        #[cfg_attr(target_vendor = "apple", link_name = "\x01section$start$__DATA$samestep_sites")]
        static START: [&'static Site; 0];
        #[cfg_attr(not(target_vendor = "apple"), link_name = "__stop_samestep_sites")]
        #[cfg_attr(target_vendor = "apple", link_name = "\x01section$end$__DATA$samestep_sites")]
        static STOP: [&'static Site; 0];
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple")))]
mod registry {
    use std::sync::{Mutex, PoisonError};

    use super::{Site, UNKNOWN, atomic};

    /// Those that were executed, in that order. The list that is handed out is leaked: as long as the program.
    pub(super) fn all() -> &'static [&'static Site] {
        let mut all = SEEN.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.sort_unstable();
        Vec::leak(all)
    }

    pub(super) fn learn(site: &'static Site) {
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        if site.index.load(atomic::Ordering::Relaxed) == UNKNOWN {
            let index = u32::try_from(seen.len()).expect("fewer than 2^32 sites");
            seen.push(site);
            site.index.store(index, atomic::Ordering::Relaxed);
        }
    }

    static SEEN: Mutex<Vec<&'static Site>> = Mutex::new(Vec::new());
}

const UNKNOWN: u32 = u32::MAX;
