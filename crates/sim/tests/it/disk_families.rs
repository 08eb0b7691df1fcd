//! Gate 2 for disks and clocks: each family changes what a program sees, is counted when it does, and is gone, count
//! and all, when it is switched off or its decisions are taken off the tape.

use std::path::Path;
use std::time::{Duration, SystemTime};

use samestep_provider_traits::{File, OpenOptions, StorageProvider, TimeProvider};
use samestep_sim::{
    ClockConfiguration, CrashConfiguration, DiskFaultRates, Down, FaultFamily, SimProviders, SimWorld,
    StorageConfiguration, Tape, WorldConfig,
};

use crate::seeds::node_of;

/// A family, and what switches it on and nothing else.
struct Family {
    name: &'static str,
    counted: FaultFamily,
    storage: StorageConfiguration,
    clocks: ClockConfiguration,
}

/// A disk that loses nothing, not even by a crash.
fn honest() -> StorageConfiguration {
    let crash = CrashConfiguration { clean_probability: 1.0, ..CrashConfiguration::default() };
    StorageConfiguration { crash, ..StorageConfiguration::default() }
}

fn lossy(mut crash: CrashConfiguration) -> StorageConfiguration {
    crash.clean_probability = 0.0;
    StorageConfiguration { crash, ..honest() }
}

fn at_rates(rates: DiskFaultRates) -> StorageConfiguration {
    StorageConfiguration { rates, ..honest() }
}

fn disk(name: &'static str, counted: FaultFamily, storage: StorageConfiguration) -> Family {
    Family { name, counted, storage, clocks: ClockConfiguration::default() }
}

fn clock(name: &'static str, counted: FaultFamily, clocks: ClockConfiguration) -> Family {
    Family { name, counted, storage: honest(), clocks }
}

/// Often enough that some come in the fraction of a second that the program runs.
const OFTEN: f64 = 200.0;

fn families() -> Vec<Family> {
    let none = DiskFaultRates::default;
    let mixed = || CrashConfiguration { lose_all_probability: 0.0, ..CrashConfiguration::default() };
    let right = ClockConfiguration::default;
    let second = Duration::from_secs(1);
    vec![
        disk("a crash that loses all", FaultFamily::TornWrite, {
            lossy(CrashConfiguration { lose_all_probability: 1.0, ..mixed() })
        }),
        disk("a crash that mixes", FaultFamily::TornWrite, lossy(mixed())),
        disk("names", FaultFamily::LostName, lossy(mixed())),
        disk("noise", FaultFamily::CrashGarbage, {
            StorageConfiguration { crash_fault_probability: 0.5, ..lossy(mixed()) }
        }),
        disk("sectors that a crash spoils", FaultFamily::LatentError, {
            lossy(CrashConfiguration { latent_error_probability: 0.5, ..mixed() })
        }),
        disk("sectors that go bad", FaultFamily::LatentError, {
            at_rates(DiskFaultRates { latent_errors_per_second: OFTEN, ..none() })
        }),
        disk("reads that fail", FaultFamily::ReadError, {
            at_rates(DiskFaultRates { read_errors_per_second: OFTEN, ..none() })
        }),
        disk("writes that fail", FaultFamily::WriteError, {
            at_rates(DiskFaultRates { write_errors_per_second: OFTEN, ..none() })
        }),
        disk("syncs that fail", FaultFamily::SyncFailure, {
            at_rates(DiskFaultRates { sync_failures_per_second: OFTEN, ..none() })
        }),
        disk("syncs that fail, of so many", FaultFamily::SyncFailure, {
            StorageConfiguration { sync_failure_probability: 0.3, ..honest() }
        }),
        disk("little room", FaultFamily::NoSpace, {
            StorageConfiguration { capacity_bytes: 10_000, ..honest() }
        }),
        disk("no room for a time", FaultFamily::NoSpace, {
            at_rates(DiskFaultRates { full_disks_per_second: OFTEN, ..none() })
        }),
        disk("short reads", FaultFamily::ShortIo, {
            at_rates(DiskFaultRates { short_reads_per_second: OFTEN, ..none() })
        }),
        disk("short writes", FaultFamily::ShortIo, {
            at_rates(DiskFaultRates { short_writes_per_second: OFTEN, ..none() })
        }),
        disk("misdirected reads", FaultFamily::MisdirectedRead, {
            at_rates(DiskFaultRates { misdirected_reads_per_second: OFTEN, ..none() })
        }),
        disk("misdirected reads, of so many", FaultFamily::MisdirectedRead, {
            StorageConfiguration { misdirect_read_probability: 0.3, ..honest() }
        }),
        disk("misdirected writes", FaultFamily::MisdirectedWrite, {
            at_rates(DiskFaultRates { misdirected_writes_per_second: OFTEN, ..none() })
        }),
        disk("misdirected writes, of so many", FaultFamily::MisdirectedWrite, {
            StorageConfiguration { misdirect_write_probability: 0.3, ..honest() }
        }),
        disk("phantom writes", FaultFamily::PhantomWrite, {
            at_rates(DiskFaultRates { phantom_writes_per_second: OFTEN, ..none() })
        }),
        disk("phantom writes, of so many", FaultFamily::PhantomWrite, {
            StorageConfiguration { phantom_write_probability: 0.3, ..honest() }
        }),
        disk("rot", FaultFamily::BitRot, {
            at_rates(DiskFaultRates { bit_rots_per_second: OFTEN, ..none() })
        }),
        disk("rot, of so many reads", FaultFamily::BitRot, {
            StorageConfiguration { read_fault_probability: 0.3, ..honest() }
        }),
        disk("rot, of so many writes", FaultFamily::BitRot, {
            StorageConfiguration { write_fault_probability: 0.3, ..honest() }
        }),
        disk("stalls", FaultFamily::DiskStall, {
            at_rates(DiskFaultRates { stalls_per_second: OFTEN, ..none() })
        }),
        disk("throttles", FaultFamily::DiskThrottle, {
            at_rates(DiskFaultRates { throttles_per_second: OFTEN, ..none() })
        }),
        clock("offset", FaultFamily::ClockDrift, ClockConfiguration { offset_max: second, ..right() }),
        clock("drift", FaultFamily::ClockDrift, ClockConfiguration { drift_ppm_max: 100, ..right() }),
        clock("steps", FaultFamily::ClockStep, {
            ClockConfiguration { steps_per_second: OFTEN, step_max: second, ..right() }
        }),
    ]
}

/// What a program saw: the outcome of each call, the bytes of each read, and the time by both clocks.
type Saw = Vec<String>;

async fn before(providers: SimProviders) -> Saw {
    let (storage, time) = (providers.storage(), providers.time());
    let mut saw = Saw::new();
    for name in ["a", "b"] {
        let options = OpenOptions::read_write().create_new();
        let mut file = storage.open(Path::new(name), options).await.unwrap();
        saw.push(format!("{:?}", storage.sync_dir(Path::new("")).await));
        for round in 0..20_u8 {
            let bytes = vec![name.as_bytes()[0] + round; 700];
            let offset = u64::from(round) * 650;
            let (wrote, _) = file.write_at(bytes, offset).await;
            let (read, bytes) = file.read_at(Vec::with_capacity(2000), offset / 2).await;
            saw.push(format!("{round}: {wrote:?}, {read:?} {:x}", digest(&bytes)));
            if round % 3 == 0 {
                let synced = file.sync_data().await;
                saw.push(format!("{synced:?}"));
                if synced.is_err() {
                    file = storage.open(Path::new(name), OpenOptions::read_write()).await.unwrap();
                }
            }
            saw.push(format!("{:?} {:?}", time.now(), wall(time.wall_clock())));
        }
    }
    storage.rename(Path::new("a"), Path::new("c")).await.unwrap();
    drop(storage.open(Path::new("d"), OpenOptions::read_write().create()).await.unwrap());
    saw
}

async fn after(providers: SimProviders) -> Saw {
    let storage = providers.storage();
    let mut saw = Saw::new();
    for entry in storage.list(Path::new("")).await.unwrap() {
        let file = storage.open(Path::new(&entry.name), OpenOptions::read_only()).await.unwrap();
        let len = file.metadata().await.unwrap().len;
        saw.push(format!("{entry:?} {len}"));
        for offset in (0..len).step_by(256) {
            let (outcome, bytes) = file.read_at(Vec::with_capacity(256), offset).await;
            saw.push(format!("{offset}: {outcome:?} {:x}", digest(&bytes)));
        }
    }
    saw
}

/// FNV-1a.
fn digest(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

fn wall(clock: SystemTime) -> Duration {
    clock.duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

/// What the program saw, how often the family acted, and how often any did but the crash itself.
fn run(config: WorldConfig, counted: FaultFamily) -> (Saw, [u64; 2], Tape) {
    let world = SimWorld::with_config(config);
    let node = node_of(&world, "node");
    let mut task = world.spawn(Some(node), "before", before(world.providers(node)));
    let mut saw = world.block_on(&mut task).unwrap().unwrap();
    world.kill(node, Down::Crash);
    world.boot(node);
    let mut task = world.spawn(Some(node), "after", after(world.providers(node)));
    saw.extend(world.block_on(&mut task).unwrap().unwrap());
    let faults = world.faults();
    let of_any = FaultFamily::ALL.iter().map(|any| faults.count(*any)).sum::<u64>() - 1;
    (saw, [faults.count(counted), of_any], world.tape())
}

#[test]
fn each_family_acts_and_can_be_switched_off() {
    for Family { name, counted, storage, clocks } in families() {
        let mut acting = 0;
        for seed in 0..8 {
            let on = || WorldConfig::new(seed).storage(storage.clone()).clocks(clocks.clone());
            let off = || WorldConfig::new(seed).storage(honest());
            let (saw_on, [count_on, any_on], _) = run(on(), counted);
            let (saw_off, count_off, _) = run(off(), counted);
            assert_eq!(count_off, [0, 0], "{name}: acted although it is off");
            assert_eq!(
                saw_on != saw_off,
                any_on > 0,
                "{name}: seed {seed}: {any_on} faults acted, and what the program saw says otherwise"
            );
            acting += u64::from(count_on > 0);

            // A full disk is no decision: it is how large the disk is.
            if storage.capacity_bytes == honest().capacity_bytes {
                let (plain_on, count_on, tape) = run(on().replay(Tape::new()), counted);
                let (plain_off, ..) = run(off().replay(Tape::new()), counted);
                assert_eq!(count_on, [0, 0], "{name}: acted without a decision");
                assert!(tape.is_empty());
                assert!(plain_on == plain_off, "{name}: seed {seed}: other without a decision");
            }
        }
        println!("{name}: acted on {acting} of 8 seeds");
        assert!(acting >= 4, "{name}: acted on {acting} of 8 seeds");
    }
}

/// The tape of a run gives the run again, faults of all families and crashes included.
#[test]
fn a_tape_replays_disk_faults() {
    for seed in 0..20 {
        let storage = StorageConfiguration {
            rates: DiskFaultRates {
                read_errors_per_second: 20.0,
                short_writes_per_second: 20.0,
                bit_rots_per_second: 20.0,
                stalls_per_second: 5.0,
                ..DiskFaultRates::default()
            },
            ..StorageConfiguration::default()
        };
        let config = || WorldConfig::new(seed).storage(storage.clone());
        let (saw, count, tape) = run(config().keep_tape(), FaultFamily::BitRot);
        let (replayed, replayed_count, _) = run(config().replay(tape), FaultFamily::BitRot);
        assert_eq!((saw, count), (replayed, replayed_count), "seed {seed}");
    }
}
