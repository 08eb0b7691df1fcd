//! The command `samestep-wal`: looks at logs, checks, mends and copies them. All of it is in `samestep_wal::cli`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    samestep_wal::cli::main()
}
