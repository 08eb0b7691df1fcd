//! Waiting for each other on one shard: locks, permits, signals and channels that cost no atomic operation.
//!
//! Nothing here is `Send`: between shards there are [`shard_channel`](crate::shard_channel),
//! [`submit_to`](crate::Shard::submit_to) and [`Mesh`](crate::Mesh). Nothing needs a [`Runtime`](crate::Runtime)
//! either: any executor of one thread will do.
//!
//! # Rules that hold for all
//!
//! - **Fair**: who asks first gets first, and nobody overtakes those who wait. A writer does not starve behind readers,
//!   nor a large request behind small ones.
//! - **Cancel safe**: a future that is dropped leaves nothing behind. What it had been given, and had not looked at yet,
//!   goes to the next in line.
//! - Wakers are called when nothing is borrowed, so they may be of any kind.
//! - What is closed stays closed.

mod barrier;
mod broadcast;
mod cancel;
mod channel;
mod gate;
mod line;
mod mutex;
mod notify;
mod once;
mod rw_lock;
mod semaphore;
#[cfg(test)]
mod tests;
mod watch;

pub use barrier::Barrier;
pub use broadcast::{BroadcastReceiver, BroadcastSender, RecvError, broadcast};
pub use cancel::CancelToken;
pub use channel::{LocalReceiver, LocalSender, TrySendError, channel, unbounded_channel};
pub use gate::{Gate, GateClosed, Pass};
pub use mutex::{Mutex, MutexGuard};
pub use notify::Notify;
pub use once::OnceCell;
pub use rw_lock::{ReadGuard, RwLock, WriteGuard};
pub use semaphore::{AcquireError, Permit, Semaphore, TryAcquireError};
pub use watch::{SenderGone, WatchReceiver, WatchSender, watch};
