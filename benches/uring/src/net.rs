//! Rows on sockets: the server is measured, on the first processor; who loads it is a process on the second.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use crate::figures::{Clock, Figures};
use crate::machine;
use crate::peers::{ECHO_BYTES, Peer};
use crate::tasks::BYTES;

/// Sends back `requests` of 64 bytes over so many connections.
pub(crate) async fn echoes<P: Peer>(peer: P, connections: u64, requests: u64) -> Figures {
    let (listener, port) = peer.bind().await;
    let mut client = Client::start("echo", port, connections, requests);
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let stream = peer.accept(&listener).await;
        tasks.push(peer.spawn(peer.echo(stream)));
    }
    client.go();
    let enters = peer.enters();
    let clock = Clock::start();
    let mut bytes = 0;
    for task in tasks {
        bytes += task.await;
    }
    let figures = clock.stop(requests);
    assert_eq!(bytes, requests * ECHO_BYTES as u64, "all was sent back");
    client.end(figures.with_enters(enters, peer.enters()))
}

/// Accepts so many connections, and ends each.
pub(crate) async fn accepts<P: Peer>(peer: P, count: u64) -> Figures {
    let (listener, port) = peer.bind().await;
    let mut client = Client::start("connect", port, CONNECTORS, count);
    client.go();
    let clock = Clock::start();
    for _ in 0..count {
        drop(peer.accept(&listener).await);
    }
    // One more comes when all have seen their end.
    let last = peer.accept(&listener).await;
    let figures = clock.stop(count);
    drop(last);
    client.end(figures)
}

/// So many connections, on each of which a task waits for bytes; how much memory each takes here, the kernel's not
/// counted.
pub(crate) async fn idle_connections<P: Peer>(peer: P, count: u64) -> Figures {
    let (listener, port) = peer.bind().await;
    let mut client = Client::start("echo", port, count, 0);
    // What the first connection brings stays for all.
    let first = peer.accept(&listener).await;
    let mut tasks = vec![peer.spawn(peer.echo(first))];
    peer.sleep(SETTLE).await;
    let before = machine::resident_bytes();
    let clock = Clock::start();
    for _ in 1..count {
        let stream = peer.accept(&listener).await;
        tasks.push(peer.spawn(peer.echo(stream)));
    }
    peer.sleep(SETTLE).await;
    let figures = clock.stop(count - 1);
    let bytes = machine::resident_bytes().saturating_sub(before);
    client.go();
    for task in tasks {
        assert_eq!(task.await, 0, "nothing was sent");
    }
    client.end(figures).with(BYTES, bytes as f64 / (count - 1) as f64)
}

/// Who loads the server.
pub(crate) struct Client {
    process: Child,
    stdin: Option<ChildStdin>,
}

impl Client {
    /// Starts a process that makes connections, and then waits for [`Self::go`].
    pub(crate) fn start(kind: &str, port: u16, connections: u64, requests: u64) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program is there"));
        command.args(["load", kind, &port.to_string(), &connections.to_string(), &requests.to_string()]);
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a process can be had");
        let stdin = process.stdin.take();
        Self { process, stdin }
    }

    pub(crate) fn go(&mut self) {
        let mut stdin = self.stdin.take().expect("it is told once");
        stdin.write_all(b"go\n").expect("the client waits for it");
    }

    /// Waits for its end, and adds what it tells.
    pub(crate) fn end(mut self, mut figures: Figures) -> Figures {
        let told = BufReader::new(self.process.stdout.take().expect("it is read once")).lines();
        let told = told.map(|line| line.expect("the client tells in words")).last().unwrap_or_default();
        let ended = self.process.wait().expect("the client is ours");
        assert!(ended.success(), "the client found something wrong");
        for word in told.split_whitespace() {
            let (name, value) = word.split_once('=').expect("a figure has a name");
            figures = figures.with(name, value.parse().expect("a figure is a number"));
        }
        figures
    }
}

const SETTLE: Duration = Duration::from_millis(50);
/// Threads that connect at the same time.
const CONNECTORS: u64 = 16;
