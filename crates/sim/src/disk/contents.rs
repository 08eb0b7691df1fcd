//! The bytes of one file: those on the medium, and over them the sectors that were written and not synced.

use std::ops::Range;

use super::media::Media;

/// What a program sees of a file, and what of it is durable.
#[derive(Debug)]
pub(super) struct Contents {
    sector_bytes: usize,
    media: Media,
    /// The length that is durable. Bytes of the medium behind it are zeros.
    durable_len: u64,
    len: u64,
    /// The least length since the last sync.
    len_least: u64,
    /// From here on the medium's bytes were cut since the last sync, and read as zeros. A multiple of the sector.
    cut_from: u64,
    /// Sectors over the medium, by number.
    cached: Vec<Cached>,
    /// Sectors of the medium that cannot be read, by number.
    bad: Vec<u64>,
    /// How far room was taken on the device.
    room: u64,
}

/// A sector that was written and is not, or never will be, on the medium.
#[derive(Clone, Debug)]
pub(super) struct Cached {
    pub(super) sector: u64,
    pub(super) bytes: Box<[u8]>,
    /// The write that made it differ from the medium.
    pub(super) first_write: u64,
    /// The last write to it; sectors of one write share what a crash does to them.
    pub(super) last_write: u64,
    pub(super) fate: Fate,
}

/// What becomes of a sector when it is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It lands.
    Lands,
    /// One bit of it, counted from its start, is turned over on the way.
    Flipped { bit: u64 },
    /// It never lands, and nobody is told.
    Phantom,
    /// It lands so many sectors further, counted around the end of the file.
    Misdirected { sectors: u64 },
    /// A sync of it failed: it is never written, unless it is changed again.
    Lost,
}

/// A sector that a sync took off the cache.
#[derive(Debug)]
pub(super) struct Flushed {
    pub(super) sector: u64,
    pub(super) bytes: Box<[u8]>,
    pub(super) fate: Fate,
}

impl Contents {
    pub(super) fn new(sector_bytes: usize) -> Self {
        Self {
            sector_bytes,
            media: Media::new(sector_bytes),
            durable_len: 0,
            len: 0,
            len_least: 0,
            cut_from: u64::MAX,
            cached: Vec::new(),
            bad: Vec::new(),
            room: 0,
        }
    }

    /// Puts `bytes` at `offset`, as write number `write`, and lets the file grow.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], write: u64, fate: Fate, spare: &mut Spare) {
        self.put(offset, bytes, write, fate, spare);
        self.len = self.len.max(offset + bytes.len() as u64);
        self.room = self.room.max(self.len);
    }

    /// Cuts the file, or lets it grow by zeros. Gives the sectors that were cut to `spare`.
    pub(super) fn set_len(&mut self, len: u64, write: u64, spare: &mut Spare) {
        if len < self.len {
            let size = self.sector_bytes as u64;
            let end_of_sector = len.next_multiple_of(size);
            if !len.is_multiple_of(size) {
                // The rest of the last sector becomes zeros, as what is behind the end always is.
                let zeros = vec![0; to_index(end_of_sector.min(self.len) - len)];
                self.put(len, &zeros, write, Fate::Lands, spare);
            }
            let kept = self.cached.partition_point(|cached| cached.sector * size < end_of_sector);
            self.cached.drain(kept..).for_each(|cached| spare.give(cached.bytes));
            self.cut_from = self.cut_from.min(end_of_sector);
            self.room = self.room.min(len);
        }
        self.len = len;
        self.len_least = self.len_least.min(len);
    }

    /// Takes room on the device for all bytes before `len`.
    pub(super) fn reserve(&mut self, len: u64) {
        self.room = self.room.max(len);
    }

    /// Takes the sectors off the cache that were there at write number `write`, in order; they are to be put on
    /// the medium by [`Self::land`]. The length is durable from now on.
    pub(super) fn flush(&mut self, write: u64, flushed: &mut Vec<Flushed>) {
        self.make_length_durable();
        let is_flushed = |cached: &Cached| cached.first_write <= write && cached.fate != Fate::Lost;
        for Cached { sector, bytes, fate, .. } in self.cached.extract_if(.., |cached| is_flushed(cached)) {
            flushed.push(Flushed { sector, bytes, fate });
        }
    }

    /// Marks what [`Self::flush`] would take as never to be written, and tells which ranges of bytes that are.
    pub(super) fn lose(&mut self, write: u64) -> Vec<Range<u64>> {
        let mut lost = Ranges::default();
        for cached in &mut self.cached {
            if cached.first_write <= write && cached.fate != Fate::Lost {
                cached.fate = Fate::Lost;
                lost.add(sector_range(cached.sector, self.sector_bytes));
            }
        }
        lost.0
    }

    /// Drops what a failed sync lost from the cache too: reads see the medium again.
    pub(super) fn forget_lost(&mut self, spare: &mut Spare) {
        for cached in self.cached.extract_if(.., |cached| cached.fate == Fate::Lost) {
            spare.give(cached.bytes);
        }
    }

    /// Puts a sector on the medium, and tells whether it was other bytes there. It can be read again.
    pub(super) fn land(&mut self, sector: u64, bytes: &[u8]) -> bool {
        if let Ok(place) = self.bad.binary_search(&sector) {
            self.bad.remove(place);
        }
        self.media.write(sector * self.sector_bytes as u64, bytes)
    }

    /// Turns over one bit of the medium, if its sector is seen there.
    pub(super) fn flip_durable(&mut self, bit: u64) -> bool {
        let sector = bit / 8 / self.sector_bytes as u64;
        if self.find(sector).is_ok() || bit / 8 >= self.cut_from.min(self.durable_len) {
            return false;
        }
        self.media.flip(bit)
    }

    /// Makes a sector of the medium one that cannot be read.
    pub(super) fn spoil(&mut self, sector: u64) {
        if let Err(place) = self.bad.binary_search(&sector) {
            self.bad.insert(place, sector);
        }
    }

    /// Reads from `offset` into the front of `out`, up to the end of the file, and tells how much.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> usize {
        let count = to_index(self.len.saturating_sub(offset)).min(out.len());
        let out = &mut out[..count];
        self.read_medium(offset, out);
        let size = self.sector_bytes as u64;
        let end = offset + count as u64;
        let first = self.cached.partition_point(|cached| (cached.sector + 1) * size <= offset);
        for cached in self.cached[first..].iter().take_while(|cached| cached.sector * size < end) {
            let start = cached.sector * size;
            let (from, to) = (start.max(offset), (start + size).min(end));
            out[to_index(from - offset)..to_index(to - offset)]
                .copy_from_slice(&cached.bytes[to_index(from - start)..to_index(to - start)]);
        }
        count
    }

    /// The bytes of a range, of which those behind the end are missing.
    pub(super) fn bytes(&self, range: &Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; to_index(range.end.min(self.len).saturating_sub(range.start))];
        self.read(range.start, &mut bytes);
        bytes
    }

    /// Whether a read of the range would need a sector that cannot be read.
    pub(super) fn is_bad(&self, range: Range<u64>) -> bool {
        let size = self.sector_bytes as u64;
        let first = self.bad.partition_point(|sector| (sector + 1) * size <= range.start);
        self.bad[first..]
            .iter()
            .take_while(|sector| *sector * size < range.end)
            .any(|sector| self.find(*sector).is_err() && *sector * size < self.cut_from)
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn room(&self) -> u64 {
        self.room
    }

    /// How many sectors the medium holds.
    pub(super) fn media_sectors(&self) -> u64 {
        self.media.end().min(self.cut_from) / self.sector_bytes as u64
    }

    /// What of the length and the cached sectors a power cut decides, for [`Self::after_crash`].
    pub(super) fn crash_parts(&self) -> CrashParts<'_> {
        CrashParts {
            durable_len: self.durable_len,
            len: self.len,
            len_least: self.len_least,
            cached: &self.cached,
        }
    }

    /// The file after a power cut that left it `len` long, and left `sectors`; with the medium's bytes that were
    /// cut if `is_cut_lost`.
    pub(super) fn after_crash(&mut self, len: u64, is_cut_lost: bool, sectors: Vec<(u64, Box<[u8]>)>) {
        if !is_cut_lost {
            self.apply_cut();
        }
        self.cut_from = u64::MAX;
        self.cached.clear();
        for (sector, bytes) in sectors {
            self.land(sector, &bytes);
        }
        self.media.truncate(len);
        (self.len, self.durable_len, self.len_least, self.room) = (len, len, len, self.room.min(len));
    }

    /// The bytes of `sector` on the medium, zeros where they were cut.
    pub(super) fn on_medium(&self, sector: u64) -> Box<[u8]> {
        let mut bytes: Box<[u8]> = vec![0; self.sector_bytes].into();
        self.read_medium(sector * self.sector_bytes as u64, &mut bytes);
        bytes
    }

    fn put(&mut self, offset: u64, bytes: &[u8], write: u64, fate: Fate, spare: &mut Spare) {
        let size = self.sector_bytes as u64;
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let (sector, within) = (at / size, to_index(at % size));
            let count = rest.len().min(self.sector_bytes - within);
            let cached = self.cache(sector, write, spare);
            cached.bytes[within..within + count].copy_from_slice(&rest[..count]);
            cached.last_write = write;
            cached.fate = fate;
            rest = &rest[count..];
            at += count as u64;
        }
    }

    /// The sector in the cache, read from the medium if it is not there.
    fn cache(&mut self, sector: u64, write: u64, spare: &mut Spare) -> &mut Cached {
        let place = match self.find(sector) {
            Ok(place) => {
                let cached = &mut self.cached[place];
                // What was lost is to be written again, all of it. Else it may be that an older write lands late.
                let is_lost = cached.fate == Fate::Lost;
                cached.first_write = if is_lost { write } else { cached.first_write.min(write) };
                place
            }
            Err(place) => {
                let mut bytes = spare.take(self.sector_bytes);
                self.read_medium(sector * self.sector_bytes as u64, &mut bytes);
                let cached =
                    Cached { sector, bytes, first_write: write, last_write: write, fate: Fate::Lands };
                self.cached.insert(place, cached);
                place
            }
        };
        &mut self.cached[place]
    }

    fn find(&self, sector: u64) -> Result<usize, usize> {
        // Appends are found at the end.
        match self.cached.last() {
            Some(last) if last.sector < sector => Err(self.cached.len()),
            Some(last) if last.sector == sector => Ok(self.cached.len() - 1),
            _ => self.cached.binary_search_by_key(&sector, |cached| cached.sector),
        }
    }

    fn read_medium(&self, offset: u64, out: &mut [u8]) {
        let seen = to_index(self.cut_from.saturating_sub(offset)).min(out.len());
        self.media.read(offset, &mut out[..seen]);
        out[seen..].fill(0);
    }

    fn make_length_durable(&mut self) {
        self.apply_cut();
        (self.durable_len, self.len_least) = (self.len, self.len);
    }

    fn apply_cut(&mut self) {
        self.media.truncate(self.cut_from);
        let size = self.sector_bytes as u64;
        let cut_from = self.cut_from;
        self.bad.retain(|sector| sector * size < cut_from);
        self.cut_from = u64::MAX;
    }
}

/// See [`Contents::crash_parts`].
#[derive(Debug)]
pub(super) struct CrashParts<'a> {
    pub(super) durable_len: u64,
    pub(super) len: u64,
    /// The least length since the last sync: less than the durable one if the file was cut.
    pub(super) len_least: u64,
    pub(super) cached: &'a [Cached],
}

/// Sectors' buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct Spare(Vec<Box<[u8]>>);

impl Spare {
    pub(super) fn take(&mut self, len: usize) -> Box<[u8]> {
        self.0.pop().filter(|bytes| bytes.len() == len).unwrap_or_else(|| vec![0; len].into())
    }

    pub(super) fn give(&mut self, bytes: Box<[u8]>) {
        if self.0.len() < SPARE_MAX {
            self.0.push(bytes);
        }
    }
}

/// Ranges in order, those that touch made one.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges(pub(super) Vec<Range<u64>>);

impl Ranges {
    pub(super) fn add(&mut self, range: Range<u64>) {
        match self.0.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.0.push(range),
        }
    }
}

/// The bytes of a sector.
pub(super) fn sector_range(sector: u64, sector_bytes: usize) -> Range<u64> {
    let size = sector_bytes as u64;
    sector * size..(sector + 1) * size
}

/// Lengths beyond a `usize` do not come: files are in memory. Offsets may, and are then behind every end.
fn to_index(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// 4 MiB of sectors of 4 KiB.
const SPARE_MAX: usize = 1024;
