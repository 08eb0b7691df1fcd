//! Shards that share the budget of a device.

use loom::sync::Arc;
use loom::thread;

use crate::budget::Budget;
use crate::explore;

/// Bookings of two threads do not overlap, nor begin before they were made; what one gives back is given away once.
#[test]
fn bookings_of_threads_do_not_overlap() {
    explore(|| {
        let budget = Arc::new(Budget::new());
        let other = {
            let budget = Arc::clone(&budget);
            thread::spawn(move || {
                let kept = budget.book(100, 7);
                let back = budget.book(100, 5);
                budget.unbook(100, back, 5);
                kept
            })
        };
        let mine = [3, 4].map(|cost| (budget.book(100, cost), cost));
        let theirs = (other.join().unwrap(), 7);
        let mut all = [mine[0], mine[1], theirs];
        all.sort_unstable();
        let mut free_from = 100;
        for (end, cost) in all {
            assert!(end - cost >= free_from, "{all:?}");
            free_from = end;
        }
    });
}

/// However two threads meet, no more is under way than may be, and nothing is when both have ended.
#[test]
fn no_more_is_under_way_than_may_be() {
    explore(|| {
        let budget = Arc::new(Budget::new());
        let work = |budget: &Budget| {
            if budget.enter(6, 10) {
                // Only one of these fits.
                assert!(budget.in_flight_ns() <= 10);
                budget.leave(6);
            }
        };
        let other = {
            let budget = Arc::clone(&budget);
            thread::spawn(move || work(&budget))
        };
        work(&budget);
        other.join().unwrap();
        assert_eq!(budget.in_flight_ns(), 0);
        assert!(budget.enter(50, 10), "what is too much at any time goes alone");
        budget.enter_anyway(1);
        budget.leave(50);
        assert!(!budget.enter(10, 10) && budget.enter(9, 10));
    });
}
