//! A client that waits between attempts.

#![expect(clippy::disallowed_methods, reason = "the planted bug")]

use std::time::{Duration, SystemTime};

use samestep_sim::{Chaos, Test};

use crate::{ask, is_found, serve};

fn define(test: &mut Test) {
    let _server = test.node("server", 1, |context| serve(context, |words| async move { Ok(words) }));
    test.client("client", |context| async move {
        for number in 0..10 {
            while ask(&context, "server:80", [number, 0]).await.is_err() {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
                let jitter = u64::from(since.subsec_nanos() % 1_000);
                context.sleep(Duration::from_micros(10_000 + jitter)).await;
            }
            context.sleep(Duration::from_millis(300)).await;
        }
        Ok(())
    });
    test.chaos(Chaos::swarm().for_secs(10));
}

#[test]
fn a_clock_of_the_machine_is_found() {
    is_found(&["divergence"], define);
}
