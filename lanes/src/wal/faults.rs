//! Lanes in which the disk, or the process, fails.

use std::io::ErrorKind;

use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};
use samestep_wal::{Disk, StdDisk, Wal};

use super::faulty::{Counted, Fault, Faulty};
use super::history::{Contents, HISTORY, chain, options, perform};
use super::image::Image;
use crate::scenario::{Random, Scenario};

/// Every barrier fails once.
pub(crate) const FSYNC_ERRORS: Scenario = Scenario {
    name: "wal/fsync-errors",
    about: "each barrier of a history fails once: the log refuses from then on, and what was acknowledged is there",
    run: fsync_errors,
};

/// Some barriers fail, on real files.
pub(crate) const FSYNC_ERROR_FILE: Random = Random(Scenario {
    name: "wal/fsync-error-file",
    about: "five drawn barriers of a history on real files fail: as above",
    run: fsync_error_file,
});

/// The disk is full at every write, once.
pub(crate) const FULL_DISK: Scenario = Scenario {
    name: "wal/full-disk",
    about: "the disk is full at each write of a history in turn: the call says so, and succeeds when it is repeated",
    run: full_disk,
};

/// The process dies at drawn steps of its I/O.
pub(crate) const PROCESS_DEATH: Random = Random(Scenario {
    name: "wal/process-death",
    about: "a process dies at twelve drawn I/O steps on real files, and again in its recovery: all acknowledged is there",
    run: process_death,
});

fn fsync_errors(_: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    for at in 0.. {
        let image = Image::default();
        let disk = Faulty::new(image.handle(), Counted::Syncs, at, Fault::Fails(ErrorKind::Other));
        let reopen = || Wal::open_on(image.handle(), options()).map_err(chain);
        if run_into_fault("sync-failure", disk, at, transcript, reopen)? {
            break;
        }
    }
    Ok(())
}

fn fsync_error_file(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    for number in 0..5 {
        let dir = context.scratch().join(format!("log-{number}"));
        // There are more barriers than this in the history, so that the fault strikes.
        let at = context.seed().fork(&number.to_string()).get() % 40;
        let disk = Faulty::new(StdDisk::new(&dir), Counted::Syncs, at, Fault::Fails(ErrorKind::Other));
        let reopen = || Wal::open(&dir, options()).map_err(chain);
        if run_into_fault("sync-failure", disk, at, transcript, reopen)? {
            return Err(LaneError::failed(format!("there is no barrier number {at}")));
        }
    }
    Ok(())
}

fn process_death(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    for number in 0..12 {
        let dir = context.scratch().join(format!("log-{number}"));
        let seed = context.seed().fork(&number.to_string());
        let at = seed.get() % 90;
        let disk = Faulty::new(StdDisk::new(&dir), Counted::Changes, at, Fault::Dies);
        let recover = || {
            // Dies once more, in the recovery, and then recovers for good.
            let again = seed.fork("again").get() % 12;
            let dying = Faulty::new(StdDisk::new(&dir), Counted::Changes, again, Fault::Dies);
            drop(Wal::open_on(dying, options()));
            Wal::open(&dir, options()).map_err(chain)
        };
        if run_into_fault("process-death", disk, at, transcript, recover)? {
            return Err(LaneError::failed(format!("there is no I/O step number {at}")));
        }
    }
    Ok(())
}

/// Runs the history on `disk` until its fault strikes, opens what is left by `reopen`, and checks it. `true` if the
/// history came to its end without the fault.
fn run_into_fault<D: Disk + Send + 'static, E: Disk>(
    family: &str,
    disk: Faulty<D>,
    at: u64,
    transcript: &mut Transcript,
    reopen: impl FnOnce() -> Result<(Wal<E>, samestep_wal::RecoveryReport), String>,
) -> Result<bool, LaneError> {
    let has_struck = disk.watch();
    let (mut before, mut after) = (Contents::default(), Contents::default());
    let mut event = Event::new("fault").field("family", family).field("at", at);
    match Wal::open_on(disk, options()) {
        Err(error) => event = event.field("step", "open").field("error", chain(error)),
        Ok((wal, _)) => {
            let failed = HISTORY.into_iter().enumerate().find_map(|(number, step)| {
                after = before.after(step);
                let error = perform(&wal, step).err();
                if error.is_none() && !has_struck() {
                    before = after.clone();
                }
                error
                    .map(|error| (number, error))
                    .or_else(|| has_struck().then(|| (number, "none".to_owned())))
            });
            let Some((number, error)) = failed else { return Ok(true) };
            event = event.field("step", number).field("error", error);
            if let Ok(()) = perform(&wal, HISTORY[0])
                && event.as_str().contains("poisoned")
            {
                return Err(LaneError::failed("a log that was poisoned took another record"));
            }
        }
    }
    let (mut wal, report) = reopen().map_err(LaneError::failed)?;
    let found = Contents::of(&mut wal)?;
    let is = match &found {
        found if *found == before => "before",
        found if *found == after => "after",
        _ => {
            let text = format!("fault {at}: {found:?} is neither {before:?} nor {after:?}");
            return Err(LaneError::failed(text));
        }
    };
    transcript.event(&event.field("left", is).field("outcome", format_args!("{:?}", report.outcome)));
    Ok(false)
}

fn full_disk(_: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let expected = HISTORY.into_iter().fold(Contents::default(), |contents, step| contents.after(step));
    for at in 0.. {
        let image = Image::default();
        let disk = Faulty::new(image.handle(), Counted::Writes, at, Fault::Fails(ErrorKind::StorageFull));
        let has_struck = disk.watch();
        let mut event = Event::new("full").field("at", at);
        let opened = Wal::open_on(disk, options());
        if let Err(error) = &opened {
            transcript.event(&event.field("step", "open").field("error", chain(error.clone())));
            Wal::open_on(image.handle(), options()).map_err(chain).map_err(LaneError::failed)?;
            continue;
        }
        let (wal, _) = opened?;
        for (number, step) in HISTORY.into_iter().enumerate() {
            if let Err(error) = perform(&wal, step) {
                event = event.field("step", number).field("error", error);
                perform(&wal, step).map_err(|error| LaneError::failed(format!("repeated: {error}")))?;
            }
        }
        // A close that finds no room for its mark says so; nothing is lost by it.
        if let Err(error) = wal.close() {
            event = event.field("step", "close").field("error", chain(error));
        }
        let (mut wal, _) = Wal::open_on(image.handle(), options())?;
        let found = Contents::of(&mut wal)?;
        if found != expected {
            return Err(LaneError::failed(format!("full at {at}: {found:?} instead of {expected:?}")));
        }
        if !has_struck() {
            break;
        }
        transcript.event(&event);
    }
    Ok(())
}
