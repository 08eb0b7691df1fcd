//! What a repair would do: where it would cut, and what would go.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use samestep_replay_traits::Index;

use super::super::{Failed, Survey};
use crate::format::{BLOCK_BYTES, BLOCK_END, HeaderRead, SegmentHeader, nonzero_len, to_u64};
use crate::id::SegmentId;
use crate::op::FileName;
use crate::verify::{FrameKind, Problem, SegmentImage, Severity};
use crate::view::StateRecord;

/// What the segments hold, as far as a repair needs it.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) ends: BTreeMap<SegmentId, Ends>,
    pub(super) states: BTreeMap<u16, StateRecord>,
}

#[derive(Debug)]
pub(super) struct Ends {
    pub(super) header: Option<SegmentHeader>,
    pub(super) frames: Vec<(u64, u64, FrameKind, Index, bool)>,
    /// End of the bytes that mean something.
    pub(super) end: u64,
}

impl Found {
    pub(super) fn take(&mut self, segment: &SegmentImage) {
        let block = segment.bytes.get(..BLOCK_BYTES).unwrap_or_default();
        let header = match SegmentHeader::decode(block) {
            HeaderRead::Valid(header) if segment.is_valid => Some(header),
            _ => None,
        };
        for frame in segment.frames.iter().filter(|frame| frame.is_whole && frame.kind == FrameKind::State) {
            let payload = segment.payload(frame).to_vec();
            let record = StateRecord { index: frame.index, aux: frame.aux, payload };
            self.states.insert(frame.slot, record);
        }
        let frames = segment.frames.iter().map(|frame| {
            let end = frame.offset + crate::frame::frame_bytes(frame.payload_bytes);
            (frame.offset, end, frame.kind, frame.index, frame.has_more)
        });
        let nonzero = to_u64(nonzero_len(&segment.bytes));
        let end =
            if segment.end > BLOCK_END { nonzero.min(segment.end.max(segment.proven)) } else { nonzero };
        self.ends.insert(segment.id, Ends { header, frames: frames.collect(), end: end.max(BLOCK_END) });
    }
}

impl Ends {
    /// End of the last complete batch that ends at or before `limit`.
    fn whole_until(&self, limit: u64) -> u64 {
        let whole = self.frames.iter().filter(|(_, end, _, _, has_more)| *end <= limit && !has_more);
        whole.map(|(_, end, ..)| *end).max().unwrap_or(BLOCK_END)
    }
}

/// What a repair would do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) cut: Cut,
    /// Bytes of records that go.
    pub(super) bytes: u64,
    /// Whole entries that go.
    pub(super) entries: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    Nothing,
    /// The tail of the newest segment, by an opening that drops whatever is not proven.
    Tail {
        segment: SegmentId,
    },
    /// Everything from this byte on.
    At {
        segment: SegmentId,
        offset: u64,
    },
    /// Every segment before `first`.
    Front {
        first: SegmentId,
        /// First index of the log then.
        index: Index,
    },
}

/// Where damage is that a cut can take away.
#[derive(Debug, Default)]
pub(super) struct Damages {
    pub(super) first: Option<(SegmentId, u64)>,
    pub(super) last: Option<SegmentId>,
    /// A tail that cannot be classified, and its bytes.
    pub(super) ambiguous: Option<(SegmentId, u64)>,
}

impl Damages {
    pub(super) fn of(survey: &Survey) -> Result<Self, Failed> {
        let mut damages = Self::default();
        for finding in survey.findings.iter().filter(|finding| finding.severity() == Severity::Damage) {
            match (&finding.problem, finding.file) {
                (Problem::Damage(damage), Some(FileName::Segment(id))) => {
                    let place = (id, damage.offset);
                    damages.first = Some(damages.first.map_or(place, |first| first.min(place)));
                    damages.last = damages.last.max(Some(id));
                }
                (Problem::Ambiguous { bytes, .. }, Some(FileName::Segment(id))) => {
                    damages.ambiguous = Some((id, *bytes));
                }
                _ => return Err(Failed::Refused(format!("cannot be repaired by cutting: {finding}"))),
            }
        }
        Ok(damages)
    }
}

impl Plan {
    /// Keeps what is before the damage. What could be kept instead, `newest`, is named if nothing is there.
    pub(super) fn new(
        survey: &Survey,
        found: &Found,
        damages: &Damages,
        newest: Option<&Self>,
    ) -> Result<Self, Failed> {
        let Some((segment, offset)) = damages.first else {
            let cut = damages.ambiguous.map_or(Cut::Nothing, |(segment, _)| Cut::Tail { segment });
            return Ok(Self { cut, bytes: damages.ambiguous.map_or(0, |(_, bytes)| bytes), entries: 0 });
        };
        let (segment, offset) = whole_before(found, segment, offset, newest)?;
        let (mut bytes, mut entries) = (0, 0);
        for (&id, ends) in found.ends.range(segment..) {
            let from = if id == segment { offset } else { BLOCK_END };
            bytes += ends.end.saturating_sub(from);
            let is_entry =
                |frame: &&(u64, u64, FrameKind, Index, bool)| frame.0 >= from && frame.2 == FrameKind::Entry;
            entries += ends.frames.iter().filter(is_entry).count();
        }
        // What is gone with its file cannot be read, but `wal.meta` may tell how far the log once was durable.
        let position =
            found.ends[&segment].header.as_ref().map_or(0, |header| header.base_lsn.get() + offset);
        let (promised, highest) =
            survey.summary.meta.map_or((0, segment), |meta| (meta.durable.get(), meta.highest));
        let blocks = BLOCK_END.saturating_mul(highest.get().saturating_sub(segment.get()));
        let bytes = bytes.max(promised.saturating_sub(position).saturating_sub(blocks));
        Ok(Self { cut: Cut::At { segment, offset }, bytes, entries })
    }

    pub(super) fn print(&self, mut out: impl Write) -> io::Result<()> {
        match self.cut {
            Cut::Nothing => writeln!(out, "nothing to repair"),
            Cut::Tail { segment } => {
                writeln!(out, "segment {segment}: {} unproven bytes at its end would be dropped", self.bytes)
            }
            Cut::At { segment, offset } => {
                writeln!(out, "the log would end in segment {segment} at byte {offset}")?;
                let (bytes, entries) = (self.bytes, self.entries);
                writeln!(out, "lost: {bytes} bytes of records, {entries} readable entries among them")
            }
            Cut::Front { first, index } => {
                writeln!(out, "the log would begin with segment {first}, at entry {index}")?;
                let (bytes, entries) = (self.bytes, self.entries);
                writeln!(out, "lost: {bytes} bytes of records, {entries} readable entries among them")
            }
        }
    }
}

/// The last place at or before the damage up to which everything is whole.
fn whole_before(
    found: &Found,
    segment: SegmentId,
    offset: u64,
    newest: Option<&Plan>,
) -> Result<(SegmentId, u64), Failed> {
    if offset >= BLOCK_END
        && let Some(ends) = found.ends.get(&segment).filter(|ends| ends.header.is_some())
    {
        return Ok((segment, ends.whole_until(offset)));
    }
    // The header is gone, or the file: the log ends with the segment before.
    let before = segment.get().checked_sub(1).map(SegmentId::new);
    let before =
        before.and_then(|id| found.ends.get(&id).filter(|ends| ends.header.is_some()).map(|ends| (id, ends)));
    let Some((id, ends)) = before else {
        let mut what =
            format!("nothing before segment {segment} is left; restore the log from a backup or a replica");
        if let Some(Plan { bytes, .. }) = newest {
            // A string grows without fail.
            let _grown = write!(what, ", or give up {bytes} bytes with --keep newest");
        }
        return Err(Failed::Refused(what));
    };
    Ok((id, ends.whole_until(u64::MAX)))
}
