//! What is rarely said of members: that they boot again after a panic, and what they do not do in some seeds.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use samestep_provider_traits::TaskProvider;
use samestep_sim::{Check, CheckReport, Test};

fn check(define: impl Fn(&mut Test) + Send + Sync) -> CheckReport {
    Check::new().seeds(64).without_regressions().ignore_environment().report(define)
}

/// A server that panics in its first three boots, in its own task or in one that it starts.
fn panics(test: &mut Test, restarts: bool, elsewhere: bool) {
    let server = test.node("server", 1, move |context| async move {
        let boot = context.boot();
        context.state().publish("boot", boot);
        if elsewhere {
            context.task().spawn("elsewhere", async move { assert!(boot > 2, "boot {boot}") });
        }
        context.sleep(Duration::from_millis(10)).await;
        assert!(boot > 2, "boot {boot}");
        context.shutdown().requested().await;
        Ok(())
    });
    if restarts {
        let _server = server.restarts_on_panic(Duration::from_secs(1));
    }
    test.client("user", |context| async move {
        context.sleep(Duration::from_secs(10)).await;
        let boot: Option<u32> = context.state().get("boot");
        if boot == Some(3) { Ok(()) } else { Err(format!("{boot:?}").into()) }
    });
}

#[test]
fn a_server_that_panics_boots_again_if_it_is_told_to() {
    let restarted = check(|test| panics(test, true, false));
    assert!(restarted.is_ok(), "{}", restarted.text());
    let failed = check(|test| panics(test, false, false));
    assert!(failed.text().contains("\"server\" panicked at "), "{}", failed.text());
    let elsewhere = check(|test| panics(test, true, true));
    assert!(elsewhere.text().contains("\"elsewhere\" panicked at "), "{}", elsewhere.text());
}

/// Of three operations each combination is seen but none, and a failure is shrunk to one with all that do not matter.
#[test]
fn each_seed_has_some_of_the_operations() {
    let seen = Mutex::new(BTreeSet::new());
    let report = check(|test| {
        let some = test.some_of(&["get", "put", "delete"]);
        let has_no_put = !some.contains(&"put");
        seen.lock().unwrap().insert(some);
        assert!(test.some_of::<u8>(&[]).is_empty());
        test.client("user", move |_| async move {
            if has_no_put { Err("nothing is there to be got".into()) } else { Ok(()) }
        });
    });
    assert_eq!(seen.into_inner().unwrap().len(), 7);
    let (line, choices) = report.replays().next().unwrap();
    assert_eq!(choices, Some(1), "{line}");
}
