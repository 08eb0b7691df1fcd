//! Machines that give no ring: each case runs in a process of its own, which gives up rights and then tries.

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "system calls that only a process can make on itself")]
mod filter;

#[cfg(target_os = "linux")]
fn main() {
    linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
mod linux {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::process::Command;

    use rustix::process::{Resource, Rlimit, WaitOptions, setrlimit, waitpid};
    use samestep_provider_traits::{
        File, NetworkProvider, OpenOptions, Providers, StorageProvider, TcpListener, TcpStream,
    };
    use samestep_uring_rt::{Driver, DriverChoice, Registration, Runtime, ShutdownError, StartError};

    use crate::filter;

    /// A case: its name, what the child does, and what it must say.
    type Case = (&'static str, fn() -> String, fn(&str) -> bool);

    const CASES: &[Case] = &[
        ("seccomp_eperm", || denied(libc::EPERM), is_denied_by_seccomp),
        ("seccomp_enosys", || denied(libc::ENOSYS), is_denied_by_seccomp),
        ("seccomp_threads_if_asked", threads_if_asked, |said| said == "threads: hello"),
        ("memlock_zero", memlock_zero, |said| {
            said == "io_uring: hello" || said.contains("RLIMIT_MEMLOCK is 0 bytes") || is_skipped(said)
        }),
        ("memlock_some", memlock_some, |said| {
            said.contains(": hello, 128 KiB of 4096 KiB") || is_skipped(said)
        }),
        ("memlock_none_for_the_arena", memlock_arena, |said| {
            said.contains(": hello, the limit on locked memory is too low") || is_skipped(said)
        }),
        ("forked", forked, |said| said == "io_uring: hello, and again: io_uring: hello" || is_skipped(said)),
    ];

    pub(crate) fn main() {
        let mut arguments = std::env::args().skip(1);
        if let Some(name) = arguments.next().filter(|argument| argument.starts_with("child-")) {
            let (_, child, _) = CASES.iter().find(|(case, ..)| name == format!("child-{case}")).unwrap();
            println!("{}", child());
            return;
        }
        for (name, _, expects) in CASES {
            let output =
                Command::new(std::env::current_exe().unwrap()).arg(format!("child-{name}")).output().unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            let (said, errors) = (said.trim(), String::from_utf8_lossy(&output.stderr).into_owned());
            assert!(output.status.success(), "{name}: {said} {errors}");
            assert!(expects(said), "{name} said: {said}");
            println!("test {name} ... ok: {said}");
        }
    }

    fn is_denied_by_seccomp(said: &str) -> bool {
        said.starts_with("DeniedBySeccomp")
            && said.contains("a seccomp filter denies io_uring")
            && said.contains("--security-opt seccomp=")
            && said.contains("threads driver")
    }

    fn is_skipped(said: &str) -> bool {
        said.starts_with("skipped")
    }

    fn denied(error: i32) -> String {
        filter::deny_io_uring(u16::try_from(error).unwrap()).unwrap();
        match Runtime::new() {
            Err(error @ StartError::DeniedBySeccomp { .. }) => format!("DeniedBySeccomp {error}"),
            other => format!("{other:?}"),
        }
    }

    fn threads_if_asked() -> String {
        filter::deny_io_uring(1).unwrap();
        let runtime = Runtime::builder().driver(DriverChoice::RingOrThreads).build().unwrap();
        assert_eq!(runtime.info().driver(), Driver::Threads);
        program(&runtime)
    }

    fn memlock_zero() -> String {
        setrlimit(Resource::Memlock, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
        if let Err(error) = filter::become_nobody() {
            return format!("skipped: cannot become a user without rights: {error}");
        }
        match Runtime::new() {
            Ok(runtime) => program(&runtime),
            Err(error) => error.to_string(),
        }
    }

    /// What a user gets who may lock 256 KiB: the largest half of a half that fits, beside what else counts.
    fn memlock_some() -> String {
        limit_memlock(256 * 1024)
    }

    /// And one whose limit has room for the rings alone.
    fn memlock_arena() -> String {
        limit_memlock(112 * 1024)
    }

    /// A runtime whose arena is not all that was wanted does the same, and says why.
    fn limit_memlock(bytes: u64) -> String {
        let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
        setrlimit(Resource::Memlock, limit).unwrap();
        if let Err(error) = filter::become_nobody() {
            return format!("skipped: cannot become a user without rights: {error}");
        }
        // What the user's last process had locked is given free some time after its end.
        let started = (0..2000).find_map(|_| Runtime::new().ok());
        let Some(runtime) = started else { return "skipped: no ring with so little".into() };
        let said = program(&runtime);
        let arena = runtime.info().arena();
        assert_eq!((arena.wanted_bytes, arena.memlock_bytes), (4 << 20, Some(bytes)));
        let stats = runtime.stats();
        if arena.registration == Registration::NoLockedMemory {
            assert_eq!((arena.bytes, stats.registered_operations), (4 << 20, 0));
            return format!("{said}, {}", arena.registration);
        }
        assert!(stats.registered_operations >= 2, "{stats:?}");
        let line = arena.to_string();
        assert!(line.contains(&format!("RLIMIT_MEMLOCK is {} KiB", bytes / 1024)), "{line}");
        format!("{said}, {} KiB of {} KiB", arena.bytes / 1024, arena.wanted_bytes / 1024)
    }

    /// A process that is forked off has neither ring nor arena: it is told so, and the other goes on.
    fn forked() -> String {
        let runtime = match Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => return format!("skipped: {error}"),
        };
        let said = program(&runtime);
        let buffer = runtime.alloc_dma(4096);
        let start = buffer.as_ptr().addr();
        assert!(buffer.is_in_arena() && is_mapped(start));
        let mappings = mappings_of_rings();
        assert!(mappings > 0);
        let Some(child) = filter::fork().unwrap() else {
            let looks = AssertUnwindSafe(|| {
                assert!(!is_mapped(start), "the arena is mapped in a process that was forked off");
                assert_eq!(mappings_of_rings(), 0, "rings are mapped in a process that was forked off");
                let runs = AssertUnwindSafe(|| runtime.block_on(async {}));
                catch_unwind(runs).unwrap_err();
                drop(buffer);
                assert_eq!(runtime.shutdown(), Err(ShutdownError::Forked));
                // It may have one of its own.
                program(&Runtime::new().unwrap());
            });
            std::process::exit(i32::from(catch_unwind(looks).is_err()));
        };
        let (_, status) = waitpid(Some(child), WaitOptions::empty()).unwrap().unwrap();
        assert_eq!(status.exit_status(), Some(0), "the process that was forked off failed: {status:?}");
        drop(buffer);
        format!("{said}, and again: {}", program(&runtime))
    }

    /// Whether this address is mapped.
    fn is_mapped(address: usize) -> bool {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().any(|line| {
            let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
            let number = |text| usize::from_str_radix(text, 16).unwrap();
            (number(start)..number(end)).contains(&address)
        })
    }

    /// What is mapped of rings.
    fn mappings_of_rings() -> usize {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        maps.lines().filter(|line| line.ends_with("anon_inode:[io_uring]")).count()
    }

    /// A file and a connection.
    fn program(runtime: &Runtime) -> String {
        let root = tempfile::tempdir().unwrap();
        let world = runtime.providers(root.path(), 1).unwrap();
        let said = runtime.block_on(async {
            let file = world.storage().open("f".as_ref(), OpenOptions::read_write().create()).await.unwrap();
            let mut buf = runtime.alloc_dma(5);
            buf.copy_from_slice(b"hello");
            file.write_all_and_sync(buf, 0).await.0.unwrap();
            let (outcome, buf) = file.read_exact_at(runtime.alloc_dma(5), 0).await;
            outcome.unwrap();
            let listener = world.network().bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let near = world.network().connect(listener.local_addr().unwrap()).await.unwrap();
            let (far, _) = listener.accept().await.unwrap();
            near.write_all(buf).await.0.unwrap();
            let (outcome, buf) = far.read_exact(vec![0; 5]).await;
            outcome.unwrap();
            String::from_utf8(buf).unwrap()
        });
        format!("{}: {said}", runtime.info().driver())
    }
}
