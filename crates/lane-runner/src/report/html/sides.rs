//! Two transcripts side by side, with the first line that differs in view.

use std::fmt::Write as _;

use crate::report::WRITES;
use crate::report::html::Escaped;
use crate::tally::Divergence;

/// Writes both as one table, so that they move together. What lies far from the difference is left out, and said.
pub(crate) fn write_sides(divergence: &Divergence, lane: &str, page: &mut String) {
    let Divergence { first, second, difference, rest_count } = divergence;
    let sides = [&first.text, &second.text].map(|text| text.split_terminator('\n').collect::<Vec<_>>());
    let line_count = sides.iter().map(Vec::len).max().unwrap_or_default();
    let marked = difference.line_number;
    let start = marked.saturating_sub(LINES_BEFORE).max(1);
    let end = line_count.max(marked).min(marked + LINES_AFTER);
    write!(
        page,
        "<p>The first line that differs is line {marked}. {rest_count} more runs wrote something else.</p>\n\
         <div class=\"scroll tall\" tabindex=\"0\" role=\"region\" aria-label=\"both transcripts of {}\">\n\
         <table class=\"sides\">\n<colgroup><col class=\"at\"><col><col></colgroup>\n<thead><tr>\
         <th scope=\"col\">Line</th>",
        Escaped(lane)
    )
    .expect(WRITES);
    for group in [first, second] {
        write!(page, "<th scope=\"col\">Iteration {} ({} runs)</th>", group.variation, group.run_count)
            .expect(WRITES);
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    write_gap(start - 1, "equal lines above", page);
    for number in start..=end {
        let class = if number == marked { " class=\"first\"" } else { "" };
        let label = if number == marked { "<span class=\"hidden\">first difference, </span>" } else { "" };
        write!(page, "<tr{class}><th scope=\"row\">{label}{number}</th>").expect(WRITES);
        for lines in &sides {
            let column = (number == marked).then_some(difference.column_bytes);
            write_line(lines.get(number - 1).copied(), column, page);
        }
        page.push_str("</tr>\n");
    }
    write_gap(line_count.saturating_sub(end), "further lines", page);
    page.push_str("</tbody>\n</table>\n</div>\n");
}

fn write_gap(count: usize, what: &str, page: &mut String) {
    if count > 0 {
        writeln!(
            page,
            "<tr><th scope=\"row\">..</th><td colspan=\"2\" class=\"none\">{count} {what}</td></tr>"
        )
        .expect(WRITES);
    }
}

/// One line of one side; `column` is where its first different byte stands.
fn write_line(line: Option<&str>, column: Option<usize>, page: &mut String) {
    let Some(line) = line else {
        page.push_str("<td class=\"none\">(the transcript ends here)</td>");
        return;
    };
    let cut = |at: usize| (0..=at.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    let column = column.map(cut);
    let start = cut(column.unwrap_or(0).saturating_sub(LINE_BYTES_MAX / 2));
    let end = cut(start + LINE_BYTES_MAX);
    let note = |count: usize| if count > 0 { format!("[{count} bytes]") } else { String::new() };
    let equal_end = column.unwrap_or(end);
    let (equal, different) = (Escaped(&line[start..equal_end]), Escaped(&line[equal_end..end]));
    write!(page, "<td>{}{equal}", note(start)).expect(WRITES);
    if column.is_some() {
        write!(page, "<mark>{different}</mark>").expect(WRITES);
    }
    write!(page, "{}</td>", note(line.len() - end)).expect(WRITES);
}

/// The kept files have everything; a page with a million rows opens nowhere.
const LINES_BEFORE: usize = 1000;
const LINES_AFTER: usize = 1000;
const LINE_BYTES_MAX: usize = 4000;
