//! Commands that change a pier: each is a plan of steps that can be shown before it is run.
//!
//! A plan builds what is new beside what is old, makes it durable, checks it, and puts it in place by one rename. So
//! a process that ends at any step leaves a pier that is whole, old or new, and a plan made again does the rest.

mod append;
mod chop;
mod copy;
mod create;
mod error;
mod migrate;
mod roll;
mod salvage;
mod step;

pub use append::Appender;
pub use chop::{ChopOptions, plan_chop};
pub use copy::{Copied, Live, export, files_to_copy, import};
pub use create::{EpochFormat, PierSpec, create_pier};
pub use error::{MaintainError, Refusal};
pub use migrate::plan_migrate;
pub use roll::{RollOptions, SnapshotClaim, plan_roll};
pub use salvage::{SalvageOptions, Salvaged, SalvagedEpoch, salvage};
pub use step::{Plan, Step};
