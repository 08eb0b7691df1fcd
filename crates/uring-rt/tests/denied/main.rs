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
    use std::process::Command;

    use rustix::process::{Resource, Rlimit, setrlimit};
    use samestep_provider_traits::{
        File, NetworkProvider, OpenOptions, Providers, StorageProvider, TcpListener, TcpStream,
    };
    use samestep_uring_rt::{Driver, DriverChoice, Runtime, StartError};

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

    /// A file and a connection.
    fn program(runtime: &Runtime) -> String {
        let root = tempfile::tempdir().unwrap();
        let world = runtime.providers(root.path(), 1).unwrap();
        let said = runtime.block_on(async {
            let file = world.storage().open("f".as_ref(), OpenOptions::read_write().create()).await.unwrap();
            file.write_all_and_sync("hello", 0).await.0.unwrap();
            let (outcome, buf) = file.read_exact_at(vec![0; 5], 0).await;
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
