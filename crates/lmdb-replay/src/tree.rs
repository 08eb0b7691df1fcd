//! Walks a tree of pages in the order of its keys.
//!
//! A walk ends, whatever the pages hold: it goes no deeper than the tree's record says, which is at most 32, and
//! keys must ascend over the whole walk, so that no leaf is read twice.

use std::ops::Range;

use crate::data_file::DataFile;
use crate::error::{Lost, PageProblem, ReadError};
use crate::format::{
    BIG_DATA, Node, PAGE_HEADER_BYTES, PageKind, TreeRecord, check_header, check_slots, u64_at,
};
use crate::read_at::ReadAt;

mod events;
mod window;

pub use events::{Event, Events};
pub(crate) use window::Window;

/// A position in a tree. After an error it stays where it is.
#[derive(Debug)]
pub(crate) struct Cursor<R: ?Sized> {
    order: KeyOrder,
    tree: TreeRecord,
    state: State,
    /// From the root down to above the leaf.
    branches: Vec<Branch>,
    leaf: Leaf,
    /// The entry before the one that comes next.
    current: Node,
    /// Where the leaf is.
    window: Window,
    /// Where long values are put together.
    long_value: Vec<u8>,
    previous: Previous,
    /// Entries since the start of the tree, unless the walk began elsewhere.
    count: Option<u64>,
    file: DataFile<R>,
}

/// How keys ascend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyOrder {
    /// As strings of bytes.
    Bytes,
    /// As numbers of 8 bytes.
    Integer,
}

impl KeyOrder {
    pub(crate) fn of(tree: &TreeRecord) -> Self {
        if tree.has_integer_keys() { Self::Integer } else { Self::Bytes }
    }
}

/// An entry of a leaf, lent until the cursor moves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'c> {
    /// The leaf.
    pub(crate) page: u64,
    pub(crate) flags: u16,
    pub(crate) key: &'c [u8],
    pub(crate) value: &'c [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first entry, or before the first that is not less than a number.
    Before(u64),
    In,
    End,
}

/// A branch page on the way to the leaf: a copy, as the window moves on.
#[derive(Debug)]
struct Branch {
    page: u64,
    bytes: Vec<u8>,
    count: usize,
    at: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Leaf {
    page: u64,
    /// Where it begins in the window.
    offset: usize,
    count: usize,
    at: usize,
}

/// The key before, as keys must ascend.
#[derive(Debug)]
enum Previous {
    None,
    Integer(u64),
    Bytes(Vec<u8>),
}

impl<R: ReadAt + ?Sized> Cursor<R> {
    /// A cursor before the first entry of `tree`.
    pub(crate) fn new(file: DataFile<R>, tree: TreeRecord, order: KeyOrder) -> Self {
        Self {
            order,
            tree,
            state: State::Before(0),
            branches: Vec::new(),
            leaf: Leaf::default(),
            current: Node::default(),
            window: Window::new(),
            long_value: Vec::new(),
            previous: Previous::None,
            count: Some(0),
            file,
        }
    }

    /// Moves before the first entry with a key of at least `number`, in a tree with integer keys.
    pub(crate) fn seek(&mut self, number: u64) {
        self.state = State::Before(number);
        self.previous = Previous::None;
        self.count = (number == 0).then_some(0);
    }

    /// The last key of a tree with integer keys. The cursor stands behind it afterwards.
    pub(crate) fn last_number(&mut self) -> Result<Option<u64>, ReadError> {
        self.seek(u64::MAX);
        if !self.first_leaf(u64::MAX)? {
            return Ok(None);
        }
        self.state = State::In;
        self.leaf.at = self.leaf.count - 1;
        Ok(if self.advance()? { Some(u64_at(self.entry().key, 0)) } else { None })
    }

    /// The next entry, or `None` at the end.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry<'_>>, ReadError> {
        Ok(if self.advance()? { Some(self.entry()) } else { None })
    }

    /// Moves onto the next entry, for [`Self::entry`]. `false` at the end.
    #[inline]
    pub(crate) fn advance(&mut self) -> Result<bool, ReadError> {
        if (self.state != State::In || self.leaf.at == self.leaf.count) && !self.next_leaf()? {
            return Ok(false);
        }
        let Leaf { page: number, offset, at, .. } = self.leaf;
        let page = &self.window.bytes()[offset..offset + self.file.page_bytes()];
        let ascending = Node::decode(page, at, PageKind::Leaf).and_then(|node| {
            self.previous.ascend(self.order, &page[node.key()], at)?;
            Ok(node)
        });
        let node = ascending.map_err(|problem| self.damaged(number, problem))?;
        if node.flags & BIG_DATA != 0 {
            let (key, value_page) = (page[node.key()].try_into().ok(), u64_at(page, node.inline().start));
            self.read_long(node.value_bytes, value_page).map_err(|error| lost_alone(error, key))?;
        }
        self.previous.set(self.order, &self.window.bytes()[offset..][node.key()]);
        self.current = node;
        self.leaf.at += 1;
        self.count = self.count.map(|count| count + 1);
        Ok(true)
    }

    /// The entry that the last [`Self::advance`] moved onto.
    #[inline]
    pub(crate) fn entry(&self) -> Entry<'_> {
        let page = &self.window.bytes()[self.leaf.offset..];
        let node = &self.current;
        let is_long = node.flags & BIG_DATA != 0;
        let value = if is_long { self.long_value.as_slice() } else { &page[node.inline()] };
        Entry { page: self.leaf.page, flags: node.flags, key: &page[node.key()], value }
    }

    /// Goes to the next leaf with an entry. `false` at the end.
    fn next_leaf(&mut self) -> Result<bool, ReadError> {
        loop {
            let has_leaf = match self.state {
                State::Before(number) => self.first_leaf(number)?,
                State::In => self.following_leaf()?,
                State::End => return Ok(false),
            };
            if !has_leaf {
                self.check_count()?;
                self.state = State::End;
                return Ok(false);
            }
            self.state = State::In;
            if self.leaf.at < self.leaf.count {
                return Ok(true);
            }
        }
    }

    /// Goes down to the leaf where `number` is or would be, and to its place there.
    fn first_leaf(&mut self, number: u64) -> Result<bool, ReadError> {
        self.branches.clear();
        let Some(root) = self.tree.root else { return Ok(false) };
        self.descend(root, number)?;
        if number > 0 {
            let page = &self.window.bytes()[self.leaf.offset..self.leaf.offset + self.file.page_bytes()];
            let place = lower_bound(page, PageKind::Leaf, 0..self.leaf.count, number);
            self.leaf.at = place.map_err(|problem| self.damaged(self.leaf.page, problem))?;
        }
        Ok(true)
    }

    /// Goes to the leaf behind this one.
    fn following_leaf(&mut self) -> Result<bool, ReadError> {
        // The path is changed once the way is known to be open, so that a failed step can be repeated.
        let depth = self.branches.iter().rposition(|branch| branch.at + 1 < branch.count);
        let Some(depth) = depth else { return Ok(false) };
        self.branches.truncate(depth + 1);
        let branch = &mut self.branches[depth];
        branch.at += 1;
        let outcome = self.child().and_then(|child| self.descend(child, 0));
        if outcome.is_err() {
            // The leaf before is spent: asked again, the cursor comes here again.
            self.branches.truncate(depth + 1);
            self.branches[depth].at -= 1;
        }
        outcome.map(|()| true)
    }

    /// From page `number` down to a leaf, along the children where `key` is or would be.
    fn descend(&mut self, mut number: u64, key: u64) -> Result<(), ReadError> {
        while self.branches.len() + 1 < usize::from(self.tree.depth) {
            let mut bytes = vec![0; self.file.page_bytes()];
            self.check_number(number)?;
            self.file.read_pages(number, &mut bytes)?;
            let checked = check_slots(&bytes, PageKind::Branch, number).and_then(|count| {
                // The first key of a branch means "all before the second" and is not stored.
                let at = if key == 0 { 1 } else { upper_bound(&bytes, 1..count, key)? };
                Ok((count, at - 1))
            });
            let (count, at) = checked.map_err(|problem| self.damaged(number, problem))?;
            self.branches.push(Branch { page: number, bytes, count, at });
            number = self.child()?;
        }
        self.check_number(number)?;
        let offset = self.window.load(&self.file, number)?;
        let page = &self.window.bytes()[offset..offset + self.file.page_bytes()];
        let count =
            check_slots(page, PageKind::Leaf, number).map_err(|problem| self.damaged(number, problem))?;
        self.leaf = Leaf { page: number, offset, count, at: 0 };
        Ok(())
    }

    /// The child at which the deepest branch stands.
    fn child(&self) -> Result<u64, ReadError> {
        let branch = self.branches.last().expect("a path of a tree deeper than one has a branch");
        let node = Node::decode(&branch.bytes, branch.at, PageKind::Branch);
        node.map(|node| node.child).map_err(|problem| self.damaged(branch.page, problem))
    }

    /// Puts together a value of `value_bytes` bytes that starts on page `number`.
    fn read_long(&mut self, value_bytes: u32, number: u64) -> Result<(), ReadError> {
        self.check_number(number)?;
        let value_bytes_needed = PAGE_HEADER_BYTES + value_bytes as usize;
        let page_count = value_bytes_needed.div_ceil(self.file.page_bytes()) as u64;
        // Before memory is taken: the file must have as much.
        if page_count > self.file.page_count() - number {
            return Err(self.damaged(self.leaf.page, PageProblem::Outside));
        }
        let limit_bytes = self.file.limits().value_bytes_max;
        if u64::from(value_bytes) > limit_bytes {
            return Err(ReadError::TooLong { value_bytes: value_bytes.into(), limit_bytes });
        }
        self.long_value.clear();
        self.long_value.resize(value_bytes_needed, 0);
        if let Some(bytes) = self.window.get(&self.file, number, page_count) {
            self.long_value.copy_from_slice(&bytes[..value_bytes_needed]);
        } else {
            self.file.read_pages(number, &mut self.long_value)?;
        }
        let problem = match check_header(&self.long_value, PageKind::Overflow, number) {
            Ok(header) if u64::from(header.overflow_pages) == page_count => None,
            Ok(header) => Some(PageProblem::Overflow { value_bytes, pages: header.overflow_pages }),
            Err(problem) => Some(problem),
        };
        if let Some(problem) = problem {
            return Err(self.damaged(number, problem));
        }
        self.long_value.drain(..PAGE_HEADER_BYTES);
        Ok(())
    }

    fn check_number(&self, number: u64) -> Result<(), ReadError> {
        if (2..self.file.page_count()).contains(&number) {
            return Ok(());
        }
        let parent = self.branches.last().map_or(number, |branch| branch.page);
        Err(self.damaged(parent, PageProblem::Outside))
    }

    /// At the end of a whole walk: as many entries as the record counts.
    fn check_count(&self) -> Result<(), ReadError> {
        match self.count {
            Some(found) if found != self.tree.entries => {
                let problem = PageProblem::Entries { found, expected: self.tree.entries };
                Err(self.damaged(self.tree.root.unwrap_or(0), problem))
            }
            _ => Ok(()),
        }
    }

    fn damaged(&self, page: u64, problem: PageProblem) -> ReadError {
        ReadError::Damaged { page, problem, lost: self.lost() }
    }

    /// Which numbers lie under the place where the cursor is, or would be.
    fn lost(&self) -> Lost {
        if self.order == KeyOrder::Bytes {
            return Lost { first: None, last: None, is_events: false };
        }
        let number = |branch: &Branch, at| {
            let node = Node::decode(&branch.bytes, at, PageKind::Branch).ok()?;
            Some(u64::from_le_bytes(branch.bytes[node.key()].try_into().ok()?))
        };
        let deepest_first = || self.branches.iter().rev();
        let first = deepest_first().find(|branch| branch.at > 0).and_then(|branch| number(branch, branch.at));
        let next = deepest_first().find(|branch| branch.at + 1 < branch.count);
        let last = next.and_then(|branch| number(branch, branch.at + 1)).and_then(|next| next.checked_sub(1));
        let unread = match self.previous {
            Previous::Integer(previous) => previous.checked_add(1),
            _ => None,
        };
        Lost { first: first.max(unread), last, is_events: true }
    }
}

/// A damaged long value costs its own entry and no other.
fn lost_alone(error: ReadError, key: Option<[u8; 8]>) -> ReadError {
    match (error, key.map(u64::from_le_bytes)) {
        (ReadError::Damaged { page, problem, lost }, number @ Some(_)) if lost.is_events => {
            ReadError::Damaged { page, problem, lost: Lost { first: number, last: number, ..lost } }
        }
        (error, _) => error,
    }
}

impl Previous {
    /// Fails unless `key`, that of entry `at`, is well-formed and comes after the previous one.
    #[inline]
    fn ascend(&self, order: KeyOrder, key: &[u8], at: usize) -> Result<(), PageProblem> {
        let ascends = match (order, self) {
            (KeyOrder::Integer, _) => {
                let key: &[u8; 8] = key.try_into().map_err(|_| PageProblem::Node { at })?;
                !matches!(self, Self::Integer(previous) if u64::from_le_bytes(*key) <= *previous)
            }
            (KeyOrder::Bytes, Self::Bytes(previous)) => key > previous.as_slice(),
            (KeyOrder::Bytes, _) => true,
        };
        if ascends { Ok(()) } else { Err(PageProblem::Order { at }) }
    }

    #[inline]
    fn set(&mut self, order: KeyOrder, key: &[u8]) {
        match (order, &mut *self) {
            (KeyOrder::Integer, _) => *self = Self::Integer(u64_at(key, 0)),
            (KeyOrder::Bytes, Self::Bytes(previous)) => {
                previous.clear();
                previous.extend_from_slice(key);
            }
            (KeyOrder::Bytes, _) => *self = Self::Bytes(key.to_vec()),
        }
    }
}

/// The first of the entries `range` of a leaf whose key is at least `key`.
fn lower_bound(page: &[u8], kind: PageKind, range: Range<usize>, key: u64) -> Result<usize, PageProblem> {
    partition(page, kind, range, |number| number < key)
}

/// The first of the entries `range` of a branch whose key is more than `key`.
fn upper_bound(page: &[u8], range: Range<usize>, key: u64) -> Result<usize, PageProblem> {
    partition(page, PageKind::Branch, range, |number| number <= key)
}

fn partition(
    page: &[u8],
    kind: PageKind,
    range: Range<usize>,
    is_before: impl Fn(u64) -> bool,
) -> Result<usize, PageProblem> {
    let (mut low, mut high) = (range.start, range.end.max(range.start));
    while low < high {
        let at = low + (high - low) / 2;
        let node = Node::decode(page, at, kind)?;
        let key: [u8; 8] = page[node.key()].try_into().map_err(|_| PageProblem::Node { at })?;
        if is_before(u64::from_le_bytes(key)) {
            low = at + 1;
        } else {
            high = at;
        }
    }
    Ok(low)
}
