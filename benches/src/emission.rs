//! The outbox: events through it, what a pending one costs, idle ticks, snapshots, and canonical lines beside a copy and
//! a hash of the same bytes.
//!
//! Everything is in one process, on one thread and in memory: no row waits for a disk or a network. Each row checks what
//! came out.

use std::fmt::Write as _;
use std::hint::black_box;

use clap::Args;
use samestep_emission::{
    Applied, Canonicalizer, Change, ClientId, Delivery, DeliveryKind, Emission, Epoch, Fingerprint, Index,
    Limits, LineVersion, NodeId, Notifier, NotifierOptions, Numbering, Outbox, Output, Position, Reconnect,
    Seq, StallPolicy, SubscriptionId, Target, Term, Tick, Token,
};
use xxhash_rust::xxh64::Xxh64;

use crate::Result;
use crate::machine::memory_kib;

/// How the outbox is measured.
#[derive(Args, Debug)]
pub(crate) struct EmissionArgs {
    /// Rows to run, by what their names begin with. Default: all.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Rounds. Figures are medians over them. Default: 5, with --quick 1.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Tiny sizes, one round: does it all still run? The figures mean nothing.
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(args: &EmissionArgs) -> Result<()> {
    let rounds = args.rounds.unwrap_or(if args.quick { 1 } else { 5 });
    let size = if args.quick { 100 } else { 1 };
    let wanted = |name: &str| args.rows.is_empty() || args.rows.iter().any(|row| name.starts_with(row));
    println!("| | |\n|---|---:|");
    for subscriptions in [1, 16, 256, 10_000] {
        let name = format!("flow/subscriptions={subscriptions}");
        if wanted(&name) {
            let per_s = median(rounds, || flow(subscriptions, 1_000_000 / size))?;
            println!("| {name}: append, apply, deliver, acknowledge | {} events/s |", count(per_s));
        }
    }
    for subscriptions in [1, 10, 100, 1_000, 10_000] {
        let name = format!("fan-out/subscriptions={subscriptions}");
        if wanted(&name) {
            let per_s = median(rounds, || fan_out(subscriptions, 1_000_000 / size))?;
            println!(
                "| {name}: one event to all, delivered and acknowledged | {} deliveries/s |",
                count(per_s)
            );
        }
    }
    if wanted("memory") {
        for bytes in [0, 16, 64] {
            let per_entry = memory(bytes, 1_000_000 / size)?;
            println!("| memory/payload={bytes}: resident per pending event | {per_entry:.0} B |");
        }
    }
    for subscriptions in [10, 1_000, 100_000 / size] {
        let name = format!("idle-tick/subscriptions={subscriptions}");
        if wanted(&name) {
            let ns = median(rounds, || idle_tick(subscriptions, 10_000_000 / size))?;
            println!("| {name} | {ns:.1} ns |");
        }
    }
    if wanted("snapshot") {
        let (mut write, mut read) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let (written, restored) = snapshot(200_000 / size)?;
            write.push(written);
            read.push(restored);
        }
        println!("| snapshot/events=200000 payload=64 | {:.0} MB/s |", middle(write));
        println!("| restore/events=200000 payload=64 | {:.0} MB/s |", middle(read));
    }
    for payload in [16, 64, 256, 1024] {
        for version in [LineVersion::V1, LineVersion::V2] {
            for face in [Face::Delivery, Face::Emission] {
                let name = format!("lines/{version:?} {face:?} payload={payload}");
                if wanted(&name) {
                    lines(&name, (version, face), payload, (40_000_000 / size) / (payload + 64), rounds)?;
                }
            }
        }
    }
    Ok(())
}

/// Events round robin over subscriptions, each appended as bytes to a log in memory, applied from there, delivered and
/// acknowledged by a record of its own that takes the same way. 16 B payloads.
fn flow(subscriptions: u64, events: u64) -> Result<f64> {
    let mut world = World::new(subscriptions, StallPolicy::Suspend)?;
    let payload = [7; 16];
    let (mut delivered, mut bytes) = (0_u64, 0_usize);
    let started = Started::now();
    for at in 0..events {
        let id = world.ids[(at % subscriptions) as usize];
        world.append(&Change::Emit { target: Target::Subscription(id), origin: None, payload: &payload })?;
        let ack = match world.notifier.poll(&mut world.outbox, Tick::new(at >> 10)) {
            Some(Output::Deliver(delivery)) => {
                delivered += 1;
                bytes += black_box(delivery.payload).len();
                (delivery.subscription, delivery.seq)
            }
            other => return Err(format!("no delivery: {other:?}").into()),
        };
        let change = world.notifier.handle_ack(&world.outbox, ack.0, ack.1)?.ok_or("acknowledged before")?;
        world.append(&change)?;
    }
    let took = started.elapsed_s();
    if delivered != events || bytes as u64 != 16 * events || world.outbox.pending_entries() != 0 {
        return Err(format!("{delivered} of {events} events were delivered").into());
    }
    Ok(events as f64 / took)
}

/// One event to the topic of all subscriptions, all of them delivered and acknowledged.
fn fan_out(subscriptions: u64, deliveries: u64) -> Result<f64> {
    let mut world = World::new(subscriptions, StallPolicy::Suspend)?;
    let events = (deliveries / subscriptions).max(1);
    let payload = [7; 16];
    let mut acks = Vec::new();
    let started = Started::now();
    for at in 0..events {
        let target = Target::Topic(Fingerprint::new(TOPIC));
        world.append(&Change::Emit { target, origin: None, payload: &payload })?;
        acks.clear();
        while let Some(Output::Deliver(delivery)) = world.notifier.poll(&mut world.outbox, Tick::new(at)) {
            black_box(delivery.payload);
            acks.push((delivery.subscription, delivery.seq));
        }
        for &(id, seq) in &acks {
            let change = world.notifier.handle_ack(&world.outbox, id, seq)?.ok_or("acknowledged before")?;
            world.append(&change)?;
        }
        if acks.len() as u64 != subscriptions {
            return Err(format!("{} of {subscriptions} got the event", acks.len()).into());
        }
    }
    Ok((events * subscriptions) as f64 / started.elapsed_s())
}

/// Resident bytes per event that waits in one of sixteen subscriptions.
fn memory(payload: usize, events: u64) -> Result<f64> {
    let mut world = World::new(16, StallPolicy::Suspend)?;
    let payload = vec![7; payload];
    let resident = || memory_kib("VmRSS").ok_or("this system does not tell what is resident");
    let before = resident()?;
    for at in 0..events {
        let id = world.ids[(at % 16) as usize];
        world.append(&Change::Emit { target: Target::Subscription(id), origin: None, payload: &payload })?;
        // The log is not what is measured.
        world.log.clear();
    }
    let after = resident()?;
    if world.outbox.pending_entries() != events {
        return Err("not all events wait".into());
    }
    Ok(after.saturating_sub(before) as f64 * 1024.0 / events as f64)
}

/// A tick in which nothing happens, with so many subscriptions connected.
fn idle_tick(subscriptions: u64, ticks: u64) -> Result<f64> {
    let mut world = World::new(subscriptions, StallPolicy::Suspend)?;
    let started = Started::now();
    for tick in 0..ticks {
        if black_box(world.notifier.poll(&mut world.outbox, Tick::new(tick))).is_some() {
            return Err("something was to do".into());
        }
    }
    Ok(started.elapsed_s() * 1e9 / ticks as f64)
}

/// MB/s of writing and of reading a snapshot.
fn snapshot(events: u64) -> Result<(f64, f64)> {
    let mut world = World::new(1000, StallPolicy::Suspend)?;
    let payload = [7; 64];
    for at in 0..events {
        let id = world.ids[(at % 1000) as usize];
        world.append(&Change::Emit { target: Target::Subscription(id), origin: None, payload: &payload })?;
    }
    let started = Started::now();
    let bytes = world.outbox.snapshot();
    let wrote = started.elapsed_s();
    let started = Started::now();
    let restored = Outbox::restore(&bytes)?;
    let read = started.elapsed_s();
    if restored.pending_entries() != events || restored.snapshot() != bytes {
        return Err("the snapshot is another".into());
    }
    let mb = bytes.len() as f64 / 1e6;
    Ok((mb / wrote, mb / read))
}

/// Canonical lines with their stream hash, beside a copy of the same bytes, and their hash in one go and line by line.
fn lines(
    name: &str,
    (version, face): (LineVersion, Face),
    payload: u64,
    events: u64,
    rounds: u32,
) -> Result<()> {
    let value: Vec<u8> = (0..payload).map(|at| b'a' + (at % 26) as u8).collect();
    let emission = |at| Emission {
        fingerprint: Fingerprint::new(0x1234_5678_9abc_def0),
        subscription: SubscriptionId::new(1 + at % 16),
        epoch: Epoch::new(3),
        seq: Seq::new(1_000_000 + at),
        event: b"DATA",
        fields: &[],
    };
    let mut text = Vec::new();
    let mut ends = Vec::new();
    let mut canonical = Canonicalizer::new(version, Numbering::Own);
    for at in 0..events {
        let fields: [(&[u8], &[u8]); 1] = [(b"delta", &value)];
        text.extend_from_slice(
            canonical.line(&Emission { fields: &fields, ..emission(at) })?.ok_or("left out")?,
        );
        text.push(b'\n');
        ends.push(text.len());
    }
    let ours = median(rounds, || {
        let mut canonical = Canonicalizer::new(version, Numbering::Own);
        let started = Started::now();
        for at in 0..events {
            let emission = emission(at);
            if face == Face::Delivery {
                let Emission { fingerprint, subscription, epoch, seq, .. } = emission;
                let (term, kind, payload) = (Term::new(1), DeliveryKind::Event, black_box(&value[..]));
                let delivery = Delivery { subscription, fingerprint, term, epoch, seq, kind, payload };
                black_box(canonical.delivery(&delivery));
            } else {
                let fields: [(&[u8], &[u8]); 1] = [black_box((b"delta", &value))];
                black_box(canonical.line(&Emission { fields: &fields, ..black_box(emission) })?);
            }
        }
        let took = started.elapsed_s();
        if canonical.digest() != xxhash_rust::xxh64::xxh64(&text, 0) {
            return Err("another digest".into());
        }
        Ok(events as f64 / took)
    })?;
    let by_line = median(rounds, || {
        let mut hash = Xxh64::new(0);
        let started = Started::now();
        let mut start = 0;
        for &end in &ends {
            hash.update(&text[start..end]);
            start = end;
        }
        black_box(hash.digest());
        Ok(events as f64 / started.elapsed_s())
    })?;
    let at_once = median(rounds, || {
        let started = Started::now();
        black_box(xxhash_rust::xxh64::xxh64(black_box(&text), 0));
        Ok(events as f64 / started.elapsed_s())
    })?;
    let mut copy = vec![0; text.len()];
    let copied = median(rounds, || {
        let started = Started::now();
        copy.copy_from_slice(black_box(&text));
        black_box(&copy);
        Ok(events as f64 / started.elapsed_s())
    })?;
    let mut told = format!("| {name} | {} lines/s; ", count(ours));
    write!(told, "{:.2} of XXH64 line by line, ", ours / by_line)?;
    write!(told, "{:.2} of XXH64 at once, {:.3} of memcpy |", ours / at_once, ours / copied)?;
    println!("{told}");
    Ok(())
}

/// What lines are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Face {
    /// What a notifier hands out, whose names are known.
    Delivery,
    /// An event of any name, with fields of any names.
    Emission,
}

/// CPU time of this thread: what others do on the machine changes it less than the time of day.
struct Started(f64);

impl Started {
    fn now() -> Self {
        Self(cpu_s())
    }

    fn elapsed_s(&self) -> f64 {
        cpu_s() - self.0
    }
}

fn cpu_s() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A log in memory, its outbox, and a notifier to which every client is connected.
struct World {
    log: Vec<u8>,
    index: u64,
    outbox: Outbox,
    notifier: Notifier,
    ids: Vec<SubscriptionId>,
}

impl World {
    fn new(subscriptions: u64, stall: StallPolicy) -> Result<Self> {
        let notifier = Notifier::new(Term::new(1), NotifierOptions::default())?;
        let mut world = Self { log: Vec::new(), index: 0, outbox: Outbox::new(), notifier, ids: Vec::new() };
        let limits = Limits {
            subscription_entries_max: 1 << 24,
            subscription_bytes_max: 1 << 30,
            ..Limits::default()
        };
        world.append(&Change::Configure(limits))?;
        world.append(&Change::StartEpoch { term: Term::new(1), node: NodeId::new(1) })?;
        for at in 0..subscriptions {
            let client = ClientId::new(format!("client {at}"))?;
            let (fingerprint, token) = (Fingerprint::new(TOPIC), Token::new([1; 16]));
            let change = Change::Subscribe { client: client.as_bytes(), fingerprint, token, stall };
            let Applied::Subscribed { subscription } = world.append(&change)? else {
                return Err("not subscribed".into());
            };
            let request = Reconnect { subscription, client, position: Position::START };
            world.notifier.handle_reconnect(&world.outbox, &request, Tick::new(0))?;
            world.ids.push(subscription);
        }
        if world.notifier.poll(&mut world.outbox, Tick::new(0)).is_some() {
            return Err("something was to do".into());
        }
        Ok(world)
    }

    /// Encodes to the end of the log, and applies from there.
    fn append(&mut self, change: &Change<'_>) -> Result<Applied> {
        // A log that is read and forgotten, as one in a ring of segments.
        if self.log.len() > LOG_BYTES {
            self.log.clear();
        }
        let start = self.log.len();
        change.encode(&mut self.log)?;
        self.index += 1;
        Ok(self.outbox.apply_entry(Index::new(self.index), &self.log[start..])??)
    }
}

fn median(rounds: u32, mut measure: impl FnMut() -> Result<f64>) -> Result<f64> {
    Ok(middle((0..rounds).map(|_| measure()).collect::<Result<Vec<f64>>>()?))
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A whole number with separators.
fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

const TOPIC: u64 = 7;
const LOG_BYTES: usize = 1 << 20;
