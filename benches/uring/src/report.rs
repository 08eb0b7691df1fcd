//! Tables for people.

use std::time::Duration;

use crate::Result;
use crate::client::{P50, P99};
use crate::figures::{ENTERS, Figures};
use crate::rows::{ALL, ROWS, Row, Who};
use crate::tasks::{BYTES, LATE};

/// What is known of one who does a row.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) who: Who,
    pub(crate) rounds: Vec<Figures>,
    /// In user space, an operation; or why they could not be counted.
    pub(crate) instructions: Option<Result<f64>>,
    /// System calls an operation, likewise.
    pub(crate) calls: Option<Result<f64>>,
}

impl Measured {
    pub(crate) fn new(who: Who) -> Self {
        Self { who, rounds: Vec::new(), instructions: None, calls: None }
    }

    fn rates(&self) -> Vec<f64> {
        self.rounds.iter().map(|round| round.operations as f64 / round.wall.as_secs_f64()).collect()
    }

    fn processor_us(&self) -> Vec<f64> {
        self.rounds
            .iter()
            .map(|round| round.processor.as_secs_f64() * 1e6 / round.operations as f64)
            .collect()
    }

    fn more(&self, name: &str) -> Option<f64> {
        let value =
            |round: &Figures| round.more.iter().find(|(other, _)| other == name).map(|(_, value)| *value);
        median(self.rounds.iter().filter_map(value).collect())
    }
}

/// Says what is measured.
pub(crate) fn print_rows() {
    for row in ROWS {
        let who: Vec<String> =
            ALL.iter().filter(|who| row.work.is_done_by(**who)).map(ToString::to_string).collect();
        println!(
            "{:18} {}\n{:18} limit: {}\n{:18} {}",
            row.name,
            row.title,
            "",
            row.work.limit(),
            "",
            who.join(", ")
        );
    }
}

/// Prints the table of one row, as Markdown.
pub(crate) fn print_row(row: &Row, measured: &[Measured], elapsed: Duration) {
    println!(
        "\n**{}**: {}. Limit: {}. {:.0} s.\n",
        row.name,
        row.title,
        row.work.limit(),
        elapsed.as_secs_f64()
    );
    let unit = row.work.unit();
    let limit = measured.iter().find(|measured| measured.who == Who::Limit);
    let columns: [(String, Cell<'_>); 12] = [
        (format!("{unit}s/s"), &|of| median(of.rates()).map(count)),
        ("MB/s".to_owned(), &|of| Some(count(median(of.rates())? * row.work.bytes()? as f64 / 1e6))),
        ("min to max".to_owned(), &|of| {
            let mut rates = of.rates();
            rates.sort_by(f64::total_cmp);
            Some(format!("{} to {}", count(*rates.first()?), count(*rates.last()?)))
        }),
        ("of the limit".to_owned(), &|of| {
            let rates = of.rates();
            median(rates.iter().zip(limit?.rates()).map(|(own, limit)| own / limit).collect()).map(digits)
        }),
        (format!("CPU us/{unit}"), &|of| median(of.processor_us()).map(digits)),
        (format!("instructions/{unit}"), &|of| counted(of.instructions.as_ref(), count)),
        (format!("system calls/{unit}"), &|of| counted(of.calls.as_ref(), digits)),
        (format!("enters/{unit}"), &|of| of.more(ENTERS).map(digits)),
        ("late us".to_owned(), &|of| of.more(LATE).map(digits)),
        ("p50 us".to_owned(), &|of| of.more(P50).map(digits)),
        ("p99 us".to_owned(), &|of| of.more(P99).map(digits)),
        (format!("bytes/{unit}"), &|of| of.more(BYTES).map(count)),
    ];
    let shown: Vec<_> =
        columns.iter().filter(|(_, cell)| measured.iter().any(|measured| cell(measured).is_some())).collect();
    let titles: Vec<&str> = shown.iter().map(|(title, _)| title.as_str()).collect();
    println!("| | {} |\n|---|{}", titles.join(" | "), "---:|".repeat(shown.len()));
    for measured in measured {
        let cells: Vec<String> = shown.iter().map(|(_, cell)| cell(measured).unwrap_or_default()).collect();
        println!("| {} | {} |", measured.who.title(row.work), cells.join(" | "));
    }
}

/// Prints ours and the best of the peers, a line a row: medians of the ratios to the limit, of the time of the processor,
/// and of instructions.
pub(crate) fn print_summary(rows: &[(&Row, Vec<Measured>)]) {
    println!(
        "\n| | ours, of the limit | best peer | ours, CPU us | best peer | ours, instructions | best peer |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (row, measured) in rows {
        let limit = measured.iter().find(|measured| measured.who == Who::Limit);
        let ratio = |of: &Measured| {
            let rates = of.rates();
            median(rates.iter().zip(limit?.rates()).map(|(own, limit)| own / limit).collect())
        };
        let mut cells = pair(measured, &ratio, Better::More, digits);
        cells.extend(pair(measured, &|of| median(of.processor_us()), Better::Less, digits));
        let instructions = |of: &Measured| of.instructions.as_ref()?.as_ref().ok().copied();
        cells.extend(pair(measured, &instructions, Better::Less, count));
        println!("| {} | {} |", row.name, cells.join(" | "));
    }
}

/// Which figures are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Better {
    More,
    Less,
}

/// The better of ours, and the best of the others with its name.
fn pair(
    measured: &[Measured],
    figure: &dyn Fn(&Measured) -> Option<f64>,
    better: Better,
    show: fn(f64) -> String,
) -> Vec<String> {
    let best = |is_one: fn(Who) -> bool| {
        let figures =
            measured.iter().filter(|of| is_one(of.who)).filter_map(|of| Some((figure(of)?, of.who)));
        figures.reduce(|best, next| if (next.0 > best.0) == (better == Better::More) { next } else { best })
    };
    let ours = best(|who| matches!(who, Who::Ours | Who::OursOtherwise));
    let peer = best(|who| !matches!(who, Who::Ours | Who::OursOtherwise | Who::Limit | Who::Fio));
    vec![
        ours.map(|(value, _)| show(value)).unwrap_or_default(),
        peer.map(|(value, who)| format!("{} {who}", show(value))).unwrap_or_default(),
    ]
}

/// What a column shows of one who does a row.
type Cell<'a> = &'a dyn Fn(&Measured) -> Option<String>;

fn counted(counted: Option<&Result<f64>>, show: fn(f64) -> String) -> Option<String> {
    match counted? {
        Ok(value) => Some(show(*value)),
        Err(error) => Some(format!("no: {}", error.to_string().replace('|', "/"))),
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[half]),
        _ => Some(f64::midpoint(values[half - 1], values[half])),
    }
}

/// A whole number with separators.
fn count(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Three digits that matter.
fn digits(value: f64) -> String {
    match value {
        value if value >= 100.0 => count(value),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 0.1 || value == 0.0 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}
