//! The page of metrics, and clients of all kinds.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use samestep_provider_traits::{Providers, TaskProvider};
use samestep_uring_rt::{
    Latency, MetricsEndpoint, Shares, TaskGroup, UringProviders, UringTasks, run_shards, shard_channel,
};

use super::exposition::{Samples, read};
use crate::shards::builders;

/// Serves metrics of two shards on each driver while `client` runs on a thread of its own. `make` is run on shard 0
/// before, `busy` on shard 1 meanwhile.
fn served(
    patience: Duration,
    make: impl Fn(&UringTasks) + Send + Clone + 'static,
    client: impl Fn(SocketAddr) + Send + Sync + Clone + 'static,
) {
    for builder in builders() {
        let (make, client) = (make.clone(), client.clone());
        let ended = run_shards(2, &builder, move |shard| {
            let (make, client) = (make.clone(), client.clone());
            async move {
                if shard.number() == 1 {
                    return;
                }
                let world: UringProviders = shard.providers("/", 1).unwrap();
                make(world.task());
                let endpoint = MetricsEndpoint::loopback(0).patience(patience);
                let server = shard.serve_metrics(&endpoint).await.unwrap();
                let address = server.local_addr();
                assert!(address.ip().is_loopback());
                let (ended, mut end) = shard_channel::<()>(1);
                #[expect(clippy::disallowed_methods, reason = "the client is on another thread")]
                let client = thread::spawn(move || {
                    // However it ends, the shard is told.
                    let _ended = ended;
                    client(address);
                });
                assert_eq!(end.recv().await, None);
                client.join().unwrap();
            }
        });
        ended.unwrap();
    }
}

/// All that comes back for these bytes.
fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// The body of a good answer, whose length is as its head says.
fn page(address: SocketAddr, path: &str) -> String {
    let answer = ask(address, format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4"), "{head}");
    body.to_owned()
}

fn metrics(address: SocketAddr) -> Samples {
    let page = page(address, "/metrics");
    read(&page).unwrap_or_else(|wrong| panic!("{wrong}\n{page}"))
}

fn of_shard(samples: &Samples, name: &str, shard: &str) -> u64 {
    let labels = vec![("shard".to_owned(), shard.to_owned())];
    samples[&(format!("samestep_uring_{name}"), labels)].parse().unwrap()
}

const PATIENT: Duration = Duration::from_secs(20);

#[test]
fn all_shards_are_on_one_page() {
    served(
        PATIENT,
        |_| {},
        |address| {
            let (first, second) = (metrics(address), metrics(address));
            for shard in ["0", "1"] {
                assert_eq!(of_shard(&first, "up", shard), 1);
                // Nobody is answered without a turn of the loop; polls are counted when a queue's turn is over.
                let [before, after] = [&first, &second].map(|page| of_shard(page, "turns_total", shard));
                assert!(before > 0 && before < after, "turns of shard {shard}: {before}, then {after}");
            }
            let tasks = page(address, "/tasks?x=y");
            assert!(tasks.contains("shard 0\ntask ") && tasks.contains("shard 1\ntask "), "{tasks}");
            assert!(tasks.contains("\nmetrics ") && tasks.contains("accept of descriptor "), "{tasks}");
        },
    );
}

#[test]
fn what_is_no_request_for_a_page_is_refused() {
    served(
        PATIENT,
        |_| {},
        |address| {
            let status = |request: &[u8]| ask(address, request).split("\r\n").next().unwrap().to_owned();
            assert_eq!(status(b"GET /else HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 404 Not Found");
            assert_eq!(status(b"\x16\x03\x01\x02\x00"), "HTTP/1.1 400 Bad Request");
            assert_eq!(status(b"GET /metrics HTTP/1.1\r\n\r\n"), "HTTP/1.1 400 Bad Request");
            let answer = ask(address, b"DELETE /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
            assert!(answer.starts_with("HTTP/1.1 405 Method Not Allowed\r\n"), "{answer}");
            assert!(answer.contains("\r\nAllow: GET, HEAD\r\n"), "{answer}");
            let answer = ask(address, b"HEAD /tasks HTTP/1.1\r\nHost: a\r\n\r\n");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(
                head.contains("200 OK") && !head.contains("Content-Length: 0") && body.is_empty(),
                "{answer}"
            );
            // More than is looked at, all of which was sent when the answer comes: it is still got.
            let mut long = b"GET /metrics HTTP/1.1\r\nHost: a\r\nx: ".to_vec();
            long.resize(60_000, b'x');
            assert_eq!(status(&long), "HTTP/1.1 431 Request Header Fields Too Large");
            // And all goes on.
            assert_eq!(of_shard(&metrics(address), "up", "1"), 1);
        },
    );
}

/// Clients that say nothing, or a byte now and then, are told so and let go; they keep nobody else from the page.
#[test]
fn slow_clients_are_let_go() {
    served(
        Duration::from_millis(100),
        |_| {},
        |address| {
            // More than there are places: those behind them have to wait for the first to be let go.
            let silent: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
            let mut slow = TcpStream::connect(address).unwrap();
            slow.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
            let mut answer = Vec::new();
            // A byte at a time, for longer than anybody waits.
            for _ in 0..4000 {
                if slow.write_all(b"G").is_err() {
                    break;
                }
                match slow.read_to_end(&mut answer) {
                    Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
                    _ => break,
                }
            }
            let answer = String::from_utf8(answer).unwrap();
            let refused = ["HTTP/1.1 408 ", "HTTP/1.1 400 "].iter().any(|status| answer.starts_with(status));
            assert!(refused, "{answer:?}");
            for mut silent in silent {
                silent.set_read_timeout(Some(PATIENT)).unwrap();
                let mut answer = String::new();
                silent.read_to_string(&mut answer).unwrap();
                assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer:?}");
            }
            assert_eq!(of_shard(&metrics(address), "up", "0"), 1);
        },
    );
}

/// A client that takes no answer is let go, too: its task ends.
#[test]
fn a_client_that_reads_nothing_is_let_go() {
    // A page that no socket's buffers hold.
    let make = |tasks: &UringTasks| {
        for number in 0..20_000 {
            let name = format!("{number:0>100}");
            tasks.create_queue(&name, TaskGroup::ROOT, Shares::default(), Latency::NotImportant);
        }
    };
    served(Duration::from_millis(300), make, |address| {
        let mut deaf = TcpStream::connect(address).unwrap();
        deaf.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let connections = || page(address, "/tasks").matches("\nmetrics connection").count();
        let mut most = 0;
        // The one that asks is there, too.
        let is_gone = (0..20_000).any(|_| {
            let now = connections();
            most = most.max(now);
            most > 1 && now == 1
        });
        assert!(is_gone, "{most} connections");
        drop(deaf);
    });
}

/// A shard that does not come round is told of as one that is not up, and does not hold up the page.
#[test]
fn a_shard_that_does_not_answer_is_told_apart() {
    for builder in builders() {
        let (stop, for_stop) = mpsc::channel::<()>();
        let for_stop = std::sync::Arc::new(std::sync::Mutex::new(for_stop));
        let ended = run_shards(2, &builder, move |shard| {
            let (stop, for_stop) = (stop.clone(), std::sync::Arc::clone(&for_stop));
            async move {
                if shard.number() == 1 {
                    return;
                }
                let busy = shard.submit_to(1, move || async move {
                    let _ = for_stop.lock().unwrap().recv();
                });
                let world: UringProviders = shard.providers("/", 1).unwrap();
                let busy = world.task().spawn("busy", busy);
                world.task().yield_now().await;
                let endpoint = MetricsEndpoint::loopback(0).patience(Duration::from_millis(200));
                let server = shard.serve_metrics(&endpoint).await.unwrap();
                let address = server.local_addr();
                let (samples, mut for_samples) = shard_channel(1);
                #[expect(clippy::disallowed_methods, reason = "the client is on another thread")]
                let client = thread::spawn(move || {
                    let mut samples = samples;
                    assert!(samples.try_send((metrics(address), page(address, "/tasks"))).is_ok());
                });
                let (samples, tasks) = for_samples.recv().await.unwrap();
                client.join().unwrap();
                assert_eq!([of_shard(&samples, "up", "0"), of_shard(&samples, "up", "1")], [1, 0]);
                assert!(samples.keys().filter(|(_, labels)| labels[0].1 == "1").count() == 1);
                assert!(tasks.contains("shard 1 does not answer\n"), "{tasks}");
                stop.send(()).unwrap();
                busy.await.unwrap().unwrap();
            }
        });
        ended.unwrap();
    }
}
