//! Emissions as canonical lines, with a hash over them.

use xxhash_rust::xxh64::{Xxh64, xxh64};

use crate::fingerprint::Fingerprint;
use crate::id::{Epoch, Seq, SubscriptionId};
use crate::notifier::{Delivery, DeliveryKind};

mod buffer;
mod decimal;
mod escape;

use buffer::LineBuffer;
use decimal::{DIGITS_MAX, put_decimal};
use escape::{ESCAPED_BYTES, put_escaped};

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
/// The lines are lent from one buffer that grows to the longest of them: nothing is allocated per line.
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
    /// The last line, with its line break.
    buffer: LineBuffer,
    /// The last fingerprint and its digits: most often it is the next one's, too.
    fingerprint: (Fingerprint, LineBuffer),
    /// Order of the fields of the last line.
    order: Vec<u32>,
    hash: Xxh64,
    count: u64,
}

impl Canonicalizer {
    /// An empty transcript.
    pub fn new(version: LineVersion, numbering: Numbering) -> Self {
        let mut digits = LineBuffer::default();
        digits.begin(DIGITS_MAX);
        put_decimal(&mut digits, 0);
        let fingerprint = (Fingerprint::default(), digits);
        let (buffer, order) = (LineBuffer::default(), Vec::new());
        Self { version, numbering, buffer, fingerprint, order, hash: Xxh64::new(0), count: 0 }
    }

    /// The line of `emission`, without its line break, or `None` if the numbering leaves it out.
    ///
    /// # Errors
    ///
    /// [`DuplicateKey`] if two fields have one key: their order would not be canonical. The transcript stays as it is.
    pub fn line(&mut self, emission: &Emission<'_>) -> Result<Option<&[u8]>, DuplicateKey> {
        let number = match self.numbering {
            Numbering::Own => emission.seq.get(),
            Numbering::FirstPlaces(places) if self.count >= places => return Ok(None),
            Numbering::FirstPlaces(_) => self.count + 1,
        };
        let is_sorted = emission.fields.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !is_sorted {
            self.sort(emission.fields)?;
        }
        self.buffer.begin(bytes_max(emission));
        if self.fingerprint.0 != emission.fingerprint {
            self.fingerprint.0 = emission.fingerprint;
            self.fingerprint.1.begin(DIGITS_MAX);
            put_decimal(&mut self.fingerprint.1, emission.fingerprint.get());
        }
        match self.version {
            LineVersion::V1 => self.put_v1(emission, number, is_sorted),
            LineVersion::V2 => self.put_v2(emission, number, is_sorted),
        }
        self.buffer.put_byte(b'\n');
        self.hash.update(self.buffer.as_bytes());
        self.count += 1;
        Ok(self.last_line())
    }

    /// The line of `delivery`: event `DATA`, or `SNAPSHOT` in v2 if it is one, with its payload as field `delta`.
    pub fn delivery(&mut self, delivery: &Delivery<'_>) -> Option<&[u8]> {
        // SevenDB has no other event.
        let is_snapshot = delivery.kind == DeliveryKind::Snapshot && self.version == LineVersion::V2;
        let emission = Emission {
            fingerprint: delivery.fingerprint,
            subscription: delivery.subscription,
            epoch: delivery.epoch,
            seq: delivery.seq,
            event: if is_snapshot { b"SNAPSHOT" } else { b"DATA" },
            fields: &[(b"delta", delivery.payload)],
        };
        self.line(&emission).expect("one field has one key")
    }

    /// The last line that was made, without its line break; `None` before the first.
    pub fn last_line(&self) -> Option<&[u8]> {
        self.buffer.as_bytes().split_last().map(|(_, line)| line)
    }

    /// XXH64 (seed 0) of the last line, without its line break.
    pub fn line_digest(&self) -> Option<u64> {
        self.last_line().map(|line| xxh64(line, 0))
    }

    /// XXH64 (seed 0) over all lines so far, each with a line break. May be asked for at any time.
    pub fn digest(&self) -> u64 {
        self.hash.digest()
    }

    /// Number of lines so far.
    pub fn line_count(&self) -> u64 {
        self.count
    }

    #[inline]
    fn put_v1(&mut self, emission: &Emission<'_>, number: u64, is_sorted: bool) {
        self.buffer.put(self.fingerprint.1.as_bytes());
        self.buffer.put_byte(b'|');
        put_decimal(&mut self.buffer, number);
        self.buffer.put_byte(b'|');
        self.buffer.put(emission.event);
        for place in 0..emission.fields.len() {
            let (key, value) = emission.fields[self.place(place, is_sorted)];
            self.buffer.put_byte(b'|');
            self.buffer.put(key);
            self.buffer.put_byte(b'=');
            self.buffer.put(value);
        }
    }

    #[inline]
    fn put_v2(&mut self, emission: &Emission<'_>, number: u64, is_sorted: bool) {
        self.buffer.put(b"v2|");
        self.buffer.put(self.fingerprint.1.as_bytes());
        for number in [emission.subscription.get(), emission.epoch.get(), number] {
            self.buffer.put_byte(b'|');
            put_decimal(&mut self.buffer, number);
        }
        self.buffer.put_byte(b'|');
        put_escaped(&mut self.buffer, emission.event);
        for place in 0..emission.fields.len() {
            let (key, value) = emission.fields[self.place(place, is_sorted)];
            self.buffer.put_byte(b'|');
            put_escaped(&mut self.buffer, key);
            self.buffer.put_byte(b'=');
            put_escaped(&mut self.buffer, value);
        }
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

/// What a line of either version takes at most, its line break included.
#[inline]
fn bytes_max(emission: &Emission<'_>) -> usize {
    let fields = emission.fields.iter().map(|(key, value)| 2 + ESCAPED_BYTES * (key.len() + value.len()));
    // Four numbers with their bars, the version, and the line break.
    4 * (DIGITS_MAX + 1) + ESCAPED_BYTES * emission.event.len() + fields.sum::<usize>() + 4
}

/// Two fields of an emission have one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of field {place} stands there already")]
pub struct DuplicateKey {
    /// The later one of the two, counted from 0.
    pub place: usize,
}

#[cfg(test)]
mod tests;
