//! A server that counts, and keeps what it counted in a file.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{File, OpenOptions, StorageProvider};
use samestep_sim::{Chaos, SimContext, SimFile, Test};

use crate::{Outcome, Words, ask_until_answered, is_found, is_sound, serve};

/// What was counted, request by request; each is a record of the file.
struct Counter {
    file: SimFile,
    records: Cell<u64>,
    total: Cell<u64>,
    seen: RefCell<BTreeSet<u64>>,
    is_busy: Cell<bool>,
}

impl Counter {
    async fn open(context: &SimContext) -> io::Result<Self> {
        let options = OpenOptions::read_write().create();
        let file = context.storage().open("counted".as_ref(), options).await?;
        context.storage().sync_dir("".as_ref()).await?;
        let counter = Self {
            file,
            records: Cell::new(0),
            total: Cell::new(0),
            seen: RefCell::default(),
            is_busy: Cell::new(false),
        };
        while let Some([request, amount]) = counter.record(counter.records.get()).await? {
            counter.note(request, amount);
        }
        Ok(counter)
    }

    /// The record with this number; none if it was not written, or only in part.
    async fn record(&self, number: u64) -> io::Result<Option<Words>> {
        let (outcome, bytes) = self.file.read_exact_at(Box::new([0; 24]), number * 24).await;
        match outcome {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            outcome => outcome?,
        }
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        Ok((word(16) == sum(number, word(0), word(8))).then(|| [word(0), word(8)]))
    }

    fn note(&self, request: u64, amount: u64) {
        self.records.set(self.records.get() + 1);
        self.total.set(self.total.get() + amount);
        self.seen.borrow_mut().insert(request);
    }

    /// Counts a request. Durable when this returns.
    async fn count(&self, [request, amount]: Words) -> io::Result<()> {
        if self.is_busy.replace(true) {
            return Err(ErrorKind::ResourceBusy.into());
        }
        let number = self.records.get();
        let words = [request, amount, sum(number, request, amount)];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let outcome = async {
            self.file.write_all_at(bytes, number * 24).await.0?;
            self.file.sync_data().await
        };
        let outcome = outcome.await;
        self.is_busy.set(false);
        outcome?;
        self.note(request, amount);
        Ok(())
    }
}

/// Tells a record from what a crash left of one.
fn sum(number: u64, request: u64, amount: u64) -> u64 {
    (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ request.rotate_left(17) ^ amount.rotate_left(43)
}

async fn run(context: SimContext, knows_requests: bool) -> Outcome {
    let counter = Rc::new(Counter::open(&context).await?);
    serve(context, move |words| {
        let counter = Rc::clone(&counter);
        async move {
            let is_known = knows_requests && counter.seen.borrow().contains(&words[0]);
            if words[1] > 0 && !is_known {
                counter.count(words).await?;
            }
            Ok([words[0], counter.total.get()])
        }
    })
    .await
}

fn define(test: &mut Test, knows_requests: bool) {
    let _server = test.node("server", 1, move |context| run(context, knows_requests));
    test.client("client", move |context| async move {
        for request in 0..40 {
            ask_until_answered(&context, "server:80", [request, 5]).await;
            context.sleep(Duration::from_millis(200)).await;
        }
        let [_, total] = ask_until_answered(&context, "server:80", [40, 0]).await;
        if total == 200 { Ok(()) } else { Err(format!("40 times 5 is {total}").into()) }
    });
    test.chaos(Chaos::swarm().for_secs(30));
}

#[test]
fn a_request_that_is_applied_twice_is_found() {
    is_found(&["error"], |test| define(test, false));
    is_sound(|test| define(test, true));
}
