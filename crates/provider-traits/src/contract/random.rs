//! What every [`RandomProvider`] must keep.

use std::time::Duration;

use super::{Case, Harness, Outcome, case};
use crate::{Providers, RandomProvider};

/// The cases, in the order of this file.
pub fn cases<H: Harness>() -> Vec<Case<H>> {
    vec![
        case!(draws_differ),
        case!(clones_draw_from_one_stream),
        case!(forks_do_not_depend_on_draws),
        case!(forks_with_other_names_differ),
        case!(a_fork_draws_nothing_from_its_parent),
        case!(ranges_are_kept_and_filled),
        case!(probabilities_are_kept),
        case!(all_bytes_are_filled),
        case!(a_shuffle_keeps_the_items),
    ]
}

fn draws<R: RandomProvider>(random: &R) -> Vec<u64> {
    (0..32).map(|_| random.next_u64()).collect()
}

async fn draws_differ<P: Providers>(world: P) {
    let (one, two) = (draws(world.random()), draws(world.random()));
    assert_ne!(one, two);
}

async fn clones_draw_from_one_stream<P: Providers>(world: P) {
    let stream = world.random().fork("stream");
    let clone = stream.clone();
    let mixed: Vec<u64> = (0..16).flat_map(|_| [stream.next_u64(), clone.next_u64()]).collect();
    assert_eq!(mixed, draws(&world.random().fork("stream")));
}

async fn forks_do_not_depend_on_draws<P: Providers>(world: P) {
    let stream = world.random().fork("parent");
    let before = draws(&stream.fork("child"));
    draws(&stream);
    assert_eq!(before, draws(&stream.fork("child")));
}

async fn forks_with_other_names_differ<P: Providers>(world: P) {
    let streams = ["", "a", "b", "ab"].map(|name| draws(&world.random().fork(name)));
    for (at, stream) in streams.iter().enumerate() {
        assert!(!streams[..at].contains(stream), "two names gave one stream");
    }
    let nested = draws(&world.random().fork("a").fork("b"));
    assert!(!streams.contains(&nested), "a fork of a fork is a stream of its own");
}

async fn a_fork_draws_nothing_from_its_parent<P: Providers>(world: P) {
    let (with, without) = (world.random().fork("parent"), world.random().fork("parent"));
    draws(&with.fork("child"));
    assert_eq!(draws(&with), draws(&without));
}

async fn ranges_are_kept_and_filled<P: Providers>(world: P) {
    let random = world.random().fork("ranges");
    let mut seen = [false; 5];
    for _ in 0..400 {
        let value: i32 = random.random_range(-2..3);
        seen[usize::try_from(value + 2).expect("below the range")] = true;
        assert!((250..255).contains(&random.random_range(250_u8..255)));
        assert!((i64::MIN..i64::MAX).contains(&random.random_range(i64::MIN..i64::MAX)));
        assert!((1.0..1.5).contains(&random.random_range(1.0..1.5)));
        let second = Duration::from_secs(1);
        assert!(random.random_range(second..second * 2) < second * 2);
    }
    assert_eq!(seen, [true; 5], "400 draws missed one of five values");
}

async fn probabilities_are_kept<P: Providers>(world: P) {
    let random = world.random().fork("probabilities");
    let mut hits = 0;
    for _ in 0..4000 {
        assert!(!random.random_bool(0.0));
        assert!(random.random_bool(1.0));
        assert!((0.0..1.0).contains(&random.random_ratio()));
        hits += u32::from(random.random_bool(0.25));
    }
    // Ten standard deviations around a thousand.
    assert!((726..=1274).contains(&hits), "{hits} of 4000 at a quarter");
}

async fn all_bytes_are_filled<P: Providers>(world: P) {
    let random = world.random().fork("bytes");
    for len in [0, 1, 7, 8, 9, 1000] {
        let mut ever_set = vec![0; len];
        for _ in 0..16 {
            let mut bytes = vec![0; len];
            random.fill_bytes(&mut bytes);
            ever_set.iter_mut().zip(bytes).for_each(|(ever, byte)| *ever |= byte);
        }
        assert!(ever_set.iter().all(|ever| *ever != 0), "a byte of {len} stayed zero 16 times");
    }
}

async fn a_shuffle_keeps_the_items<P: Providers>(world: P) {
    let random = world.random().fork("shuffle");
    let sorted: Vec<u8> = (0..100).collect();
    let mut items = sorted.clone();
    random.shuffle(&mut items);
    assert_ne!(items, sorted);
    items.sort_unstable();
    assert_eq!(items, sorted);
    random.shuffle::<u8>(&mut []);
}
