//! Where shards run.

use rustix::thread::sched_getaffinity;
use samestep_uring_rt::{
    CpuSet, DriverChoice, Machine, Placement, Runtime, RuntimeBuilder, ShardsError, StartError, run_on_all,
    run_shards,
};

fn builder() -> RuntimeBuilder {
    Runtime::builder().driver(DriverChoice::RingOrThreads)
}

/// Where this thread may run.
fn here() -> CpuSet {
    let mask = sched_getaffinity(None).unwrap();
    (0..1024).filter(|cpu| mask.is_set(*cpu as usize)).collect()
}

/// The processors of shards that are placed so.
fn cpus(placement: Placement, count: usize) -> Vec<CpuSet> {
    run_shards(count, &builder().placement(placement), |_| async { here() }).unwrap()
}

fn of(cpu: u32) -> CpuSet {
    [cpu].into_iter().collect()
}

#[test]
fn shards_run_where_they_are_placed() {
    let machine = Machine::here().unwrap();
    let (all, count) = (here(), machine.cpus().len());
    assert_eq!(*machine.cpus(), all);
    assert_eq!(cpus(Placement::Unbound, 2), [all.clone(), all.clone()]);
    let last = all.iter().last().unwrap();
    assert_eq!(cpus(Placement::Fixed(last), 2), [of(last), of(last)]);
    assert_eq!(cpus(Placement::Custom(of(last)), 1), [of(last)]);
    for placement in [Placement::Spread, Placement::Pack] {
        let mut placed: Vec<u32> = cpus(placement, count).iter().flat_map(CpuSet::iter).collect();
        placed.sort_unstable();
        assert_eq!(placed, all.iter().collect::<Vec<_>>(), "each has one of its own");
    }
    // Who starts them stays where it was.
    assert_eq!(here(), all);
}

#[test]
fn there_are_as_many_shards_as_may_be_kept_busy() {
    let shards = Machine::here().unwrap().shards();
    assert_eq!(run_on_all(&builder(), |shard| async move { shard.count() }).unwrap(), vec![shards; shards]);
}

#[test]
fn a_processor_that_may_not_be_used_starts_nothing() {
    let builder = builder().placement(Placement::Fixed(1024));
    let refused = run_shards(2, &builder, |_| async { unreachable!("nothing starts") });
    let Err(ShardsError::Start(StartError::NoSuchCpu { cpu, usable })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((cpu, usable), (Some(1024), here().to_string()));
}

/// A runtime that is built alone tells where it is.
#[test]
fn a_runtime_tells_its_processor() {
    let cpu = here().iter().next().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a thread that is pinned stays so")]
    let thread = std::thread::spawn(move || {
        let runtime = builder().placement(Placement::Fixed(cpu)).build().unwrap();
        (runtime.info().cpu(), here(), runtime.info().to_string())
    });
    let (told, is, text) = thread.join().unwrap();
    assert_eq!((told, is), (Some(cpu), of(cpu)));
    assert!(text.contains("pinned thread           yes"), "{text}");
}
