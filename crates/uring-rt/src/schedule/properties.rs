//! What devices can do, and the file that says so.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::sys::Budget;

/// What a device can do, as the scheduler counts: a read of `n` bytes takes `1 / reads_per_s + n / read_bytes_per_s`
/// seconds of the device's time, and a write likewise. `samestep-uring tune` measures that.
///
/// So `reads_per_s` is how many reads of no length the device would do, which is more than it does of 4 KiB; both are
/// those of a device that has as much to do as it can take. A zero is taken as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceProperties {
    /// Bytes read in a second, in addition to what each read costs.
    pub read_bytes_per_s: u64,
    /// Bytes written in a second, in addition to what each write costs.
    pub write_bytes_per_s: u64,
    /// Reads in a second, in addition to what their bytes cost.
    pub reads_per_s: u64,
    /// Writes in a second, in addition to what their bytes cost.
    pub writes_per_s: u64,
    /// The device is given no more at a time than it does within this time, so that whatever comes next waits no longer.
    /// Queues whose [`Latency`](crate::Latency) matters may give it as much again. Something may be under way at any time,
    /// so that it is at least one part.
    pub latency_goal: Duration,
    /// Longer reads and writes are done in parts of at most so many bytes, rounded to the alignment of the file.
    pub part_bytes_max: u32,
}

/// The properties of devices, and what shards share of each: see
/// [`RuntimeBuilder::io_properties`](crate::RuntimeBuilder::io_properties).
///
/// Clones are handles to the same devices: all runtimes that were built with clones of one keep each device's budget
/// together.
///
/// # The file
///
/// `samestep-uring tune` writes it. A section is named by a folder, and is about the device below it, or by the numbers of
/// a device, as `[259:0]`: those of a disk may change when the machine starts, a folder stays. Each section tells all of
/// [`DeviceProperties`], times in microseconds; what follows a number sign is for people.
///
/// ```
/// use samestep_uring_rt::{IoProperties, Runtime};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let known = IoProperties::parse(
///     "[.]   # the disk on which we are
///      read_bytes_per_s = 2100000000
///      write_bytes_per_s = 1500000000
///      reads_per_s = 95000
///      writes_per_s = 80000
///      latency_goal_us = 100
///      part_bytes_max = 65536",
/// )?;
/// let builder = Runtime::builder().io_properties(known);
/// # drop(builder);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct IoProperties {
    devices: Vec<Arc<Known>>,
}

/// A device, and what is shared of it.
#[derive(Debug)]
pub(crate) struct Known {
    number: (u32, u32),
    /// How it was named.
    name: String,
    pub(crate) properties: DeviceProperties,
    pub(crate) budget: Budget,
}

/// Why properties were not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PropertiesError {
    /// The file was not read.
    #[error("the properties of devices could not be read from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not what it should be. Mend it, or measure anew: `samestep-uring tune`.
    #[error("line {line}: {found:?} is not {expected}")]
    Line {
        /// Its number, from one.
        line: usize,
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A section does not say all there is to say. Add it, or measure anew: `samestep-uring tune`.
    #[error("section [{section}] does not tell {name}")]
    Missing {
        /// The section's name.
        section: String,
        /// What is missing.
        name: &'static str,
    },
    /// A section is about a folder that cannot be looked at.
    #[error("section [{}]: no such folder can be looked at", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl IoProperties {
    /// Of no device.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the file that `samestep-uring tune` writes.
    ///
    /// # Errors
    ///
    /// What is wrong with the file, and where.
    pub fn read(path: &Path) -> Result<Self, PropertiesError> {
        let read = |source| PropertiesError::Read { path: path.to_owned(), source };
        Self::parse(&std::fs::read_to_string(path).map_err(read)?)
    }

    /// Understands such a file's text.
    ///
    /// # Errors
    ///
    /// As [`Self::read`].
    pub fn parse(text: &str) -> Result<Self, PropertiesError> {
        let mut this = Self::new();
        let mut section: Option<Section> = None;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split_once('#').map_or(line, |(said, _)| said).trim();
            let wrong = |expected| PropertiesError::Line { line: number, found: line.to_owned(), expected };
            if line.is_empty() {
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                let name = name.strip_suffix(']').ok_or_else(|| wrong("a name between brackets"))?;
                let before = section.replace(Section { name: name.trim().to_owned(), values: [None; 6] });
                this = this.with_section(before)?;
                continue;
            }
            let (name, value) = line.split_once('=').ok_or_else(|| wrong("a name, = and a number"))?;
            let section = section.as_mut().ok_or_else(|| wrong("behind the name of a section"))?;
            let known = NAMES.iter().position(|known| *known == name.trim());
            let place = known.ok_or_else(|| wrong("the name of a property"))?;
            let value = value.trim().parse().map_err(|_| wrong("a name, = and a number"))?;
            if section.values[place].replace(value).is_some() {
                return Err(wrong("told once"));
            }
        }
        this.with_section(section)
    }

    /// Adds the device with this major and minor number. What was known of it is forgotten.
    pub fn device(self, number: (u32, u32), properties: DeviceProperties) -> Self {
        self.with(number, format!("{}:{}", number.0, number.1), properties)
    }

    /// Adds the device of the file system on which `folder` is. What was known of it is forgotten.
    ///
    /// # Errors
    ///
    /// If the folder cannot be looked at.
    pub fn folder(self, folder: &Path, properties: DeviceProperties) -> io::Result<Self> {
        let number = device_of(folder)?;
        Ok(self.with(number, folder.display().to_string(), properties))
    }

    /// What is known of a device.
    pub fn properties(&self, number: (u32, u32)) -> Option<DeviceProperties> {
        self.known(number).map(|known| known.properties)
    }

    pub(crate) fn known(&self, number: (u32, u32)) -> Option<&Arc<Known>> {
        self.devices.iter().find(|known| known.number == number)
    }

    fn with(mut self, number: (u32, u32), name: String, properties: DeviceProperties) -> Self {
        self.devices.retain(|known| known.number != number);
        self.devices.push(Arc::new(Known { number, name, properties, budget: Budget::new() }));
        self
    }

    fn with_section(self, section: Option<Section>) -> Result<Self, PropertiesError> {
        let Some(Section { name, values }) = section else { return Ok(self) };
        let value = |place: usize| {
            let missing = || PropertiesError::Missing { section: name.clone(), name: NAMES[place] };
            values[place].ok_or_else(missing)
        };
        let properties = DeviceProperties {
            read_bytes_per_s: value(0)?,
            write_bytes_per_s: value(1)?,
            reads_per_s: value(2)?,
            writes_per_s: value(3)?,
            latency_goal: Duration::from_micros(value(4)?),
            part_bytes_max: u32::try_from(value(5)?).unwrap_or(u32::MAX),
        };
        let number = name
            .split_once(':')
            .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
        if let Some(number) = number {
            return Ok(self.device(number, properties));
        }
        let folder = PathBuf::from(&name);
        let added = self.folder(&folder, properties);
        added.map_err(|source| PropertiesError::Folder { folder, source })
    }
}

/// As a file that [`IoProperties::parse`] understands.
impl fmt::Display for IoProperties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for known in &self.devices {
            let DeviceProperties {
                read_bytes_per_s,
                write_bytes_per_s,
                reads_per_s,
                writes_per_s,
                latency_goal,
                part_bytes_max,
            } = known.properties;
            let goal_us = u64::try_from(latency_goal.as_micros()).unwrap_or(u64::MAX);
            let part = u64::from(part_bytes_max);
            let values = [read_bytes_per_s, write_bytes_per_s, reads_per_s, writes_per_s, goal_us, part];
            writeln!(f, "[{}]", known.name)?;
            for (name, value) in NAMES.iter().zip(values) {
                writeln!(f, "{name} = {value}")?;
            }
        }
        Ok(())
    }
}

/// The number of the device of the file system on which `path` is.
fn device_of(path: &Path) -> io::Result<(u32, u32)> {
    let device = rustix::fs::stat(path)?.st_dev;
    Ok((rustix::fs::major(device), rustix::fs::minor(device)))
}

/// What was read of a section.
struct Section {
    name: String,
    values: [Option<u64>; 6],
}

const NAMES: [&str; 6] = [
    "read_bytes_per_s",
    "write_bytes_per_s",
    "reads_per_s",
    "writes_per_s",
    "latency_goal_us",
    "part_bytes_max",
];

#[cfg(test)]
mod tests {
    use super::{DeviceProperties, IoProperties};
    use std::time::Duration;

    const DISK: DeviceProperties = DeviceProperties {
        read_bytes_per_s: 2_100_000_000,
        write_bytes_per_s: 1_500_000_000,
        reads_per_s: 95_000,
        writes_per_s: 80_000,
        latency_goal: Duration::from_micros(100),
        part_bytes_max: 65_536,
    };

    #[test]
    fn what_is_written_is_read() {
        let here = std::path::Path::new(".");
        let slow = DeviceProperties { reads_per_s: 100, ..DISK };
        let written = IoProperties::new().folder(here, DISK).unwrap().device((7, 1), slow);
        let read = IoProperties::parse(&format!("# a disk\n\n{written}")).unwrap();
        assert_eq!(read.to_string(), written.to_string());
        assert_eq!(read.properties((7, 1)), Some(slow));
        assert_eq!(read.properties(super::device_of(here).unwrap()), Some(DISK));
        assert_eq!(read.properties((7, 2)), None);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let whole = IoProperties::new().device((7, 1), DISK).to_string();
        for (text, told) in [
            (whole.replace("80000", "many"), "line 5: \"writes_per_s = many\" is not a name, = and a number"),
            (
                whole.replace("reads_per_s", "reads"),
                "line 4: \"reads = 95000\" is not the name of a property",
            ),
            (whole.replace(']', ""), "line 1: \"[7:1\" is not a name between brackets"),
            (
                whole.replace("[7:1]\n", ""),
                "line 1: \"read_bytes_per_s = 2100000000\" is not behind the name of a section",
            ),
            (
                whole.replace("part_bytes_max", "reads_per_s"),
                "line 7: \"reads_per_s = 65536\" is not told once",
            ),
            (whole.replace("part_bytes_max = 65536", ""), "section [7:1] does not tell part_bytes_max"),
            (whole.replace("7:1", "/no/such"), "section [/no/such]: no such folder can be looked at"),
        ] {
            assert_eq!(IoProperties::parse(&text).unwrap_err().to_string(), told);
        }
        assert!(IoProperties::parse("# nothing\n").unwrap().devices.is_empty());
    }
}
