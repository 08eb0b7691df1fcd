//! The decisions of opening, from what was read.

use std::collections::VecDeque;

use samestep_replay_traits::Index;

use super::{Found, Opening, Whole, fresh};
use crate::error::{Damage, DamageKind, OpenError};
use crate::format::{
    BLOCK_BYTES, BLOCK_END, FLAG_PREV_TRUNCATES, HeaderRead, SegmentHeader, to_u64, to_usize,
};
use crate::frame::{FRAME_HEADER_BYTES, FrameKey};
use crate::id::{LogId, Lsn, SegmentId};
use crate::log::{Active, Log, Rehomed, RotationRequest, Sealed, Start};
use crate::op::{FileName, Op};
use crate::recover::{Recovered, Stop, Tail, proves_activation, recover};
use crate::report::{OpenOutcome, RecoveryReport, TailFound};

pub(super) fn decide(mut opening: Opening) -> Result<(Log, RecoveryReport), OpenError> {
    let Some(log_id) = expected_log_id(&opening) else { return Err(OpenError::NotFound) };
    check_log_ids(&opening, log_id)?;
    let discard = take_leftover(&mut opening, log_id)?;
    let removals = take_pruned(&mut opening);
    let meta_is_whole = is_meta_whole(&opening);
    let Some((newest, Whole { bytes, nonzero_end })) = opening.newest.take() else {
        if let Some(meta) = opening.meta.best {
            return Err(Damage::new(meta.highest, DamageKind::Missing).into());
        }
        if opening.options.log_id.is_none() {
            return Err(OpenError::NotFound);
        }
        let mut report = report(&opening, OpenOutcome::Created, TailFound::Empty);
        report.discarded_segment = discard;
        report.is_meta_rebuilt = false;
        return Ok((fresh(opening.options, log_id, discard, meta_is_whole), report));
    };
    let headers = check_segments(&opening, newest)?;
    let header = headers.last().expect("the newest segment has one");
    let promised = opening.meta.best.map_or(Lsn::default(), |meta| meta.durable);
    let recovered = recover(&bytes, nonzero_end, header, promised, opening.options.tail);
    let recovered = recovered.map_err(|stop| match stop {
        Stop::Damage(damage) => OpenError::Corrupt(damage),
        Stop::Ambiguous { offset, bytes } => OpenError::AmbiguousTail { segment: newest, offset, bytes },
    })?;
    let live_first = live_first(&opening, &headers, &recovered, newest)?;
    let sealed = sealed_segments(&headers);
    // Where it names the newest segment, that segment's header is never written over again.
    let meta_is_stale = !opening.meta.intact || !meta_is_whole || !is_named(&opening, newest);
    let tail = match recovered.tail {
        Tail::Zero => TailFound::Empty,
        Tail::StrayBit => TailFound::StrayBit,
        Tail::Torn => TailFound::Torn,
    };
    let outcome = if recovered.is_clean() { OpenOutcome::Clean } else { OpenOutcome::Recovered };
    let mut report = report(&opening, outcome, tail);
    report.dropped_bytes = recovered.nonzero_end.saturating_sub(recovered.end);
    report.rehomed_entries = recovered.view.next_index().get() - recovered.rehome_from.get();
    report.first_index = live_first;
    report.next_index = recovered.view.next_index();
    report.segment_count = headers.len();
    report.removed_segments = removals.len() / 2;
    report.discarded_segment = discard;
    let (active, requested) = continue_from(&bytes, header, &recovered);
    let start = Start {
        log_id,
        sealed,
        active,
        states: recovered.states,
        snapshot: recovered.snapshot,
        live_first,
        renewals: renewals(&opening, newest),
        requested,
        discard,
        removals,
        meta_next_sequence: opening.meta.best.map_or(0, |meta| meta.sequence + 1),
        meta_file_exists: meta_is_whole,
        meta_is_stale,
        meta_durable: opening.meta.best.filter(|_| !meta_is_stale).map(|meta| meta.durable),
    };
    Ok((Log::new(opening.options, start), report))
}

/// The log's identity: the caller's, or else the one that most of the files agree on.
fn expected_log_id(opening: &Opening) -> Option<LogId> {
    let of_header = |found: &Found| match &found.header {
        HeaderRead::Valid(header) => Some(header.log_id),
        _ => None,
    };
    let of_meta = opening.meta.best.map(|meta| meta.log_id);
    opening.options.log_id.or(of_meta).or_else(|| opening.found.values().find_map(of_header))
}

fn check_log_ids(opening: &Opening, expected: LogId) -> Result<(), OpenError> {
    let wrong = |file, found| OpenError::WrongLog { file, expected, found };
    if let Some(meta) = opening.meta.best.filter(|meta| meta.log_id != expected) {
        return Err(wrong(FileName::Meta, meta.log_id));
    }
    for (&id, found) in &opening.found {
        match &found.header {
            HeaderRead::Valid(header) if header.log_id != expected => {
                return Err(wrong(FileName::Segment(id), header.log_id));
            }
            HeaderRead::Newer { min_reader } => {
                return Err(OpenError::Version { segment: id, min_reader: *min_reader });
            }
            HeaderRead::Valid(header) if header.id != id => {
                return Err(Damage::new(id, DamageKind::Order).into());
            }
            HeaderRead::Valid(_) | HeaderRead::Zero | HeaderRead::Bad => {}
        }
    }
    Ok(())
}

/// Decides what a newest file without a valid header is: a segment that was never activated, which goes, or one
/// that lost its header, which is damage.
fn take_leftover(opening: &mut Opening, log_id: LogId) -> Result<Option<SegmentId>, OpenError> {
    let Some((id, Whole { bytes, nonzero_end })) = opening.leftover.take() else { return Ok(None) };
    let found = opening.found.remove(&id).expect("it was read");
    let damage = || OpenError::from(Damage::new(id, DamageKind::SegmentHeader));
    if is_named(opening, id) {
        return Err(damage());
    }
    if proves_activation(&bytes, nonzero_end, &FrameKey::new(log_id, id)) {
        return Err(damage());
    }
    // Nothing in a segment is acknowledged before an intact `wal.meta` names it. Without one, a header that is
    // whole but for one bit was surely in use.
    if !opening.meta.intact && one_flip_heals(&found.block) {
        return Err(damage());
    }
    Ok(Some(id))
}

/// Removes from consideration the segments that `wal.meta` says are pruned, and names their files.
fn take_pruned(opening: &mut Opening) -> Vec<FileName> {
    let Some(meta) = opening.meta.best else { return Vec::new() };
    let kept = opening.found.split_off(&meta.lowest);
    let pruned = std::mem::replace(&mut opening.found, kept);
    pruned.into_keys().flat_map(|id| [FileName::Segment(id), FileName::Sidecar(id)]).collect()
}

/// Checks that the segments are all there, in order, and fit together. Returns their headers.
fn check_segments(opening: &Opening, newest: SegmentId) -> Result<Vec<SegmentHeader>, OpenError> {
    let damage = |id, kind| OpenError::from(Damage::new(id, kind));
    let Some(&lowest) = opening.found.keys().next() else {
        // `wal.meta` says that all there is was pruned, and what it says is there is not.
        return Err(damage(opening.meta.best.map_or(newest, |meta| meta.highest), DamageKind::Missing));
    };
    if let Some(meta) = opening.meta.best {
        if meta.highest > newest {
            return Err(damage(meta.highest, DamageKind::Missing));
        }
        if opening.meta.intact && meta.lowest < lowest {
            return Err(damage(meta.lowest, DamageKind::Missing));
        }
    }
    let mut headers: Vec<SegmentHeader> = Vec::new();
    let mut expected = lowest;
    let mut previous_bytes = 0;
    for (&id, found) in &opening.found {
        if id != expected {
            return Err(damage(expected, DamageKind::Missing));
        }
        let HeaderRead::Valid(header) = &found.header else {
            return Err(damage(id, DamageKind::SegmentHeader));
        };
        match headers.last() {
            Some(previous) => check_neighbours(previous, previous_bytes, header)?,
            None if id == SegmentId::FIRST && (header.prev_end, header.base_lsn.get()) != (0, 0) => {
                return Err(damage(id, DamageKind::Order));
            }
            None => {}
        }
        headers.push(header.clone());
        previous_bytes = found.bytes;
        expected = id.next();
    }
    let capacity = headers.last().expect("there is a newest segment").capacity;
    if previous_bytes != capacity {
        return Err(Damage { offset: previous_bytes, ..Damage::new(newest, DamageKind::Length) }.into());
    }
    Ok(headers)
}

fn check_neighbours(old: &SegmentHeader, old_bytes: u64, new: &SegmentHeader) -> Result<(), OpenError> {
    let follows = new.base_lsn.get() == old.base_lsn.get() + new.prev_end
        && new.prev_end >= old.head_end
        && new.prev_end <= old.capacity;
    if !follows {
        return Err(Damage::new(new.id, DamageKind::Order).into());
    }
    if old_bytes < new.prev_end {
        return Err(Damage { offset: old_bytes, ..Damage::new(old.id, DamageKind::Length) }.into());
    }
    Ok(())
}

fn live_first(
    opening: &Opening,
    headers: &[SegmentHeader],
    recovered: &Recovered,
    newest: SegmentId,
) -> Result<Index, OpenError> {
    let of_meta = opening.meta.best.map(|meta| meta.live_first);
    let of_headers = headers.iter().map(|header| header.live_first).max();
    // Without `wal.meta` pruned segments are gone all the same, and the log starts with the oldest file.
    let of_oldest = headers.first().map(|header| header.first_index);
    let first = of_meta.max(of_headers).max(of_oldest.filter(|_| !opening.meta.intact));
    let first = first.expect("there is a newest segment");
    if first > recovered.view.next_index() {
        return Err(Damage::new(newest, DamageKind::Sequence).into());
    }
    Ok(first)
}

fn is_meta_whole(opening: &Opening) -> bool {
    opening.meta_bytes >= to_u64(2 * BLOCK_BYTES)
}

/// Whether `wal.meta` says that the segment was activated.
fn is_named(opening: &Opening, id: SegmentId) -> bool {
    opening.meta.best.is_some_and(|meta| meta.highest >= id)
}

/// What is believed though only the cache may hold it, to be written where it was read, byte for byte.
///
/// If the barrier of a write failed, the write is seen until the power is cut and is on no medium, and a barrier that
/// succeeds later says nothing of it. All that opening believes was durable when something else that is believed was
/// written, but for two things: the last slot of `wal.meta`, and a header that `wal.meta` does not know of.
fn renewals(opening: &Opening, newest: SegmentId) -> VecDeque<Op> {
    let mut ops = VecDeque::new();
    let mut renew = |file, offset, block: &[u8]| {
        ops.push_back(Op::WriteAt { file, offset, buf: block.to_vec() });
        ops.push_back(Op::SyncData { file });
    };
    if !is_named(opening, newest) {
        renew(FileName::Segment(newest), 0, &opening.found[&newest].block);
    }
    // In its own slot: the other one holds the value before, which is durable. A file that is too short is made anew.
    if let Some(meta) = opening.meta.best.filter(|_| is_meta_whole(opening)) {
        renew(FileName::Meta, meta.slot_offset(), &opening.meta_block);
    }
    ops
}

/// Every segment but the newest, as the header behind it describes it.
fn sealed_segments(headers: &[SegmentHeader]) -> VecDeque<Sealed> {
    let mut sealed = VecDeque::new();
    let mut live_end = Index::new(u64::MAX);
    for pair in headers.windows(2).rev() {
        let [old, new] = pair else { continue };
        live_end = live_end.min(new.first_index);
        sealed.push_front(Sealed {
            id: old.id,
            first_index: old.first_index,
            live_end,
            end: new.prev_end,
            end_chain: new.prev_chain,
            start_chain: old.prev_chain,
            truncates: new.flags & FLAG_PREV_TRUNCATES != 0,
        });
    }
    sealed
}

/// Continues the newest segment where it ends, or seals it at its proven end and asks for a new one.
fn continue_from(
    bytes: &[u8],
    header: &SegmentHeader,
    recovered: &Recovered,
) -> (Active, Option<RotationRequest>) {
    let is_clean = recovered.is_clean();
    let (view, end, chain) = if is_clean {
        (&recovered.view, recovered.end, recovered.end_chain)
    } else {
        (&recovered.proven_view, recovered.proven, recovered.proven_chain)
    };
    let active = Active {
        base_lsn: header.base_lsn,
        capacity: header.capacity,
        prev_chain: header.prev_chain,
        ends_with_mark: recovered.ends_with_mark,
        evidence_end: if is_clean { 0 } else { recovered.nonzero_end },
        ..Active::durable_until(header.id, header.log_id, view.clone(), end, chain)
    };
    if is_clean {
        return (active, None);
    }
    let key = FrameKey::new(header.log_id, header.id);
    let indices = recovered.rehome_from.get()..recovered.view.next_index().get();
    let rehomed = indices.map(|index| rehome(bytes, recovered, &key, Index::new(index))).collect();
    let first_index = Some(recovered.rehome_from);
    (active, Some(RotationRequest { first_index, rehomed, is_recovery: true, ..RotationRequest::default() }))
}

fn rehome(bytes: &[u8], recovered: &Recovered, key: &FrameKey, index: Index) -> Rehomed {
    let offset = recovered.view.offset_of(index).expect("the entry is live");
    assert!(offset >= recovered.proven, "what is proven stays where it is");
    let frame = key.decode(offset, &bytes[to_usize(offset)..]).expect("the scan read this frame");
    let payload = &bytes[to_usize(offset) + FRAME_HEADER_BYTES..];
    Rehomed {
        aux: frame.header.aux,
        slot: frame.header.slot,
        payload_crc: frame.header.payload_crc,
        payload: payload[..to_usize(u64::from(frame.header.payload_bytes))].to_vec(),
    }
}

/// Whether the block is a valid header but for one flipped bit.
fn one_flip_heals(block: &[u8]) -> bool {
    let mut block = block.to_vec();
    (0..block.len().min(to_usize(BLOCK_END)) * 8).any(|bit| {
        // Past the fields only a bit that is set can be the one.
        if bit >= 128 * 8 && block[bit / 8] & (1 << (bit % 8)) == 0 {
            return false;
        }
        block[bit / 8] ^= 1 << (bit % 8);
        let is_valid = matches!(SegmentHeader::decode(&block), HeaderRead::Valid(_));
        block[bit / 8] ^= 1 << (bit % 8);
        is_valid
    })
}

fn report(opening: &Opening, outcome: OpenOutcome, tail: TailFound) -> RecoveryReport {
    RecoveryReport {
        outcome,
        tail,
        dropped_bytes: 0,
        rehomed_entries: 0,
        first_index: opening.options.first_index,
        next_index: opening.options.first_index,
        segment_count: 0,
        removed_segments: 0,
        discarded_segment: None,
        is_meta_rebuilt: !opening.meta.intact,
    }
}
