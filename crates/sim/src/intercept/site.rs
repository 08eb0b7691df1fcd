//! Where in a program a call came from.

use std::backtrace::Backtrace;

/// The innermost function of the stack that is neither of this crate nor of the standard library, with file and line.
pub(super) fn of_caller() -> String {
    of_backtrace(&Backtrace::force_capture().to_string())
}

/// Frames are pairs of lines: `  7: path::of::function`, then `     at file:line:column`, which may be missing.
fn of_backtrace(backtrace: &str) -> String {
    let mut lines = backtrace.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        let Some((number, function)) = line.split_once(": ") else { continue };
        let place = lines.peek().and_then(|next| next.strip_prefix("at "));
        if number.parse::<u32>().is_err() || is_machinery(function, place.unwrap_or_default()) {
            continue;
        }
        return place.map_or_else(|| function.to_owned(), |place| format!("{function} at {place}"));
    }
    "unknown".to_owned()
}

/// Functions that were inlined have no path where debug information is lines only: then the file tells.
fn is_machinery(function: &str, place: &str) -> bool {
    let function = function.trim_start_matches('<');
    let is_ours = FILES.iter().any(|file| place.contains(file));
    is_ours || place.starts_with("/rustc/") || FUNCTIONS.iter().any(|prefix| function.starts_with(prefix))
}

const FILES: [&str; 3] = ["src/intercept/site.rs:", "src/intercept/mod.rs:", "src/intercept/hooks.rs:"];
const FUNCTIONS: [&str; 11] = [
    "std::",
    "core::",
    "alloc::",
    "samestep_sim::intercept::",
    "getrandom",
    "getentropy",
    "clock_gettime",
    "gettimeofday",
    "pthread_create",
    "__",
    "rust_",
];

#[cfg(test)]
mod tests {
    use super::of_backtrace;

    #[test]
    fn the_first_frame_of_the_program_is_told() {
        let backtrace = "   0: std::backtrace::Backtrace::create\n   1: clock_gettime\n             at ./hooks.rs:1:1\n   \
                         2: <std::time::Instant as core::Foo>::now\n   3: app::lease::renew\n             at \
                         ./src/lease.rs:12:5\n   4: main\n";
        assert_eq!(of_backtrace(backtrace), "app::lease::renew at ./src/lease.rs:12:5");
        assert_eq!(of_backtrace("   0: app::run\n   1: main\n"), "app::run");
        let inlined = "   0: of_caller\n             at ./src/intercept/site.rs:7:19\n   1: now\n             at \
                       /rustc/0/library/std/src/time.rs:1:1\n   2: renew\n             at ./src/lease.rs:3:4\n";
        assert_eq!(of_backtrace(inlined), "renew at ./src/lease.rs:3:4");
        assert_eq!(of_backtrace("disabled backtrace"), "unknown");
    }
}
