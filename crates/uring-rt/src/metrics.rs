//! What shards have done, as a page on HTTP that the runtime itself serves.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use samestep_provider_traits::{TcpListener, TcpStream, TimeProvider};

use crate::core::Core;
use crate::http::{Body, HEAD_BYTES_MAX, Parsed, Status, answer, parse};
use crate::net::{UringListener, UringStream, bind};
use crate::prometheus::{Kind, Page, label, prometheus_page};
use crate::runtime::Runtime;
use crate::shards::{Shard, Submitted};
use crate::stats::ShardStats;
use crate::sync::Semaphore;
use crate::sys::JoinRef;
use crate::task_list::TaskList;
use crate::time::UringTime;

/// Where and how metrics are served: `GET /metrics` as text for Prometheus, `GET /tasks` as tables for people.
///
/// HTTP/1.1 without encryption or passwords, one request a connection, of at most 8 KiB, and at most 32 connections at
/// a time: others wait. Whoever connects learns the names of tasks and queues, and nothing that is in them.
#[derive(Clone, Debug)]
#[must_use = "an endpoint serves nothing by itself"]
pub struct MetricsEndpoint {
    address: SocketAddr,
    patience: Duration,
}

impl MetricsEndpoint {
    /// For programs on this machine only. Port 0 is any that is free.
    pub fn loopback(port: u16) -> Self {
        Self::at(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    /// For all who can reach the address.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, patience: Duration::from_secs(5) }
    }

    /// How long a client may take for its request, and again for taking the answer, 5 s by default; and how long other
    /// shards may take to tell theirs.
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

impl Runtime {
    /// Serves what the runtime has done, in a task of the default queue, until the server is dropped.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    pub async fn serve_metrics(&self, endpoint: &MetricsEndpoint) -> io::Result<MetricsServer> {
        MetricsServer::start(Source::Alone(Rc::clone(self.core())), endpoint).await
    }
}

impl Shard {
    /// Serves what all shards have done, in a task of the current queue of this one, until the server is dropped. A
    /// shard that does not answer in time has a sample `samestep_uring_up` of 0 and no others.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    pub async fn serve_metrics(&self, endpoint: &MetricsEndpoint) -> io::Result<MetricsServer> {
        MetricsServer::start(Source::Shards(self.clone()), endpoint).await
    }
}

/// Serves metrics until it is dropped; connections that are open then are still answered.
#[must_use = "who drops this ends the server"]
pub struct MetricsServer {
    address: SocketAddr,
    accepts: JoinRef<()>,
}

impl MetricsServer {
    async fn start(source: Source, endpoint: &MetricsEndpoint) -> io::Result<Self> {
        let core = Rc::clone(source.core());
        let listener = bind(Rc::clone(&core), |core| UringListener::bind(core, endpoint.address)).await?;
        let address = listener.local_addr()?;
        let server =
            Rc::new(Server { time: UringTime(Rc::clone(&core)), source, patience: endpoint.patience });
        let accepts = core.spawn("metrics", core.queue_now(), server.accept(listener));
        Ok(Self { address, accepts })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.accepts.abort();
    }
}

impl fmt::Debug for MetricsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsServer").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Whose metrics they are.
enum Source {
    Alone(Rc<Core>),
    Shards(Shard),
}

impl Source {
    fn core(&self) -> &Rc<Core> {
        match self {
            Self::Alone(core) => core,
            Self::Shards(shard) => shard.core(),
        }
    }
}

struct Server {
    time: UringTime,
    source: Source,
    patience: Duration,
}

impl Server {
    async fn accept(self: Rc<Self>, listener: UringListener) {
        let places = Semaphore::new(CONNECTIONS_MAX);
        loop {
            let place = places.acquire(1).await.expect("it is never closed");
            let Ok((stream, _)) = listener.accept().await else {
                // For want of descriptors, say. Those who wait in the kernel's queue are not lost.
                self.time.sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let core = self.source.core();
            let server = Rc::clone(&self);
            drop(core.spawn("metrics connection", core.queue_now(), async move {
                // Whoever is too slow to take the answer does not get it.
                let _ = server.serve(stream).await;
                drop(place);
            }));
        }
    }

    async fn serve(&self, stream: UringStream) -> io::Result<()> {
        let request = self.time.timeout(self.patience, request(&stream)).await;
        let (status, body) = match request {
            Err(_) => (Status::RequestTimeout, Body::Sent),
            Ok(None) => return Ok(()),
            Ok(Some(Parsed::Request { path, body })) => match &*path {
                "/metrics" => return self.send(stream, Status::Ok, &self.metrics().await, body).await,
                "/tasks" => return self.send(stream, Status::Ok, &self.tasks().await, body).await,
                _ => (Status::NotFound, body),
            },
            Ok(Some(Parsed::Refused(status))) => (status, Body::Sent),
            Ok(Some(Parsed::Incomplete)) => unreachable!("it is waited for"),
        };
        let pages = "there are /metrics and /tasks";
        self.send(stream, status, &format!("{}: {pages}\n", status.line()), body).await
    }

    /// Sends an answer, and waits for the client to have it: closing a connection on which something came that nobody
    /// read would take the answer back.
    async fn send(&self, stream: UringStream, status: Status, text: &str, body: Body) -> io::Result<()> {
        let answer = answer(status, text, body);
        let all = async {
            stream.write_all(answer).await.0?;
            stream.shutdown().await?;
            let mut buf = Vec::with_capacity(HEAD_BYTES_MAX);
            for _ in 0..READS_AFTER_ANSWER_MAX {
                let count;
                (count, buf) = stream.read(buf).await;
                if count? == 0 {
                    break;
                }
            }
            Ok(())
        };
        self.time.timeout(self.patience, all).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn metrics(&self) -> String {
        let told = self.gather(|shard, number| shard.caller().stats_of(number), ShardStats::of).await;
        let names: Vec<String> = (0..told.len()).map(|number| number.to_string()).collect();
        let mut page = Page::default();
        page.family("up", Kind::Gauge, "Whether the shard answered in time.");
        for (name, stats) in names.iter().zip(&told) {
            page.sample("up", &label("shard", name), u8::from(stats.is_some()));
        }
        let shards = names.iter().zip(&told);
        let shards = shards.filter_map(|(name, stats)| Some((name.as_str(), stats.as_ref()?)));
        page.into_text() + &prometheus_page(shards)
    }

    async fn tasks(&self) -> String {
        let told = self.gather(|shard, number| shard.caller().tasks_of(number), TaskList::of).await;
        let texts = told.iter().enumerate().map(|(number, tasks)| match tasks {
            Some(tasks) => format!("shard {number}\n{tasks}\n"),
            None => format!("shard {number} does not answer\n\n"),
        });
        texts.collect()
    }

    /// What each shard says, or `None` of those who do not in time.
    async fn gather<T>(
        &self,
        ask: impl Fn(&Shard, usize) -> Submitted<T>,
        look: impl Fn(&Core) -> T,
    ) -> Vec<Option<T>> {
        let shard = match &self.source {
            Source::Alone(core) => return vec![Some(look(core))],
            Source::Shards(shard) => shard,
        };
        let mut told: Vec<Option<T>> = (0..shard.count()).map(|_| None).collect();
        let mut asked: Vec<(usize, Submitted<T>)> =
            (0..shard.count()).map(|number| (number, ask(shard, number))).collect();
        let all = poll_fn(|cx| {
            asked.retain_mut(|(number, call)| match Pin::new(call).poll(cx) {
                Poll::Ready(outcome) => {
                    told[*number] = outcome.ok();
                    false
                }
                Poll::Pending => true,
            });
            if asked.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        });
        let _ = self.time.timeout(self.patience, all).await;
        told
    }
}

/// The request, once it is whole or refused; `None` if the client goes before.
async fn request(stream: &UringStream) -> Option<Parsed> {
    let mut came = Vec::new();
    let mut buf = Vec::with_capacity(HEAD_BYTES_MAX);
    loop {
        let count;
        (count, buf) = stream.read(buf).await;
        if count.ok()? == 0 {
            return None;
        }
        came.extend_from_slice(&buf);
        match parse(&came) {
            Parsed::Incomplete => {}
            parsed => return Some(parsed),
        }
    }
}

const CONNECTIONS_MAX: usize = 32;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a client still sends when it was answered is read, up to some 100 KiB.
const READS_AFTER_ANSWER_MAX: usize = 16;
