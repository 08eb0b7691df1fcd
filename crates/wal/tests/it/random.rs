//! Random scripts against the model, under every policy: calls, tickets, closes, and power cuts at any time.
//!
//! Under [`CommitPolicy::Interval`] the interval is an hour, so nothing becomes durable by itself while a script runs:
//! the background thread that would see to it is there, and what it does stays out of the script's outcome. That it
//! keeps its time is for tests with threads; that the interval itself is right, for the asynchronous face, which is
//! told the time.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index as Pick;
use samestep_wal::{CommitPolicy, Index, OpenOutcome, Options, Prepared, Ticket, Wal};

use crate::disk::{Image, SimDisk, Tear, crash_images};
use crate::model::{ByIndex, Call, Model, contents, options, payload, run};

#[derive(Clone, Copy, Debug)]
enum Step {
    Call(Call),
    /// Append without waiting.
    Ticket {
        seed: u8,
        len: usize,
    },
    /// Wait for one of the tickets that are left.
    Wait(Pick),
    /// Let one of them go.
    Forget(Pick),
    Flush,
    Reopen,
    /// Cut the power: one of the images that this may leave.
    PowerCut(Pick),
}

pub(crate) fn call() -> impl Strategy<Value = Call> {
    let len = prop_oneof![0_usize..60, 500_usize..700];
    prop_oneof![
        8 => (any::<u8>(), len).prop_map(|(seed, len)| Call::Append { seed, len }),
        3 => (any::<u8>(), [0..90_usize, 0..600_usize, 0..9_usize])
            .prop_map(|(seed, lens)| Call::Batch { seed, lens }),
        2 => (0..3_u16, any::<u8>()).prop_map(|(slot, seed)| Call::State { slot, seed }),
        2 => (0..7_u64).prop_map(|back| Call::Truncate { back }),
        1 => (0..7_u64).prop_map(|front| Call::Prune { front }),
        2 => (0..5_u64, any::<u8>()).prop_map(|(back, seed)| Call::Mark { back, seed }),
        1 => Just(Call::Rotate),
        1 => Just(Call::Sync),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => call().prop_map(Step::Call),
        4 => (any::<u8>(), 0_usize..60).prop_map(|(seed, len)| Step::Ticket { seed, len }),
        2 => any::<Pick>().prop_map(Step::Wait),
        1 => any::<Pick>().prop_map(Step::Forget),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        2 => any::<Pick>().prop_map(Step::PowerCut),
    ]
}

pub(crate) fn policy(interval: Duration) -> impl Strategy<Value = CommitPolicy> {
    prop_oneof![
        Just(CommitPolicy::StrictSync),
        (0..900_usize).prop_map(|max_bytes| CommitPolicy::Group { max_bytes }),
        Just(CommitPolicy::Interval(interval)),
        Just(CommitPolicy::NoSync),
    ]
}

pub(crate) fn is_durable_on_return(commit: CommitPolicy) -> bool {
    matches!(commit, CommitPolicy::StrictSync | CommitPolicy::Group { .. })
}

/// What the log may hold after a power cut: what it held when all was durable, or after any call since.
pub(crate) struct Past {
    models: Vec<Model>,
}

impl Past {
    pub(crate) fn new(model: Model) -> Self {
        Self { models: vec![model] }
    }

    pub(crate) fn now(&self) -> &Model {
        self.models.last().expect("there is one")
    }

    /// A call was made. Whether everything is durable after it says what is still possible.
    pub(crate) fn call(&mut self, call: Call, is_durable: bool) {
        let mut model = self.now().clone();
        model.apply(call);
        self.models.push(model);
        self.settle(is_durable);
    }

    pub(crate) fn settle(&mut self, is_durable: bool) {
        if is_durable {
            self.models.drain(..self.models.len() - 1);
        }
    }

    /// After a power cut `found` is there; everything up to `durable` must be.
    pub(crate) fn cut(&mut self, found: Model, durable: Option<Index>) {
        assert!(self.models.contains(&found), "{found:#?}\nis none of {:#?}", self.models);
        let is_promised =
            |index: u64| index >= found.first && durable.is_some_and(|last| index <= last.get());
        for (index, entry) in self.now().entries.iter().filter(|(index, _)| is_promised(**index)) {
            assert_eq!(found.entries.get(index), Some(entry), "entry {index} was durable");
        }
        self.models = vec![found];
    }
}

/// A script on the way.
struct Run {
    disk: SimDisk,
    options: Options,
    wal: Wal<SimDisk>,
    tickets: Vec<Ticket<SimDisk>>,
    /// Indices from which a record was removed by a truncation.
    taken_back: BTreeSet<u64>,
    past: Past,
}

impl Run {
    fn new(options: Options) -> Self {
        let disk = SimDisk::from_image(&Image::new());
        let (wal, _) = Wal::open_on(disk.clone(), options.clone()).unwrap();
        let (tickets, taken_back) = (Vec::new(), BTreeSet::new());
        Self { disk, options, wal, tickets, taken_back, past: Past::new(Model::new()) }
    }

    fn step(mut self, step: Step) -> Self {
        match step {
            Step::Call(call) => self.call(call),
            Step::Ticket { seed, len } => {
                let bytes = payload(seed, len);
                let record = Prepared::new(&bytes).with_aux(seed.into());
                self.tickets.push(self.wal.append_ticket(record).unwrap());
                self.past.call(Call::Append { seed, len }, !self.wal.has_unsynced());
            }
            Step::Wait(pick) if !self.tickets.is_empty() => {
                let ticket = self.tickets.swap_remove(pick.index(self.tickets.len()));
                if matches!(self.options.commit, CommitPolicy::Interval(_)) {
                    // It would wait for the hour.
                    self.wal.sync().unwrap();
                }
                assert_eq!(ticket.wait().unwrap(), ticket.index());
                assert_eq!(ticket.try_outcome().unwrap().unwrap(), ticket.index());
                // A truncation takes the record back, and another one may be at its index.
                let is_there = self.past.now().entries.contains_key(&ticket.index().get());
                if is_there && !self.taken_back.contains(&ticket.index().get()) {
                    assert!(self.wal.durable_index() >= Some(ticket.index()));
                }
                self.past.settle(!self.wal.has_unsynced());
            }
            Step::Forget(pick) if !self.tickets.is_empty() => {
                drop(self.tickets.swap_remove(pick.index(self.tickets.len())));
            }
            Step::Wait(_) | Step::Forget(_) => {}
            Step::Flush => self.wal.flush().unwrap(),
            Step::Reopen => return self.reopen(),
            Step::PowerCut(pick) => return self.cut_power(pick),
        }
        self
    }

    fn call(&mut self, call: Call) {
        run(&mut self.wal, call).unwrap();
        let next = self.past.now().next;
        let is_durable = !self.wal.has_unsynced();
        self.past.call(call, is_durable);
        self.taken_back.extend(self.past.now().next..next);
        let writes = matches!(call, Call::Append { .. } | Call::Batch { .. } | Call::State { .. });
        let must_be_durable = writes && is_durable_on_return(self.options.commit);
        assert!(is_durable || !must_be_durable && call != Call::Sync, "{call:?} returned and is not durable");
    }

    fn reopen(mut self) -> Self {
        self.wal.close().unwrap();
        for ticket in self.tickets.drain(..) {
            assert_eq!(ticket.try_outcome().unwrap().unwrap(), ticket.index(), "a close makes all durable");
        }
        let (wal, report) = Wal::open_on(self.disk.clone(), self.options.clone()).unwrap();
        assert_eq!(report.outcome, OpenOutcome::Clean);
        self.past.settle(true);
        Self { wal, ..self }
    }

    fn cut_power(mut self, pick: Pick) -> Self {
        let durable = self.wal.durable_index();
        let images = crash_images(&self.disk.0.borrow(), Tear::Sectors, 60);
        self.tickets.clear();
        drop(self.wal);
        let disk = SimDisk::from_image(&images[pick.index(images.len())]);
        let (mut wal, _) = Wal::open_on(disk.clone(), self.options.clone()).unwrap();
        self.past.cut(contents(&mut wal, ByIndex::No).unwrap(), durable);
        Self { disk, wal, ..self }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_as_the_model(
        steps in vec(step(), 1..60),
        every in prop_oneof![Just(None), (1..5_u32).prop_map(Some)],
        commit in policy(Duration::from_secs(3600)),
        buffer_bytes in prop_oneof![Just(0_usize), Just(200), Just(5000)],
    ) {
        let mut options = options(commit, every);
        options.buffer_bytes = buffer_bytes;
        let mut run = Run::new(options);
        for step in steps {
            run = run.step(step);
            prop_assert_eq!(run.wal.next_index().get(), run.past.now().next);
        }
        prop_assert_eq!(&contents(&mut run.wal, ByIndex::Too).unwrap(), run.past.now());
    }
}
