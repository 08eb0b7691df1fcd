//! A client that tells all servers.

#![expect(clippy::disallowed_types, reason = "the planted bug")]

use std::collections::HashMap;

use samestep_sim::{Chaos, Test};

use crate::{ask_until_answered, is_found, serve};

fn define(test: &mut Test) {
    let _servers = test.node("server", 2..=3, |context| serve(context, |words| async move { Ok(words) }));
    test.client("client", |context| async move {
        let targets: HashMap<String, u64> =
            context.servers().map(|server| (format!("{}:80", server.name), server.number as u64)).collect();
        for (target, number) in &targets {
            ask_until_answered(&context, target, [*number, 0]).await;
        }
        Ok(())
    });
    test.chaos(Chaos::swarm().for_secs(10));
}

#[test]
fn an_order_of_a_hash_map_is_found() {
    is_found(&["divergence"], define);
}
