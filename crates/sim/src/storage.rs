//! The simulated disks: their configuration and their faults.

pub use crate::disk::{
    CrashConfiguration, DamageExtent, DiskFault, DiskFaultRates, FaultBudget, StorageConfiguration,
};
pub use crate::providers::{SimFile, SimLock, SimStorageProvider};
