//! What is said about the lanes on a terminal: pure text.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::compare::Excerpt;
use crate::lock::Entry;
use crate::report::{Choice, Judged, LaneReport, Setting, Summary, WRITES};
use crate::tally::{Divergence, Finding, Group, LockCheck, RunFailure, Verdict};
use crate::variation::differences;

/// The whole report: each lane, where the time went, and what it amounts to.
pub(crate) fn render(judged: &Judged<'_>) -> String {
    let mut text: String = judged.lanes.iter().map(|lane| lane.render(&judged.setting)).collect();
    text.push_str(&judged.render_end());
    text
}

impl Judged<'_> {
    /// Where the time went, and what all amounts to: what stands behind the lanes.
    pub(crate) fn render_end(&self) -> String {
        render_times(self) + &self.summary.render(self.record.choice(), self.record.wall())
    }
}

/// Where the time went: the slowest lanes, down to a fiftieth of the whole each.
fn render_times(judged: &Judged<'_>) -> String {
    let whole = judged.record.busy();
    let job_count: usize = judged.record.parts.iter().map(|part| part.machine.job_count).sum();
    let mut lanes: Vec<_> = judged.lanes.iter().map(|lane| (lane.busy(), lane.name.as_str())).collect();
    lanes.sort_unstable_by(|left, right| right.cmp(left));
    let slow_count = lanes.iter().take_while(|(busy, _)| *busy * SHARE_SHOWN > whole).count();
    let (slow, rest) = lanes.split_at(slow_count);
    let mut text =
        format!("where the time went: {:.1} s of runs, {job_count} side by side\n", whole.as_secs_f64());
    let mut write = |busy: Duration, name: &str| {
        let percent = 100.0 * busy.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
        writeln!(text, "  {:>8.1} s  {percent:>3.0} %  {name}", busy.as_secs_f64()).expect(WRITES);
    };
    for (busy, name) in slow {
        write(*busy, name);
    }
    if !rest.is_empty() {
        write(rest.iter().map(|(busy, _)| *busy).sum(), &format!("{} others", rest.len()));
    }
    text
}

impl LaneReport {
    /// The lane in one line, and behind it what is wrong with it.
    pub(crate) fn render(&self, setting: &Setting) -> String {
        let Self { name, run_count, seed, .. } = self;
        let each = format!("{run_count} runs, {} each", Milliseconds(self.run_mean));
        match &self.verdict {
            Verdict::Held { entry: Entry { line_count, digest, .. }, compared } => {
                let lock = match compared {
                    LockCheck::Equal => String::new(),
                    LockCheck::Blessed => ", to be locked".to_owned(),
                    LockCheck::OtherSeed { locked } => {
                        format!("; NOT compared with the lock file: seed {seed} here, {locked} there")
                    }
                };
                format!("held     {name}  {each}, {line_count} lines, digest {digest}{lock}\n")
            }
            Verdict::Caught { transcript_count } => {
                format!("caught   {name}  {each}, {transcript_count} different transcripts, as it must\n")
            }
            Verdict::Skipped { reason } => format!("skipped  {name}  {reason}\n"),
            Verdict::Failed(finding) => {
                let mut text = format!("FAILED   {name}  {}\n", headline(finding));
                writeln!(text, "  seed {seed}, {each}").expect(WRITES);
                self.details(finding, setting, &mut text);
                for (at, path) in self.kept.iter().enumerate() {
                    let label = if at == 0 { "kept:" } else { "" };
                    writeln!(text, "  {label:<8}{}", path.display()).expect(WRITES);
                }
                text
            }
        }
    }

    fn details(&self, finding: &Finding, setting: &Setting, text: &mut String) {
        let write_repeat = |text: &mut String, variations: &[u32]| {
            writeln!(text, "  repeat: {}", setting.repeat(&self.name, self.seed, variations)).expect(WRITES);
        };
        match finding {
            Finding::Diverged(divergence) => {
                write_divergence(divergence, setting, text);
                write_repeat(text, &[divergence.first.variation, divergence.second.variation]);
            }
            Finding::NotAsLocked { found, locked, .. } => {
                let Setting { command, lock_path, .. } = setting;
                write_entry("locked", locked, text);
                write_entry("found", found, text);
                let advice =
                    "The runs agree with each other, so this is no flake: the lane does something else";
                writeln!(text, "  {advice}\n  than when {} was signed off.", lock_path.display())
                    .expect(WRITES);
                let bless = format!("{command} --lane {} --bless", self.name);
                writeln!(text, "  if that is meant: {bless}").expect(WRITES);
            }
            Finding::NotLocked { found } => {
                write_entry("found", found, text);
                let Setting { command, lock_path, .. } = setting;
                let path = lock_path.display();
                writeln!(text, "  to add it to {path}: {command} --lane {} --bless", self.name)
                    .expect(WRITES);
            }
            Finding::Run { variation, failure: RunFailure { output_tail, .. } } => {
                if output_tail.is_empty() {
                    text.push_str("  it printed nothing\n");
                } else {
                    text.push_str("  the end of what it printed:\n");
                    output_tail.lines().for_each(|line| writeln!(text, "    | {line}").expect(WRITES));
                }
                write_repeat(text, &[*variation]);
            }
            Finding::SkippedInSome { variation, ran_variation, reason, .. } => {
                writeln!(text, "  reason given: {reason}").expect(WRITES);
                write_surroundings(*ran_variation, *variation, setting, text);
                write_repeat(text, &[*ran_variation, *variation]);
            }
            Finding::SkipRefused { .. } | Finding::Empty | Finding::CanaryAgreed { .. } | Finding::NoRun => {}
        }
    }
}

impl Summary {
    /// All counts in one line, and what the reader must not overlook.
    pub(crate) fn render(&self, choice: Choice, time: Duration) -> String {
        let Self { held, failed, skipped, caught, not_compared } = self;
        let mut text = format!(
            "{}: {held} held, {failed} failed, {skipped} skipped, {caught} canaries \
             caught, in {:.1} s\n",
            if self.has_held(choice) { "same" } else { "NOT THE SAME" },
            time.as_secs_f64(),
        );
        if *not_compared > 0 {
            writeln!(text, "note: {not_compared} lanes were not compared with the lock file").expect(WRITES);
        }
        if *caught == 0 {
            text.push_str(
                "note: no canary was caught, so nothing shows that a difference would be noticed\n",
            );
        }
        text
    }
}

/// What to say if the kernel lays out all processes alike, or `None` if it does not.
pub(crate) fn layout_note(randomize_va_space: Option<&str>, personality: Option<&str>) -> Option<String> {
    let cause = if randomize_va_space.map(str::trim) == Some("0") {
        "/proc/sys/kernel/randomize_va_space is 0"
    } else if personality.and_then(|hex| u32::from_str_radix(hex.trim(), 16).ok())? & ADDR_NO_RANDOMIZE != 0 {
        "this process was started with ADDR_NO_RANDOMIZE"
    } else {
        return None;
    };
    Some(format!(
        "note: {cause}: address layouts differ less from run to run than they do elsewhere \
         (each heap is still stirred before the lane runs)"
    ))
}

/// What is wrong, in one line.
pub(crate) fn headline(finding: &Finding) -> String {
    match finding {
        Finding::Diverged(_) => "two runs wrote different transcripts".to_owned(),
        Finding::NotAsLocked { .. } => "the transcript is not the one in the lock file".to_owned(),
        Finding::NotLocked { .. } => "the lock file has no line for it".to_owned(),
        Finding::Run { variation, failure } => format!("iteration {variation} {}", failure.what),
        Finding::Empty => "an empty transcript: a lane that says nothing proves nothing".to_owned(),
        Finding::CanaryAgreed { run_count } => {
            format!("a canary whose {run_count} runs agree: the comparison, or the canary, is broken")
        }
        Finding::SkippedInSome { skipped_count, variation, ran_variation, .. } => format!(
            "{skipped_count} runs were skipped (the first is iteration {variation}) and others not (iteration \
             {ran_variation})"
        ),
        Finding::SkipRefused { reason } => format!("skipped where SAMESTEP_REQUIRE=all forbids it: {reason}"),
        Finding::NoRun => "not one run was made".to_owned(),
    }
}

fn write_divergence(divergence: &Divergence, setting: &Setting, text: &mut String) {
    let Divergence { first, second, difference, rest_count } = divergence;
    let (Group { variation: left, run_count: left_count, .. }, Group { variation: right, .. }) =
        (first, second);
    let right_count = second.run_count;
    write!(
        text,
        "  {left_count} runs wrote what iteration {left} did, {right_count} what iteration {right} did"
    )
    .expect(WRITES);
    writeln!(text, ", {rest_count} something else").expect(WRITES);
    writeln!(text, "  the first line that differs is line {}:", difference.line_number).expect(WRITES);
    for group in [first, second] {
        let excerpt = Excerpt::new(&group.text, *difference);
        write!(text, "  iteration {}\n{excerpt}", group.variation).expect(WRITES);
    }
    write_surroundings(*left, *right, setting, text);
}

fn write_surroundings(left: u32, right: u32, setting: &Setting, text: &mut String) {
    let [left_drawn, right_drawn] = [left, right].map(|number| setting.surroundings(number));
    writeln!(text, "  what differed around them (iteration {left} / iteration {right})").expect(WRITES);
    for line in differences(&left_drawn, &right_drawn) {
        writeln!(text, "    {line}").expect(WRITES);
    }
    text.push_str(
        "    and in any two processes: hash seeds, addresses, process ids, folder names, wall time\n",
    );
}

fn write_entry(label: &str, entry: &Entry, text: &mut String) {
    let Entry { seed, line_count, digest } = entry;
    writeln!(text, "  {label:<8}seed {seed}, {line_count} lines, digest {digest}").expect(WRITES);
}

/// The file name in which the transcript or output of one iteration is kept.
pub(crate) fn kept_path(folder: &Path, lane: &str, variation: u32, what: &str) -> PathBuf {
    folder.join(lane).join(format!("iteration-{variation}.{what}.txt"))
}

struct Milliseconds(Duration);

impl std::fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} ms", self.0.as_secs_f64() * 1e3)
    }
}

/// The bit of Linux's personality(2) that turns random layouts off.
const ADDR_NO_RANDOMIZE: u32 = 0x0004_0000;

/// Lanes that take less than this part of the whole are told together.
const SHARE_SHOWN: u32 = 50;

#[cfg(test)]
mod tests;
