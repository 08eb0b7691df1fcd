//! One LMDB data file, checked before anything in it is believed, and read without a mapping or a lock.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Lost, MetaProblem, OpenError, PageProblem, ReadError};
use crate::format::{
    KNOWN_TABLE_FLAGS, META_BYTES, Meta, PAGE_BYTES_MAX, PAGE_BYTES_MIN, SUB_TREE, TREE_RECORD_BYTES,
    TreeRecord,
};
use crate::read_at::ReadAt;
use crate::tree::{Cursor, Entry, Events, KeyOrder};

/// One LMDB data file, opened for reading.
///
/// Nothing is mapped, locked, created or changed: pages are read by position and each is checked against its place
/// in the tree before its offsets are believed, so that damage is a typed error and never a signal. Clones share
/// the open file.
///
/// It shows the state of the newest transaction at the time of opening. A writer that goes on may reuse pages of
/// that state; only one who holds the writer off, or compares [`Self::reread_metas`] afterwards, reads a
/// consistent state.
#[derive(Debug)]
pub struct DataFile<R: ?Sized = File> {
    meta: Meta,
    metas: [Option<Meta>; 2],
    byte_len: u64,
    limits: Limits,
    reader: Arc<R>,
}

/// What reading may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest value that is read, in bytes. A value has its memory at once, but never more than its file has bytes.
    pub value_bytes_max: u64,
}

impl Default for Limits {
    /// Values up to 1 GiB.
    fn default() -> Self {
        Self { value_bytes_max: 1 << 30 }
    }
}

/// Which state of the file to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaChoice {
    /// That of the newest transaction, if both meta pages are whole and no page is missing.
    Newest,
    /// That of the newest whole meta page, with as many pages as there are: for salvage.
    Surviving,
    /// That of one meta page, 0 or 1, with as many pages as there are: for salvage.
    Only(u8),
}

/// A table of a data file, as of the transaction that was in force when the file was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Where its tree is, and how large.
    pub record: TreeRecord,
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

impl DataFile {
    /// Opens the file at `path` for reading. Nothing there is created, locked or changed.
    ///
    /// # Errors
    ///
    /// All of [`OpenError`], before any page but the two meta pages (and the list of free ones, if the file is
    /// short) was looked at.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::with_reader(Arc::new(File::open(path)?), MetaChoice::Newest)
    }
}

impl<R: ReadAt + ?Sized> DataFile<R> {
    /// Opens the data file that `reader` reads.
    ///
    /// # Errors
    ///
    /// As [`DataFile::open`]. With [`MetaChoice::Surviving`] only if no meta page is whole, with
    /// [`MetaChoice::Only`] if that one is not.
    pub fn with_reader(reader: Arc<R>, choice: MetaChoice) -> Result<Self, OpenError> {
        let byte_len = reader.byte_len()?;
        if byte_len == 0 {
            return Err(OpenError::Empty);
        }
        let found = read_metas(&*reader, byte_len)?;
        let metas = [found[0].ok(), found[1].ok()];
        let meta = choose(&found, choice)?;
        let file = Self { meta, metas, byte_len, limits: Limits::default(), reader };
        if choice == MetaChoice::Newest {
            file.check_end()?;
        }
        Ok(file)
    }

    /// With other limits than the default ones.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The state that is read.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Both meta pages as they were at the opening, `None` for one that is damaged.
    pub fn metas(&self) -> [Option<Meta>; 2] {
        self.metas
    }

    /// Both meta pages as they are now. Equal to [`Self::metas`] if no transaction was committed since.
    pub fn reread_metas(&self) -> Result<[Option<Meta>; 2], OpenError> {
        let found = read_metas(&*self.reader, self.reader.byte_len()?)?;
        Ok(found.map(Result::ok))
    }

    /// The file's length at the opening, in bytes.
    pub fn byte_len(&self) -> u64 {
        self.byte_len
    }

    /// The table `name`, or `None`.
    ///
    /// # Errors
    ///
    /// [`ReadError`] on damage in the tree of names, or if the table holds no event log.
    pub fn table(&self, name: &[u8]) -> Result<Option<Table>, ReadError> {
        let mut names = self.names();
        while let Some(entry) = names.next_entry()? {
            if entry.key == name && entry.flags & SUB_TREE != 0 {
                return self.table_of(&entry).map(Some);
            }
        }
        Ok(None)
    }

    /// All tables with their names, ascending.
    ///
    /// # Errors
    ///
    /// As [`Self::table`].
    pub fn tables(&self) -> Result<Vec<(Vec<u8>, Table)>, ReadError> {
        let mut tables = Vec::new();
        let mut names = self.names();
        while let Some(entry) = names.next_entry()? {
            if entry.flags & SUB_TREE != 0 {
                tables.push((entry.key.to_vec(), self.table_of(&entry)?));
            }
        }
        Ok(tables)
    }

    /// All pairs of a small table, by key, ascending.
    ///
    /// # Errors
    ///
    /// [`ReadError`] on damage in the table.
    pub fn pairs(&self, table: Table) -> Result<Vec<Pair>, ReadError> {
        let mut cursor = Cursor::new(self.clone(), table.record, KeyOrder::of(&table.record));
        let mut pairs = Vec::new();
        while let Some(entry) = cursor.next_entry()? {
            pairs.push((entry.key.to_vec(), entry.value.to_vec()));
        }
        Ok(pairs)
    }

    /// The events of `table`, oldest first.
    ///
    /// # Errors
    ///
    /// [`ReadError::Flags`] if its keys are not integers.
    pub fn events(&self, table: Table) -> Result<Events<R>, ReadError> {
        if !table.record.has_integer_keys() {
            return Err(ReadError::Flags { flags: table.record.flags });
        }
        Ok(Events::new(Cursor::new(self.clone(), table.record, KeyOrder::Integer)))
    }

    pub(crate) fn page_bytes(&self) -> usize {
        self.meta.page_bytes as usize
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Pages that are in use and there.
    pub(crate) fn page_count(&self) -> u64 {
        (self.meta.last_page + 1).min(self.byte_len / u64::from(self.meta.page_bytes))
    }

    /// Reads `buf`, a number of whole pages, from page `page` on.
    pub(crate) fn read_pages(&self, page: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        let offset = page * u64::from(self.meta.page_bytes);
        self.reader.read_exact_at(buf, offset).map_err(|source| ReadError::Io { page, source })
    }

    /// The list of free pages, by transaction.
    pub(crate) fn free_lists(&self) -> Cursor<R> {
        Cursor::new(self.clone(), self.meta.free, KeyOrder::Integer)
    }

    /// The table names and their records.
    pub(crate) fn names(&self) -> Cursor<R> {
        Cursor::new(self.clone(), self.meta.main, KeyOrder::Bytes)
    }

    /// Decodes the record of a table that an entry of the table names holds.
    pub(crate) fn table_of(&self, entry: &Entry<'_>) -> Result<Table, ReadError> {
        let lost = Lost { first: None, last: None, is_events: false };
        let problem = |problem| ReadError::Damaged { page: entry.page, problem, lost };
        if entry.value.len() != TREE_RECORD_BYTES {
            return Err(problem(PageProblem::Record));
        }
        let record = TreeRecord::decode(entry.value);
        if record.flags & !KNOWN_TABLE_FLAGS != 0 {
            return Err(ReadError::Flags { flags: record.flags });
        }
        record.check(self.meta.last_page).map_err(problem)?;
        Ok(Table { record })
    }

    /// Fails if pages in use are behind the end of the file. Pages at the end that are free may never have been
    /// written.
    fn check_end(&self) -> Result<(), OpenError> {
        let needed_bytes = self.meta.bytes_needed();
        if self.byte_len >= needed_bytes {
            return Ok(());
        }
        let truncated = || OpenError::Truncated { found_bytes: self.byte_len, needed_bytes };
        let first_missing = self.page_count();
        let mut missing = self.meta.last_page + 1 - first_missing;
        let mut lists = self.free_lists();
        // A list that cannot be read excuses nothing.
        while let Some(entry) = lists.next_entry().map_err(|_| truncated())? {
            let pages =
                crate::free_list::pages(entry.value).filter(|page| *page >= first_missing).count() as u64;
            missing = missing.checked_sub(pages).ok_or_else(truncated)?;
        }
        if missing == 0 { Ok(()) } else { Err(truncated()) }
    }
}

impl<R: ?Sized> Clone for DataFile<R> {
    fn clone(&self) -> Self {
        Self { reader: Arc::clone(&self.reader), ..*self }
    }
}

/// Reads both meta pages. The second one lies one page behind the first: where that is, one of them must tell.
fn read_metas<R: ReadAt + ?Sized>(
    reader: &R,
    byte_len: u64,
) -> Result<[Result<Meta, MetaProblem>; 2], OpenError> {
    let first = read_meta(reader, byte_len, 0, 0)?;
    if let Ok(meta) = first {
        let mut second = read_meta(reader, byte_len, 1, u64::from(meta.page_bytes))?;
        if let Ok(other) = second
            && other.page_bytes != meta.page_bytes
        {
            second = Err(MetaProblem::PageBytes { found: other.page_bytes });
        }
        return Ok([first, second]);
    }
    let mut page_bytes = PAGE_BYTES_MIN;
    while page_bytes <= PAGE_BYTES_MAX {
        let second = read_meta(reader, byte_len, 1, u64::from(page_bytes))?;
        if second.is_ok_and(|meta| meta.page_bytes == page_bytes) {
            return Ok([first, second]);
        }
        page_bytes *= 2;
    }
    // Where the second one is, nobody tells; that neither is whole is all there is to say.
    Ok([first, Err(MetaProblem::Missing)])
}

fn read_meta<R: ReadAt + ?Sized>(
    reader: &R,
    byte_len: u64,
    page: u64,
    offset: u64,
) -> Result<Result<Meta, MetaProblem>, OpenError> {
    if byte_len < offset + META_BYTES as u64 {
        return Ok(Err(MetaProblem::Missing));
    }
    let mut bytes = [0; META_BYTES];
    reader.read_exact_at(&mut bytes, offset)?;
    Ok(Meta::decode(&bytes, page))
}

fn choose(found: &[Result<Meta, MetaProblem>; 2], choice: MetaChoice) -> Result<Meta, OpenError> {
    let one = |page: u8| found[usize::from(page & 1)].map_err(|problem| OpenError::Meta { page, problem });
    let newer = |a: Meta, b: Meta| if b.transaction > a.transaction { b } else { a };
    match choice {
        MetaChoice::Newest => Ok(newer(one(0)?, one(1)?)),
        MetaChoice::Only(page) => one(page),
        MetaChoice::Surviving => match (one(0), one(1)) {
            (Ok(a), Ok(b)) => Ok(newer(a, b)),
            (whole, Err(_)) | (Err(_), whole) => whole,
        },
    }
}
