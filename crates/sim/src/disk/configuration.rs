//! How fast disks are, and how they fail.

use std::ops::Range;
use std::time::Duration;

use crate::ambient::sim_random_range;

/// A node's disk: how large and fast it is, and which of its faults are on.
///
/// By default it is honest: it loses nothing but what was not synced when the power fails. Fields whose names end
/// in `_probability` are per operation, as the seed's simulator has them; those of [`DiskFaultRates`] are per
/// simulated second, so that a busier program does not meet more of them. A probability is between 0 and 1; what
/// is outside is taken as the nearer of both.
#[derive(Clone, Debug, PartialEq)]
pub struct StorageConfiguration {
    /// Operations a second that the device begins at most. Default: 25 000; 0 is taken as 1.
    pub iops: u64,
    /// Bytes a second that the device moves at most. Default: 150 000 000; 0 is taken as 1.
    pub bandwidth: u64,
    /// Operations that the device works on at a time; others wait. Default: 32; 0 is taken as 1.
    pub queue_depth: usize,
    /// How long a read takes beside its share of [`Self::iops`] and [`Self::bandwidth`]; also a look at a name or
    /// folder. Default: 50 µs to 200 µs.
    pub read_latency: Range<Duration>,
    /// How long a write takes beside that; also a change of a name or length. Default: 100 µs to 500 µs.
    pub write_latency: Range<Duration>,
    /// How long a sync takes beside that. Default: 1 ms to 5 ms.
    pub sync_latency: Range<Duration>,
    /// Room for the bytes of files. Default: 2^40. A disk that is full is counted as a fault,
    /// [`NoSpace`](crate::FaultFamily::NoSpace).
    pub capacity_bytes: u64,
    /// What the device writes as one: 512 (default) or 4096, or any other power of two from 64 to 16 384; what is not
    /// one is taken as the next.
    pub sector_bytes: usize,
    /// Within a sector, what a power cut leaves whole: a power of two of 1 to [`Self::sector_bytes`]. Less than a
    /// sector, and sectors may be torn. Default: 512, so none is.
    pub atomic_bytes: usize,
    /// Probability that a read finds one bit of its bytes turned over; it stays so. Default: 0.
    pub read_fault_probability: f64,
    /// Probability that a write stores one bit turned over. Default: 0.
    pub write_fault_probability: f64,
    /// Probability, per sector that was not synced when the power failed, that it is full of noise. Default: 0.
    pub crash_fault_probability: f64,
    /// Probability that a write lands in another place. Default: 0.
    pub misdirect_write_probability: f64,
    /// Probability that a read gives the bytes of another place. Default: 0.
    pub misdirect_read_probability: f64,
    /// Probability that a write is acknowledged and never lands. Default: 0.
    pub phantom_write_probability: f64,
    /// Probability that a sync fails, and loses the bytes that it was to make durable. Default: 0.
    pub sync_failure_probability: f64,
    /// What a power cut leaves.
    pub crash: CrashConfiguration,
    /// Faults per simulated second.
    pub rates: DiskFaultRates,
    /// How long the disk stands still in a [stall](DiskFaultRates::stalls_per_second). Default: 50 ms to 500 ms.
    pub stall_duration: Range<Duration>,
    /// How long it is slow in a [throttle](DiskFaultRates::throttles_per_second). Default: 500 ms to 5 s.
    pub throttle_duration: Range<Duration>,
    /// How many times slower it is then. Default: 2 to 20.
    pub throttle_factor: Range<u64>,
    /// How long a disk that [filled up](DiskFaultRates::full_disks_per_second) stays full. Default: 100 ms to 2 s.
    pub full_duration: Range<Duration>,
}

/// What of that which was not synced is left when the power fails. What was synced is always left.
#[derive(Clone, Debug, PartialEq)]
pub struct CrashConfiguration {
    /// Probability that a crash loses nothing, as that of a process whose kernel lives on. Default: 0.25.
    pub clean_probability: f64,
    /// Probability that a crash which loses something loses all that was not synced. Default: 0.25. The others
    /// decide for each name, each length and each run of sectors that were written together, and then, if the run
    /// is mixed, for each sector: new, old, or torn.
    pub lose_all_probability: f64,
    /// Probability, per sector that was not synced, that it can no longer be read. Default: 0.
    pub latent_error_probability: f64,
}

/// Faults of one node's disk that come at a rate, in the mean and per simulated second. All are 0 by default. A
/// fault that has come waits for an operation to act on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiskFaultRates {
    /// Reads that fail, with an error and no bytes.
    pub read_errors_per_second: f64,
    /// Writes that fail, with an error; any part may have landed.
    pub write_errors_per_second: f64,
    /// Syncs that fail and lose the bytes that they were to make durable; the open file never syncs again.
    pub sync_failures_per_second: f64,
    /// Reads that give fewer bytes than there are.
    pub short_reads_per_second: f64,
    /// Writes that take fewer bytes than they were given.
    pub short_writes_per_second: f64,
    /// Reads that give another place's bytes.
    pub misdirected_reads_per_second: f64,
    /// Writes that land in another place.
    pub misdirected_writes_per_second: f64,
    /// Writes that are acknowledged and never land.
    pub phantom_writes_per_second: f64,
    /// Bits of durable bytes that turn over.
    pub bit_rots_per_second: f64,
    /// Durable sectors that can no longer be read.
    pub latent_errors_per_second: f64,
    /// Times at which the disk stands still.
    pub stalls_per_second: f64,
    /// Times at which the disk becomes slow.
    pub throttles_per_second: f64,
    /// Times at which the disk is full for a while.
    pub full_disks_per_second: f64,
}

impl Default for StorageConfiguration {
    fn default() -> Self {
        Self {
            iops: 25_000,
            bandwidth: 150_000_000,
            queue_depth: 32,
            read_latency: micros(50, 200),
            write_latency: micros(100, 500),
            sync_latency: micros(1000, 5000),
            capacity_bytes: 1 << 40,
            sector_bytes: 512,
            atomic_bytes: 512,
            read_fault_probability: 0.0,
            write_fault_probability: 0.0,
            crash_fault_probability: 0.0,
            misdirect_write_probability: 0.0,
            misdirect_read_probability: 0.0,
            phantom_write_probability: 0.0,
            sync_failure_probability: 0.0,
            crash: CrashConfiguration::default(),
            rates: DiskFaultRates::default(),
            stall_duration: micros(50_000, 500_000),
            throttle_duration: micros(500_000, 5_000_000),
            throttle_factor: 2..21,
            full_duration: micros(100_000, 2_000_000),
        }
    }
}

impl StorageConfiguration {
    /// A disk of 1 µs an operation that loses what was not synced and nothing else.
    pub fn fast_local() -> Self {
        Self {
            iops: 1_000_000_000,
            bandwidth: 1_000_000_000_000,
            read_latency: micros(1, 1),
            write_latency: micros(1, 1),
            sync_latency: micros(1, 1),
            ..Self::default()
        }
    }

    /// A disk drawn from the current stream, see [`set_sim_seed`](crate::set_sim_seed), so that a seed has one: in the
    /// ranges of the seed's simulator 10 000 to 100 000 operations and 50 MB to 500 MB a second, latencies around the
    /// default's, and each kind of fault on in half of the seeds. One in two has sectors of 4096 bytes, and they may be
    /// torn.
    pub fn random_for_seed() -> Self {
        Self::random_by(&mut |bound| sim_random_range(0..bound))
    }

    /// As [`Self::random_for_seed`], drawn by `draw`, which gives one of `0..bound`.
    pub(crate) fn random_by(draw: &mut dyn FnMut(u64) -> u64) -> Self {
        let mut draws = Draws(draw);
        let mut configuration = Self {
            iops: draws.within(10_000..100_001),
            bandwidth: draws.within(50_000_000..500_000_001),
            queue_depth: 1 << draws.within(0..8),
            read_latency: draws.latency(20..100, 100..400),
            write_latency: draws.latency(50..200, 200..1000),
            sync_latency: draws.latency(500..2000, 2000..10_000),
            read_fault_probability: draws.probability(1_000),
            write_fault_probability: draws.probability(1_000),
            crash_fault_probability: draws.probability(500),
            misdirect_write_probability: draws.probability(100),
            misdirect_read_probability: draws.probability(100),
            phantom_write_probability: draws.probability(200),
            sync_failure_probability: draws.probability(500),
            crash: CrashConfiguration {
                latent_error_probability: draws.probability(500),
                ..CrashConfiguration::default()
            },
            rates: DiskFaultRates {
                read_errors_per_second: draws.rate(),
                write_errors_per_second: draws.rate(),
                sync_failures_per_second: draws.rate(),
                short_reads_per_second: draws.rate(),
                short_writes_per_second: draws.rate(),
                misdirected_reads_per_second: draws.rate(),
                misdirected_writes_per_second: draws.rate(),
                phantom_writes_per_second: draws.rate(),
                bit_rots_per_second: draws.rate(),
                latent_errors_per_second: draws.rate(),
                stalls_per_second: draws.rate(),
                throttles_per_second: draws.rate(),
                full_disks_per_second: draws.rate(),
            },
            ..Self::default()
        };
        if draws.is_on() {
            configuration.sector_bytes = 4096;
            configuration.atomic_bytes =
                [8, 512, 4096][usize::try_from(draws.within(0..3)).expect("below 3")];
        }
        configuration
    }
}

impl Default for CrashConfiguration {
    fn default() -> Self {
        Self { clean_probability: 0.25, lose_all_probability: 0.25, latent_error_probability: 0.0 }
    }
}

struct Draws<'a>(&'a mut dyn FnMut(u64) -> u64);

impl Draws<'_> {
    fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + (self.0)(range.end - range.start)
    }

    fn is_on(&mut self) -> bool {
        self.within(0..2) == 1
    }

    fn latency(&mut self, least_micros: Range<u64>, span_micros: Range<u64>) -> Range<Duration> {
        let least = self.within(least_micros);
        micros(least, least + self.within(span_micros))
    }

    /// Off in half of the seeds, else up to `most_per_million`.
    fn probability(&mut self, most_per_million: u32) -> f64 {
        let drawn = self.within(0..u64::from(most_per_million) + 1);
        if self.is_on() { f64::from(u32::try_from(drawn).expect("at most a u32")) / 1e6 } else { 0.0 }
    }

    /// Off in half of the seeds, else up to one in five seconds.
    fn rate(&mut self) -> f64 {
        self.probability(200_000)
    }
}

const fn micros(least: u64, most: u64) -> Range<Duration> {
    Duration::from_micros(least)..Duration::from_micros(most)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::StorageConfiguration;
    use crate::ambient::set_sim_seed;

    /// The figures are those of moonpool-sim 0.8's page.
    #[test]
    fn defaults_are_the_seeds() {
        let configuration = StorageConfiguration::default();
        assert_eq!((configuration.iops, configuration.bandwidth), (25_000, 150_000_000));
        assert_eq!(configuration.read_latency, Duration::from_micros(50)..Duration::from_micros(200));
        assert_eq!(configuration.write_latency, Duration::from_micros(100)..Duration::from_micros(500));
        assert_eq!(configuration.sync_latency, Duration::from_millis(1)..Duration::from_millis(5));
        assert_eq!(configuration.sector_bytes, 512);
    }

    #[test]
    fn random_configurations_keep_their_ranges_and_differ() {
        let of_seed = |seed| {
            set_sim_seed(seed);
            StorageConfiguration::random_for_seed()
        };
        let all: Vec<_> = (0..500).map(of_seed).collect();
        for one in &all {
            assert!((10_000..=100_000).contains(&one.iops), "{}", one.iops);
            assert!((50_000_000..=500_000_000).contains(&one.bandwidth), "{}", one.bandwidth);
            assert!((0.0..=1e-3).contains(&one.read_fault_probability));
            assert!((0.0..=1e-4).contains(&one.misdirect_write_probability));
            assert!((0.0..=2e-4).contains(&one.phantom_write_probability));
            assert!((0.0..=5e-4).contains(&one.sync_failure_probability));
            assert!(one.read_latency.start < one.read_latency.end);
            assert!(one.atomic_bytes <= one.sector_bytes);
        }
        assert_eq!(all[3], of_seed(3));
        let faulty = all.iter().filter(|one| one.sync_failure_probability > 0.0).count();
        assert!((150..350).contains(&faulty), "{faulty}");
        let large = all.iter().filter(|one| one.sector_bytes == 4096).count();
        assert!((150..350).contains(&large), "{large}");
    }
}
