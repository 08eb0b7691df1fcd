//! Boots kernels of Debian in qemu, with the test `vm` of `uring-rt` as their first process.
//!
//! The processor is emulated, so that it works without KVM; nothing is said about speed.

mod initramfs;
mod kernel;

use std::error::Error;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use cargo_metadata::Message;
use clap::Args;

use crate::vm_test::initramfs::Initramfs;
use crate::vm_test::kernel::Kernel;
use crate::workspace::{cargo, root};

/// Which machines to boot.
#[derive(Debug, Args)]
pub(crate) struct VmTestArgs {
    /// The releases of Debian whose kernels are booted: 6.1, 6.12, and what is newest there
    #[arg(long, value_name = "SUITE", default_values = ["bookworm", "trixie", "trixie-backports"])]
    suite: Vec<String>,
}

/// Boots each kernel with and without queues for polling and prints what was found; skips, with a line that says why,
/// what cannot be had here.
pub(crate) fn run(args: &VmTestArgs) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(missing) = PROGRAMS.iter().find(|(program, _)| !is_installed(program)) {
        println!("vm-test skipped: {} is not installed (Debian package {})", missing.0, missing.1);
        return Ok(ExitCode::SUCCESS);
    }
    let folder = root().join("target/vm");
    fs::create_dir_all(&folder)?;
    let initramfs = folder.join("initramfs.cpio");
    fs::write(&initramfs, pack(&test_program()?)?)?;
    let mut has_failed = false;
    for suite in &args.suite {
        let kernel = match Kernel::of(suite, &folder) {
            Ok(kernel) => kernel,
            Err(error) => {
                println!("{suite} skipped: {error}");
                continue;
            }
        };
        for boot in BOOTS {
            println!("\nLinux {}, {}", kernel.release, boot.0);
            has_failed |= !boot_twice(&kernel, &initramfs, &folder, boot.1)?;
        }
    }
    Ok(ExitCode::from(u8::from(has_failed)))
}

/// One retry: an emulated machine on a busy one is at times not done in time. A check that failed is not tried again.
fn boot_twice(
    kernel: &Kernel,
    initramfs: &Path,
    folder: &Path,
    arguments: &str,
) -> Result<bool, Box<dyn Error>> {
    for _ in 0..2 {
        let console = boot(kernel, initramfs, folder, arguments)?;
        for (check, outcome) in console.lines().filter_map(|line| line.split_once(" | ")) {
            // The firmware clears the screen in front of the first line.
            let check = check.rsplit("\u{1b}[2J").next().unwrap_or(check);
            println!("  {check:<22}{}", outcome.trim_end());
        }
        if console.contains(ALL_WELL) {
            return Ok(true);
        }
        if console.contains(PANICKED) {
            println!("FAILED; the console:\n{console}");
            return Ok(false);
        }
        println!("  ended early, or not within {BOOT_SECONDS_MAX} s; the last lines of the console:");
        let lines: Vec<&str> = console.lines().collect();
        lines.iter().rev().take(5).rev().for_each(|line| println!("    {line}"));
    }
    Ok(false)
}

/// What a machine with a fresh disk says until it is switched off.
fn boot(kernel: &Kernel, initramfs: &Path, folder: &Path, arguments: &str) -> Result<String, Box<dyn Error>> {
    let disk = folder.join("disk.img");
    fs::File::create(&disk)?.set_len(DISK_BYTES)?;
    let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk).status()?;
    if !made.success() {
        return Err("mkfs.ext4 failed".into());
    }
    let drive = format!("file={},if=none,id=disk,format=raw,cache=none,aio=threads", disk.display());
    // On a busy machine the emulated timer is late, and the kernel's check of it fails: no check.
    let output = Command::new("timeout")
        .arg(BOOT_SECONDS_MAX.to_string())
        .arg(QEMU)
        .args(["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "768", "-nographic", "-nodefaults"])
        .args(["-serial", "stdio", "-no-reboot", "-kernel"])
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", &format!("console=ttyS0 quiet panic=-1 no_timer_check {arguments}")])
        .args(["-drive", &drive, "-device", "nvme,drive=disk,serial=1"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Builds the test, and gives where it is.
fn test_program() -> Result<PathBuf, Box<dyn Error>> {
    let mut building = cargo()
        .args(["test", "--quiet", "--package", "samestep-uring-rt", "--test", TEST, "--no-run"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root())
        .stdout(Stdio::piped())
        .spawn()?;
    let messages = building.stdout.take().ok_or("cargo has no output")?;
    let mut program = None;
    for message in Message::parse_stream(BufReader::new(messages)) {
        if let Message::CompilerArtifact(artifact) = message?
            && artifact.target.name == TEST
        {
            program = artifact.executable.or(program);
        }
    }
    if !building.wait()?.success() {
        return Err("the test does not build".into());
    }
    Ok(program.ok_or("cargo built no test of this name")?.into_std_path_buf())
}

/// The test as the first process, with the libraries that it is linked with.
fn pack(program: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut initramfs = Initramfs::new();
    for folder in ["dev", "proc", "sys", "mnt"] {
        initramfs.add_folder(Path::new(folder));
    }
    initramfs.add_console();
    initramfs.add_program(Path::new("init"), &fs::read(program)?);
    let output = Command::new("ldd").arg(program).output()?;
    for line in String::from_utf8(output.stdout)?.lines() {
        // `name => /path (address)` or `/path (address)`; the kernel's own has no path.
        let words = line.split_whitespace().find(|word| word.starts_with('/'));
        let Some(library) = words.map(Path::new) else { continue };
        initramfs.add_program(library.strip_prefix("/")?, &fs::read(library)?);
    }
    Ok(initramfs.into_bytes())
}

fn is_installed(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    found.is_ok_and(|output| output.status.success())
}

/// What it takes, and the packages that have it.
const PROGRAMS: [(&str, &str); 5] = [
    (QEMU, "qemu-system-x86"),
    ("mkfs.ext4", "e2fsprogs"),
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("ldd", "libc-bin"),
];
/// Words for people, and arguments of the kernel.
const BOOTS: [(&str, &str); 2] =
    [("one poll queue", "nvme.poll_queues=1"), ("no poll queue", "nvme.poll_queues=0")];
const QEMU: &str = "qemu-system-x86_64";
const TEST: &str = "vm";
/// What the test prints in the end, and what the standard library does if a check failed.
const ALL_WELL: &str = "all checks of this boot went well";
const PANICKED: &str = "panicked at";
const DISK_BYTES: u64 = 256 << 20;
/// Ten times of what it takes on an idle machine.
const BOOT_SECONDS_MAX: u32 = 240;
