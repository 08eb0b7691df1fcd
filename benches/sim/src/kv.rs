//! Seeds of a small key-value store: what a second of testing is worth.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use samestep_provider_traits::{TcpListener, TcpStream, TimeProvider};
use samestep_sim::{Chaos, Check, SimContext, Test};

use crate::store::{
    CLIENTS, LIMIT, OPERATIONS, PAUSE, REQUESTS, ROUNDS, SERVERS, Store, key_of, request, start_of,
};

/// `seeds` seeds without faults, in which every request is answered.
pub(crate) fn plain(seeds: u64) -> u64 {
    check(seeds, |test| {
        let answered = Rc::new(Cell::new(0));
        let count = Rc::clone(&answered);
        fill(test, move |context, number| ask_all(context, number, Rc::clone(&count)));
        test.at_end("each request is answered", move |_| match answered.get() {
            REQUESTS => Ok(()),
            fewer => Err(format!("{fewer} of {REQUESTS}")),
        });
    })
}

/// `seeds` seeds with a swarm of faults for ten simulated seconds. The store promises nothing then, so what fails is
/// given up.
pub(crate) fn faulty(seeds: u64) -> u64 {
    check(seeds, |test| {
        fill(test, |context, number| async move {
            context.sleep(start_of(number)).await;
            for round in 0..ROUNDS {
                for server in 0..SERVERS {
                    drop(context.time().timeout(LIMIT, put_and_get(&context, number, server, round)).await);
                }
                context.sleep(PAUSE).await;
            }
            Ok(())
        });
        test.chaos(Chaos::swarm().for_secs(10));
    })
}

fn check(seeds: u64, define: impl Fn(&mut Test) + Sync + Send + 'static) -> u64 {
    let count = usize::try_from(seeds).unwrap_or(usize::MAX);
    let check = Check::new().ignore_environment().without_regressions().check_every(0).jobs(1);
    check.seeds(count).run(define);
    seeds
}

fn fill<F>(test: &mut Test, ask: impl Fn(SimContext, u64) -> F + 'static)
where
    F: Future<Output = Result<(), Box<dyn std::error::Error>>> + 'static,
{
    let servers = usize::try_from(SERVERS).unwrap_or(usize::MAX);
    let clients = usize::try_from(CLIENTS).unwrap_or(usize::MAX);
    let _servers = test.node("server", servers..=servers, serve);
    test.clients("client", clients..=clients, move |context| {
        let number = context.number() as u64;
        ask(context, number)
    });
}

async fn ask_all(
    context: SimContext,
    number: u64,
    answered: Rc<Cell<u64>>,
) -> Result<(), Box<dyn std::error::Error>> {
    context.sleep(start_of(number)).await;
    for round in 0..ROUNDS {
        for server in 0..SERVERS {
            context.time().timeout(LIMIT, put_and_get(&context, number, server, round)).await??;
            answered.set(answered.get() + OPERATIONS.len() as u64);
        }
        context.sleep(PAUSE).await;
    }
    Ok(())
}

async fn put_and_get(context: &SimContext, client: u64, server: u64, value: u64) -> io::Result<()> {
    let stream = context.connect(&format!("server-{server}:80")).await?;
    for operation in OPERATIONS {
        let message = request(operation, key_of(client, server), value);
        stream.write_all(Box::new(message)).await.0?;
        let (outcome, answer) = stream.read_exact(Box::new([0; 8])).await;
        outcome?;
        if *answer != value.to_le_bytes() {
            return Err(io::Error::other("not the value that was put"));
        }
    }
    Ok(())
}

async fn serve(context: SimContext) -> Result<(), Box<dyn std::error::Error>> {
    let listener = context.listen(80).await?;
    let mut store = Store::default();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        loop {
            let (outcome, message) = stream.read_exact(Box::new([0_u8; 17])).await;
            if outcome.is_err() {
                break;
            }
            if stream.write_all(Box::new(store.answer(&message))).await.0.is_err() {
                break;
            }
        }
    }
}
