//! How much an outbox holds.

/// Limits of an outbox. Part of the replicated state: they change by [`Change::Configure`](crate::Change::Configure),
/// so that all replicas refuse the same events.
///
/// Bytes are bytes of payload and snapshot; an event that waits for several subscriptions counts for each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Subscriptions at a time. Default: 2^20. Range: from 1 to 2^32 - 1.
    pub subscriptions_max: u32,
    /// Producers whose last number is kept. Default: 2^16. Range: from 0 to 2^32 - 1.
    pub producers_max: u32,
    /// Events that wait, in all subscriptions together. Default: 2^24. Range: from 1.
    pub entries_max: u64,
    /// Bytes that wait, in all subscriptions together. Default: 1 GiB. Range: at least `subscription_bytes_max`.
    pub bytes_max: u64,
    /// Events that wait in one subscription. Default: 65,536. Range: from 1 to `entries_max`.
    pub subscription_entries_max: u64,
    /// Bytes that wait in one subscription. Default: 16 MiB. Range: at least `payload_bytes_max`.
    pub subscription_bytes_max: u64,
    /// Bytes of one payload or snapshot. Default: 1 MiB. Range: from 1 to [`PAYLOAD_BYTES_LIMIT`].
    pub payload_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            subscriptions_max: 1 << 20,
            producers_max: 1 << 16,
            entries_max: 1 << 24,
            bytes_max: 1 << 30,
            subscription_entries_max: 1 << 16,
            subscription_bytes_max: 16 << 20,
            payload_bytes_max: 1 << 20,
        }
    }
}

impl Limits {
    /// Checks every range.
    ///
    /// # Errors
    ///
    /// [`LimitsError`] with the name of the first field that is out of its range.
    pub fn validate(&self) -> Result<(), LimitsError> {
        let in_range = |name, ok: bool| if ok { Ok(()) } else { Err(LimitsError { name }) };
        in_range("subscriptions_max", self.subscriptions_max >= 1)?;
        in_range("entries_max", self.entries_max >= 1)?;
        in_range(
            "subscription_entries_max",
            (1..=self.entries_max).contains(&self.subscription_entries_max),
        )?;
        in_range("payload_bytes_max", (1..=PAYLOAD_BYTES_LIMIT as u64).contains(&self.payload_bytes_max))?;
        in_range("subscription_bytes_max", self.subscription_bytes_max >= self.payload_bytes_max)?;
        in_range("bytes_max", self.bytes_max >= self.subscription_bytes_max)
    }
}

/// A limit is out of the range documented at its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("limit {name} is out of range")]
pub struct LimitsError {
    /// Name of the field of [`Limits`].
    pub name: &'static str,
}

/// Largest payload that any record can carry, in bytes: 16 MiB. Records with a longer one are not decoded.
pub const PAYLOAD_BYTES_LIMIT: usize = 16 << 20;
