use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::chaos::CheckFailure;
use crate::fault::{FaultEvent, FaultFamily};
use crate::kernel::NodeId;
use crate::report::Timeline;
use crate::time::SimTime;
use crate::trace::{TaskId, TraceEvent, Traced};
use crate::world::{SimWorld, WorldConfig};

/// Two nodes, of which one goes down while a message is under way to it; with what might break a page in its texts.
fn some_run() -> Timeline {
    let (a, b) = (Some(NodeId(0)), Some(NodeId(1)));
    let sent = |message, to| Traced::Sent { message, connection: Some(1), to, bytes: 64, digest: 5 };
    let what = [
        (0, a, Traced::NodeBooted { boot: 0 }),
        (0, b, Traced::NodeBooted { boot: 0 }),
        (1_000, a, Traced::TaskPolled),
        (1_500, a, Traced::Connecting { connection: 1, to: b }),
        (2_000, a, sent(1, b)),
        (2_001, a, sent(2, b)),
        (700_123, b, Traced::Delivered { message: 1, digest: 5 }),
        (800_000, b, Traced::Fault { family: FaultFamily::Crash }),
        (800_000, b, Traced::NodeDown),
        (800_001, a, Traced::Dropped { message: 2 }),
        (900_000, a, Traced::Note { name: "leader".into(), value: "</script><b>&\"{{DATA}}".into() }),
        (1_900_000, b, Traced::NodeBooted { boot: 1 }),
        (1_950_000, None, Traced::CheckFailed { name: "acked stays".into() }),
    ];
    let event = |(number, (time, node, what))| TraceEvent {
        number,
        time: SimTime::from_nanos(time),
        node,
        task: Some(TaskId(3)),
        what,
    };
    let fault = FaultEvent {
        time: SimTime::from_nanos(800_000),
        family: FaultFamily::Crash,
        node: b,
        detail: "with 2 tasks".into(),
    };
    let failure = CheckFailure {
        name: "acked stays".into(),
        detail: "key 7 is gone".into(),
        site: None,
        time: None,
        node: None,
    };
    Timeline {
        title: "a <run> & {{DATA}} more".into(),
        seed: u64::MAX,
        end: SimTime::from_nanos(2_000_000),
        nodes: vec!["alpha".into(), "beta".into()],
        events: (0..).zip(what).map(event).collect(),
        faults: vec![fault],
        failures: vec![failure],
    }
}

/// The fields that the format's description asks for, by phase.
#[test]
fn perfetto_is_given_what_its_format_asks_for() {
    let trace: Value = serde_json::from_str(&some_run().to_perfetto()).unwrap();
    assert_eq!(trace["displayTimeUnit"], "ns");
    assert_eq!(trace["otherData"]["seed"], "18446744073709551615");
    let events = trace["traceEvents"].as_array().unwrap();
    let (mut phases, mut threads) = (BTreeMap::<&str, usize>::new(), BTreeSet::new());
    for event in events {
        let phase = event["ph"].as_str().unwrap();
        *phases.entry(phase).or_default() += 1;
        assert!(event["name"].is_string() && event["pid"].is_u64() && event["tid"].is_u64(), "{event}");
        let thread = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
        match phase {
            "M" if event["name"] == "thread_name" => drop(threads.insert(thread)),
            "M" => {}
            "X" => assert!(event["ts"].is_number() && event["dur"].is_number() && event["cat"].is_string()),
            "s" | "f" => assert!(event["ts"].is_number() && event["id"].is_u64() && event["bp"] == "e"),
            other => panic!("{other}"),
        }
        assert!(phase == "M" || threads.contains(&thread), "a thread without a name: {event}");
    }
    // 13 events; states: alpha up, beta up, down and up again.
    assert_eq!((phases["X"], phases["s"], phases["f"]), (13 + 4, 1, 1));
    let named =
        |name: &str| events.iter().find(|event| event["name"] == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(named("crash: with 2 tasks")["ts"].as_f64(), Some(800.0));
    assert_eq!(named("message 1 comes (0000000000000005)")["ts"].as_f64(), Some(700.123));
    assert_eq!(named("acked stays: key 7 is gone")["args"]["event"], 12);
    let down = named("down");
    assert_eq!((down["ts"].as_f64(), down["dur"].as_f64()), (Some(800.0), Some(1_100.0)));
    // The end of a flow lies at the slice that it ends in.
    let end = events.iter().find(|event| event["ph"] == "f").unwrap();
    let come = named("message 1 comes (0000000000000005)");
    assert_eq!((&end["ts"], &end["pid"], &end["tid"]), (&come["ts"], &come["pid"], &come["tid"]));
}

#[test]
fn the_page_is_whole_and_asks_for_nothing() {
    let page = some_run().to_html();
    assert!(page.contains("<title>a &lt;run&gt; &amp; {{DATA}} more</title>"));
    for mark in ["src=", "href=", "@import", "url(", "http:", "https:", "fetch(", "XMLHttpRequest", "{{TITLE"]
    {
        assert!(!page.contains(mark), "{mark}");
    }
    let (_, rest) = page.split_once(r#"<script type="application/json" id="data">"#).unwrap();
    let (data, _) = rest.split_once("</script>").unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["lanes"], serde_json::json!(["test", "alpha", "beta"]));
    // The poll is not shown.
    assert_eq!((data["marks"].as_array().unwrap().len(), data["total"].as_u64()), (12, Some(13)));
    assert_eq!(data["marks"][9][4], "leader: </script><b>&\"{{DATA}}");
    assert_eq!(
        data["marks"][11],
        serde_json::json!([12, 1_950_000, 0, 0, "acked stays: key 7 is gone", 3, null])
    );
    assert_eq!(page.matches("</script>").count(), 2);
}

#[test]
fn a_dump_says_what_each_task_waits_for() {
    let world = SimWorld::with_config(WorldConfig::new(1));
    let node = world.add_node("alpha", "10.0.0.1".parse().unwrap());
    let time = *world.providers(node).time();
    world.spawn(Some(node), "sleeper", async move {
        samestep_provider_traits::TimeProvider::sleep(&time, std::time::Duration::from_secs(1)).await;
    });
    world.spawn(None, "stuck", std::future::pending::<()>());
    world.run_until(SimTime::from_nanos(1));
    let dump = world.task_dump();
    let lines: Vec<_> = dump.lines().collect();
    assert_eq!(lines.len(), 2, "{dump}");
    assert!(lines[0].starts_with(r#"task 0 "sleeper" of alpha, started at "#), "{dump}");
    assert!(lines[0].contains("report/tests.rs:") && lines[0].contains("polled 1 times"), "{dump}");
    assert!(lines[0].ends_with("waits for a timer until 1.000000000s"), "{dump}");
    assert!(lines[1].starts_with("task 1 \"stuck\", started at "), "{dump}");
    assert!(lines[1].ends_with("waits for something of its own"), "{dump}");
}
