//! The first process of a virtual machine with an NVMe disk, see `cargo xtask vm-test`: tries on a kernel and a device
//! of its own what no test can ask of the machine that it runs on.
//!
//! Prints a line a check, `check | how it went`, and a last one once all went well; then restarts the machine.
//! Anywhere else it says that it is skipped.

mod checks;

use std::fs;
use std::os::unix::process::CommandExt;
use std::panic::catch_unwind;
use std::process::Command;

use rustix::mount::{MountFlags, mount};
use samestep_uring_rt::Runtime;

fn main() {
    #[expect(clippy::disallowed_methods, reason = "the first process of a machine is told by its number")]
    let is_first = std::process::id() == 1;
    if std::env::args().nth(1).as_deref() == Some(START_ONLY) {
        return match Runtime::new() {
            Ok(_) => println!("started"),
            Err(error) => println!("{error}"),
        };
    }
    if !is_first {
        return println!("skipped: this is for a machine of its own, which `cargo xtask vm-test` boots");
    }
    if catch_unwind(run).is_ok() {
        println!("{ALL_WELL}");
    }
    rustix::fs::sync();
    // At once: shutting the devices down first takes minutes on a busy machine. Qemu ends where a machine would restart.
    fs::write("/proc/sysrq-trigger", "b").expect("the first process may restart the machine");
}

fn run() {
    let mounts = [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")];
    for (kind, target) in mounts {
        mount(kind, target, kind, MountFlags::empty(), None).unwrap();
    }
    // A commit of the journal, or of inodes that are set up behind our back, is an interrupt that is none of ours.
    mount("/dev/nvme0n1", "/mnt", "ext4", MountFlags::NOATIME, Some(c"commit=300,noinit_itable")).unwrap();
    let arguments = fs::read_to_string("/proc/cmdline").unwrap();
    if arguments.contains("nvme.poll_queues=1") {
        checks::with_poll_queue();
    } else {
        checks::without_poll_queue();
        checks::switched_off();
    }
}

/// What a process of nobody says when it starts a runtime.
fn start_as_nobody() -> String {
    let output = Command::new("/init").arg(START_ONLY).uid(NOBODY).gid(NOBODY).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const START_ONLY: &str = "start-only";
const ALL_WELL: &str = "all checks of this boot went well";
const NOBODY: u32 = 65_534;
