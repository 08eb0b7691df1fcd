//! Servers on epoll, or on blocking calls.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use crate::figures::{Clock, Figures};
use crate::net::Client;
use crate::peers::ECHO_BYTES;

pub(super) fn echoes(connections: u64, requests: u64) -> io::Result<Figures> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = Client::start("echo", listener.local_addr()?.port(), connections, requests);
    let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut open = Vec::new();
    for number in 0..connections {
        let (stream, _) = listener.accept()?;
        stream.set_nonblocking(true)?;
        epoll::add(&events, stream.as_fd(), epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
        open.push(Some(stream));
    }
    client.go();
    let clock = Clock::start();
    let (mut bytes, mut left) = (0, connections);
    let mut ready = Vec::with_capacity(1024);
    while left > 0 {
        ready.clear();
        epoll::wait(&events, spare_capacity(&mut ready), None)?;
        for event in &ready {
            let place = usize::try_from(event.data.u64()).expect("it is a place");
            let Some(stream) = &mut open[place] else { continue };
            match echo(stream)? {
                0 => {
                    open[place] = None;
                    left -= 1;
                }
                count => bytes += count,
            }
        }
    }
    let figures = clock.stop(requests);
    assert_eq!(bytes, requests * ECHO_BYTES as u64, "all was sent back");
    Ok(client.end(figures))
}

pub(super) fn accepts(count: u64) -> io::Result<Figures> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = Client::start("connect", listener.local_addr()?.port(), 16, count);
    client.go();
    let clock = Clock::start();
    for _ in 0..count {
        drop(listener.accept()?);
    }
    // One more comes when all have seen their end.
    drop(listener.accept()?);
    Ok(client.end(clock.stop(count)))
}

/// Sends back what is there.
fn echo(stream: &mut TcpStream) -> io::Result<u64> {
    let mut buf = [0; ECHO_BYTES];
    let count = stream.read(&mut buf)?;
    // So few bytes always have room.
    stream.write_all(&buf[..count])?;
    Ok(count as u64)
}
