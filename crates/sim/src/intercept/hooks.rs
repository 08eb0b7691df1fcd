//! The functions of the C library that are ours instead, and the library's own behind them.
//!
//! Signatures are those of POSIX.1-2017 and of Linux' getrandom(2), on targets where `time_t` and `long` are 64 bits.

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulong, c_void};
use std::mem::transmute;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::{Intercepted, intercept};
use crate::world::Core;

/// Addresses of our functions.
pub(super) fn addresses() -> [usize; 4] {
    [
        getrandom as *const () as usize,
        clock_gettime as *const () as usize,
        gettimeofday as *const () as usize,
        pthread_create as *const () as usize,
    ]
}

/// `struct timespec`.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanos: i64,
}

/// `struct timeval`.
#[repr(C)]
struct Timeval {
    seconds: i64,
    micros: i64,
}

/// # Safety
///
/// As of getrandom(2): `buffer` must be writable for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, flags: c_uint) -> isize {
    let drawn = intercept(Intercepted::RandomBytes, |core| core.intercepted.random.next_u64());
    let Some(key) = drawn else {
        static REAL: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
        type Real = unsafe extern "C" fn(*mut u8, usize, c_uint) -> isize;
        let Some(real) = real(&REAL, c"getrandom") else { return -1 };
        // SAFETY: the C library's function of this name has this signature, see the module.
        let real = unsafe { transmute::<*mut c_void, Real>(real) };
        // SAFETY: the caller keeps what getrandom asks for.
        return unsafe { real(buffer, length, flags) };
    };
    let stream = crate::draws::Stream::from_seed(key);
    for place in 0..length {
        let word = stream.nth((place / 8) as u64).to_le_bytes();
        // SAFETY: `place` is below `length`, the size of what `buffer` points to.
        let byte = unsafe { buffer.add(place) };
        // SAFETY: the caller lets us write there.
        unsafe { byte.write(word[place % 8]) };
    }
    isize::try_from(length).unwrap_or(isize::MAX)
}

/// # Safety
///
/// As of clock_gettime(2): `time` must be writable.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int {
    // Clocks of CPU time are the machine's; nobody takes them for the time.
    let is_cpu_time = matches!(clock, CLOCK_PROCESS_CPUTIME_ID | CLOCK_THREAD_CPUTIME_ID);
    let shown = (!is_cpu_time).then(|| intercept(Intercepted::Clock, |core| shown(core, clock))).flatten();
    let Some(nanos) = shown else {
        static REAL: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
        type Real = unsafe extern "C" fn(c_int, *mut Timespec) -> c_int;
        let Some(real) = real(&REAL, c"clock_gettime") else { return -1 };
        // SAFETY: the C library's function of this name has this signature, see the module.
        let real = unsafe { transmute::<*mut c_void, Real>(real) };
        // SAFETY: the caller keeps what clock_gettime asks for.
        return unsafe { real(clock, time) };
    };
    let value = Timespec { seconds: nanos / NANOS_PER_SECOND, nanos: nanos % NANOS_PER_SECOND };
    // SAFETY: the caller lets us write to `time`.
    unsafe { time.write(value) };
    0
}

/// # Safety
///
/// As of gettimeofday(2): `time` must be writable, or null; `zone` writable, or null.
#[unsafe(no_mangle)]
unsafe extern "C" fn gettimeofday(time: *mut Timeval, zone: *mut c_void) -> c_int {
    let Some(nanos) = intercept(Intercepted::Clock, |core| shown(core, CLOCK_REALTIME)) else {
        static REAL: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
        type Real = unsafe extern "C" fn(*mut Timeval, *mut c_void) -> c_int;
        let Some(real) = real(&REAL, c"gettimeofday") else { return -1 };
        // SAFETY: the C library's function of this name has this signature, see the module.
        let real = unsafe { transmute::<*mut c_void, Real>(real) };
        // SAFETY: the caller keeps what gettimeofday asks for.
        return unsafe { real(time, zone) };
    };
    if !time.is_null() {
        let value = Timeval { seconds: nanos / NANOS_PER_SECOND, micros: nanos % NANOS_PER_SECOND / 1000 };
        // SAFETY: the caller lets us write to `time`, as it is not null.
        unsafe { time.write(value) };
    }
    0
}

/// What a thread runs.
type Start = extern "C" fn(*mut c_void) -> *mut c_void;

/// # Safety
///
/// As of pthread_create(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut c_ulong,
    attributes: *const c_void,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    static REAL: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    type Real = unsafe extern "C" fn(*mut c_ulong, *const c_void, Start, *mut c_void) -> c_int;
    let _counted = intercept(Intercepted::Thread, |_| ());
    let Some(real) = real(&REAL, c"pthread_create") else { return EAGAIN };
    // SAFETY: the C library's function of this name has this signature, see the module.
    let real = unsafe { transmute::<*mut c_void, Real>(real) };
    // SAFETY: the caller keeps what pthread_create asks for.
    unsafe { real(thread, attributes, start, argument) }
}

/// What `clock` shows in the world, in nanoseconds of its epoch: the node's wall clock, or the world's time.
fn shown(core: &mut Core, clock: c_int) -> i64 {
    let nanos = if matches!(clock, CLOCK_REALTIME | CLOCK_REALTIME_COARSE | CLOCK_TAI) {
        core.wall_clock_nanos(core.kernel.node)
    } else {
        // Not zero: some programs take time off a clock that has run for long.
        MONOTONIC_BEGAN_NANOS + i128::from(core.kernel.now.as_nanos())
    };
    i64::try_from(nanos.max(0)).unwrap_or(i64::MAX)
}

/// The C library's own function of this name, looked up once.
fn real(cache: &AtomicPtr<c_void>, name: &CStr) -> Option<*mut c_void> {
    let known = cache.load(Ordering::Relaxed);
    if !known.is_null() {
        return Some(known);
    }
    // SAFETY: `name` ends with a zero byte, and RTLD_NEXT is a handle that dlsym knows.
    let found = unsafe { dlsym(RTLD_NEXT, name.as_ptr()) };
    cache.store(found, Ordering::Relaxed);
    (!found.is_null()).then_some(found)
}

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

/// The next library after the one that asks: the C library, after the program.
const RTLD_NEXT: *mut c_void = ptr::without_provenance_mut(usize::MAX);
const EAGAIN: c_int = 11;
const CLOCK_REALTIME: c_int = 0;
const CLOCK_PROCESS_CPUTIME_ID: c_int = 2;
const CLOCK_THREAD_CPUTIME_ID: c_int = 3;
const CLOCK_REALTIME_COARSE: c_int = 5;
const CLOCK_TAI: c_int = 11;
const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// A day.
const MONOTONIC_BEGAN_NANOS: i128 = 86_400 * 1_000_000_000;

const _: () = assert!(usize::BITS == 64, "structures of the C library are laid out for 64 bits");
