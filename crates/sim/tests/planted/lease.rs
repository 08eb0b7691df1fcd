//! Candidates that lead while they hold a lease.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use samestep_provider_traits::TimeProvider;
use samestep_sim::{Attrition, Chaos, SimContext, Test};

use crate::{Outcome, ask, is_found, is_sound, serve};

const LEASE: Duration = Duration::from_secs(2);

/// Who holds the lease, and until when.
type Lease = Rc<RefCell<Option<(u64, Duration)>>>;

fn wall(context: &SimContext) -> Duration {
    context.time().wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Gives the lease to whoever asks first, or holds it; tells until when, or 0.
async fn grant(context: SimContext, lease: Lease, is_relative: bool) -> Outcome {
    let time = context.clone();
    serve(context, move |[candidate, _]| {
        let (lease, time) = (Rc::clone(&lease), time.clone());
        async move {
            let now = if is_relative { time.time().now() } else { wall(&time) };
            let mut lease = lease.borrow_mut();
            if lease.is_some_and(|(holder, until)| holder != candidate && now < until) {
                return Ok([candidate, 0]);
            }
            let until = now + LEASE;
            *lease = Some((candidate, until));
            Ok([candidate, u64::try_from(until.as_millis()).unwrap_or(u64::MAX)])
        }
    })
    .await
}

async fn lead(context: SimContext, is_relative: bool) -> Outcome {
    let key = format!("leader-{}", context.number());
    context.state().publish(key.clone(), false);
    loop {
        let asked = context.time().now();
        if let Ok([_, until]) = ask(&context, "lock:80", [context.number() as u64, 0]).await {
            let holds = || {
                if until == 0 {
                    false
                } else if is_relative {
                    context.time().now() < asked + LEASE - Duration::from_millis(1)
                } else {
                    wall(&context) < Duration::from_millis(until)
                }
            };
            while holds() {
                context.state().publish(key.clone(), true);
                context.sleep(Duration::from_millis(10)).await;
                // It does a piece of work only as long as it holds the lease; what it publishes is that it does.
                context.state().publish(key.clone(), false);
            }
        }
        let pause = Duration::from_millis(50 * (1 + context.number() as u64));
        context.sleep(pause).await;
    }
}

fn define(test: &mut Test, is_relative: bool) {
    let lease = Lease::default();
    let _lock = test.node("lock", 1, move |context| grant(context, Rc::clone(&lease), is_relative));
    let _candidates = test.node("candidate", 2..=3, move |context| lead(context, is_relative));
    test.client("client", |context| async move {
        context.sleep(Duration::from_secs(20)).await;
        Ok(())
    });
    test.always("one leader", |view| {
        let leads = |number: u32| view.state().get::<bool>(&format!("leader-{number}")) == Some(true);
        (0..3).filter(|number| leads(*number)).count() < 2
    });
    let none = Attrition { crash: 0, graceful: 0, pause: 0, ..Attrition::default() };
    test.chaos(
        Chaos::swarm().attrition(none).without(samestep_sim::FaultFamily::BuggifiedDelay).for_secs(20),
    );
}

#[test]
fn two_leaders_under_clock_drift_are_found() {
    is_found(&["one leader"], |test| define(test, false));
    is_sound(|test| define(test, true));
}
