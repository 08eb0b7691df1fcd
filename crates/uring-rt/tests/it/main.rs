//! What the runtime shows from outside, on the kernel's ring and on threads.
#![cfg(target_os = "linux")]

mod cancel;
mod contract;
mod machine;
