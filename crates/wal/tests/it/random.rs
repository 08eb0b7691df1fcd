//! Random scripts against the model, with reopening after a close and after a crash that loses nothing written.

use proptest::collection::vec;
use proptest::prelude::*;
use samestep_wal::{CommitPolicy, OpenOutcome, Wal};

use crate::disk::{Image, SimDisk};
use crate::model::{ByIndex, Call, Model, contents, options, run};

#[derive(Clone, Copy, Debug)]
enum Step {
    Call(Call),
    Reopen,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![0_usize..60, 500_usize..700];
    prop_oneof![
        8 => (any::<u8>(), len.clone()).prop_map(|(seed, len)| Step::Call(Call::Append { seed, len })),
        3 => (any::<u8>(), [0..90_usize, 0..600_usize, 0..9_usize])
            .prop_map(|(seed, lens)| Step::Call(Call::Batch { seed, lens })),
        2 => (0..3_u16, any::<u8>()).prop_map(|(slot, seed)| Step::Call(Call::State { slot, seed })),
        2 => (0..7_u64).prop_map(|back| Step::Call(Call::Truncate { back })),
        1 => (0..7_u64).prop_map(|front| Step::Call(Call::Prune { front })),
        2 => (0..5_u64, any::<u8>()).prop_map(|(back, seed)| Step::Call(Call::Mark { back, seed })),
        1 => Just(Step::Call(Call::Rotate)),
        1 => Just(Step::Call(Call::Sync)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_as_the_model(
        steps in vec(step(), 1..60),
        every in prop_oneof![Just(None), (1..5_u32).prop_map(Some)],
        is_strict in any::<bool>(),
    ) {
        let commit = if is_strict { CommitPolicy::StrictSync } else { CommitPolicy::NoSync };
        let mut options = options(commit, every);
        options.buffer_bytes = 200;
        let disk = SimDisk::from_image(&Image::new());
        let (mut wal, _) = Wal::open_on(disk.clone(), options.clone()).unwrap();
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Call(call) => {
                    run(&mut wal, call).unwrap();
                    model.apply(call);
                }
                Step::Reopen => {
                    wal.close().unwrap();
                    let (reopened, report) = Wal::open_on(disk.clone(), options.clone()).unwrap();
                    prop_assert_eq!(report.outcome, OpenOutcome::Clean);
                    wal = reopened;
                }
                Step::Crash => {
                    wal.flush().unwrap();
                    drop(wal);
                    disk.unlock();
                    wal = Wal::open_on(disk.clone(), options.clone()).unwrap().0;
                }
            }
            prop_assert_eq!(wal.next_index().get(), model.next);
            if is_strict {
                prop_assert_eq!(wal.durable_index(), wal.last_index());
            }
        }
        prop_assert_eq!(contents(&mut wal, ByIndex::Too).unwrap(), model);
    }
}
