//! Systems with one bug each, of the kind that passes every other test. Each must be found within a thousand seeds, on
//! at least 19 of 20 master seeds, with the default faults; be shrunk to at most ten choices; and be repeated from the
//! line that is printed.

mod backoff;
mod counter;
mod fan_out;
mod lease;
mod queue;
mod registry;
mod store;
mod worker;

use std::error::Error;
use std::future::Future;
use std::io;
use std::panic::catch_unwind;
use std::time::Duration;

use samestep_provider_traits::{TaskProvider, TcpListener, TcpStream, TimeProvider};
use samestep_sim::{Check, SimContext, Test};

pub(crate) type Outcome = Result<(), Box<dyn Error>>;
/// Two numbers: what is asked or answered.
pub(crate) type Words = [u64; 2];

/// Twenty campaigns against `define`, each of which must find it.
pub(crate) fn is_found(kinds: &[&str], define: impl Fn(&mut Test) + Send + Sync + Copy) {
    let (mut found, mut seeds, mut shrunk) = (0, Vec::new(), Vec::new());
    for master_seed in 0..20 {
        let check = Check::new().seeds(1_000).master_seed(master_seed).stop_at_first_failure();
        let report = check.without_regressions().ignore_environment().report(define);
        let Some((line, choices)) = report.replays().next() else { continue };
        found += 1;
        seeds.push(report.runs());
        let kind = report.failures().next().unwrap().kind();
        assert!(kinds.contains(&kind), "master seed {master_seed}: {}", report.text());
        let choices = choices.unwrap_or_else(|| panic!("not repeated: {}", report.text()));
        assert!(choices <= 10, "master seed {master_seed}: {choices} choices: {}", report.text());
        shrunk.push(choices);
        let repeated = catch_unwind(std::panic::AssertUnwindSafe(|| samestep_sim::replay(&line, define)));
        assert!(repeated.is_err(), "master seed {master_seed}: {line} passes");
    }
    println!("found by {found} of 20 campaigns, after these many seeds: {seeds:?}; choices left: {shrunk:?}");
    assert!(found >= 19, "found by {found} of 20 campaigns");
}

/// The same with its one line mended: no seed fails.
pub(crate) fn is_sound(define: impl Fn(&mut Test) + Send + Sync) {
    let report = Check::new().seeds(200).without_regressions().ignore_environment().report(define);
    assert!(report.is_ok(), "{}", report.text());
}

/// Answers each request on each connection by `answer`.
pub(crate) async fn serve<F, R>(context: SimContext, answer: F) -> Outcome
where
    F: Fn(Words) -> R + Clone + 'static,
    R: Future<Output = io::Result<Words>>,
{
    let listener = context.listen(80).await?;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let answer = answer.clone();
        context.task().spawn("connection", async move {
            loop {
                let request = receive(&stream).await?;
                send(&stream, answer(request).await?).await?;
            }
            #[expect(unreachable_code, reason = "it names the error's type")]
            io::Result::Ok(())
        });
    }
}

pub(crate) async fn send(stream: &impl TcpStream, words: Words) -> io::Result<()> {
    let mut bytes = words[0].to_le_bytes().to_vec();
    bytes.extend(words[1].to_le_bytes());
    stream.write_all(bytes).await.0
}

pub(crate) async fn receive(stream: &impl TcpStream) -> io::Result<Words> {
    let (outcome, bytes) = stream.read_exact(vec![0; 16]).await;
    outcome?;
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    Ok([word(0), word(8)])
}

/// Asks once, over a connection of its own.
pub(crate) async fn ask(context: &SimContext, target: &str, words: Words) -> io::Result<Words> {
    let asked = context.time().timeout(Duration::from_secs(2), async {
        let stream = context.connect(target).await?;
        send(&stream, words).await?;
        receive(&stream).await
    });
    asked.await?
}

/// Asks until it is answered.
pub(crate) async fn ask_until_answered(context: &SimContext, target: &str, words: Words) -> Words {
    loop {
        match ask(context, target, words).await {
            Ok(answer) => return answer,
            Err(_) => context.sleep(Duration::from_millis(100)).await,
        }
    }
}
