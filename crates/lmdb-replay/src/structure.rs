//! Checks a whole data file: every page of every tree, once, and the list of free ones.

use crate::data_file::{DataFile, Table};
use crate::error::{Lost, PageProblem, ReadError};
use crate::format::{
    BIG_DATA, Node, PAGE_HEADER_BYTES, PageHeader, PageKind, SUB_TREE, TreeRecord, check_header, check_slots,
    u64_at,
};
use crate::read_at::ReadAt;
use crate::structure::page_set::PageSet;
use crate::tree::{Entry, KeyOrder, Window};

pub(crate) mod page_set;

/// What a data file is made of, and what is damaged in it.
///
/// Values are not looked at, as only their owner knows what they mean.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Structure {
    /// Damaged pages, at most [`DAMAGES_MAX`] of them.
    pub damages: Vec<DamagedPage>,
    /// How many more there are.
    pub more_damages: u64,
    /// The tables, by name.
    pub tables: Vec<(Vec<u8>, Table)>,
    /// Pages that are free.
    pub free_pages: u64,
    /// Pages that are neither in use nor free: lost for ever, but harmless.
    pub leaked_pages: u64,
}

/// A page that is damaged, and what is lost with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedPage {
    /// The table, or `None` in the list of free pages and the tree of names.
    pub table: Option<String>,
    /// The page.
    pub page: u64,
    /// How it is damaged.
    pub problem: PageProblem,
    /// Entries that cannot be reached for it.
    pub lost: Lost,
}

/// Checks the pages of `file`. Memory: a bit a page, and a path.
///
/// # Errors
///
/// [`ReadError::Io`] if the device refuses; damage is a finding.
pub fn check<R: ReadAt + ?Sized>(file: &DataFile<R>) -> Result<Structure, ReadError> {
    let meta = *file.meta();
    let mut check = Check {
        file,
        seen: PageSet::new(file.page_count()),
        window: Window::new(),
        report: Structure::default(),
        tables: Vec::new(),
        lists: Vec::new(),
    };
    check.tree(&Tree {
        table: None,
        record: meta.free,
        order: KeyOrder::Integer,
        holds: Holds::FreePages,
    })?;
    check.tree(&Tree { table: None, record: meta.main, order: KeyOrder::Bytes, holds: Holds::Tables })?;
    for (name, table) in check.tables.clone() {
        let text = String::from_utf8_lossy(&name).into_owned();
        let order = KeyOrder::of(&table.record);
        check.tree(&Tree { table: Some(text), record: table.record, order, holds: Holds::Values })?;
    }
    check.free_pages();
    Ok(check.report)
}

/// A tree that is to be checked.
struct Tree {
    table: Option<String>,
    record: TreeRecord,
    order: KeyOrder,
    holds: Holds,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    FreePages,
    Tables,
    Values,
}

/// A page that is to be checked, and the keys that its parents allow in it.
struct Task {
    page: u64,
    level: u16,
    low: Option<Key>,
    high: Option<Key>,
}

/// A key, such that keys compare as its bytes do.
type Key = Vec<u8>;

struct Check<'f, R: ?Sized> {
    file: &'f DataFile<R>,
    seen: PageSet,
    window: Window,
    report: Structure,
    tables: Vec<(Vec<u8>, Table)>,
    /// The lists of free pages.
    lists: Vec<u64>,
}

/// What a tree turned out to be.
#[derive(Default)]
struct Found {
    branch_pages: u64,
    leaf_pages: u64,
    overflow_pages: u64,
    entries: u64,
    is_whole: bool,
}

impl<R: ReadAt + ?Sized> Check<'_, R> {
    fn tree(&mut self, tree: &Tree) -> Result<(), ReadError> {
        let Some(root) = tree.record.root else { return Ok(()) };
        let mut found = Found { is_whole: true, ..Found::default() };
        let mut tasks = vec![Task { page: root, level: 1, low: None, high: None }];
        while let Some(task) = tasks.pop() {
            if let Err(problem) = self.page(tree, &task, &mut tasks, &mut found)? {
                self.damage(tree, task.page, problem, &task);
                found.is_whole = false;
            }
        }
        let record = &tree.record;
        let counts = [found.branch_pages, found.leaf_pages, found.overflow_pages];
        let problem = if found.entries != record.entries {
            Some(PageProblem::Entries { found: found.entries, expected: record.entries })
        } else if counts != [record.branch_pages, record.leaf_pages, record.overflow_pages] {
            Some(PageProblem::Counts)
        } else {
            None
        };
        // What a damaged page hides is counted with that page.
        if let (Some(problem), true) = (problem, found.is_whole) {
            self.damage(tree, root, problem, &Task { page: root, level: 1, low: None, high: None });
        }
        Ok(())
    }

    /// Checks one page and adds its children to `tasks`, the last one first.
    fn page(
        &mut self,
        tree: &Tree,
        task: &Task,
        tasks: &mut Vec<Task>,
        found: &mut Found,
    ) -> Result<Result<(), PageProblem>, ReadError> {
        if let Err(problem) = self.mark(task.page, 1) {
            return Ok(Err(problem));
        }
        let offset = self.window.load(self.file, task.page)?;
        let page = self.window.bytes()[offset..offset + self.file.page_bytes()].to_vec();
        if task.level < tree.record.depth {
            found.branch_pages += 1;
            return Ok(branch(tree, task, &page, tasks));
        }
        found.leaf_pages += 1;
        let count = match check_slots(&page, PageKind::Leaf, task.page) {
            Ok(count) => count,
            Err(problem) => return Ok(Err(problem)),
        };
        let mut previous = None;
        for at in 0..count {
            let node = match leaf_node(tree, task, &page, at, &mut previous) {
                Ok(node) => node,
                Err(problem) => return Ok(Err(problem)),
            };
            found.entries += 1;
            if let Err(problem) = self.entry(tree, task.page, &page, &node, found)? {
                let key = order_key(tree.order, &page[node.key()]);
                let alone = Task { page: task.page, level: task.level, high: key.clone(), low: key };
                self.damage_of_one(tree, problem, &alone);
                found.is_whole = false;
            }
        }
        Ok(Ok(()))
    }

    /// Checks the value of an entry, as far as it is pages.
    fn entry(
        &mut self,
        tree: &Tree,
        page: u64,
        bytes: &[u8],
        node: &Node,
        found: &mut Found,
    ) -> Result<Result<(), PageProblem>, ReadError> {
        let inline = &bytes[node.inline()];
        if node.flags & BIG_DATA != 0 {
            let number = u64_at(inline, 0);
            let needed_bytes = PAGE_HEADER_BYTES as u64 + u64::from(node.value_bytes);
            let count = needed_bytes.div_ceil(self.file.page_bytes() as u64);
            if let Err(problem) = self.mark(number, count) {
                return Ok(Err(problem));
            }
            found.overflow_pages += count;
            let mut header = [0; PAGE_HEADER_BYTES];
            self.file.read_pages(number, &mut header)?;
            if let Err(problem) = check_overflow(&header, number, node.value_bytes, count) {
                return Ok(Err(problem));
            }
        }
        let value = (node.flags & BIG_DATA == 0).then_some(inline);
        match (tree.holds, value) {
            (Holds::Tables, Some(value)) if node.flags & SUB_TREE != 0 => {
                let key = &bytes[node.key()];
                match self.file.table_of(&Entry { page, flags: node.flags, key, value }) {
                    Ok(table) => {
                        self.tables.push((key.to_vec(), table));
                        self.report.tables.push((key.to_vec(), table));
                    }
                    Err(_) => return Ok(Err(PageProblem::Record)),
                }
            }
            (Holds::FreePages, Some(value)) => self.lists.extend(crate::free_list::pages(value)),
            (Holds::FreePages, None) => {
                let bytes = usize::try_from(node.value_bytes).expect("32 bits fit") + PAGE_HEADER_BYTES;
                let mut value = vec![0; bytes];
                self.file.read_pages(u64_at(inline, 0), &mut value)?;
                self.lists.extend(crate::free_list::pages(&value[PAGE_HEADER_BYTES..]));
            }
            _ => {}
        }
        Ok(Ok(()))
    }

    /// Free pages are in no tree, and each is free once.
    fn free_pages(&mut self) {
        let free = Tree {
            table: None,
            record: self.file.meta().free,
            order: KeyOrder::Integer,
            holds: Holds::FreePages,
        };
        let last_page = self.file.meta().last_page;
        for page in std::mem::take(&mut self.lists) {
            self.report.free_pages += 1;
            // Free pages behind the end of the file were never written.
            let is_missing = (self.file.page_count()..=last_page).contains(&page);
            if !is_missing && self.mark(page, 1).is_err() {
                let task = Task { page, level: 1, low: None, high: None };
                self.damage(&free, page, PageProblem::Free, &task);
            }
        }
        let is_whole = self.report.damages.is_empty();
        // The two meta pages are in no tree.
        let unseen = self.file.page_count().saturating_sub(2 + self.seen.len());
        self.report.leaked_pages = if is_whole { unseen } else { 0 };
    }

    /// Notes that pages are in use, which nobody else may use.
    fn mark(&mut self, page: u64, count: u64) -> Result<(), PageProblem> {
        let end = page.checked_add(count).filter(|end| page >= 2 && *end <= self.file.page_count());
        let end = end.ok_or(PageProblem::Outside)?;
        let mut is_new = true;
        for page in page..end {
            is_new &= self.seen.insert(page);
        }
        if is_new { Ok(()) } else { Err(PageProblem::Shared) }
    }

    fn damage(&mut self, tree: &Tree, page: u64, problem: PageProblem, task: &Task) {
        let number = |key: &Key| key.as_slice().try_into().ok().map(u64::from_be_bytes);
        let first = task.low.as_ref().and_then(number);
        let last = task.high.as_ref().and_then(number).and_then(|high| high.checked_sub(1));
        self.add(tree, page, problem, Lost { first, last, is_events: true });
    }

    /// The key of `task` alone is lost.
    fn damage_of_one(&mut self, tree: &Tree, problem: PageProblem, task: &Task) {
        let number = |key: &Key| key.as_slice().try_into().ok().map(u64::from_be_bytes);
        let lost = task.low.as_ref().and_then(number);
        self.add(tree, task.page, problem, Lost { first: lost, last: lost, is_events: true });
    }

    fn add(&mut self, tree: &Tree, page: u64, problem: PageProblem, lost: Lost) {
        if self.report.damages.len() == DAMAGES_MAX {
            self.report.more_damages += 1;
            return;
        }
        let is_events = tree.holds == Holds::Values && tree.order == KeyOrder::Integer;
        let lost = if is_events { lost } else { Lost { first: None, last: None, is_events: false } };
        self.report.damages.push(DamagedPage { table: tree.table.clone(), page, problem, lost });
    }
}

/// Checks a branch and adds its children.
fn branch(tree: &Tree, task: &Task, page: &[u8], tasks: &mut Vec<Task>) -> Result<(), PageProblem> {
    let count = check_slots(page, PageKind::Branch, task.page)?;
    let mut children = Vec::with_capacity(count);
    for at in 0..count {
        let node = Node::decode(page, at, PageKind::Branch)?;
        // The first key of a branch stands for all that its parent allows.
        let low = if at == 0 {
            task.low.clone()
        } else {
            Some(order_key(tree.order, &page[node.key()]).ok_or(PageProblem::Node { at })?)
        };
        let is_within = low.is_none()
            || task.low <= low && task.high.as_ref().is_none_or(|high| low.as_ref() < Some(high));
        let ascends = children.last().is_none_or(|(_, previous)| at == 1 || previous < &low);
        if !is_within || !ascends {
            return Err(PageProblem::Order { at });
        }
        children.push((node.child, low));
    }
    let mut high = task.high.clone();
    for (child, low) in children.into_iter().rev() {
        tasks.push(Task { page: child, level: task.level + 1, low: low.clone(), high });
        high = low;
    }
    Ok(())
}

fn leaf_node(
    tree: &Tree,
    task: &Task,
    page: &[u8],
    at: usize,
    previous: &mut Option<Key>,
) -> Result<Node, PageProblem> {
    let node = Node::decode(page, at, PageKind::Leaf)?;
    let key = order_key(tree.order, &page[node.key()]).ok_or(PageProblem::Node { at })?;
    let is_within =
        task.low.as_ref().is_none_or(|low| *low <= key) && task.high.as_ref().is_none_or(|high| key < *high);
    let ascends = previous.as_ref().is_none_or(|previous| *previous < key);
    if !is_within || !ascends {
        return Err(PageProblem::Order { at });
    }
    *previous = Some(key);
    Ok(node)
}

fn check_overflow(header: &[u8], number: u64, value_bytes: u32, count: u64) -> Result<(), PageProblem> {
    let header: PageHeader = check_header(header, PageKind::Overflow, number)?;
    if u64::from(header.overflow_pages) == count {
        Ok(())
    } else {
        Err(PageProblem::Overflow { value_bytes, pages: header.overflow_pages })
    }
}

/// The key such that keys compare as its bytes do, or `None` if it has a length that the order does not allow.
fn order_key(order: KeyOrder, key: &[u8]) -> Option<Key> {
    match order {
        KeyOrder::Bytes => Some(key.to_vec()),
        KeyOrder::Integer => Some(u64::from_le_bytes(key.try_into().ok()?).to_be_bytes().to_vec()),
    }
}

/// How many damaged pages of one file are told one by one.
pub const DAMAGES_MAX: usize = 1000;
