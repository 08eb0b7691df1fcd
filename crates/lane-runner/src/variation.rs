//! What differs from run to run and must not matter, drawn from the number of the run.
//!
//! The number alone decides, so that a run which failed can be repeated. Neighbouring numbers differ in every
//! respect that cycles here, so that even two runs are a test.

use std::path::PathBuf;

use samestep_replay_traits::Seed;

/// The surroundings of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variation {
    number: u32,
    time_zone: &'static str,
    locale: &'static str,
    heap_fill: u8,
    thread_count: u32,
    cpus: CpuShare,
    folder_depth: u32,
    noise: Vec<(String, String)>,
}

/// Which of the CPUs that the process may use it does use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CpuShare {
    /// How many; at least 1.
    pub(crate) count: usize,
    /// How many to pass over before the first, so that runs side by side do not crowd one CPU.
    pub(crate) first: usize,
    /// Out of how many; at least `count`.
    pub(crate) available: usize,
}

impl Variation {
    /// The variation with this number, on a machine that lets the process use `cpu_count` CPUs.
    pub(crate) fn draw(number: u32, cpu_count: usize) -> Self {
        let at = number as usize;
        let available = cpu_count.max(1);
        Self {
            number,
            time_zone: TIME_ZONES[at % TIME_ZONES.len()],
            locale: LOCALES[at % LOCALES.len()],
            heap_fill: HEAP_FILLS[at % HEAP_FILLS.len()],
            thread_count: THREAD_COUNTS[at % THREAD_COUNTS.len()],
            // The first run has the whole machine, the next one CPU less, and so on around.
            cpus: CpuShare { count: available - at % available, first: at % available, available },
            folder_depth: number % FOLDER_DEPTH_MAX + 1,
            noise: noise(number),
        }
    }

    /// Its number.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The CPUs that the worker keeps for itself.
    pub(crate) fn cpus(&self) -> CpuShare {
        self.cpus
    }

    /// Draws for the worker's heap: how many blocks, how large, and which are freed again.
    pub(crate) fn heap_draws(&self) -> Draws {
        Draws::new(self.number, "heap")
    }

    /// The environment variables to set, on top of what is inherited.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let set = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut environment = vec![
            set("TZ", self.time_zone),
            set("LANG", self.locale),
            set("LC_ALL", self.locale),
            // glibc fills what it hands out with this byte's complement and what it takes back with the byte.
            set("MALLOC_PERTURB_", &self.heap_fill.to_string()),
        ];
        if self.heap_fill != 0 {
            // The allocator of macOS has these for the same purpose.
            environment.extend([set("MallocPreScribble", "1"), set("MallocScribble", "1")]);
        }
        let thread_count = self.thread_count.to_string();
        environment.extend(THREAD_COUNT_KEYS.iter().map(|key| set(key, &thread_count)));
        environment.extend(self.noise.iter().cloned());
        environment
    }

    /// The current directory of the run, below its own folder.
    pub(crate) fn working_folder(&self) -> PathBuf {
        let mut draws = Draws::new(self.number, "folders");
        (0..self.folder_depth).map(|_| format!("{:x}", draws.next() >> 32)).collect()
    }

    /// What was drawn, as pairs of what it is and its value.
    pub(crate) fn describe(&self) -> Vec<(&'static str, String)> {
        let CpuShare { count, first, available } = self.cpus;
        let noise_bytes: usize = self.noise.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
        vec![
            ("time zone (TZ)", self.time_zone.to_owned()),
            ("locale (LANG, LC_ALL)", self.locale.to_owned()),
            ("heap fill (MALLOC_PERTURB_)", self.heap_fill.to_string()),
            ("heap blocks before the lane", heap_block_count(&mut self.heap_draws()).to_string()),
            ("CPUs", format!("{count} of {available}, from number {first}")),
            ("thread counts (RAYON_NUM_THREADS, ..)", self.thread_count.to_string()),
            ("extra environment", format!("{} variables, {noise_bytes} bytes", self.noise.len())),
            ("depth of the current directory", self.folder_depth.to_string()),
        ]
    }
}

/// What differs between two variations, a line each.
pub(crate) fn differences(left: &Variation, right: &Variation) -> Vec<String> {
    left.describe()
        .into_iter()
        .zip(right.describe())
        .filter(|((_, left), (_, right))| left != right)
        .map(|((what, left), (_, right))| format!("{what}: {left} / {right}"))
        .collect()
}

/// How many blocks the worker allocates before the lane runs: the first draw of [`Variation::heap_draws`].
pub(crate) fn heap_block_count(draws: &mut Draws) -> usize {
    HEAP_BLOCKS_MIN + draws.below(HEAP_BLOCKS_SPAN)
}

/// A stream of draws: SplitMix64 (Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    /// The stream called `name` of a variation.
    pub(crate) fn new(number: u32, name: &str) -> Self {
        Self(Seed::new(u64::from(number)).fork(name).get())
    }

    /// The next draw.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next draw, below `limit`, which is not 0. Its bias is of no consequence for surroundings.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("a remainder is below its divisor, a usize")
    }
}

/// Variables that mean nothing to anybody. The standard library sorts the environment it hands to a child, so
/// it is their names' first letters that place them before, between and behind the inherited ones.
fn noise(number: u32) -> Vec<(String, String)> {
    let mut draws = Draws::new(number, "environment");
    let count = number as usize % NOISE_COUNT_MAX;
    (0..count)
        .map(|_| {
            let letter = NOISE_LETTERS[draws.below(NOISE_LETTERS.len())];
            let key = format!("{}{:04X}_SAMESTEP_NOISE", char::from(letter), draws.next() & 0xffff);
            (key, "~".repeat(draws.below(NOISE_VALUE_BYTES_MAX)))
        })
        .collect()
}

/// Zones with odd offsets and with both ends of the calendar. Half are spelled out in POSIX form, which works
/// where no time zone database is installed.
const TIME_ZONES: [&str; 8] = [
    "UTC",
    "Asia/Kathmandu",
    "AoE12",
    "America/St_Johns",
    "<+14>-14",
    "Pacific/Chatham",
    "<-0330>3:30<-0230>,M3.2.0,M11.1.0",
    "<+0545>-5:45",
];

/// Locales with other commas, other orders and other capital letters.
const LOCALES: [&str; 5] = ["C", "en_US.UTF-8", "de_DE.UTF-8", "tr_TR.UTF-8", "C.UTF-8"];

/// 0 turns the fill off, so that the heap shows what was there before.
const HEAP_FILLS: [u8; 7] = [0, 0xff, 0x55, 0xaa, 0x01, 0x80, 0x3c];

/// What pools are told, whatever the machine has.
const THREAD_COUNTS: [u32; 5] = [4, 1, 3, 2, 7];

/// Where pools look for it.
const THREAD_COUNT_KEYS: [&str; 5] = [
    "RAYON_NUM_THREADS",
    "TOKIO_WORKER_THREADS",
    "OMP_NUM_THREADS",
    "SMOL_THREADS",
    "ASYNC_STD_THREAD_COUNT",
];

const FOLDER_DEPTH_MAX: u32 = 6;
const NOISE_COUNT_MAX: usize = 17;
const NOISE_VALUE_BYTES_MAX: usize = 600;
const NOISE_LETTERS: &[u8] = b"ABDEGHIJKMNOPQRSTUVWXYZabdghikmz_";
const HEAP_BLOCKS_MIN: usize = 64;
const HEAP_BLOCKS_SPAN: usize = 1024;

#[cfg(test)]
mod tests;
