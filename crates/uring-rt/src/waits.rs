//! What tasks wait for, as far as whoever makes them wait leaves a note, for [`TaskInfo::waits_for`](crate::TaskInfo).

use std::task::Waker;

use crate::sys::note_wait;

/// What a task waits for, that is no operation, timer or task: those are found when somebody asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum WaitsOn {
    /// It is found elsewhere, or not told.
    #[default]
    Untold,
    Semaphore,
    Mutex,
    RwLock,
    Gate,
    Notify,
    OnceCell,
    Barrier,
    Watch,
    Broadcast,
    Cancellation,
    ChannelValue,
    ChannelRoom,
    ShardChannelValue,
    ShardChannelRoom,
    Call,
    Calls,
    BlockingPool,
    EarlierWrites,
}

impl WaitsOn {
    const ALL: [Self; 19] = [
        Self::Untold,
        Self::Semaphore,
        Self::Mutex,
        Self::RwLock,
        Self::Gate,
        Self::Notify,
        Self::OnceCell,
        Self::Barrier,
        Self::Watch,
        Self::Broadcast,
        Self::Cancellation,
        Self::ChannelValue,
        Self::ChannelRoom,
        Self::ShardChannelValue,
        Self::ShardChannelRoom,
        Self::Call,
        Self::Calls,
        Self::BlockingPool,
        Self::EarlierWrites,
    ];

    pub(crate) fn of_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or_default()
    }

    /// For people; `None` if it is not told.
    pub(crate) fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Untold => return None,
            Self::Semaphore => "permits of a semaphore",
            Self::Mutex => "a mutex",
            Self::RwLock => "a lock for readers and writers",
            Self::Gate => "everybody to leave a gate",
            Self::Notify => "a signal",
            Self::OnceCell => "a cell that another task fills",
            Self::Barrier => "others at a barrier",
            Self::Watch => "a value to change",
            Self::Broadcast => "a broadcast",
            Self::Cancellation => "a cancellation",
            Self::ChannelValue => "a value from a channel",
            Self::ChannelRoom => "room in a channel",
            Self::ShardChannelValue => "a value from another shard",
            Self::ShardChannelRoom => "room in a channel to another shard",
            Self::Call => "a call of a shard",
            Self::Calls => "calls of other shards",
            Self::BlockingPool => "a blocking thread",
            Self::EarlierWrites => "others to be done with the file",
        })
    }

    /// The task of this waker, which is being polled, waits for that from now until it is polled again.
    pub(crate) fn note(self, waker: &Waker) {
        note_wait(waker, self as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::WaitsOn;

    #[test]
    fn numbers_come_back() {
        for (number, on) in (0..).zip(WaitsOn::ALL) {
            assert_eq!((on as u8, WaitsOn::of_number(number)), (number, on));
        }
        assert_eq!(WaitsOn::of_number(200), WaitsOn::Untold);
    }
}
