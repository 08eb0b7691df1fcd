//! Crash enumeration: records the operations of a script, and opens every image that a crash may leave.
//!
//! After each operation, for many combinations of what landed and what did not: the log opens, holds what some
//! prefix of the calls had made, at least all that were acknowledged, and a second opening agrees. Then the same
//! again from there: the recovery itself is cut short, and so are appends after it.
//!
//! Both faces are recorded, each below itself: the blocking one by its disk, the asynchronous one by a storage
//! provider. The images of both are held against the same oracle.

use std::collections::BTreeSet;
use std::fmt;

use samestep_wal::{CommitPolicy, Disk, Op, OpenError, Options, TailModel, Wal};

use crate::disk::{Image, SimDisk, State, Tear, crash_images};
use crate::model::{ByIndex, Call, Model, contents, options, run};

/// Calls, and after how many operations each was acknowledged.
struct Recording {
    trace: Vec<Op>,
    /// What the log held before the first call and after each.
    models: Vec<Model>,
    /// Number of operations after which call `n` had begun, and been acknowledged.
    begun: Vec<usize>,
    acked: Vec<usize>,
}

/// Which face runs the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    Blocking,
    Async,
}

/// Runs `calls` on a log in `image` that holds `model`.
fn record(face: Face, image: &Image, model: &Model, options: &Options, calls: &[Call]) -> Recording {
    let mut recording = match face {
        Face::Blocking => record_blocking(image, model, options, calls),
        Face::Async => record_async(image, model, options, calls),
    };
    // What is acknowledged later acknowledges all before it.
    let acked = &mut recording.acked;
    for at in (1..acked.len()).rev() {
        acked[at - 1] = acked[at - 1].min(acked[at]);
    }
    recording
}

fn record_async(image: &Image, model: &Model, options: &Options, calls: &[Call]) -> Recording {
    let mut models = vec![model.clone()];
    for &call in calls {
        let mut model = models.last().expect("there is one").clone();
        model.apply(call);
        models.push(model);
    }
    let (mut begun, mut acked) = (Vec::new(), Vec::new());
    let trace = crate::recorder::record(image, model, options, calls, |before, after, is_durable| {
        begun.push(before);
        acked.push(if is_durable { after } else { usize::MAX });
    });
    Recording { trace, models, begun, acked }
}

fn record_blocking(image: &Image, model: &Model, options: &Options, calls: &[Call]) -> Recording {
    let disk = SimDisk::from_image(image);
    if image.is_empty() {
        *disk.0.borrow_mut() = State::default();
    }
    let (mut wal, _) = Wal::open_on(disk.clone(), options.clone()).unwrap();
    let mut model = model.clone();
    let mut models = vec![model.clone()];
    let (mut begun, mut acked) = (Vec::new(), Vec::new());
    for &call in calls {
        begun.push(disk.0.borrow().trace.len());
        run(&mut wal, call).unwrap();
        model.apply(call);
        models.push(model.clone());
        let count = disk.0.borrow().trace.len();
        let is_durable = wal_is_durable(&wal);
        acked.push(if is_durable { count } else { usize::MAX });
    }
    Recording { trace: disk.take_trace(), models, begun, acked }
}

fn wal_is_durable<D: Disk>(wal: &Wal<D>) -> bool {
    !wal.has_unsynced()
}

pub(crate) struct Sweep {
    face: Face,
    options: Options,
    tear: Tear,
    /// Most combinations tried after each operation, in the first crash and in later ones.
    limits: [usize; 2],
    cycles: usize,
    /// Every so many images of the first crash are continued into a second one.
    every: usize,
    pub(crate) images: usize,
    ambiguous: usize,
    recovered: usize,
}

impl Sweep {
    fn new(face: Face, options: Options, tear: Tear) -> Self {
        Self {
            face,
            options,
            tear,
            limits: [LIMIT, 12],
            cycles: 3,
            every: 67,
            images: 0,
            ambiguous: 0,
            recovered: 0,
        }
    }

    fn run(&mut self, calls: &[Call]) {
        self.cycle(&Image::new(), &[Model::new()], calls, 0);
    }

    /// Crashes at every operation of opening `image`, which holds one of `before`, and of `calls` after it.
    fn cycle(&mut self, image: &Image, before: &[Model], calls: &[Call], depth: usize) {
        let model = before.last().expect("there is one").clone();
        let recording = record(self.face, image, &model, &self.options, calls);
        let disk = SimDisk::from_image(image);
        if image.is_empty() {
            *disk.0.borrow_mut() = State::default();
        }
        let mut last = None;
        for count in 0..=recording.trace.len() {
            let acked = recording.acked.iter().filter(|&&at| at <= count).count();
            let begun = recording.begun.iter().filter(|&&at| at < count).count();
            // An operation that changes nothing leaves the images that were there before it, of which nothing new is
            // asked unless a call was acknowledged with it.
            let changes = count == 0 || changes_something(&recording.trace[count - 1]);
            let is_new = changes || last != Some((acked, begun));
            last = Some((acked, begun));
            // Until the first call begins, opening itself is under way and what was before still counts.
            let mut allowed: Vec<Model> = recording.models[acked..=begun.max(acked)].to_vec();
            if acked == 0 {
                allowed.splice(0..0, before[..before.len() - 1].iter().cloned());
            }
            let limit = self.limits[depth.min(1)];
            let images = is_new.then(|| crash_images(&disk.0.borrow(), self.tear, limit));
            for image in images.into_iter().flatten() {
                self.images += 1;
                let told = Told { trace: &recording.trace[..count], seen: &disk.image(), image: &image };
                let Some(found) = self.check(&image, &allowed, &told) else { continue };
                if depth + 1 < self.cycles && self.images.is_multiple_of(self.every) {
                    let seed = 77 + u8::try_from(depth).unwrap();
                    let more = [
                        Call::Append { seed, len: 21 },
                        Call::State { slot: 5, seed: seed + 1 },
                        Call::Prune { front: 1 },
                    ];
                    self.cycle(&image, &[found], &more, depth + 1);
                }
            }
            if let Some(op) = recording.trace.get(count) {
                let _outcome = disk.0.borrow_mut().apply(&mut op.clone());
            }
        }
    }

    fn may_refuse(&self) -> bool {
        self.tear == Tear::Bytes && self.options.tail == TailModel::Sector
    }

    /// Opens `image` twice and checks that it holds one of `allowed`, which is returned.
    fn check(&mut self, image: &Image, allowed: &[Model], told: &Told<'_>) -> Option<Model> {
        let disk = SimDisk::from_image(image);
        let (mut wal, report) = match Wal::open_on(disk.clone(), self.options.clone()) {
            Ok(opened) => opened,
            Err(OpenError::AmbiguousTail { .. } | OpenError::Corrupt(_)) if self.may_refuse() => {
                // The sector model does not know torn bytes. It refuses rather than drop; if only one bit is
                // missing, it takes that for rot.
                self.ambiguous += 1;
                return None;
            }
            Err(error) => panic!("{error}\n{told}"),
        };
        let found = contents(&mut wal, ByIndex::No).unwrap();
        assert!(allowed.contains(&found), "{found:#?}\nallowed: {allowed:#?}\n{report:?}\n{told}");
        self.recovered += usize::from(report.outcome == samestep_wal::OpenOutcome::Recovered);
        drop(wal);
        disk.unlock();
        let (mut again, _) = Wal::open_on(disk, self.options.clone()).unwrap();
        assert_eq!(contents(&mut again, ByIndex::No).unwrap(), found, "a second opening agrees");
        Some(found)
    }
}

fn changes_something(op: &Op) -> bool {
    !matches!(op, Op::Open { .. } | Op::ReadAt { .. } | Op::List { .. } | Op::Close { .. })
}

/// What was done before a crash and what of it landed, for the message of a failure. Prefixes are tried from the
/// shortest on, so the first one told is the shortest that fails.
struct Told<'a> {
    trace: &'a [Op],
    seen: &'a Image,
    image: &'a Image,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, op) in self.trace.iter().enumerate() {
            let file = op.file().map(|file| file.to_string()).unwrap_or_default();
            match op {
                Op::WriteAt { offset, buf, .. } => {
                    writeln!(f, "{number:4} write {file} {offset}..{}", offset + buf.len() as u64)?;
                }
                Op::ReadAt { .. } => {}
                _ => writeln!(f, "{number:4} {} {file}", op.name())?,
            }
        }
        let names: BTreeSet<&String> = self.seen.keys().chain(self.image.keys()).collect();
        for name in names {
            let (Some(seen), Some(landed)) = (self.seen.get(name), self.image.get(name)) else {
                writeln!(
                    f,
                    "{name}: there {}, in the image {}",
                    self.seen.contains_key(name),
                    self.image.contains_key(name)
                )?;
                continue;
            };
            let lost = seen.iter().zip(landed).position(|(seen, landed)| seen != landed);
            let back = seen.iter().zip(landed).rposition(|(seen, landed)| seen != landed);
            if let (Some(from), Some(to)) = (lost, back) {
                writeln!(f, "{name}: did not land within {from}..={to}")?;
            }
            if seen.len() != landed.len() {
                writeln!(f, "{name}: {} bytes, not {}", landed.len(), seen.len())?;
            }
        }
        Ok(())
    }
}

/// Images that each sweep opens at least, below the blocking face and below the asynchronous one. Together they are
/// what we claim.
const IMAGES: [[usize; 2]; 6] =
    [[150, 100], [12_000, 12_000], [2_000, 1_700], [85_000, 110_000], [6_000, 6_000], [4_000, 4_000]];
const _: () = assert!(images_of(0) >= 100_000 && images_of(1) >= 100_000);

const fn images_of(face: usize) -> usize {
    let (mut sum, mut sweep) = (0, 0);
    while sweep < IMAGES.len() {
        sum += IMAGES[sweep][face];
        sweep += 1;
    }
    sum
}

/// Most combinations tried after each operation in a first crash.
const LIMIT: usize = 160;

const SCRIPT: [Call; 9] = [
    Call::Append { seed: 1, len: 5 },
    Call::State { slot: 1, seed: 2 },
    Call::Batch { seed: 3, lens: [20, 600, 7] },
    Call::Append { seed: 9, len: 40 },
    Call::Truncate { back: 2 },
    Call::Append { seed: 10, len: 3 },
    Call::Rotate,
    Call::Prune { front: 2 },
    Call::Append { seed: 11, len: 11 },
];

pub(crate) fn sweep(
    images_min: usize,
    face: Face,
    commit: CommitPolicy,
    every: Option<u32>,
    tail: TailModel,
    tear: Tear,
    calls: &[Call],
) -> Sweep {
    let mut options = options(commit, every);
    options.tail = tail;
    options.buffer_bytes = 64;
    let mut sweep = Sweep::new(face, options, tear);
    sweep.run(calls);
    println!(
        "{face:?}: {} images of at least {images_min}, {} recovered, {} ambiguous",
        sweep.images, sweep.recovered, sweep.ambiguous
    );
    assert!(sweep.images >= images_min, "{} images", sweep.images);
    assert!(sweep.recovered > 0, "some crash must need a recovery");
    sweep
}

/// The same script on both faces.
fn both(
    images_min: [usize; 2],
    commit: CommitPolicy,
    every: Option<u32>,
    tail: TailModel,
    tear: Tear,
    calls: &[Call],
) -> [Sweep; 2] {
    let [blocking, asynchronous] = images_min;
    [(blocking, Face::Blocking), (asynchronous, Face::Async)]
        .map(|(images_min, face)| sweep(images_min, face, commit, every, tail, tear, calls))
}

#[test]
fn strict_commits_survive_every_torn_sector() {
    both(IMAGES[0], CommitPolicy::StrictSync, None, TailModel::Sector, Tear::Sectors, &SCRIPT);
}

#[test]
fn rotations_survive_every_torn_sector() {
    both(IMAGES[1], CommitPolicy::StrictSync, Some(2), TailModel::Sector, Tear::Sectors, &SCRIPT);
}

/// In which order the two lanes of operations come is the scheduler's affair: each run enumerates another one.
#[test]
fn segments_made_ahead_survive_every_torn_sector() {
    let mut options = options(CommitPolicy::StrictSync, Some(2));
    options.prepares_segments = true;
    let mut sweep = Sweep::new(Face::Blocking, options, Tear::Sectors);
    sweep.run(&SCRIPT);
    assert!(sweep.images >= 12_000 && sweep.recovered > 0, "{} images", sweep.images);
}

#[test]
fn unsynced_commits_survive_every_torn_sector() {
    let mut calls = SCRIPT.to_vec();
    calls.insert(4, Call::Sync);
    both(IMAGES[2], CommitPolicy::NoSync, Some(4), TailModel::Sector, Tear::Sectors, &calls);
}

#[test]
fn strict_commits_survive_every_torn_byte() {
    both(IMAGES[3], CommitPolicy::StrictSync, Some(3), TailModel::Evidence, Tear::Bytes, &SCRIPT);
}

#[test]
fn unsynced_commits_survive_every_torn_byte() {
    both(IMAGES[4], CommitPolicy::NoSync, None, TailModel::Evidence, Tear::Bytes, &SCRIPT);
}

#[test]
fn torn_bytes_are_at_worst_refused_by_the_sector_model() {
    let swept = both(IMAGES[5], CommitPolicy::StrictSync, None, TailModel::Sector, Tear::Bytes, &SCRIPT);
    assert!(swept.iter().all(|face| face.ambiguous > 0), "the sector model must have something to refuse");
}
