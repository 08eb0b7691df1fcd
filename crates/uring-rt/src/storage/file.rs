//! Open files.

use std::cell::{Cell, OnceCell, Ref, RefCell};
use std::ffi::CString;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use samestep_provider_traits::{
    Access, Alignment, BufResult, File, FileKind, IoBuf, IoBufMut, Metadata, OpenOptions,
};

use super::closing::Closing;
use super::devices::{Device, Devices};
use super::shared::SharedReads;
use super::writes::{Set, Writes};
use super::{metadata_of, no_direct_io};
use crate::core::Core;
use crate::info::Polling;
use crate::op::Op;
use crate::schedule::{Charge, Class, Direction, REQUESTS_MAX, Schedule, Transfer, Urgency};
use crate::sys::{Attendance, Completion, DmaBuffer, OnDrop, Owner, Prepared, RingId, Stat, Tag};
use crate::tasks::TaskQueue;
use crate::waiters::Waiters;
use crate::waits::WaitsOn;

/// An open file.
///
/// Reads and writes go to the kernel with the caller's buffer, without a copy. Syncs that are asked for while one is
/// under way share the next one. A sync that failed makes all later ones of this open file fail.
#[derive(Clone)]
pub struct UringFile {
    state: Rc<State>,
    /// Whose its reads and writes are, if not the running task's.
    class: Option<u32>,
}

struct State {
    core: Rc<Core>,
    /// `None` once a handle closed it.
    fd: RefCell<Option<Arc<OwnedFd>>>,
    options: OpenOptions,
    alignment: Cell<Alignment>,
    /// Of a direct file.
    device: OnceCell<Rc<Device>>,
    /// The file is at least so long, as far as is known here, and its blocks have so many bytes: a write beyond, or to
    /// a part of a block, is not polled, see [`State::is_polled_safely`].
    length_known: Cell<u64>,
    block_bytes: Cell<u64>,
    writes: Writes,
    shared_reads: SharedReads,
    /// Operations under way, of any kind.
    under_way: Cell<u32>,
    syncs: Syncs,
    /// Told when something changes of the two above.
    waiters: Waiters,
}

/// One sync at a time is under way: of several the kernel tells a failure to one, and to the others that all went
/// well.
#[derive(Default)]
struct Syncs {
    /// How many were begun.
    begun: Cell<u64>,
    is_under_way: Cell<bool>,
    /// The last that ended well, and the last of those that synced all metadata, too.
    data_done: Cell<u64>,
    all_done: Cell<u64>,
    failure: RefCell<Option<(ErrorKind, String)>>,
}

/// A write that may not go at once.
struct Waits;

/// What a sync makes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// Bytes, and the length needed to read them.
    Data,
    /// All metadata, too.
    All,
}

impl UringFile {
    pub(super) async fn new(core: Rc<Core>, fd: Arc<OwnedFd>, options: OpenOptions) -> io::Result<Self> {
        let state = Rc::new(State {
            core,
            fd: RefCell::new(Some(fd)),
            options,
            alignment: Cell::new(Alignment::NONE),
            device: OnceCell::new(),
            length_known: Cell::default(),
            block_bytes: Cell::new(PAGE_BYTES as u64),
            writes: Writes::default(),
            shared_reads: SharedReads::default(),
            under_way: Cell::default(),
            syncs: Syncs::default(),
            waiters: Waiters::on(WaitsOn::EarlierWrites),
        });
        let stat = state.stat().await?;
        if metadata_of(&stat).kind == FileKind::Directory {
            return Err(ErrorKind::IsADirectory.into());
        }
        if !options.is_direct() {
            return Ok(Self { state, class: None });
        }
        let alignment = match stat.direct_alignment() {
            Some((memory, offset)) => {
                Alignment { memory_bytes: memory as usize, offset_bytes: u64::from(offset) }
            }
            None if stat.tells_direct() => return Err(no_direct_io()),
            // A page, which all disks in use keep.
            None => Alignment { memory_bytes: PAGE_BYTES, offset_bytes: PAGE_BYTES as u64 },
        };
        state.alignment.set(alignment);
        state.length_known.set(stat.len());
        state.block_bytes.set(stat.block_bytes().max(1));
        let device = Devices::of(&state.core, stat.device()).await;
        assert!(state.device.set(device).is_ok(), "a file is opened once");
        state.core.driver.borrow_mut().keep_file(&state.fd()?);
        Ok(Self { state, class: None })
    }

    /// Whether reads and writes are polled, or why not. Writes that make the file longer, and those of parts of a block
    /// of the file system, never are; so that whoever wants them polled writes to a file that has its length. Another
    /// process must not cut a file that has polled writes under way.
    pub fn polling(&self) -> Polling {
        self.state.device.get().map_or(Polling::Buffered, |device| device.polling())
    }

    /// Takes the room of a range of bytes away, which then read as zeros; the length stays. Of a block of the file system
    /// that is partly in the range the bytes are zeroed, and the room is kept. Nothing is durable before a sync.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) if the file system cannot; an empty range is no error.
    ///
    /// # Panics
    ///
    /// If the range ends before it starts.
    pub fn deallocate(&self, range: Range<u64>) -> impl Future<Output = io::Result<()>> + use<> {
        assert!(range.start <= range.end, "{range:?} ends before it starts");
        let state = Rc::clone(&self.state);
        async move {
            let fd = state.writable_fd()?;
            if range.is_empty() {
                return Ok(());
            }
            state.writes.settle().await;
            state
                .start_write(Prepared::deallocate(&fd, range), None)
                .await
                .result()
                .map(|_| ())
                .map_err(exact)
        }
    }

    /// A handle to the same file whose reads and writes wait for their turn among those of `queue`, rather than of the
    /// queue that the calling task is in. That matters only where devices are
    /// [scheduled](crate::RuntimeBuilder::io_properties).
    pub fn in_queue(&self, queue: TaskQueue) -> Self {
        Self { class: Some(queue.number()), ..self.clone() }
    }

    pub(super) fn core(&self) -> &Rc<Core> {
        &self.state.core
    }

    pub(super) fn shared_reads(&self) -> &SharedReads {
        &self.state.shared_reads
    }

    /// A buffer that the file takes as it is: of the arena if the file is direct.
    pub(super) fn buffer(&self, len: usize) -> DmaBuffer {
        match self.state.alignment.get().memory_bytes {
            memory_bytes if self.is_direct() && memory_bytes <= PAGE_BYTES => self.state.core.alloc_dma(len),
            memory_bytes => self.state.core.dma.heap().take(len, memory_bytes),
        }
    }

    /// The descriptor, which is open as long as this is held.
    pub(super) fn fd(&self) -> io::Result<Arc<OwnedFd>> {
        self.state.fd()
    }

    /// Changes the file on a thread, and tells up to where that went. Syncs that begin later wait for it, also if the
    /// future was dropped, and then tell if it failed.
    pub(super) async fn write_on_thread(
        &self,
        job: impl FnOnce(&OwnedFd) -> io::Result<u64> + Send + 'static,
    ) -> io::Result<u64> {
        let state = Rc::clone(&self.state);
        let fd = state.writable_fd()?;
        let set = state.writes.begin();
        state.begin();
        let watch = Rc::new(());
        let awaited = Rc::downgrade(&watch);
        let mut task = self.core().spawn_here("write on a thread", async move {
            let done = state.core.pool.run(move || job(&fd)).await.flatten().map_err(exact);
            state.shared_reads.changed();
            let told = match done {
                Ok(end) => {
                    state.note_length(end);
                    Ok(end)
                }
                Err(error) if awaited.strong_count() == 0 => {
                    state.writes.keep_error(error);
                    Ok(0)
                }
                Err(error) => Err(error),
            };
            state.writes.end(set);
            state.end();
            told
        });
        let ended = poll_fn(|cx| task.poll(cx)).await;
        drop(watch);
        ended.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Syncs, or shares a sync that begins after this.
    async fn sync(self, extent: Extent) -> io::Result<()> {
        let state = &self.state;
        state.writes.settle().await;
        state.writes.take_error()?;
        state.synced(extent, state.syncs.begun.get()).await
    }
}

impl State {
    fn fd(&self) -> io::Result<Arc<OwnedFd>> {
        Ok(Arc::clone(&*self.open_fd()?))
    }

    /// As [`Self::fd`], without a count. Not to be kept over an await.
    fn open_fd(&self) -> io::Result<Ref<'_, Arc<OwnedFd>>> {
        let message = "the file was closed by a handle to it";
        Ref::filter_map(self.fd.borrow(), Option::as_ref)
            .map_err(|_| io::Error::new(ErrorKind::InvalidInput, message))
    }

    fn writable_fd(&self) -> io::Result<Arc<OwnedFd>> {
        if self.options.access() == Access::Read {
            let message = "the file was opened for reading only";
            return Err(io::Error::new(ErrorKind::PermissionDenied, message));
        }
        self.fd()
    }

    /// Checks what a direct file demands of a read or write.
    fn check_alignment(&self, buf: &impl IoBuf, len: usize, offset: u64) -> io::Result<()> {
        let Alignment { memory_bytes, offset_bytes } = self.alignment.get();
        let is_kept = buf.stable_ptr().addr().is_multiple_of(memory_bytes)
            && offset.is_multiple_of(offset_bytes)
            && (len as u64).is_multiple_of(offset_bytes);
        if is_kept {
            return Ok(());
        }
        let message = format!("{len} bytes at {offset} do not keep {:?}", self.alignment.get());
        Err(io::Error::new(ErrorKind::InvalidInput, message))
    }

    /// What the file is now.
    async fn stat(self: &Rc<Self>) -> io::Result<Box<Stat>> {
        let prepared = Prepared::statx(&self.fd()?, CString::default());
        let (result, (stat, _)) = self.start(prepared, TAG_OTHER).await.take::<(Box<Stat>, CString)>();
        result.map(|_| stat)
    }

    /// The rings hold the file open no longer.
    fn forget(&self, fd: Option<&Arc<OwnedFd>>) {
        if let Some(fd) = fd.filter(|_| self.device.get().is_some()) {
            self.core.driver.borrow_mut().forget_file(fd);
        }
    }

    fn begin(&self) {
        self.under_way.set(self.under_way.get() + 1);
    }

    fn end(&self) {
        self.under_way.set(self.under_way.get() - 1);
        if self.under_way.get() == 0 {
            self.waiters.notify();
        }
    }

    /// Waits for a sync that was begun after the one with this number, and begins it if nobody does.
    async fn synced(self: &Rc<Self>, extent: Extent, after: u64) -> io::Result<()> {
        self.waiters
            .until(|| {
                let syncs = &self.syncs;
                if let Some(failure) = syncs.failure() {
                    return Some(Err(failure));
                }
                let done = match extent {
                    Extent::Data => syncs.data_done.get(),
                    Extent::All => syncs.all_done.get(),
                };
                if done > after {
                    return Some(Ok(()));
                }
                if syncs.is_under_way.get() {
                    return None;
                }
                self.begin_sync(extent).err().map(Err)
            })
            .await
    }

    fn begin_sync(self: &Rc<Self>, extent: Extent) -> io::Result<()> {
        let fd = self.fd()?;
        let (prepared, tag) = match extent {
            Extent::Data => (Prepared::fdatasync(&fd), TAG_SYNC_DATA),
            Extent::All => (Prepared::fsync(&fd), TAG_SYNC_ALL),
        };
        let owner = Rc::clone(self) as Rc<dyn Owner>;
        let mut driver = self.core.driver.borrow_mut();
        let started = driver.start(RingId::Main, prepared, Some(owner), tag, Attendance::Detached);
        started.map_err(|_| io::Error::other("the runtime was shut down"))?;
        self.note_sync_begun();
        Ok(())
    }

    fn note_sync_begun(&self) {
        self.begin();
        self.syncs.begun.set(self.syncs.begun.get() + 1);
        self.syncs.is_under_way.set(true);
    }

    fn sync_ended(&self, result: i32, extent: Extent) {
        let syncs = &self.syncs;
        syncs.is_under_way.set(false);
        match result {
            0.. => {
                syncs.data_done.set(syncs.begun.get());
                if extent == Extent::All {
                    syncs.all_done.set(syncs.begun.get());
                }
            }
            // It did not begin: the write before it was short, or the runtime ends.
            _ if result == -libc::ECANCELED => {}
            _ => {
                let error = io::Error::from_raw_os_error(-result);
                syncs.failure.replace(Some((error.kind(), error.to_string())));
            }
        }
        self.waiters.notify();
    }
}

impl Syncs {
    fn failure(&self) -> Option<io::Error> {
        let failure = self.failure.borrow();
        let (kind, message) = failure.as_ref()?;
        let message =
            format!("a sync of this open file failed, so it is not known what is durable: {message}");
        Some(io::Error::new(*kind, message))
    }
}

impl Owner for State {
    /// A read that has ended is one less under way, which is news only to who waits for the last.
    fn is_to_be_told(&self, tag: Tag) -> bool {
        if tag != TAG_OTHER || !self.waiters.is_empty() {
            return true;
        }
        self.under_way.set(self.under_way.get() - 1);
        false
    }

    fn completed(self: Rc<Self>, completion: Completion) {
        let result = completion.result;
        if !completion.is_last {
            // It goes on, but not on the poll ring.
            return self.device.get().into_iter().for_each(|device| device.demote());
        }
        let is_write = [TAG_WRITE_EVEN, TAG_WRITE_ODD].contains(&completion.tag);
        // One that was given up before its turn has not failed.
        let has_failed = result < 0 && result != -libc::ECANCELED;
        if is_write && completion.owned.is_some() && has_failed {
            self.writes.keep_error(exact(io::Error::from_raw_os_error(-result)));
        }
        if completion.was_told {
            return;
        }
        match completion.tag {
            TAG_OTHER => {}
            TAG_WRITE_EVEN | TAG_WRITE_ODD => {
                let is_even = completion.tag == TAG_WRITE_EVEN;
                self.shared_reads.changed();
                self.writes.end(if is_even { Set::Even } else { Set::Odd });
            }
            TAG_SYNC_DATA => self.sync_ended(result, Extent::Data),
            TAG_SYNC_ALL => self.sync_ended(result, Extent::All),
            _ => unreachable!("no operation of a file has another tag"),
        }
        self.end();
    }
}

impl File for UringFile {
    fn read_at<B: IoBufMut>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let (state, class) = (Rc::clone(&self.state), self.class);
        async move {
            let len = buf.bytes_total();
            let checked = state.check_alignment(&buf, len, offset).and_then(|()| state.check_room());
            let op = match checked.and_then(|()| state.open_fd()) {
                Ok(_) if len == 0 => return (Ok(0), buf),
                Ok(fd) => {
                    let prepared = Prepared::read(&*fd, buf, offset);
                    state.start_transfer(prepared, TAG_OTHER, class)
                }
                Err(error) => return (Err(error), buf),
            };
            op.await.into_filled()
        }
    }

    fn write_at<B: IoBuf>(&self, buf: B, offset: u64) -> impl Future<Output = BufResult<usize, B>> + use<B> {
        let (state, class) = (Rc::clone(&self.state), self.class);
        async move {
            let len = buf.bytes_init();
            let checked = state.check_alignment(&buf, len, offset).and_then(|()| state.check_room());
            let fd = match checked.and_then(|()| state.writable_fd()) {
                Ok(fd) => fd,
                Err(error) => return (Err(error), buf),
            };
            if len == 0 {
                return (Ok(0), buf);
            }
            let prepared = Prepared::write(&fd, buf, offset);
            let (count, buf) = state.start_write(prepared, class).await.into_sent();
            if let Ok(count) = count {
                state.note_length(offset.saturating_add(count as u64));
            }
            (count.map_err(exact), buf)
        }
    }

    fn sync_data(&self) -> impl Future<Output = io::Result<()>> + use<> {
        self.clone().sync(Extent::Data)
    }

    fn sync_all(&self) -> impl Future<Output = io::Result<()>> + use<> {
        self.clone().sync(Extent::All)
    }

    fn allocate(&self, length: u64) -> impl Future<Output = io::Result<()>> + use<> {
        let state = Rc::clone(&self.state);
        async move {
            let fd = state.writable_fd()?;
            if length == 0 {
                return Ok(());
            }
            let prepared = Prepared::fallocate(&fd, length);
            state.start_write(prepared, None).await.result().map_err(exact)?;
            state.note_length(length);
            Ok(())
        }
    }

    /// As the trait says; on a thread if the kernel is older than 6.9, whose ring has no operation for it.
    fn set_len(&self, length: u64) -> impl Future<Output = io::Result<()>> + use<> {
        let file = self.clone();
        async move {
            let state = &file.state;
            let fd = state.writable_fd()?;
            // No write that counts on the length begins behind the cut.
            state.length_known.set(state.length_known.get().min(length));
            state.writes.settle().await;
            if state.core.driver.borrow().can_truncate() {
                let prepared = Prepared::truncate(&fd, length);
                return state.start_write(prepared, None).await.result().map(|_| ()).map_err(exact);
            }
            drop(fd);
            // It says nothing of the length that is known: what was cut off is not known to be there.
            file.write_on_thread(move |fd| Ok(rustix::fs::ftruncate(fd, length).map(|()| 0)?))
                .await
                .map(|_| ())
        }
    }

    fn metadata(&self) -> impl Future<Output = io::Result<Metadata>> + use<> {
        let state = Rc::clone(&self.state);
        async move { Ok(metadata_of(&*state.stat().await?)) }
    }

    /// As the trait says. Calls of other handles fail from then on with
    /// [`InvalidInput`](io::ErrorKind::InvalidInput).
    async fn close(self) -> io::Result<()> {
        let state = self.state;
        let fd = state.fd.take();
        // First of all, as whoever drops this future closes the descriptor.
        state.forget(fd.as_ref());
        state.waiters.until_true(|| state.under_way.get() == 0).await;
        // Another thread may still use it to cut the file; whoever is last closes it.
        let closed = match fd.and_then(Arc::into_inner) {
            Some(fd) => Closing::start(&state.core, fd).ended().await,
            None => Ok(()),
        };
        state.writes.take_error().and(closed)
    }

    fn alignment(&self) -> Alignment {
        self.state.alignment.get()
    }

    fn is_direct(&self) -> bool {
        self.state.options.is_direct()
    }

    /// As the trait says, with write and sync linked: one submission, if the write is not short.
    fn write_all_and_sync<B: IoBuf>(
        &self,
        buf: B,
        offset: u64,
    ) -> impl Future<Output = BufResult<(), B>> + use<B> {
        let file = self.clone();
        async move {
            let state = &file.state;
            let len = buf.bytes_init();
            let fd = match state.check_alignment(&buf, len, offset).and_then(|()| state.writable_fd()) {
                Ok(fd) => fd,
                Err(error) => return (Err(error), buf),
            };
            state.writes.settle().await;
            let failure = state.writes.take_error().err().or_else(|| state.syncs.failure());
            if let Some(error) = failure {
                return (Err(error), buf);
            }
            if len == 0 || state.syncs.is_under_way.get() {
                return file.write_all_then_sync(buf, offset).await;
            }
            // What waits for its turn cannot be linked to what does not.
            let Ok(charge) = state.admit_write(len, file.class) else {
                return file.write_all_then_sync(buf, offset).await;
            };
            let after = state.syncs.begun.get();
            let write = Prepared::write(&fd, buf, offset);
            let (write, sync) = (charge.into_iter().fold(write, Prepared::charged), Prepared::fdatasync(&fd));
            let op = state.start_linked(write, sync);
            let (count, buf) = op.await.into_sent();
            match count {
                Ok(count) if count == len => (state.synced(Extent::Data, after).await, buf),
                Ok(count) => {
                    let rest: samestep_provider_traits::Slice<B> = buf.slice(count..len);
                    let (outcome, rest) = file.write_all_then_sync(rest, offset + count as u64).await;
                    (outcome, rest.into_inner())
                }
                Err(error) => (Err(exact(error)), buf),
            }
        }
    }
}

impl UringFile {
    async fn write_all_then_sync<B: IoBuf>(&self, buf: B, offset: u64) -> BufResult<(), B> {
        match self.write_all_at(buf, offset).await {
            (Ok(()), buf) => (self.sync_data().await, buf),
            failed => failed,
        }
    }
}

impl State {
    /// Starts an operation that is counted, if it is started at all.
    fn start(self: &Rc<Self>, prepared: Prepared, tag: Tag) -> Op {
        let owner = Rc::clone(self) as Rc<dyn Owner>;
        self.counted(Op::start(&self.core, RingId::Main, prepared, Some(owner), tag, OnDrop::Leave))
    }

    /// As [`Self::start`]; on the poll ring, if the device is polled, and in its turn, if that is scheduled.
    fn start_transfer(self: &Rc<Self>, prepared: Prepared, tag: Tag, class: Option<u32>) -> Op {
        let Some(device) = self.device.get() else { return self.start(prepared, tag) };
        let polled = device.polled_part_bytes().filter(|_| self.is_polled_safely(&prepared));
        if let Some(schedule) = device.schedule()
            && prepared.transfer_bytes().is_some()
        {
            return self.start_in_turn(schedule, polled, prepared, tag, class);
        }
        let Some(part_bytes_max) = polled else { return self.start(prepared, tag) };
        let owner = Rc::clone(self) as Rc<dyn Owner>;
        self.counted(Op::start_polled(&self.core, prepared, part_bytes_max, owner, tag))
    }

    /// At once, if that may be, or when its turn comes.
    fn start_in_turn(
        self: &Rc<Self>,
        schedule: &Rc<Schedule>,
        polled_part_bytes: Option<u32>,
        prepared: Prepared,
        tag: Tag,
        class: Option<u32>,
    ) -> Op {
        let class = self.class(class);
        let part_bytes = schedule.part_bytes(self.unit_bytes()).min(polled_part_bytes.unwrap_or(u32::MAX));
        let ring = if polled_part_bytes.is_some() { RingId::Poll } else { RingId::Main };
        let owner = Rc::clone(self) as Rc<dyn Owner>;
        let transfer = prepared.transfer().expect("only reads and writes are scheduled");
        let charge = if transfer.bytes > part_bytes { None } else { schedule.admit(class, transfer) };
        self.counted(if let Some(charge) = charge {
            Op::start(&self.core, ring, prepared.charged(charge), Some(owner), tag, OnDrop::Leave)
        } else {
            let parts = (ring, part_bytes);
            Op::wait_for_turn(&self.core, schedule, class, parts, prepared, (owner, tag))
        })
    }

    /// Lets a write go at once, if that may be; with nothing to be charged where nobody counts.
    fn admit_write(&self, len: usize, class: Option<u32>) -> Result<Option<Charge>, Waits> {
        let Some(schedule) = self.device.get().and_then(|device| device.schedule()) else { return Ok(None) };
        let bytes = u32::try_from(len).unwrap_or(u32::MAX);
        if bytes > schedule.part_bytes(self.unit_bytes()) {
            return Err(Waits);
        }
        let transfer = Transfer { direction: Direction::Write, bytes };
        schedule.admit(self.class(class), transfer).map(Some).ok_or(Waits)
    }

    /// Whose a read or write is: that of a queue, or else of the running task's.
    fn class(&self, named: Option<u32>) -> Class {
        let queue = named.unwrap_or_else(|| self.core.queue_now());
        let urgency = match self.core.queues.latency(queue) {
            Some(_) => Urgency::Urgent,
            None => Urgency::Bulk,
        };
        Class { queue, urgency }
    }

    /// Parts that begin and end at multiples of this keep the file's alignment.
    fn unit_bytes(&self) -> u32 {
        let Alignment { memory_bytes, offset_bytes } = self.alignment.get();
        u32::try_from(offset_bytes.max(memory_bytes as u64)).expect("alignments are small")
    }

    /// Checks that one more may wait for its turn.
    fn check_room(&self) -> io::Result<()> {
        let schedule = self.device.get().and_then(|device| device.schedule());
        let Some(schedule) = schedule.filter(|schedule| schedule.is_full()) else { return Ok(()) };
        let (major, minor) = schedule.number();
        let message =
            format!("{REQUESTS_MAX} requests wait for device {major}:{minor}: await some before more");
        Err(io::Error::new(ErrorKind::ResourceBusy, message))
    }

    fn counted(&self, op: Op) -> Op {
        if op.is_started() {
            self.begin();
        }
        op
    }

    /// Whether polling ends what is prepared. To a write that makes the file longer, or that is not of whole blocks, ext4
    /// and XFS wait for the disk within the call; on Linux 6.1 nobody asks the device meanwhile, and it never ends.
    fn is_polled_safely(&self, prepared: &Prepared) -> bool {
        let block_bytes = self.block_bytes.get();
        match prepared.written_range() {
            Some(range) => {
                range.end <= self.length_known.get()
                    && range.start.is_multiple_of(block_bytes)
                    && range.end.is_multiple_of(block_bytes)
            }
            None => prepared.transfer_bytes().is_some(),
        }
    }

    /// The file reaches to `end` at least.
    fn note_length(&self, end: u64) {
        self.length_known.set(self.length_known.get().max(end));
    }

    fn start_write(self: &Rc<Self>, prepared: Prepared, class: Option<u32>) -> Op {
        let set = self.writes.begin();
        let op = self.start_transfer(prepared, write_tag(set), class);
        if !op.is_started() {
            self.writes.end(set);
        }
        op
    }

    fn start_linked(self: &Rc<Self>, write: Prepared, sync: Prepared) -> Op {
        let set = self.writes.begin();
        let owner = Rc::clone(self) as Rc<dyn Owner>;
        let op = Op::start_linked(&self.core, write, sync, &owner, (write_tag(set), TAG_SYNC_DATA));
        if op.is_started() {
            self.begin();
            self.note_sync_begun();
        } else {
            self.writes.end(set);
        }
        op
    }
}

impl Drop for State {
    /// Nobody uses the file any more. A descriptor that a thread still has is closed there.
    fn drop(&mut self) {
        let fd = self.fd.take();
        self.forget(fd.as_ref());
        if let Some(fd) = fd.and_then(Arc::into_inner) {
            drop(Closing::start(&self.core, fd));
        }
    }
}

impl fmt::Debug for UringFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = &self.state;
        f.debug_struct("UringFile")
            .field("options", &state.options)
            .field("alignment", &state.alignment.get())
            .field("under_way", &state.under_way.get())
            .finish_non_exhaustive()
    }
}

const fn write_tag(set: Set) -> Tag {
    match set {
        Set::Even => TAG_WRITE_EVEN,
        Set::Odd => TAG_WRITE_ODD,
    }
}

/// The error with the kind that the traits name: to a program a full quota is a full disk.
fn exact(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::QuotaExceeded => io::Error::new(ErrorKind::StorageFull, error),
        _ => error,
    }
}

const TAG_OTHER: Tag = 1;
const TAG_WRITE_EVEN: Tag = 2;
const TAG_WRITE_ODD: Tag = 3;
const TAG_SYNC_DATA: Tag = 4;
const TAG_SYNC_ALL: Tag = 5;
const PAGE_BYTES: usize = 4096;
