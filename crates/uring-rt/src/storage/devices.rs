//! The devices below the files: what they take in one piece, and whether they are polled.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::core::Core;
use crate::info::{DeviceInfo, Polling};
use crate::schedule::{IoDeviceStats, IoProperties, Schedule, Schedules};
use crate::sys::{Driver, Notice, Ring};

/// The devices of one shard's direct files, by major and minor number.
pub(crate) struct Devices {
    known: RefCell<BTreeMap<Number, Rc<Device>>>,
    /// Why none is polled, if so.
    unpolled: Option<Polling>,
    /// Whether the system is not asked whether a device can be.
    is_unchecked: bool,
    /// Makes the poll ring, when the first device is to be polled.
    make_ring: RefCell<Option<MakeRing>>,
    schedules: Schedules,
}

pub(crate) type Number = (u32, u32);
pub(crate) type MakeRing = Box<dyn FnOnce() -> io::Result<Box<dyn Ring>>>;

/// One device.
pub(crate) struct Device {
    number: Number,
    polling: Cell<Polling>,
    limits: Limits,
    /// Of a device whose properties are known.
    schedule: Option<Rc<Schedule>>,
}

/// What the kernel tells of a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    has_poll_queue: bool,
    part_bytes_max: u32,
}

impl Devices {
    /// None is polled, for this reason.
    pub(crate) fn unpolled(why: Polling) -> Self {
        let (known, make_ring) = (RefCell::default(), RefCell::new(None));
        Self { known, unpolled: Some(why), is_unchecked: false, make_ring, schedules: Schedules::default() }
    }

    /// Those are polled that can be, or all.
    pub(crate) fn polled(is_unchecked: bool, make_ring: MakeRing) -> Self {
        let (known, make_ring) = (RefCell::default(), RefCell::new(Some(make_ring)));
        Self { known, unpolled: None, is_unchecked, make_ring, schedules: Schedules::default() }
    }

    /// Those with properties are scheduled.
    pub(crate) fn scheduled(self, properties: IoProperties) -> Self {
        Self { schedules: Schedules::new(properties), ..self }
    }

    /// See [`Schedules::start_due`].
    pub(crate) fn start_due(&self, driver: &RefCell<Driver>) {
        self.schedules.start_due(driver);
    }

    /// See [`Schedules::next_due`].
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.schedules.next_due()
    }

    /// See [`Schedules::stop_waiting`].
    pub(crate) fn stop_waiting(&self, driver: &RefCell<Driver>, notices: &mut Vec<Notice>) {
        self.schedules.stop_waiting(driver, notices);
    }

    /// What went to the devices that are scheduled.
    pub(crate) fn io_stats(&self, name_of: impl Fn(u32) -> String) -> Vec<IoDeviceStats> {
        self.schedules.stats(name_of)
    }

    /// The device with this number. Looked at once, on a thread.
    pub(super) async fn of(core: &Core, number: Number) -> Rc<Device> {
        let known = |devices: &Self| devices.known.borrow().get(&number).map(Rc::clone);
        if let Some(device) = known(&core.devices) {
            return device;
        }
        let found = core.pool.run(move || Limits::read(Path::new(SYSFS), number)).await;
        let limits = found.unwrap_or_else(Err);
        // Another file of the device may have been opened meanwhile.
        if let Some(device) = known(&core.devices) {
            return device;
        }
        let polling = core.devices.choose(core, limits.as_ref().ok());
        let device = Rc::new(Device {
            number,
            polling: Cell::new(polling),
            limits: limits.unwrap_or(Limits { has_poll_queue: false, part_bytes_max: PART_BYTES_SAFE }),
            schedule: core.devices.schedules.add(number),
        });
        core.devices.known.borrow_mut().insert(number, Rc::clone(&device));
        device
    }

    /// What is known of each so far.
    pub(crate) fn info(&self) -> Vec<DeviceInfo> {
        let known = self.known.borrow();
        let info = |device: &Rc<Device>| DeviceInfo {
            number: device.number,
            polling: device.polling.get(),
            part_bytes_max: device.limits.part_bytes_max,
        };
        known.values().map(info).collect()
    }

    /// Whether a device is polled; makes the ring for the first one that is.
    fn choose(&self, core: &Core, limits: Option<&Limits>) -> Polling {
        if let Some(why) = self.unpolled {
            return why;
        }
        match limits {
            _ if self.is_unchecked => {}
            None => return Polling::NoDevice,
            Some(limits) if !limits.has_poll_queue => return Polling::NoPollQueue,
            Some(_) => {}
        }
        if let Some(make) = self.make_ring.take() {
            let Ok(ring) = make() else { return Polling::NoRing };
            core.driver.borrow_mut().add_poll_ring(ring);
        }
        if core.driver.borrow().has_poll_ring() { Polling::Polled } else { Polling::NoRing }
    }
}

impl Device {
    pub(super) fn polling(&self) -> Polling {
        self.polling.get()
    }

    /// The largest part of a polled read or write, if they are polled.
    pub(super) fn polled_part_bytes(&self) -> Option<u32> {
        (self.polling.get() == Polling::Polled).then_some(self.limits.part_bytes_max)
    }

    pub(super) fn schedule(&self) -> Option<&Rc<Schedule>> {
        self.schedule.as_ref()
    }

    /// It refused.
    pub(super) fn demote(&self) {
        self.polling.set(Polling::Refused);
    }
}

impl Limits {
    /// What `sysfs`, which is `/sys` but in tests, has of the device. A partition has the queue of its disk.
    ///
    /// The part is a power of two, so that parts keep every alignment, and leaves a segment for a buffer that begins
    /// within a page. On Linux 6.1 a polled read that the block layer has to split never ends.
    fn read(sysfs: &Path, number: Number) -> io::Result<Self> {
        let device = sysfs.join(format!("dev/block/{}:{}", number.0, number.1));
        let queues = [device.join("queue"), device.join("../queue")];
        let read = |name: &str| -> io::Result<u64> {
            let at = |queue: &PathBuf| fs::read_to_string(queue.join(name));
            let text = at(&queues[0]).or_else(|_| at(&queues[1]))?;
            text.trim().parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        };
        let has_poll_queue = read("io_poll")? == 1;
        let transfer_bytes = read("max_sectors_kb")?.saturating_mul(1024);
        let segments = read("max_segments")?.clamp(2, SEGMENTS_MAX);
        let bytes = transfer_bytes.min((segments - 1) * PAGE_BYTES).max(PAGE_BYTES);
        let part_bytes_max = 1 << bytes.ilog2();
        Ok(Self { has_poll_queue, part_bytes_max })
    }
}

const SYSFS: &str = "/sys";
const PAGE_BYTES: u64 = 4096;
/// `BIO_MAX_VECS` of Linux: one bio has no more, and only single bios are polled.
const SEGMENTS_MAX: u64 = 256;
/// What all disks in use take in one piece.
const PART_BYTES_SAFE: u32 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::Limits;

    fn check(sysfs: &Path, numbers: &[&str], expected: Option<(bool, u32)>) {
        let [io_poll, max_sectors_kb, max_segments] = numbers else { panic!("three numbers") };
        let disk = sysfs.join("devices/disk");
        fs::create_dir_all(disk.join("queue")).unwrap();
        fs::create_dir_all(disk.join("partition")).unwrap();
        fs::create_dir_all(sysfs.join("dev/block")).unwrap();
        for (name, number) in
            [("io_poll", io_poll), ("max_sectors_kb", max_sectors_kb), ("max_segments", max_segments)]
        {
            fs::write(disk.join("queue").join(name), format!("{number}\n")).unwrap();
        }
        for (minor, target) in [(0, "disk"), (1, "disk/partition")] {
            let link = sysfs.join(format!("dev/block/259:{minor}"));
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(sysfs.join("devices").join(target), link).unwrap();
            let read = Limits::read(sysfs, (259, minor)).ok();
            assert_eq!(read.map(|limits| (limits.has_poll_queue, limits.part_bytes_max)), expected);
        }
    }

    #[test]
    fn limits_are_those_of_the_disk_below_a_partition() {
        let sysfs = tempfile::tempdir().unwrap();
        // An NVMe disk in qemu: 512 KiB, in 127 segments of a page, one of which a crooked buffer needs.
        check(sysfs.path(), &["1", "512", "127"], Some((true, 256 * 1024)));
        check(sysfs.path(), &["0", "128", "129"], Some((false, 128 * 1024)));
        check(sysfs.path(), &["1", "1280", "65535"], Some((true, 512 * 1024)));
        check(sysfs.path(), &["1", "4", "1"], Some((true, 4096)));
        check(sysfs.path(), &["1", "0", "0"], Some((true, 4096)));
        check(sysfs.path(), &["1", "a lot", "127"], None);
        assert!(Limits::read(sysfs.path(), (1, 1)).is_err());
    }
}
