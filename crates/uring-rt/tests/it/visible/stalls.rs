//! A loop that stands still, and what is told of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use samestep_provider_traits::{Providers, TimeProvider};
use samestep_uring_rt::{Latency, Runtime, Shares, StallDetection, StallReport, TaskGroup};

use crate::shards::builders;

/// Computes until it is told to stop, and looks seldom whether it is. Ends by itself after some minutes at most.
#[inline(never)]
fn compute_for_long(stop: &AtomicBool) -> u64 {
    let mut number = 88_172_645_463_325_252_u64;
    for _ in 0..2_000_000 {
        let mut left = 50_000;
        while left > 0 {
            number ^= number << 13;
            number ^= number >> 7;
            number ^= number << 17;
            left -= 1;
        }
        if stop.load(Ordering::Relaxed) {
            return number;
        }
    }
    panic!("no report in {number} steps")
}

/// Reports come to the channel, and set the flag.
fn detection(bound: Duration) -> (StallDetection, mpsc::Receiver<StallReport>, Arc<AtomicBool>) {
    let (reports, for_reports) = mpsc::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let stops = Arc::clone(&stop);
    let detection = StallDetection::longer_than(bound).on_stall(move |report| {
        reports.send(report.clone()).unwrap();
        stops.store(true, Ordering::Relaxed);
    });
    (detection, for_reports, stop)
}

#[test]
fn a_task_that_computes_for_long_is_told_with_its_stack() {
    for builder in builders() {
        let root = tempfile::tempdir().unwrap();
        let (detection, reports, stop) = detection(Duration::from_millis(20));
        let runtime: Runtime = builder.stall_detection(detection).build().unwrap();
        let world = runtime.providers(root.path(), 1).unwrap();
        let tasks = world.task().clone();
        let bulk = tasks.create_queue("bulk", TaskGroup::ROOT, Shares::default(), Latency::NotImportant);
        runtime.block_on(async {
            let spins = tasks.spawn_into(bulk, "spins", async move { compute_for_long(&stop) });
            assert_ne!(spins.await.unwrap(), 0);
        });
        let report = reports.recv().unwrap();
        assert_eq!(report.task, Some(("spins".into(), "bulk".into())), "{report}");
        assert!(report.lasts >= Duration::from_millis(20), "{report}");
        let start = compute_for_long as *const () as usize;
        let is_inside = |address: usize| (start..start + 4096).contains(&address);
        assert!(report.stack.iter().any(|frame| is_inside(frame.address)), "{start:#x}: {report:?}");
        let this = std::env::current_exe().unwrap();
        let (file, offset) = report.stack[0].file.clone().unwrap();
        assert!(file == this.to_str().unwrap() && offset < start, "{report}");
        if cfg!(feature = "stall-symbols") {
            let is_named = |name: &String| name.contains("compute_for_long");
            assert!(report.stack.iter().flat_map(|frame| &frame.functions).any(is_named), "{report}");
        }
        assert!(runtime.stats().stalls > 0);
        runtime.shutdown().unwrap();
    }
}

/// The program that was given to `block_on` is told, too; and the thread goes on where it was.
#[test]
fn a_program_that_computes_for_long_is_told() {
    for builder in builders() {
        let (detection, reports, stop) = detection(Duration::from_millis(20));
        let runtime: Runtime = builder.stall_detection(detection).build().unwrap();
        assert_ne!(runtime.block_on(async { compute_for_long(&stop) }), 0);
        assert_eq!(reports.recv().unwrap().task, Some(("program".into(), "default".into())));
    }
}

/// A shard that has nothing to do stands still, and that is no stall; nor is it one when nobody runs it.
#[test]
fn sleep_is_no_stall() {
    for builder in builders() {
        let root = tempfile::tempdir().unwrap();
        let (detection, reports, _) = detection(Duration::from_millis(400));
        let runtime: Runtime = builder.stall_detection(detection).build().unwrap();
        let world = runtime.providers(root.path(), 1).unwrap();
        runtime.block_on(world.time().sleep(Duration::from_millis(1200)));
        let waited = reports.recv_timeout(Duration::from_millis(700));
        assert_eq!(waited, Err(mpsc::RecvTimeoutError::Timeout));
        assert_eq!(runtime.stats().stalls, 0);
    }
}

/// A signal that somebody handles is not taken from them.
#[test]
fn a_signal_that_is_handled_is_refused() {
    // Rust's own handler tells of stacks that are too deep.
    let segmentation_fault = 11;
    let detection = StallDetection::longer_than(Duration::from_secs(1)).signal(segmentation_fault);
    let refused = builders().remove(0).stall_detection(detection).build().unwrap_err();
    let source = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(source, "signal 11 has a handler already");
}
