//! The forms of the report, made from one record and read back.

use std::time::Duration;

use roxmltree::{Document, Node};
use samestep_replay_traits::{Expectation, Seed};

use super::{Judged, LaneReport, Setting, html, json, junit, text};
use crate::lock::Entry;
use crate::record::{FORMAT, LaneRecord, Machine, Part, Record};
use crate::shard::Shard;
use crate::tally::{Locked, Outcome, RunFailure, Skips, Tally};

const SEED: Seed = Seed::new(1);

/// What a lane may write, and what each form must be able to carry.
const NASTY: &str = "a<b>&\"quoted\"|]]>\ttab\r|\u{1b}[31m|\u{0}|\u{fffe}|caf\u{e9}";

fn lane(name: &str, expectation: Expectation, locked: Locked, outcomes: Vec<Outcome>) -> LaneRecord {
    let mut tally = Tally::new(expectation);
    for (variation, outcome) in (0..).zip(outcomes) {
        tally.handle_run(variation, outcome, Duration::from_millis(u64::from(variation) + 1));
    }
    LaneRecord { name: name.to_owned(), about: format!("about {NASTY}"), seed: SEED, locked, tally }
}

fn wrote(text: &str) -> Outcome {
    Outcome::Transcript(text.to_owned())
}

fn record() -> Record {
    let held = Locked::Entry(Entry::of(SEED, "a\n"));
    let failure = RunFailure { what: NASTY.into(), output_tail: NASTY.into() };
    let skipped = || Outcome::Skipped { reason: NASTY.into() };
    let (same, differ) = (Expectation::Same, Expectation::Differ);
    let lanes = vec![
        lane("canary/any", differ, Locked::Absent, vec![wrote("1\n"), wrote("2\n")]),
        lane("one/diverged", same, held, vec![wrote("a\n"), wrote(&format!("a\n{NASTY}\n"))]),
        lane("one/failed", same, held, vec![wrote("a\n"), Outcome::Failed(failure)]),
        lane("one/held", same, held, vec![wrote("a\n"), wrote("a\n")]),
        lane("two/other", same, held, vec![wrote("b\n"), wrote("b\n")]),
        lane("two/skipped", same, held, vec![skipped(), skipped()]),
    ];
    let machine = Machine { name: NASTY.into(), system: "linux".into(), cpu_count: 2, job_count: 2 };
    let part = Part {
        machine,
        command: "cargo xtask determinism".into(),
        lock_path: "determinism.lock".into(),
        first: 0,
        end: 2,
        wall_ns: 5_000_000,
    };
    let format = FORMAT.to_owned();
    Record {
        format,
        iterations: 2,
        repeated: Vec::new(),
        shard: None,
        skips: Skips::Allowed,
        parts: vec![part],
        lanes,
    }
}

fn with_judged<T>(record: &Record, render: impl FnOnce(&Judged<'_>) -> T) -> T {
    let lanes = record.lanes.iter();
    let lanes = lanes.map(|lane| LaneReport::new(lane, lane.judge(record.skips), Vec::new())).collect();
    render(&Judged::new(record, Setting::new(&record.parts), lanes))
}

#[test]
fn junit_reads_back() {
    let xml = with_judged(&record(), junit::render);
    let document = Document::parse(&xml).unwrap_or_else(|error| panic!("{error}\n{xml}"));
    let numbers = |node: Node<'_, '_>| {
        ["tests", "failures", "errors", "skipped"]
            .map(|key| node.attribute(key).unwrap().parse::<u32>().unwrap())
    };
    let root = document.root_element();
    assert_eq!((root.tag_name().name(), numbers(root)), ("testsuites", [6, 3, 0, 1]));
    let suites: Vec<_> = root.children().filter(Node::is_element).collect();
    let named: Vec<_> =
        suites.iter().map(|suite| (suite.attribute("name").unwrap(), numbers(*suite))).collect();
    assert_eq!(named, [("canary", [1, 0, 0, 0]), ("one", [3, 2, 0, 0]), ("two", [2, 1, 0, 1])]);

    let cases: Vec<_> = root.descendants().filter(|node| node.has_tag_name("testcase")).collect();
    let told = |case: &Node<'_, '_>| {
        let child = case.children().find(Node::is_element).unwrap();
        let name = format!("{}/{}", case.attribute("classname").unwrap(), case.attribute("name").unwrap());
        (name, child.tag_name().name().to_owned())
    };
    let told: Vec<_> = cases.iter().map(told).collect();
    let expected = [
        ("canary/any", "system-out"),
        ("one/diverged", "failure"),
        ("one/failed", "failure"),
        ("one/held", "system-out"),
        ("two/other", "failure"),
        ("two/skipped", "skipped"),
    ];
    assert_eq!(told, expected.map(|(name, tag)| (name.to_owned(), tag.to_owned())));
    let diverged = cases[1].children().find(Node::is_element).unwrap();
    assert_eq!(diverged.attribute("message"), Some("two runs wrote different transcripts"));
    let body = diverged.text().unwrap();
    assert!(body.contains("    >     2 | a<b>&\"quoted\"|]]>") && body.contains("caf\u{e9}"), "{body}");
    assert_eq!(cases[3].attribute("time"), Some("0.003"));
}

#[test]
fn json_reads_back_with_the_transcripts_of_failed_lanes() {
    let record = record();
    let text = with_judged(&record, json::render);
    let read: Record = serde_json::from_str(&text).unwrap();
    let mut expected = record.clone();
    for lane in [0, 3, 5] {
        expected.lanes[lane].tally.drop_texts();
    }
    assert_eq!(read, expected);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let verdicts: Vec<_> = (0..6).map(|at| value["lanes"][at]["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["caught", "failed", "failed", "held", "failed", "skipped"]);
    assert_eq!(value["summary"]["failed"], 3);
    assert_eq!(value["lanes"][3]["found"]["digest"], "ea7daf8b8b8e0899adea399fbae36cb2");
}

/// A shard cannot know what the others wrote, so it keeps what it wrote itself.
#[test]
fn json_of_a_shard_has_all_transcripts() {
    let mut record = record();
    record.shard = Some("1/2".parse::<Shard>().unwrap());
    let read: Record = serde_json::from_str(&with_judged(&record, json::render)).unwrap();
    assert_eq!(read, record);
}

#[test]
fn the_page_needs_nothing_else() {
    let page = with_judged(&record(), html::render);
    for outside in ["http:", "https:", "src=", "url(", "@import", "fetch("] {
        assert!(!page.contains(outside), "{outside} in\n{page}");
    }
    let nasty = "a&lt;b&gt;&amp;&quot;quoted&quot;|]]&gt;\\ttab\\r|\\u{1b}[31m|\\0|";
    assert!(page.contains(&format!("<mark>{nasty}")), "{page}");
    assert!(page.contains("<h1 class=\"bad\">Not the same: 3 of 6 lanes failed</h1>"), "{page}");
    let control = page.chars().find(|character| character.is_control() && *character != '\n');
    assert_eq!(control, None);
}

#[test]
fn the_text_says_where_the_time_went() {
    let text = with_judged(&record(), text::render);
    let end = &text[text.find("where the time went").unwrap()..];
    expect_test::expect![[r#"
        where the time went: 0.0 s of runs, 2 side by side
               0.0 s   17 %  two/skipped
               0.0 s   17 %  two/other
               0.0 s   17 %  one/held
               0.0 s   17 %  one/failed
               0.0 s   17 %  one/diverged
               0.0 s   17 %  canary/any
        NOT THE SAME: 1 held, 3 failed, 1 skipped, 1 canaries caught, in 0.0 s
    "#]]
    .assert_eq(end);
}
