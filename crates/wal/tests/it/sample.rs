//! A small log to be damaged, and what may then come of it.

use samestep_wal::{CommitPolicy, Disk, Options, ReadError, Wal};

use crate::disk::{Image, SimDisk};
use crate::model::{ByIndex, Call, Model, contents, is_refusal, options, run};

/// A log of five segments, closed or not, and what it holds.
pub(crate) fn log(is_closed: bool) -> (Image, Model) {
    let disk = SimDisk::from_image(&Image::new());
    let (mut wal, _) = Wal::open_on(disk.clone(), options(CommitPolicy::StrictSync, Some(3))).unwrap();
    let mut model = Model::new();
    for call in CALLS {
        run(&mut wal, call).unwrap();
        model.apply(call);
    }
    if is_closed {
        wal.close().unwrap();
    }
    (disk.image(), model)
}

/// No identity demanded, and small segments, which a recovery starts.
pub(crate) fn defaults() -> Options {
    let mut defaults = Options::default();
    defaults.segment_bytes = 8192;
    defaults
}

/// Opens `image` and reads all of it, in order and by index.
pub(crate) fn read_all(image: &Image, options: &Options) -> Result<Model, String> {
    read_on(SimDisk::from_image(image), options, ByIndex::Too)
}

/// The same on any disk: the log is refused by a typed error, or what can be read of it is.
pub(crate) fn read_on<D: Disk + Send + 'static>(
    disk: D,
    options: &Options,
    by_index: ByIndex,
) -> Result<Model, String> {
    let (mut wal, _) = match Wal::open_on(disk, options.clone()) {
        Ok(opened) => opened,
        Err(error) => {
            assert!(is_refusal(&error), "{error}");
            return Err(error.to_string());
        }
    };
    contents(&mut wal, by_index).map_err(|error| {
        assert!(matches!(error, ReadError::Corrupt(_)), "{error}");
        error.to_string()
    })
}

/// What is done to make it.
pub(crate) const CALLS: [Call; 9] = [
    Call::Append { seed: 1, len: 5 },
    Call::State { slot: 1, seed: 2 },
    Call::Append { seed: 4, len: 30 },
    Call::Batch { seed: 3, lens: [20, 0, 7] },
    Call::Truncate { back: 1 },
    Call::Append { seed: 9, len: 40 },
    Call::Append { seed: 10, len: 3 },
    Call::Append { seed: 11, len: 520 },
    Call::Append { seed: 12, len: 11 },
];
