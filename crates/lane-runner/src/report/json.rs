//! The record as JSON, with the verdicts that follow from it: for programs, and for `merge`.

use serde_json::{Value, json};

use crate::report::{Judged, headline};
use crate::tally::Verdict;

/// The file. Transcripts stand in it where a reader needs them: of lanes that failed, and in shards, since only
/// merging tells whether those of another shard differ.
pub(crate) fn render(judged: &Judged<'_>) -> String {
    let mut record = judged.record.clone();
    for (lane, report) in record.lanes.iter_mut().zip(&judged.lanes) {
        if record.shard.is_none() && !matches!(report.verdict, Verdict::Failed(_)) {
            lane.tally.drop_texts();
        }
    }
    let mut value = serde_json::to_value(&record).expect("a record is a tree of plain values");
    for (lane, report) in judged.lanes.iter().enumerate() {
        let of_lane = &mut value["lanes"][lane];
        let (verdict, why) = match &report.verdict {
            Verdict::Held { entry, .. } => {
                of_lane["found"] = json!(entry);
                ("held", None)
            }
            Verdict::Caught { .. } => ("caught", None),
            Verdict::Skipped { reason } => ("skipped", Some(reason.clone())),
            Verdict::Failed(finding) => ("failed", Some(headline(finding))),
        };
        of_lane["verdict"] = json!(verdict);
        of_lane["why"] = why.map_or(Value::Null, Value::String);
    }
    let summary = judged.summary;
    value["summary"] = json!({
        "has_held": summary.has_held(record.choice()),
        "held": summary.held,
        "failed": summary.failed,
        "skipped": summary.skipped,
        "caught": summary.caught,
        "not_compared": summary.not_compared,
    });
    let mut text = serde_json::to_string_pretty(&value).expect("a tree of plain values");
    text.push('\n');
    text
}
