//! Shows how far the runs are: a bar on a terminal, plain lines elsewhere.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "shown to people, by their clock")]

use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How far the runs are, on standard error; results go to standard output.
#[derive(Debug)]
pub(crate) enum Progress {
    /// On a terminal.
    Bar(ProgressBar),
    /// In CI and in files: a line now and then, so that nobody takes a long check for a hung one.
    Plain { last_line: Instant },
}

impl Progress {
    /// A bar if standard error is a terminal and `CI` is not set.
    pub(crate) fn new(lane_count: usize, total_count: usize) -> Self {
        if !io::stderr().is_terminal() || std::env::var_os("CI").is_some() {
            return Self::Plain { last_line: Instant::now() };
        }
        let template = "{wide_bar} {pos}/{len} runs of {prefix} lanes, {elapsed} ({eta} to go)";
        let style = ProgressStyle::with_template(template).expect("the template is well-formed");
        let bar = ProgressBar::new(total_count as u64).with_style(style).with_prefix(lane_count.to_string());
        bar.enable_steady_tick(TICK);
        Self::Bar(bar)
    }

    /// So many runs are done.
    pub(crate) fn handle_progress(&mut self, ended_count: usize, total_count: usize) {
        match self {
            Self::Bar(bar) => bar.set_position(ended_count as u64),
            Self::Plain { last_line } => {
                if last_line.elapsed() >= LINE_EVERY {
                    *last_line = Instant::now();
                    eprintln!("{ended_count} of {total_count} runs done");
                }
            }
        }
    }

    /// Prints a result.
    pub(crate) fn print(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.suspend(|| print(text)),
            Self::Plain { .. } => print(text),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// Prints to standard output. A reader that has gone away (`| head`) is no error: the exit code still counts.
pub(crate) fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

const TICK: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(10);
