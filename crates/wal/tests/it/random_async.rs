//! Random scripts against the model on the asynchronous face, which is told the time: when an interval is over is
//! exact here, and so is what a power cut leaves, all that was synced and nothing else.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use samestep_memory_providers::MemoryWorld;
use samestep_provider_traits::{Providers, StorageProvider};
use samestep_wal::{AsyncWal, CommitPolicy, Index, OpenOutcome, Options};

use crate::model::{Call, Model, options};
use crate::random::{Past, call, is_durable_on_return, policy};
use crate::recorder::{contents, run};

#[derive(Clone, Copy, Debug)]
enum Step {
    Call(Call),
    Flush,
    /// So many milliseconds later, the log is told the time.
    Tick {
        after: u64,
    },
    Reopen,
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => call().prop_map(Step::Call),
        1 => Just(Step::Flush),
        6 => (0..8_u64).prop_map(|after| Step::Tick { after }),
        1 => Just(Step::Reopen),
        1 => Just(Step::PowerCut),
    ]
}

/// Time as the script makes it pass.
#[derive(Default)]
struct Time {
    now: Duration,
    /// When a tick first saw what is still not durable.
    seen_since: Option<Duration>,
}

impl Time {
    /// Tells `wal` that it is `after` milliseconds later, and checks what it does.
    async fn tick<S: StorageProvider>(&mut self, after: u64, wal: &mut AsyncWal<S>, commit: CommitPolicy) {
        self.now += Duration::from_millis(after);
        let (was_unsynced, was_durable) = (wal.has_unsynced(), wal.durable_index());
        let deadline = wal.tick(self.now).await.unwrap();
        let CommitPolicy::Interval(interval) = commit else {
            assert_eq!((deadline, wal.has_unsynced()), (None, was_unsynced));
            return;
        };
        if !was_unsynced {
            self.seen_since = None;
            assert_eq!(deadline, None);
            return;
        }
        let due = *self.seen_since.get_or_insert(self.now) + interval;
        if self.now < due {
            assert_eq!((deadline, wal.durable_index()), (Some(due), was_durable), "not before it is due");
        } else {
            assert_eq!((deadline, wal.has_unsynced()), (None, false), "all is durable when it is due");
            self.seen_since = None;
        }
    }
}

/// How a life of a log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    /// With the script.
    Script,
    PowerCut {
        durable: Option<Index>,
    },
}

/// One life of a log: until the power is cut, or the script is over.
async fn live<S: StorageProvider>(
    storage: S,
    options: Options,
    past: &mut Past,
    beginning: Edge,
    steps: &mut impl Iterator<Item = Step>,
) -> Edge {
    let (mut wal, _) = AsyncWal::open(storage.clone(), "a/log", options.clone()).await.unwrap();
    let found = contents(&mut wal).await;
    match beginning {
        Edge::PowerCut { durable } => past.cut(found, durable),
        Edge::Script => assert_eq!(found, Model::new()),
    }
    let mut time = Time::default();
    for step in steps {
        match step {
            Step::Call(call) => {
                run(&mut wal, call).await;
                let is_durable = !wal.has_unsynced();
                past.call(call, is_durable);
                let writes = matches!(call, Call::Append { .. } | Call::Batch { .. } | Call::State { .. });
                let must_be = writes && is_durable_on_return(options.commit) || call == Call::Sync;
                assert!(is_durable || !must_be, "{call:?} returned and is not durable");
            }
            Step::Flush => wal.flush().await.unwrap(),
            Step::Tick { after } => {
                time.tick(after, &mut wal, options.commit).await;
                past.settle(!wal.has_unsynced());
            }
            Step::Reopen => {
                wal.close().await.unwrap();
                let opened = AsyncWal::open(storage.clone(), "a/log", options.clone()).await.unwrap();
                assert_eq!(opened.1.outcome, OpenOutcome::Clean);
                wal = opened.0;
                past.settle(true);
                time.seen_since = None;
            }
            Step::PowerCut => return Edge::PowerCut { durable: wal.durable_index() },
        }
        assert_eq!(wal.next_index().get(), past.now().next);
    }
    assert_eq!(&contents(&mut wal).await, past.now());
    Edge::Script
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn the_asynchronous_face_is_as_the_model(
        steps in vec(step(), 1..60),
        every in prop_oneof![Just(None), (1..5_u32).prop_map(Some)],
        commit in policy(Duration::from_millis(10)),
    ) {
        let mut options = options(commit, every);
        options.buffer_bytes = 200;
        let mut steps = steps.into_iter();
        let mut world = MemoryWorld::new(1);
        let mut past = Past::new(Model::new());
        let mut edge = Edge::Script;
        loop {
            edge = world.block_on(|providers| {
                live(providers.storage().clone(), options.clone(), &mut past, edge, &mut steps)
            });
            if edge == Edge::Script {
                break;
            }
            world = world.power_cut();
        }
    }
}
