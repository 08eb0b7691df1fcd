//! Variations are a function of their number, and neighbours differ.

use std::collections::{BTreeMap, BTreeSet};

use super::{Draws, Variation, differences, heap_block_count};

#[test]
fn the_number_decides() {
    for number in [0, 1, 99, u32::MAX] {
        assert_eq!(Variation::draw(number, 4), Variation::draw(number, 4));
        assert_eq!(Variation::draw(number, 4).working_folder(), Variation::draw(number, 4).working_folder());
    }
}

/// Each respect differs between any two neighbours, so that `--iterations 2` is a test already.
#[test]
fn neighbours_differ_in_every_respect() {
    for number in 0..100 {
        let (left, right) = (Variation::draw(number, 2), Variation::draw(number + 1, 2));
        let differing = differences(&left, &right).len();
        assert_eq!(differing, left.describe().len(), "{number}: {:?}", differences(&left, &right));
    }
}

#[test]
fn a_hundred_runs_see_every_value() {
    let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for number in 0..100 {
        for (what, value) in Variation::draw(number, 4).describe() {
            seen.entry(what).or_default().insert(value);
        }
    }
    let counts: Vec<_> = seen.iter().map(|(what, values)| format!("{what}: {}", values.len())).collect();
    expect_test::expect![[r#"
        CPUs: 4
        depth of the current directory: 6
        extra environment: 94
        heap blocks before the lane: 97
        heap fill (MALLOC_PERTURB_): 7
        locale (LANG, LC_ALL): 5
        thread counts (RAYON_NUM_THREADS, ..): 5
        time zone (TZ): 8"#]]
    .assert_eq(&counts.join("\n"));
}

#[test]
fn no_run_is_without_a_cpu() {
    for cpu_count in 0..5 {
        for number in 0..20 {
            let cpus = Variation::draw(number, cpu_count).cpus();
            assert!((1..=cpus.available).contains(&cpus.count), "{cpus:?}");
            assert!(cpus.first < cpus.available, "{cpus:?}");
        }
    }
}

#[test]
fn names_of_variables_are_names() {
    for number in 0..200 {
        for (key, value) in Variation::draw(number, 2).environment() {
            assert!(!key.is_empty() && !key.contains(['=', '\0']), "{key}");
            assert!(!value.contains('\0'), "{key}");
        }
    }
}

/// The published first draws of SplitMix64 with seed 1234567.
#[test]
fn draws_are_splitmix() {
    let mut draws = Draws(1_234_567);
    assert_eq!([draws.next(), draws.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
}

#[test]
fn heaps_differ_in_size() {
    let counts: BTreeSet<_> =
        (0..10).map(|number| heap_block_count(&mut Variation::draw(number, 1).heap_draws())).collect();
    assert!(counts.len() > 8, "{counts:?}");
}
