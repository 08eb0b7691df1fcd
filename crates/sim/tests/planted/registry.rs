//! A client that keeps its sessions sorted.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use samestep_sim::{Chaos, Test};

use crate::{ask_until_answered, is_found, serve};

struct Session {
    number: u64,
    asked: Cell<u64>,
}

fn define(test: &mut Test) {
    let _server = test.node("server", 1, |context| serve(context, |words| async move { Ok(words) }));
    test.client("client", |context| async move {
        let mut sessions = BTreeMap::new();
        for number in 0..8 {
            let session = Rc::new(Session { number, asked: Cell::new(0) });
            sessions.insert(Rc::as_ptr(&session), session);
        }
        for session in sessions.values() {
            session.asked.set(session.asked.get() + 1);
            ask_until_answered(&context, "server:80", [session.number, session.asked.get()]).await;
        }
        Ok(())
    });
    test.chaos(Chaos::swarm().for_secs(10));
}

#[test]
fn an_order_of_pointers_is_found() {
    is_found(&["divergence"], define);
}
