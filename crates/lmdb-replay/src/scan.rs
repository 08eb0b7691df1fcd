//! Finds entries with integer keys by looking at every page, where no tree leads to them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::error::ReadError;
use crate::format::{
    BIG_DATA, Node, PAGE_HEADER_BYTES, PageHeader, PageKind, check_header, check_slots, u64_at,
};
use crate::read_at::ReadAt;

/// What a scan found: for each number its value, or `None` if pages give different ones.
pub(crate) type Found = BTreeMap<u64, Option<Vec<u8>>>;

/// Looks for entries with numbers in one of `wanted`, whose value `is_plausible`, on every page of `page_bytes` bytes.
///
/// Pages that were freed still hold what they held, and the values of events never change, so that an older copy of
/// a page is as good as the page. The memory taken is that of the values found.
///
/// # Errors
///
/// [`ReadError::Io`] if the length of the file cannot be told. Pages that cannot be read hold nothing.
pub(crate) fn scan<R: ReadAt + ?Sized>(
    reader: &R,
    page_bytes: usize,
    wanted: &[RangeInclusive<u64>],
    is_plausible: impl Fn(&[u8]) -> bool,
) -> Result<Found, ReadError> {
    let byte_len = reader.byte_len().map_err(|source| ReadError::Io { page: 0, source })?;
    let page_count = byte_len / page_bytes as u64;
    let mut found = Found::new();
    let mut page = vec![0; page_bytes];
    for number in 2..page_count {
        if reader.read_exact_at(&mut page, number * page_bytes as u64).is_err() {
            continue;
        }
        if check_header(&page, PageKind::Leaf, PageHeader::decode(&page).number).is_err() {
            continue;
        }
        let Ok(count) = check_slots(&page, PageKind::Leaf, number) else { continue };
        for at in 0..count {
            let Ok(node) = Node::decode(&page, at, PageKind::Leaf) else { continue };
            let Ok(key) = <[u8; 8]>::try_from(&page[node.key()]) else { continue };
            let key = u64::from_le_bytes(key);
            if !wanted.iter().any(|range| range.contains(&key)) {
                continue;
            }
            let inline = &page[node.inline()];
            let value = if node.flags & BIG_DATA != 0 {
                long_value(reader, page_bytes, page_count, u64_at(inline, 0), node.value_bytes)
            } else {
                Some(inline.to_vec())
            };
            let Some(value) = value.filter(|value| is_plausible(value)) else { continue };
            let known = found.entry(key).or_insert_with(|| Some(value.clone()));
            if known.as_ref() != Some(&value) {
                *known = None;
            }
        }
    }
    Ok(found)
}

fn long_value<R: ReadAt + ?Sized>(
    reader: &R,
    page_bytes: usize,
    page_count: u64,
    number: u64,
    value_bytes: u32,
) -> Option<Vec<u8>> {
    let needed_bytes = PAGE_HEADER_BYTES + usize::try_from(value_bytes).ok()?;
    let count = needed_bytes.div_ceil(page_bytes) as u64;
    if number < 2 || number.checked_add(count)? > page_count {
        return None;
    }
    let mut bytes = vec![0; needed_bytes];
    reader.read_exact_at(&mut bytes, number * page_bytes as u64).ok()?;
    let header = check_header(&bytes, PageKind::Overflow, number).ok()?;
    (u64::from(header.overflow_pages) == count).then(|| bytes.split_off(PAGE_HEADER_BYTES))
}
