//! Rights that a process gives up.

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter, sock_fprog};

/// Has io_uring's three system calls fail with `error` in this process from now on, as Docker's filter does.
pub(crate) fn deny_io_uring(error: u16) -> std::io::Result<()> {
    let code = |bits: u32| u16::try_from(bits).expect("opcodes are small");
    let statement = |bits: u32, k: u32| sock_filter { code: code(bits), jt: 0, jf: 0, k };
    let nr = |nr: libc::c_long| u32::try_from(nr).expect("system calls are small numbers");
    let first = nr(libc::SYS_io_uring_setup);
    let jump = |k: u32, jt: u8| sock_filter { code: code(BPF_JMP | BPF_JEQ | BPF_K), jt, jf: 0, k };
    let mut program = [
        // The number of the system call is the first field.
        statement(BPF_LD | BPF_W | BPF_ABS, 0),
        jump(first, 3),
        jump(first + 1, 2),
        jump(first + 2, 1),
        statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW),
        statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ERRNO | u32::from(error)),
    ];
    let filter = sock_fprog { len: 6, filter: program.as_mut_ptr() };
    // SAFETY: the call takes no address.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    // SAFETY: the call reads the program, which lives and is as long as told.
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) })
}

/// Becomes a user without rights, for whom limits hold.
pub(crate) fn become_nobody() -> std::io::Result<()> {
    // SAFETY: the call takes no address.
    check(unsafe { libc::setuid(65_534) })
}

/// A copy of this process, which has the one thread that calls: its number, or `None` in the copy.
pub(crate) fn fork() -> std::io::Result<Option<rustix::process::Pid>> {
    // SAFETY: no other thread runs, so that the copy finds no lock taken by one that it has not.
    let child = unsafe { libc::fork() };
    check(child.min(0))?;
    Ok(rustix::process::Pid::from_raw(child))
}

fn check(result: libc::c_int) -> std::io::Result<()> {
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
