//! What is said about the lanes: pure text.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use samestep_replay_traits::Seed;

use crate::compare::Excerpt;
use crate::lock::Entry;
use crate::tally::{Divergence, Finding, Group, LockCheck, RunFailure, Verdict};
use crate::variation::{Variation, differences};

/// What is known of a lane when all its runs are in.
#[derive(Debug)]
pub(crate) struct LaneReport {
    pub(crate) name: String,
    pub(crate) seed: Seed,
    pub(crate) verdict: Verdict,
    pub(crate) run_count: u32,
    pub(crate) run_mean: Duration,
    /// The files in which transcripts or output were kept.
    pub(crate) kept: Vec<PathBuf>,
}

/// What a report needs to know of the run that it reports on.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The command that runs these lanes.
    pub(crate) command: String,
    /// The lock file, which need not exist.
    pub(crate) lock_path: PathBuf,
    /// How many CPUs the workers may use.
    pub(crate) cpu_count: usize,
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
            Verdict::Caught { transcript_count, is_at_least } => {
                let at_least = if *is_at_least { "at least " } else { "" };
                format!(
                    "caught   {name}  {each}, {at_least}{transcript_count} different transcripts, as it must\n"
                )
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
            let mut command = format!("{} --lane {} --seed {}", setting.command, self.name, self.seed);
            for variation in variations {
                write!(command, " --variation {variation}").expect(WRITES);
            }
            writeln!(text, "  repeat: {command}").expect(WRITES);
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

/// What the check amounts to: numbers of lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) held: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
    pub(crate) caught: usize,
    pub(crate) not_compared: usize,
}

impl Summary {
    /// Counts one lane.
    pub(crate) fn handle_verdict(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Held { compared, .. } => {
                self.held += 1;
                self.not_compared += usize::from(matches!(compared, LockCheck::OtherSeed { .. }));
            }
            Verdict::Caught { .. } => self.caught += 1,
            Verdict::Skipped { .. } => self.skipped += 1,
            Verdict::Failed(_) => self.failed += 1,
        }
    }

    /// Whether the check has shown what it is there to show: all is as expected, and differences are noticed.
    pub(crate) fn has_held(&self, choice: Choice) -> bool {
        self.failed == 0 && (self.caught > 0 || choice == Choice::Repeat)
    }

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

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A check.
    Check,
    /// Single iterations again, to look into a mismatch. No canary stands beside them.
    Repeat,
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

fn headline(finding: &Finding) -> String {
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
    let [left_drawn, right_drawn] = [left, right].map(|number| Variation::draw(number, setting.cpu_count));
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

const WRITES: &str = "a String takes every write";

#[cfg(test)]
mod tests;
