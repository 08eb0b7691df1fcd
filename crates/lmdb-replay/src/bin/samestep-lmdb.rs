//! The command `samestep-lmdb`: looks at piers, checks, maintains and copies them. All of it is in
//! `samestep_lmdb_replay::cli`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    samestep_lmdb_replay::cli::main()
}
