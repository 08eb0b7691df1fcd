//! Loads a server: a plain program with epoll or threads, the same for whoever is measured.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use crate::peers::ECHO_BYTES;
use crate::{Result, machine};

/// How a server is loaded.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// Sends 64 bytes over each connection, waits for them, and sends the next.
    Echo,
    /// Connects, waits for the other end to close, and connects again.
    Connect,
}

/// Makes connections, waits for a line from whoever started it, does what it is for, and tells how long that took.
pub(crate) fn run(kind: Kind, port: u16, connections: u64, requests: u64) -> Result<()> {
    machine::pin(1);
    machine::raise_descriptors();
    match kind {
        Kind::Echo => echo(port, connections, requests),
        Kind::Connect => connect(port, connections, requests),
    }
}

fn wait_for_go() -> Result<()> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    if line == "go\n" { Ok(()) } else { Err("the server has ended".into()) }
}

/// A connection and what it waits for.
struct Connection {
    stream: TcpStream,
    sent: [u8; ECHO_BYTES],
    received: usize,
    since: Instant,
}

impl Connection {
    fn send(&mut self, request: u64) -> io::Result<()> {
        self.sent[..8].copy_from_slice(&request.to_le_bytes());
        self.sent[ECHO_BYTES - 8..].copy_from_slice(&(!request).to_le_bytes());
        self.received = 0;
        self.since = Instant::now();
        // So few bytes always have room.
        self.stream.write_all(&self.sent)
    }

    /// Whether the answer is complete.
    fn receive(&mut self) -> io::Result<bool> {
        let mut bytes = [0; ECHO_BYTES];
        let count = match self.stream.read(&mut bytes[self.received..]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            count => count?,
        };
        let end = self.received + count;
        if count == 0 || bytes[self.received..end] != self.sent[self.received..end] {
            return Err(io::Error::other("an answer is not what was sent"));
        }
        self.received = end;
        Ok(end == ECHO_BYTES)
    }
}

fn echo(port: u16, connections: u64, requests: u64) -> Result<()> {
    let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut open = Vec::new();
    for number in 0..connections {
        if number % PACE == PACE - 1 {
            // The server's line is short, and who finds it full is told to come back in a second.
            std::thread::sleep(Duration::from_millis(5));
        }
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        epoll::add(&events, stream.as_fd(), epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
        open.push(Connection { stream, sent: [7; ECHO_BYTES], received: 0, since: Instant::now() });
    }
    wait_for_go()?;
    let mut started = 0;
    for connection in open.iter_mut().take(usize::try_from(requests).unwrap_or(usize::MAX)) {
        started += 1;
        connection.send(started)?;
    }
    let mut latencies = Vec::with_capacity(usize::try_from(requests)?);
    let mut ready = Vec::with_capacity(1024);
    while (latencies.len() as u64) < requests {
        ready.clear();
        epoll::wait(&events, spare_capacity(&mut ready), None)?;
        for event in &ready {
            let connection = &mut open[usize::try_from(event.data.u64())?];
            if connection.receive()? {
                latencies.push(connection.since.elapsed());
                if started < requests {
                    started += 1;
                    connection.send(started)?;
                }
            }
        }
    }
    latencies.sort_unstable();
    let part = |share: f64| -> f64 {
        let index = (latencies.len() as f64 * share) as usize;
        latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    };
    if requests > 0 {
        println!("{P50}={} {P99}={}", part(0.5), part(0.99));
    }
    Ok(())
}

fn connect(port: u16, threads: u64, connections: u64) -> Result<()> {
    let started = AtomicU64::new(0);
    wait_for_go()?;
    let connect_some = || -> io::Result<()> {
        while started.fetch_add(1, Ordering::Relaxed) < connections {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            let mut byte = [0];
            match stream.read(&mut byte) {
                Ok(0) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                Ok(_) => return Err(io::Error::other("bytes came that nobody sent")),
                Err(error) => return Err(error),
            }
            // No side keeps anything of it.
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(connect_some)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("it does not panic"))
    })?;
    // Tells the server so.
    TcpStream::connect(("127.0.0.1", port))?;
    Ok(())
}

/// Connections that are made at once.
const PACE: u64 = 64;
/// Latency of a request in microseconds, of half and of all but a hundredth.
pub(crate) const P50: &str = "p50_us";
pub(crate) const P99: &str = "p99_us";
