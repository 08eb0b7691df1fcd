use super::Histogram;

#[test]
fn values_fall_into_powers_of_two() {
    let mut histogram = Histogram::default();
    for value in [0, 1, 2, 3, 4, 7, 8, u64::MAX] {
        histogram.record(value);
    }
    let buckets: Vec<_> = histogram.buckets().collect();
    assert_eq!(buckets, [(0, 1), (1, 1), (3, 2), (7, 2), (15, 1), (u64::MAX, 1)]);
    assert_eq!((histogram.count(), histogram.max(), histogram.sum()), (8, u64::MAX, u64::MAX));
}

#[test]
fn percentiles_are_upper_bounds() {
    let mut histogram = Histogram::default();
    assert_eq!(histogram.percentile(99), 0);
    for value in 1..=100 {
        histogram.record(value);
    }
    assert_eq!([0, 50, 99, 100].map(|percent| histogram.percentile(percent)), [1, 63, 100, 100]);
}
