//! The first file system of a machine, as the kernel's documentation of the initramfs format (`newc`) has it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// An archive under way.
#[derive(Debug)]
pub(crate) struct Initramfs {
    bytes: Vec<u8>,
    folders: BTreeSet<PathBuf>,
    entries: u32,
}

impl Initramfs {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), folders: BTreeSet::new(), entries: 0 }
    }

    /// Adds a folder, and those above it; once.
    pub(crate) fn add_folder(&mut self, path: &Path) {
        if path.as_os_str().is_empty() || !self.folders.insert(path.to_owned()) {
            return;
        }
        path.parent().into_iter().for_each(|above| self.add_folder(above));
        self.add(path, FOLDER_MODE, (0, 0), &[]);
    }

    /// Adds a file that may be run, and the folder that it is in.
    pub(crate) fn add_program(&mut self, path: &Path, content: &[u8]) {
        path.parent().into_iter().for_each(|above| self.add_folder(above));
        self.add(path, PROGRAM_MODE, (0, 0), content);
    }

    /// Adds where the first process writes.
    pub(crate) fn add_console(&mut self) {
        self.add(Path::new("dev/console"), CONSOLE_MODE, (5, 1), &[]);
    }

    /// The archive.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        self.add(Path::new("TRAILER!!!"), 0, (0, 0), &[]);
        self.bytes
    }

    fn add(&mut self, path: &Path, mode: u32, device: (u32, u32), content: &[u8]) {
        self.entries += 1;
        let name = path.as_os_str().as_encoded_bytes();
        let length = u32::try_from(content.len()).expect("programs are smaller than 4 GiB");
        let name_length = u32::try_from(name.len() + 1).expect("paths are short");
        // Magic; then number, mode, owner, group, links, time, length, device of the archive, device of the node,
        // length of the name, checksum.
        let fields = [self.entries, mode, 0, 0, 1, 0, length, 0, 0, device.0, device.1, name_length, 0];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name);
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

const FOLDER_MODE: u32 = 0o040_755;
const PROGRAM_MODE: u32 = 0o100_755;
const CONSOLE_MODE: u32 = 0o020_600;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Initramfs;

    /// Held against the layout in `Documentation/driver-api/early-userspace/buffer-format.rst` of Linux.
    #[test]
    fn entries_are_headers_names_and_content_at_multiples_of_four() {
        let mut initramfs = Initramfs::new();
        initramfs.add_program(Path::new("bin/a"), b"hello");
        initramfs.add_folder(Path::new("bin"));
        let bytes = initramfs.into_bytes();
        let text = String::from_utf8(bytes).unwrap();
        let header = |number: u32, mode: u32, length: usize, name: &str| {
            let zero = "0".repeat(8);
            format!(
                "070701{number:08x}{mode:08x}{zero}{zero}{:08x}{zero}{length:08x}{zero}{zero}{zero}{zero}{:08x}{zero}",
                1,
                name.len() + 1
            )
        };
        let folder = header(1, 0o040_755, 0, "bin") + "bin\0\0\0";
        let program = header(2, 0o100_755, 5, "bin/a") + "bin/a\0" + "hello\0\0\0";
        let trailer = header(3, 0, 0, "TRAILER!!!") + "TRAILER!!!\0\0\0\0";
        assert_eq!(text, folder + &program + &trailer);
    }
}
