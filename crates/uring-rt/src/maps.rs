//! Which file an address of code is from, by `/proc/self/maps`, see proc_pid_maps(5).

use std::ops::Range;

/// What is mapped where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Maps(Vec<Map>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Map {
    addresses: Range<usize>,
    is_code: bool,
    path: String,
}

impl Maps {
    /// Lines as the kernel writes them; what is none is left out.
    pub(crate) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(parse_line).collect())
    }

    /// The file that the code at `address` is from, and how far behind the begin of what is mapped of it, as tools that
    /// read debug information count; `None` if no code is there.
    pub(crate) fn find(&self, address: usize) -> Option<(&str, usize)> {
        let map = self.0.iter().find(|map| map.is_code && map.addresses.contains(&address))?;
        let first = self.0.iter().find(|other| other.path == map.path).unwrap_or(map);
        Some((&map.path, address - first.addresses.start.min(map.addresses.start)))
    }
}

/// `start-end rights offset device inode path`.
fn parse_line(line: &str) -> Option<Map> {
    let (addresses, rest) = line.split_once(' ')?;
    let (start, end) = addresses.split_once('-')?;
    let address = |hex| usize::from_str_radix(hex, 16).ok();
    let (rights, rest) = rest.split_once(' ')?;
    let mut rest = rest.trim_start();
    for _ in 0..2 {
        rest = rest.split_once(' ')?.1.trim_start();
    }
    // Without a path there may be nothing behind the inode.
    let path = rest.split_once(' ').map_or("", |(_, path)| path.trim_start());
    Some(Map {
        addresses: address(start)?..address(end)?,
        is_code: rights.contains('x'),
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::Maps;

    #[test]
    fn addresses_are_found_in_files() {
        let maps = Maps::parse(
            "55d0c0000000-55d0c0001000 r--p 00000000 fd:00 123                        /bin/a b\n\
             55d0c0001000-55d0c0003000 r-xp 00001000 fd:00 123                        /bin/a b\n\
             7f0000000000-7f0000001000 rwxp 00000000 00:00 0 \n\
             7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]\n\
             garbage\n",
        );
        assert_eq!(maps.find(0x55d0_c000_1234), Some(("/bin/a b", 0x1234)));
        assert_eq!(maps.find(0x7f00_0000_0010), Some(("", 0x10)));
        // Not code, behind the end, and nowhere.
        for address in [0x55d0_c000_0123, 0x55d0_c000_3000, 0x7ffd_0000_0010, 0] {
            assert_eq!(maps.find(address), None, "{address:#x}");
        }
    }
}
