//! All runs of all lanes as a matrix, and what varied around them.

use std::fmt::Write as _;

use samestep_replay_traits::{Digest, Expectation};

use crate::record::Record;
use crate::report::WRITES;
use crate::report::html::Escaped;
use crate::tally::{End, Run};

/// Writes a row a lane and a column an iteration. Letters, not colours alone, tell transcripts apart.
pub(crate) fn write_matrix(record: &Record, page: &mut String) {
    let variations = record.variations();
    page.push_str(
        "<section aria-labelledby=\"matrix\">\n<h2 id=\"matrix\">Every run</h2>\n\
         <p class=\"keys\"><span>A: wrote what the first run did</span><span>B, C, ..: wrote something else</span>\
         <span>!: failed</span><span>s: skipped</span><span>-: not run</span></p>\n\
         <div class=\"scroll\">\n<table class=\"matrix\" role=\"grid\" aria-labelledby=\"matrix\" \
         aria-describedby=\"detail\">\n<thead><tr><th scope=\"col\">Lane</th>",
    );
    for (at, variation) in variations.iter().enumerate() {
        let class = if at % LABEL_EVERY == 0 { "" } else { " class=\"hidden\"" };
        write!(page, "<th scope=\"col\"><span{class}>{variation}</span></th>").expect(WRITES);
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for lane in &record.lanes {
        write!(page, "<tr><th scope=\"row\">{}</th>", Escaped(&lane.name)).expect(WRITES);
        let digests = lane.tally.digests();
        let mut runs = lane.tally.runs().iter().peekable();
        for variation in &variations {
            let run = runs.next_if(|run| run.variation == *variation);
            write_cell(run, &digests, lane.tally.expectation(), page);
        }
        page.push_str("</tr>\n");
    }
    page.push_str(
        "</tbody>\n</table>\n</div>\n<p class=\"detail\" id=\"detail\" aria-live=\"polite\">\
         Choose a run by pointer or arrow keys: what it did, and what its surroundings were, stands here.</p>\n</section>\n",
    );
}

fn write_cell(run: Option<&Run>, digests: &[Digest], expectation: Expectation, page: &mut String) {
    let Some(run) = run else {
        page.push_str(
            "<td role=\"gridcell\" tabindex=\"-1\" class=\"absent\" data-is=\"not run\"><span>-</span></td>",
        );
        return;
    };
    let milliseconds = std::time::Duration::from_nanos(run.time_ns).as_secs_f64() * 1e3;
    let (class, letter, what) = match &run.end {
        End::Failed(failure) => ("failed".to_owned(), '!', failure.what.clone()),
        End::Skipped { reason } => ("skipped".to_owned(), 's', format!("skipped: {reason}")),
        End::Wrote { digest } => {
            let at = digests.iter().position(|other| other == digest).unwrap_or_default();
            let letter = char::from(LETTERS[at.min(LETTERS.len() - 1)]);
            // A canary's many transcripts are no alarm.
            let class = match expectation {
                Expectation::Same => letter.min('E').to_ascii_lowercase().to_string(),
                Expectation::Differ => "e".to_owned(),
            };
            (class, letter, format!("transcript {letter}, digest {digest}"))
        }
    };
    write!(
        page,
        "<td role=\"gridcell\" tabindex=\"-1\" class=\"{class}\" data-is=\"{}, {milliseconds:.1} ms\">\
         <span>{letter}</span></td>",
        Escaped(&what)
    )
    .expect(WRITES);
}

/// Writes what differed from run to run, a row an iteration.
pub(crate) fn write_varied(record: &Record, page: &mut String) {
    page.push_str(
        "<section aria-labelledby=\"around\">\n<h2 id=\"around\">What varied</h2>\n\
         <p>In any two processes: hash seeds, addresses, process ids, folder names, wall time. Drawn from the number \
         of the iteration, and so repeatable with <code>--variation</code>:</p>\n<details>\n\
         <summary>The surroundings of each iteration</summary>\n\
         <div class=\"scroll tall\" tabindex=\"0\" role=\"region\" aria-labelledby=\"around\">\n\
         <table class=\"list\" id=\"varied\">\n<thead><tr><th scope=\"col\">Iteration</th>",
    );
    let variations = record.variations();
    let Some(first) = variations.first() else { return };
    for (what, _) in record.surroundings(*first).describe() {
        write!(page, "<th scope=\"col\">{}</th>", Escaped(what)).expect(WRITES);
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for variation in variations {
        write!(page, "<tr><th scope=\"row\">{variation}</th>").expect(WRITES);
        for (_, value) in record.surroundings(variation).describe() {
            write!(page, "<td>{}</td>", Escaped(&value)).expect(WRITES);
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n</div>\n</details>\n</section>\n");
}

const LABEL_EVERY: usize = 5;
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ+";
