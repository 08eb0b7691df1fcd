//! Emissions as canonical lines, with a hash over them.

use xxhash_rust::xxh64::{Xxh64, xxh64};

use crate::fingerprint::Fingerprint;
use crate::id::{Epoch, Seq, SubscriptionId};
use crate::notifier::{Delivery, DeliveryKind};

mod buffer;
mod escape;
mod head;
mod prefix;

use buffer::LineBuffer;
use escape::{ESCAPED_BYTES, put_escaped};
use head::{put_chunk, put_decimal};
use prefix::{Prefixes, Stream};

/// What one line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emission<'a> {
    /// What was subscribed to.
    pub fingerprint: Fingerprint,
    /// To whom. Not part of v1 lines.
    pub subscription: SubscriptionId,
    /// When it was emitted. Not part of v1 lines.
    pub epoch: Epoch,
    /// Its position.
    pub seq: Seq,
    /// Name of the event.
    pub event: &'a [u8],
    /// Keys and values, in any order; each key once.
    pub fields: &'a [Field<'a>],
}

/// A key and its value.
pub type Field<'a> = (&'a [u8], &'a [u8]);

/// Format of the lines. Complete by definition: docs/transcript-format.md specifies both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineVersion {
    /// `fingerprint|position|event|key=value|..`, bytes as they are: equal to SevenDB's lines byte for byte. Two
    /// different emissions may give one line, and a value may hold a line break.
    V1,
    /// `v2|fingerprint|subscription|epoch|position|event|key=value|..`, escaped: different emissions give different
    /// lines, and every line is printable ASCII.
    #[default]
    V2,
}

/// Which number a line tells as its position. Complete by definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Numbering {
    /// The event's own position. SevenDB: commit-index mode.
    #[default]
    Own,
    /// The place in the transcript, from 1, of the first so many emissions; later ones are left out. SevenDB:
    /// positional-first-N mode.
    FirstPlaces(u64),
}

/// Turns emissions into lines, one at a time, and hashes them as they go.
///
/// The lines are lent from one buffer, of some KiB or twice the longest of them: nothing is allocated per line.
///
/// ```
/// use samestep_emission::{Canonicalizer, Emission, Epoch, Fingerprint, LineVersion, Numbering, Seq, SubscriptionId};
///
/// let emission = Emission {
///     fingerprint: Fingerprint::new(424242),
///     subscription: SubscriptionId::new(1),
///     epoch: Epoch::new(1),
///     seq: Seq::new(1),
///     event: b"DATA",
///     fields: &[(b"delta", b"payload-1")],
/// };
/// let mut lines = Canonicalizer::new(LineVersion::V1, Numbering::Own);
/// assert_eq!(lines.line(&emission)?, Some(&b"424242|1|DATA|delta=payload-1"[..]));
/// assert_eq!(lines.digest(), 0x0bec_c155_7e8c_6273);
/// # Ok::<(), samestep_emission::DuplicateKey>(())
/// ```
#[derive(Clone)]
pub struct Canonicalizer {
    version: LineVersion,
    numbering: Numbering,
    /// Lines that are not hashed yet, and the last one; with their line breaks.
    buffer: LineBuffer,
    prefixes: Prefixes,
    /// Order of the fields of the last line.
    order: Vec<u32>,
    /// Over the lines before those in the buffer.
    hash: Xxh64,
    count: u64,
}

impl Canonicalizer {
    /// An empty transcript.
    pub fn new(version: LineVersion, numbering: Numbering) -> Self {
        let (buffer, prefixes, order) = (LineBuffer::default(), Prefixes::new(version), Vec::new());
        Self { version, numbering, buffer, prefixes, order, hash: Xxh64::new(0), count: 0 }
    }

    /// The line of `emission`, without its line break, or `None` if the numbering leaves it out.
    ///
    /// # Errors
    ///
    /// [`DuplicateKey`] if two fields have one key: their order would not be canonical. The transcript stays as it is.
    pub fn line(&mut self, emission: &Emission<'_>) -> Result<Option<&[u8]>, DuplicateKey> {
        let Some(number) = self.number(emission.seq) else { return Ok(None) };
        let is_sorted = emission.fields.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !is_sorted {
            self.sort(emission.fields)?;
        }
        self.begin(
            (emission.fingerprint, emission.subscription, emission.epoch),
            number,
            (b"|", 1),
            bytes_max(emission),
        );
        match self.version {
            LineVersion::V1 => self.put_rest(emission, is_sorted, LineBuffer::put),
            LineVersion::V2 => self.put_rest(emission, is_sorted, put_escaped),
        }
        Ok(Some(self.end()))
    }

    /// The line of `delivery`: event `DATA`, or `SNAPSHOT` in v2 if it is one, with its payload as field `delta`.
    pub fn delivery(&mut self, delivery: &Delivery<'_>) -> Option<&[u8]> {
        let number = self.number(delivery.seq)?;
        let Delivery { fingerprint, subscription, epoch, payload, .. } = *delivery;
        // SevenDB has no other event.
        let names = match (self.version, delivery.kind) {
            (LineVersion::V2, DeliveryKind::Snapshot) => (b"|SNAPSHOT|delta=", 16),
            _ => (b"|DATA|delta=    ", 12),
        };
        self.begin((fingerprint, subscription, epoch), number, names, 1 + ESCAPED_BYTES * payload.len());
        match self.version {
            LineVersion::V1 => self.buffer.put(payload),
            LineVersion::V2 => put_escaped(&mut self.buffer, payload),
        }
        Some(self.end())
    }

    /// The last line that was made, without its line break; `None` before the first.
    pub fn last_line(&self) -> Option<&[u8]> {
        self.buffer.last().split_last().map(|(_, line)| line)
    }

    /// XXH64 (seed 0) of the last line, without its line break.
    pub fn line_digest(&self) -> Option<u64> {
        self.last_line().map(|line| xxh64(line, 0))
    }

    /// XXH64 (seed 0) over all lines so far, each with a line break. May be asked for at any time.
    pub fn digest(&self) -> u64 {
        let mut hash = self.hash.clone();
        hash.update(self.buffer.as_bytes());
        hash.digest()
    }

    /// Number of lines so far.
    pub fn line_count(&self) -> u64 {
        self.count
    }

    /// The number that the next line tells, if there is one.
    #[inline]
    fn number(&self, seq: Seq) -> Option<u64> {
        match self.numbering {
            Numbering::Own => Some(seq.get()),
            Numbering::FirstPlaces(places) if self.count >= places => None,
            Numbering::FirstPlaces(_) => Some(self.count + 1),
        }
    }

    /// Begins a line of `stream`, up to and with the first so many bytes of `names`; at most `bytes_max` follow.
    #[inline]
    fn begin<const N: usize>(
        &mut self,
        stream: Stream,
        number: u64,
        names: (&[u8; N], usize),
        bytes_max: usize,
    ) {
        if self.buffer.as_bytes().len() >= HASHED_BYTES {
            self.hash.update(self.buffer.as_bytes());
            self.buffer.clear();
        }
        self.buffer.begin(bytes_max);
        let prefixes = &mut self.prefixes;
        self.buffer.put_head(|head| {
            let at = prefixes.put(head, stream);
            let at = put_decimal(head, at, number);
            put_chunk(head, at, names.0);
            at + names.1
        });
    }

    #[inline]
    fn put_rest(&mut self, emission: &Emission<'_>, is_sorted: bool, put: impl Fn(&mut LineBuffer, &[u8])) {
        put(&mut self.buffer, emission.event);
        for place in 0..emission.fields.len() {
            let (key, value) = emission.fields[self.place(place, is_sorted)];
            self.buffer.put_byte(b'|');
            put(&mut self.buffer, key);
            self.buffer.put_byte(b'=');
            put(&mut self.buffer, value);
        }
    }

    #[inline]
    fn end(&mut self) -> &[u8] {
        self.buffer.put_byte(b'\n');
        self.count += 1;
        let line = self.buffer.last();
        &line[..line.len() - 1]
    }

    #[inline]
    fn place(&self, place: usize, is_sorted: bool) -> usize {
        if is_sorted { place } else { self.order[place] as usize }
    }

    fn sort(&mut self, fields: &[Field<'_>]) -> Result<(), DuplicateKey> {
        self.order.clear();
        self.order.extend((0_u32..).take(fields.len()));
        self.order.sort_unstable_by_key(|&place| fields[place as usize].0);
        let is_twice = |pair: &[u32]| fields[pair[0] as usize].0 == fields[pair[1] as usize].0;
        match self.order.windows(2).find(|pair| is_twice(pair)) {
            Some(pair) => Err(DuplicateKey { place: pair[0].max(pair[1]) as usize }),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Canonicalizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canonicalizer")
            .field("version", &self.version)
            .field("numbering", &self.numbering)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// What event, fields and line break take at most in either version.
#[inline]
fn bytes_max(emission: &Emission<'_>) -> usize {
    let fields = emission.fields.iter().map(|(key, value)| 2 + ESCAPED_BYTES * (key.len() + value.len()));
    ESCAPED_BYTES * emission.event.len() + fields.sum::<usize>() + 1
}

/// Two fields of an emission have one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of field {place} stands there already")]
pub struct DuplicateKey {
    /// The later one of the two, counted from 0.
    pub place: usize,
}

/// So many bytes of lines are hashed at once.
const HASHED_BYTES: usize = 8 << 10;

#[cfg(test)]
mod tests;
