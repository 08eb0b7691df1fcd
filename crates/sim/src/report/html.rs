//! One page of HTML with its data in it.

use serde_json::{Value, json};

use crate::report::Timeline;
use crate::report::mark::{Kind, Mark};

/// See [`Timeline::to_html`].
pub(super) fn page(timeline: &Timeline) -> String {
    let mut marks = timeline.marks();
    let total = marks.len();
    marks.retain(|mark| mark.kind != Kind::Timer && mark.text != "polled");
    let left_out = marks.len().saturating_sub(MARKS_MAX);
    marks.drain(..left_out);
    let data = json!({
        "title": timeline.title,
        "seed": timeline.seed.to_string(),
        "end": timeline.end.as_nanos(),
        "lanes": lanes(timeline),
        "kinds": Kind::ALL.map(Kind::name),
        "total": total,
        "leftOut": left_out,
        "marks": marks.iter().map(row).collect::<Vec<_>>(),
    });
    // Within a script element, only this sequence could end it.
    let data = data.to_string().replace('<', "\\u003c");
    let title = escaped(&timeline.title);
    // In the order in which the page has them, so that nothing that is filled in is looked at again.
    let parts = [
        ("{{TITLE}}", &*title),
        ("{{STYLE}}", STYLE),
        ("{{TITLE}}", &title),
        ("{{DATA}}", &data),
        ("{{SCRIPT}}", SCRIPT),
    ];
    let mut page = String::new();
    let mut rest = PAGE;
    for (mark, part) in parts {
        let (before, after) = rest.split_once(mark).expect("the page has each mark");
        page.push_str(before);
        page.push_str(part);
        rest = after;
    }
    page + rest
}

/// The test's lane first, then the nodes'.
fn lanes(timeline: &Timeline) -> Vec<&str> {
    [timeline.node_name(None)].into_iter().chain(timeline.nodes.iter().map(String::as_str)).collect()
}

/// Number, time in nanoseconds, lane, kind, text, task, message.
fn row(mark: &Mark) -> Value {
    let lane = mark.node.map_or(0, |node| node.0 + 1);
    let task = mark.task.map(|task| task.0);
    json!([mark.number, mark.time.as_nanos(), lane, mark.kind as u8, mark.text, task, mark.message])
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// More make the page slow.
const MARKS_MAX: usize = 100_000;
