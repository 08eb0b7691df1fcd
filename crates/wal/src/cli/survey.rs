//! A look at all of a log, also at one that another process appends to, rotates and prunes meanwhile.
//!
//! A log in use has no moment at which all of it can be read. So each look tells whether the log moved under it, and
//! what looked like damage is looked at again: what is told in the end was there in every look.

use std::collections::BTreeMap;
use std::io;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Failed, Outcome};
use crate::disk::Disk;
use crate::error::OpenError;
use crate::format::BLOCK_BYTES;
use crate::log::Log;
use crate::op::{FileName, Op};
use crate::opening::Opening;
use crate::options::{Options, TailModel};
use crate::read_only::ReadOnlyDisk;
use crate::report::RecoveryReport;
use crate::verify::{Depth, Finding, Problem, SegmentImage, Severity, Summary, Verify};

/// A log's directory, which others may change meanwhile.
pub(super) trait Source: Disk {
    /// Whether some process has the log open now.
    fn is_in_use(&mut self) -> io::Result<bool>;
}

impl Source for ReadOnlyDisk {
    fn is_in_use(&mut self) -> io::Result<bool> {
        crate::read_only::is_in_use(self.dir())
    }
}

/// What a run over all files told.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) summary: Summary,
    pub(super) findings: Vec<Finding>,
    /// Some process had the log open, before, after or meanwhile.
    pub(super) is_in_use: bool,
    /// How often the log was read.
    pub(super) looks: u32,
}

impl Survey {
    pub(super) fn outcome(&self) -> Outcome {
        let is_unreadable = |finding: &Finding| matches!(finding.problem, Problem::Unreadable(_));
        if self.findings.iter().any(is_unreadable) {
            Outcome::Disk
        } else if self.findings.iter().any(|finding| finding.severity() > Severity::Note) {
            Outcome::Findings
        } else {
            Outcome::Sound
        }
    }

    pub(super) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity() == severity).count()
    }
}

/// One look.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) summary: Summary,
    pub(super) findings: Vec<Finding>,
    pub(super) motion: Motion,
}

/// A segment as a look meets it.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) segment: SegmentImage,
    pub(super) summary: &'a Summary,
    /// The log was in use when the look began.
    pub(super) is_in_use: bool,
}

/// Whether anybody changed the log while it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Motion {
    /// Nobody had it open.
    Still,
    /// It was in use, and read as one in use.
    Expected,
    /// It was opened meanwhile, and read as if nobody could change it: all that was found means nothing.
    Surprising,
}

/// What was seen in a log that moves, look by look.
#[derive(Debug, Default)]
pub(super) struct Suspicions {
    /// What every look found that was made so far; none was made yet if there is nothing.
    lasting: Option<Vec<Finding>>,
}

impl Suspicions {
    /// Takes in what one more look found, and forgets what was there before and is not now.
    pub(super) fn narrow(&mut self, findings: &[Finding]) {
        let is_suspicious = |finding: &&Finding| finding.severity() > Severity::Note;
        let found = findings.iter().filter(is_suspicious);
        self.lasting = Some(match self.lasting.take() {
            None => found.cloned().collect(),
            Some(mut lasting) => {
                lasting.retain(|old| findings.iter().any(|new| is_same(old, new)));
                lasting
            }
        });
    }

    /// What every look found.
    pub(super) fn lasting(&self) -> &[Finding] {
        self.lasting.as_deref().unwrap_or_default()
    }
}

fn is_same(a: &Finding, b: &Finding) -> bool {
    (a.file, a.offset) == (b.file, b.offset) && a.problem.to_string() == b.problem.to_string()
}

/// Reads the log in `source` and hands each segment to `visit`, again from the first if the log is read again.
pub(super) fn survey(
    source: &mut impl Source,
    depth: Depth,
    mut visit: impl FnMut(SegmentImage, &Summary) -> Result<(), Failed>,
) -> Result<Survey, Failed> {
    let mut suspicions = Suspicions::default();
    let mut looks = 0;
    loop {
        let Look { summary, mut findings, motion } =
            look(source, depth, |_, seen| visit(seen.segment, seen.summary))?;
        looks += 1;
        let is_in_use = motion != Motion::Still;
        if motion == Motion::Expected {
            suspicions.narrow(&findings);
            findings.retain(|finding| {
                finding.severity() == Severity::Note
                    || suspicions.lasting().iter().any(|lasting| is_same(lasting, finding))
            });
        }
        let survey = Survey { summary, findings, is_in_use, looks };
        let is_told = match motion {
            Motion::Still => true,
            Motion::Expected => survey.outcome() == Outcome::Sound || looks >= LOOKS_MAX,
            Motion::Surprising => looks >= LOOKS_MAX,
        };
        match (is_told, motion) {
            (true, Motion::Surprising) => return Err(Failed::InUse),
            (true, _) => return Ok(survey),
            (false, _) => {}
        }
    }
}

/// Reads the log in `source` once.
pub(super) fn look<S: Source>(
    source: &mut S,
    depth: Depth,
    mut visit: impl FnMut(&mut S, Seen<'_>) -> Result<(), Failed>,
) -> Result<Look, Failed> {
    let is_in_use = source.is_in_use()?;
    let bounds = bounds(source);
    let mut verify = Verify::new(depth, TailModel::Sector);
    if is_in_use {
        verify = verify.while_in_use();
    }
    let mut findings = Vec::new();
    let bar = progress_bar();
    while let Some(mut op) = verify.poll_op() {
        let outcome = source.perform(&mut op);
        verify.handle_completion(op, outcome)?;
        while let Some(finding) = verify.poll_finding() {
            findings.push(finding);
        }
        bar.set_length(verify.summary().bytes);
        if let Some(segment) = verify.take_segment() {
            bar.inc(segment.bytes.len() as u64);
            visit(source, Seen { segment, summary: verify.summary(), is_in_use })?;
        }
    }
    bar.finish_and_clear();
    let motion = if is_in_use {
        Motion::Expected
    } else if source.is_in_use()? || self::bounds(source) != bounds {
        Motion::Surprising
    } else {
        Motion::Still
    };
    Ok(Look { summary: verify.summary().clone(), findings, motion })
}

/// What an opening would do.
#[derive(Debug)]
pub(super) enum Opened {
    Succeeds(Box<(Log, RecoveryReport)>),
    IsRefused(OpenError),
    /// The log moved with every look, and no two looks were refused alike.
    IsUnknown,
}

/// Follows an opening up to its decisions, without doing what it then would. What refuses it in a log that moves is
/// told only if it does so at every look.
pub(super) fn dry_open(source: &mut impl Source, tail: TailModel) -> Result<Opened, Failed> {
    let mut refusals = BTreeMap::new();
    for _ in 0..LOOKS_MAX {
        let before = (source.is_in_use()?, bounds(source));
        let error = match dry_open_once(source, tail) {
            Ok(opened) => return Ok(Opened::Succeeds(Box::new(opened))),
            Err(error) => error,
        };
        if !before.0 && before == (source.is_in_use()?, bounds(source)) {
            return Ok(Opened::IsRefused(error));
        }
        refusals.insert(error.to_string(), error);
    }
    Ok(match refusals.pop_first() {
        Some((_, error)) if refusals.is_empty() => Opened::IsRefused(error),
        _ => Opened::IsUnknown,
    })
}

fn dry_open_once(source: &mut impl Source, tail: TailModel) -> Result<(Log, RecoveryReport), OpenError> {
    let mut opening = Opening::new(Options { tail, ..Options::default() })?;
    while let Some(mut op) = opening.poll_op() {
        let outcome = source.perform(&mut op);
        opening.handle_completion(op, outcome)?;
    }
    opening.finish()
}

/// What `wal.meta` says. Whoever opens a log, rotates or closes it writes that anew before anything is trimmed or
/// removed, so it tells of a log that was opened and closed between two questions whether it is in use.
fn bounds(source: &mut impl Source) -> Option<Vec<u8>> {
    let file = FileName::Meta;
    source.perform(&mut Op::Open { file }).ok()?;
    let mut op = Op::ReadAt { file, offset: 0, buf: vec![0; 2 * BLOCK_BYTES] };
    let outcome = source.perform(&mut op);
    // Nothing was written through it.
    let _closed = source.perform(&mut Op::Close { file });
    match (outcome, op) {
        (Ok(_), Op::ReadAt { buf, .. }) => Some(buf),
        _ => None,
    }
}

/// A bar on a terminal, nothing elsewhere.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    ProgressBar::new(0).with_style(style.expect("the template is right"))
}

/// How often a log that moves is read.
const LOOKS_MAX: u32 = 8;
