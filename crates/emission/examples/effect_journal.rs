//! Exactly-once processing of at-least-once delivery: the effects of an event and its position are stored in one step.
//!
//! A client keeps a balance. Its journal is a file to which it appends one line per event: the position, and the
//! balance after it. It crashes at its worst moments: before the line is written, in the middle of it, and after it but
//! before the acknowledgement. Whatever happens, the balance at the end is the sum of the events.

#![forbid(unsafe_code)]

use std::error::Error;

use samestep_emission::{
    Answer, Applied, Change, ClientId, Delivery, Epoch, Fingerprint, Index, NodeId, Notifier,
    NotifierOptions, Outbox, Output, Position, Receiver, Resumption, Seq, StallPolicy, SubscriptionId,
    Target, Term, Tick, Token, Verdict,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut server = Server::new()?;
    for amount in 1..=10 {
        server.deposit(amount)?;
    }
    // What survives a crash of the client is this, and nothing else.
    let mut journal = Vec::new();
    let mut crashes = 0;
    loop {
        let died = run_client(&mut server, &mut journal, crashes)?;
        let state = State::read(&journal);
        println!("journal at event {:>2}, balance {:>2}{}", state.position.seq, state.balance, told(died));
        if died.is_none() {
            break;
        }
        crashes += 1;
    }
    let state = State::read(&journal);
    println!("deliveries: {}, crashes: {crashes}, balance: {}", server.deliveries, state.balance);
    assert_eq!(state.balance, 55, "each deposit counts once");
    assert!(server.deliveries > 10, "some were delivered more than once");
    Ok(())
}

/// Where a client dies.
#[derive(Clone, Copy, Debug)]
enum Death {
    BeforeTheJournal,
    InTheMiddleOfALine,
    BeforeTheAcknowledgement,
}

fn told(died: Option<Death>) -> String {
    died.map_or_else(String::new, |death| format!("  (died: {death:?})"))
}

/// Runs a client until it dies or nothing is left. Life number `life` dies in its own way at its third event.
fn run_client(
    server: &mut Server,
    journal: &mut Vec<u8>,
    life: usize,
) -> Result<Option<Death>, Box<dyn Error>> {
    let deaths = [Death::BeforeTheJournal, Death::InTheMiddleOfALine, Death::BeforeTheAcknowledgement];
    let death = deaths.get(life).copied();
    let mut state = State::read(journal);
    // A line that was cut short is no line.
    journal.truncate(state.journal_bytes);
    let mut receiver = Receiver::new(server.subscription, server.client.clone(), state.position);
    let (answer, term) = server.reconnect(&receiver)?;
    if receiver.handle_answer(answer, term) != Resumption::Continue {
        return Err("the journal and the log do not fit".into());
    }
    let mut processed = 0;
    while let Some(delivery) = server.next_delivery() {
        if receiver.handle_delivery(&delivery) != Verdict::Process {
            continue;
        }
        let amount: u64 = std::str::from_utf8(delivery.payload)?.parse()?;
        processed += 1;
        let dies = death.filter(|_| processed == 3);
        if matches!(dies, Some(Death::BeforeTheJournal)) {
            return Ok(dies);
        }
        state.balance += amount;
        let entry = format!("{} {} {}\n", delivery.epoch, delivery.seq, state.balance);
        if matches!(dies, Some(Death::InTheMiddleOfALine)) {
            journal.extend_from_slice(&entry.as_bytes()[..entry.len() - 1]);
            return Ok(dies);
        }
        // Effect and position in one step. A real client syncs its file here.
        journal.extend_from_slice(entry.as_bytes());
        if dies.is_some() {
            return Ok(dies);
        }
        receiver.confirm(&delivery);
        if let Some(through) = receiver.poll_ack() {
            server.acknowledge(through)?;
        }
    }
    Ok(None)
}

/// What the journal says.
struct State {
    position: Position,
    balance: u64,
    journal_bytes: usize,
}

impl State {
    fn read(journal: &[u8]) -> Self {
        let mut state = Self { position: Position::START, balance: 0, journal_bytes: 0 };
        for line in journal.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            let text = String::from_utf8_lossy(line);
            let mut numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
            let mut number = || numbers.next().unwrap_or_default();
            state.position = Position { epoch: Epoch::new(number()), seq: Seq::new(number()) };
            state.balance = number();
            state.journal_bytes += line.len();
        }
        state
    }
}

/// A log with one replica, which leads.
struct Server {
    outbox: Outbox,
    notifier: Notifier,
    last_index: u64,
    subscription: SubscriptionId,
    client: ClientId,
    deliveries: usize,
}

impl Server {
    fn new() -> Result<Self, Box<dyn Error>> {
        let mut server = Self {
            outbox: Outbox::new(),
            notifier: Notifier::new(Term::new(1), NotifierOptions::default())?,
            last_index: 0,
            subscription: SubscriptionId::new(1),
            client: ClientId::new("teller")?,
            deliveries: 0,
        };
        server.append(&Change::StartEpoch { term: Term::new(1), node: NodeId::new(1) })?;
        let fingerprint = Fingerprint::of_command(&[b"WATCH", b"account"]);
        let token = Token::new([7; 16]);
        server.append(&Change::Subscribe {
            client: b"teller",
            fingerprint,
            token,
            stall: StallPolicy::Suspend,
        })?;
        Ok(server)
    }

    fn append(&mut self, change: &Change<'_>) -> Result<Applied, Box<dyn Error>> {
        self.last_index += 1;
        Ok(self.outbox.apply(Index::new(self.last_index), change)??)
    }

    fn deposit(&mut self, amount: u64) -> Result<(), Box<dyn Error>> {
        let target = Target::Subscription(self.subscription);
        self.append(&Change::Emit { target, origin: None, payload: amount.to_string().as_bytes() })?;
        Ok(())
    }

    fn reconnect(&mut self, receiver: &Receiver) -> Result<(Answer, Term), Box<dyn Error>> {
        let answer = self.notifier.handle_reconnect(&self.outbox, &receiver.request(), Tick::new(0))?;
        Ok((answer, self.notifier.term()))
    }

    fn next_delivery(&mut self) -> Option<Delivery<'_>> {
        match self.notifier.poll(&mut self.outbox, Tick::new(0))? {
            Output::Deliver(delivery) => {
                self.deliveries += 1;
                Some(delivery)
            }
            _ => None,
        }
    }

    fn acknowledge(&mut self, through: Seq) -> Result<(), Box<dyn Error>> {
        if let Some(change) = self.notifier.handle_ack(&self.outbox, self.subscription, through)? {
            self.append(&change)?;
        }
        Ok(())
    }
}
