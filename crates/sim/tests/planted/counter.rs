//! A server that counts.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use samestep_sim::{Attrition, Chaos, Test};

use crate::{ask_until_answered, is_found, is_sound, serve};

fn define(test: &mut Test, knows_requests: bool) {
    let total = Rc::new(Cell::new(0_u64));
    let seen = Rc::new(RefCell::new(BTreeSet::new()));
    let (counted, answered) = (Rc::clone(&total), Rc::clone(&seen));
    let _server = test.node("server", 1, move |context| {
        let (total, seen) = (Rc::clone(&counted), Rc::clone(&answered));
        serve(context, move |[request, amount]| {
            let (total, seen) = (Rc::clone(&total), Rc::clone(&seen));
            async move {
                if seen.borrow_mut().insert(request) || !knows_requests {
                    total.set(total.get() + amount);
                }
                Ok([request, total.get()])
            }
        })
    });
    test.client("client", move |context| {
        let total = Rc::clone(&total);
        async move {
            for request in 0..40 {
                ask_until_answered(&context, "server:80", [request, 5]).await;
                context.sleep(Duration::from_millis(200)).await;
            }
            if total.get() == 200 { Ok(()) } else { Err(format!("40 times 5 is {}", total.get()).into()) }
        }
    });
    // What it counts is in memory.
    let pauses = Attrition { crash: 0, graceful: 0, ..Attrition::default() };
    test.chaos(Chaos::swarm().attrition(pauses).for_secs(30));
}

#[test]
fn a_request_that_is_applied_twice_is_found() {
    is_found(&["error"], |test| define(test, false));
    is_sound(|test| define(test, true));
}
