//! Candidates that lead while they hold a lease.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use samestep_provider_traits::TimeProvider;
use samestep_sim::{Chaos, SimContext, Test};

use crate::{Outcome, ask, is_found, is_sound, serve};

const LEASE: Duration = Duration::from_secs(2);

fn wall(context: &SimContext) -> Duration {
    context.time().wall_clock().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Gives the lease to whoever asks first, or holds it; tells until when, or 0. Which lease it gave before it was killed
/// it does not know, so after a boot it waits until that is over.
async fn grant(context: SimContext, is_relative: bool) -> Outcome {
    if context.boot() > 0 {
        context.sleep(LEASE).await;
    }
    let time = context.clone();
    let lease = Rc::new(Cell::new(None));
    serve(context, move |[candidate, _]| {
        let (lease, time) = (Rc::clone(&lease), time.clone());
        async move {
            let now = if is_relative { time.time().now() } else { wall(&time) };
            if lease.get().is_some_and(|(holder, until)| holder != candidate && now < until) {
                return Ok([candidate, 0]);
            }
            let until = now + LEASE;
            lease.set(Some((candidate, until)));
            Ok([candidate, u64::try_from(until.as_millis()).unwrap_or(u64::MAX)])
        }
    })
    .await
}

/// Shows until when it leads, by the clock that measures time.
async fn lead(context: SimContext, is_relative: bool) -> Outcome {
    let key = format!("leads-until-{}", context.number());
    loop {
        let asked = context.time().now();
        if let Ok([_, until]) = ask(&context, "lock:80", [context.number() as u64, 0]).await
            && until > 0
        {
            let left = if is_relative {
                (asked + LEASE - Duration::from_millis(1)).saturating_sub(context.time().now())
            } else {
                Duration::from_millis(until).saturating_sub(wall(&context))
            };
            context.state().publish(key.clone(), context.time().now() + left);
            context.sleep(left).await;
        }
        let pause = Duration::from_millis(50 * (1 + context.number() as u64));
        context.sleep(pause).await;
    }
}

fn define(test: &mut Test, is_relative: bool) {
    let _lock = test.node("lock", 1, move |context| grant(context, is_relative));
    let _candidates = test.node("candidate", 2..=3, move |context| lead(context, is_relative));
    test.client("client", |context| async move {
        context.sleep(Duration::from_secs(20)).await;
        Ok(())
    });
    test.always("one leader", |view| {
        let until = |number: u32| view.state().get::<Duration>(&format!("leads-until-{number}"));
        let leads = |number: &u32| until(*number).is_some_and(|until| until > view.time().since_start());
        (0..3).filter(leads).count() < 2
    });
    test.chaos(Chaos::swarm().for_secs(20));
}

#[test]
fn two_leaders_under_clock_drift_are_found() {
    is_found(&["one leader"], |test| define(test, false));
    is_sound(|test| define(test, true));
}
