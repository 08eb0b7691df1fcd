//! One page that opens anywhere: no network, no other file, and readable without its script.

mod matrix;
mod sides;

use std::fmt::{self, Write as _};
use std::time::Duration;

use samestep_replay_traits::Expectation;

use crate::record::Record;
use crate::report::escaped::Escaped;
use crate::report::html::matrix::{write_matrix, write_varied};
use crate::report::html::sides::write_sides;
use crate::report::{Judged, LaneReport, Setting, WRITES, headline};
use crate::tally::{Finding, LockCheck, Verdict};
use crate::variation::differences;

/// The page.
pub(crate) fn render(judged: &Judged<'_>) -> String {
    let mut page = String::new();
    let title = title(judged);
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        Escaped(&title)
    )
    .expect(WRITES);
    page.push_str("<a class=\"skip-link\" href=\"#lanes\">Skip to the lanes</a>\n");
    write_header(judged, &title, &mut page);
    page.push_str("<main>\n");
    write_failures(judged, &mut page);
    write_matrix(judged.record, &mut page);
    write_lanes(judged, &mut page);
    write_varied(judged.record, &mut page);
    write_machines(judged.record, &mut page);
    page.push_str("</main>\n<footer>Made by samestep-lane-runner.</footer>\n");
    write!(page, "<script>\n{SCRIPT}</script>\n</body>\n</html>\n").expect(WRITES);
    page
}

fn title(judged: &Judged<'_>) -> String {
    let summary = judged.summary;
    if summary.has_held(judged.record.choice()) {
        format!("Same: {} lanes held", summary.held)
    } else if summary.failed > 0 {
        format!("Not the same: {} of {} lanes failed", summary.failed, judged.lanes.len())
    } else {
        "Nothing shown: no canary was caught".to_owned()
    }
}

fn write_header(judged: &Judged<'_>, title: &str, page: &mut String) {
    let record = judged.record;
    let summary = judged.summary;
    let class = if summary.has_held(record.choice()) { "good" } else { "bad" };
    let shard = record.shard.map(|shard| format!(" Shard {shard} of a check.")).unwrap_or_default();
    let not_compared = match summary.not_compared {
        0 => String::new(),
        count => format!(" {count} lanes were not compared with the lock file."),
    };
    write!(
        page,
        "<header>\n<h1 class=\"{class}\">{}</h1>\n<p>{} held, {} failed, {} skipped, {} canaries caught. \
         {} iterations a lane; {} of runs in {}.{shard}{not_compared}</p>\n</header>\n",
        Escaped(title),
        summary.held,
        summary.failed,
        summary.skipped,
        summary.caught,
        record.variations().len(),
        Seconds(record.busy()),
        Seconds(record.wall()),
    )
    .expect(WRITES);
}

fn write_failures(judged: &Judged<'_>, page: &mut String) {
    let mut failed = judged.lanes.iter().filter(|lane| matches!(lane.verdict, Verdict::Failed(_))).peekable();
    if failed.peek().is_none() {
        return;
    }
    page.push_str("<section aria-labelledby=\"failed\">\n<h2 id=\"failed\">What failed</h2>\n");
    for lane in failed {
        write_failure(lane, &judged.setting, page);
    }
    page.push_str("</section>\n");
}

fn write_failure(lane: &LaneReport, setting: &Setting, page: &mut String) {
    let Verdict::Failed(finding) = &lane.verdict else { return };
    let name = Escaped(&lane.name);
    let id = lane.name.replace('/', "-");
    write!(
        page,
        "<article class=\"failure\" id=\"lane-{id}\" aria-labelledby=\"name-{id}\">\n\
         <h3 id=\"name-{id}\">{name}</h3>\n<p class=\"bad\">{}</p>\n",
        Escaped(&headline(finding))
    )
    .expect(WRITES);
    if let Finding::Diverged(divergence) = finding {
        write_sides(divergence, &lane.name, page);
        let [left, right] = [&divergence.first, &divergence.second].map(|group| group.variation);
        let around = differences(&setting.surroundings(left), &setting.surroundings(right));
        write!(
            page,
            "<details>\n<summary>What differed around iterations {left} and {right}</summary>\n<ul>\n"
        )
        .expect(WRITES);
        for line in around {
            writeln!(page, "<li>{}</li>", Escaped(&line)).expect(WRITES);
        }
        page.push_str(
            "<li>and in any two processes: hash seeds, addresses, process ids, folder names, wall time</li>\n\
             </ul>\n</details>\n",
        );
        let repeat = setting.repeat(&lane.name, lane.seed, &[left, right]);
        writeln!(page, "<p>Repeat: <code>{}</code></p>", Escaped(&repeat)).expect(WRITES);
    } else {
        let text = lane.render(setting);
        let below = text.split_once('\n').map_or("", |(_, below)| below);
        writeln!(page, "<pre tabindex=\"0\" aria-label=\"report on {name}\">{}</pre>", Escaped(below))
            .expect(WRITES);
    }
    page.push_str("</article>\n");
}

fn write_lanes(judged: &Judged<'_>, page: &mut String) {
    let whole = judged.record.busy();
    page.push_str(
        "<section aria-labelledby=\"lanes\">\n<h2 id=\"lanes\">Lanes, and where the time went</h2>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"lanes\">\n\
         <table class=\"list\">\n<thead><tr><th scope=\"col\">Lane</th><th scope=\"col\">Verdict</th>\
         <th scope=\"col\" class=\"number\">Runs</th><th scope=\"col\" class=\"number\">Each</th><th scope=\"col\" class=\"number\">In all</th>\
         <th scope=\"col\">Lines, digest</th></tr></thead>\n<tbody>\n",
    );
    for (lane, record) in judged.lanes.iter().zip(&judged.record.lanes) {
        let (class, verdict) = verdict_cell(&lane.verdict);
        let busy = record.tally.busy();
        let percent = 100.0 * busy.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
        writeln!(
            page,
            "<tr><th scope=\"row\"><strong>{}</strong><br><span class=\"quiet\">{}</span></th><td class=\"{class}\">{}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{:.1} ms</td><td class=\"number\">{}, {percent:.0} %\
             <span class=\"bar\" style=\"width:{percent:.1}%\"></span></td><td>{}</td></tr>",
            Escaped(&lane.name),
            Escaped(&record.about),
            Escaped(&verdict),
            lane.run_count,
            lane.run_mean.as_secs_f64() * 1e3,
            Seconds(busy),
            digest_cell(lane, record.tally.expectation()),
        )
        .expect(WRITES);
    }
    page.push_str("</tbody>\n</table>\n</div>\n</section>\n");
}

fn verdict_cell(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Held { compared: LockCheck::OtherSeed { locked }, .. } => {
            ("warn", format!("held; not compared with the lock file, which has seed {locked}"))
        }
        Verdict::Held { .. } => ("good", "held".to_owned()),
        Verdict::Caught { transcript_count } => {
            ("good", format!("caught, as it must: {transcript_count} different transcripts"))
        }
        Verdict::Skipped { reason } => ("warn", format!("skipped: {reason}")),
        Verdict::Failed(finding) => ("bad", format!("FAILED: {}", headline(finding))),
    }
}

fn digest_cell(lane: &LaneReport, expectation: Expectation) -> String {
    match (&lane.verdict, expectation) {
        (Verdict::Held { entry, .. }, Expectation::Same) => {
            format!("{}, <code>{}</code>", entry.line_count, entry.digest)
        }
        (Verdict::Failed(Finding::NotAsLocked { found, .. } | Finding::NotLocked { found }), _) => {
            format!("{}, <code>{}</code>", found.line_count, found.digest)
        }
        (Verdict::Failed(_), _) => format!("<a href=\"#lane-{}\">see above</a>", lane.name.replace('/', "-")),
        _ => String::new(),
    }
}

fn write_machines(record: &Record, page: &mut String) {
    page.push_str(
        "<section aria-labelledby=\"machines\">\n<h2 id=\"machines\">Machines</h2>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"machines\">\n\
         <table class=\"list\">\n<thead><tr><th scope=\"col\">Iterations</th><th scope=\"col\">Machine</th>\
         <th scope=\"col\">System</th><th scope=\"col\" class=\"number\">CPUs</th><th scope=\"col\" class=\"number\">Side by side</th>\
         <th scope=\"col\" class=\"number\">Took</th></tr></thead>\n<tbody>\n",
    );
    for part in &record.parts {
        writeln!(
            page,
            "<tr><td>{} to {}</td><td>{}</td><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td></tr>",
            part.first,
            part.end.saturating_sub(1),
            Escaped(&part.machine.name),
            Escaped(&part.machine.system),
            part.machine.cpu_count,
            part.machine.job_count,
            Seconds(Duration::from_nanos(part.wall_ns)),
        )
        .expect(WRITES);
    }
    page.push_str("</tbody>\n</table>\n</div>\n</section>\n");
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s", self.0.as_secs_f64())
    }
}

const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");
