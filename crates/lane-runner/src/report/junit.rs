//! JUnit XML, as CI viewers read it: a suite a crate, a test case a lane.
//!
//! The elements and attributes are those of the schema that Jenkins' xUnit plugin publishes, which GitLab,
//! Azure and the common GitHub actions read.

use std::fmt::Write as _;

use crate::report::escaped::Escaped;
use crate::report::{Judged, LaneReport, WRITES, headline};
use crate::tally::Verdict;

/// The file.
pub(crate) fn render(judged: &Judged<'_>) -> String {
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let all: Vec<&LaneReport> = judged.lanes.iter().collect();
    open("testsuites", "determinism", &all, &mut xml);
    let krate = |lane: &LaneReport| lane.name.split('/').next().unwrap_or_default().to_owned();
    for lanes in all.chunk_by(|left, right| krate(left) == krate(right)) {
        xml.push_str("  ");
        open("testsuite", &krate(lanes[0]), lanes, &mut xml);
        for lane in lanes {
            write_case(lane, judged, &mut xml);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn open(element: &str, name: &str, lanes: &[&LaneReport], xml: &mut String) {
    let count = |is_it: fn(&Verdict) -> bool| lanes.iter().filter(|lane| is_it(&lane.verdict)).count();
    writeln!(
        xml,
        "<{element} name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3}\">",
        Escaped(name),
        lanes.len(),
        count(|verdict| matches!(verdict, Verdict::Failed(_))),
        count(|verdict| matches!(verdict, Verdict::Skipped { .. })),
        lanes.iter().map(|lane| lane.busy().as_secs_f64()).sum::<f64>(),
    )
    .expect(WRITES);
}

fn write_case(lane: &LaneReport, judged: &Judged<'_>, xml: &mut String) {
    let (krate, scenario) = lane.name.split_once('/').unwrap_or(("", &lane.name));
    writeln!(
        xml,
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">",
        Escaped(krate),
        Escaped(scenario),
        lane.busy().as_secs_f64()
    )
    .expect(WRITES);
    let text = lane.render(&judged.setting);
    match &lane.verdict {
        Verdict::Failed(finding) => {
            let message = headline(finding);
            writeln!(
                xml,
                "      <failure type=\"determinism\" message=\"{}\">{}</failure>",
                Escaped(&message),
                Escaped(&text)
            )
        }
        Verdict::Skipped { reason } => writeln!(xml, "      <skipped message=\"{}\"/>", Escaped(reason)),
        Verdict::Held { .. } | Verdict::Caught { .. } => {
            writeln!(xml, "      <system-out>{}</system-out>", Escaped(&text))
        }
    }
    .expect(WRITES);
    xml.push_str("    </testcase>\n");
}
