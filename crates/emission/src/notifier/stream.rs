//! How far one client is.

use super::NotifierOptions;
use crate::id::{Seq, Tick};

/// One subscription as its notifier sees it.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) is_connected: bool,
    /// Everything up to here was handed out since the client connected, or the stream was wound back.
    pub(super) sent: Seq,
    /// The highest position ever handed out in this connection.
    sent_max: Seq,
    /// Acknowledged when last looked.
    acked: Seq,
    /// Since when there is something under way and no progress; `None` if nothing is under way.
    waits_since: Option<Tick>,
    /// When anything last went on: for stalls.
    progress_at: Tick,
    /// How often in a row it was wound back or held.
    retries: u32,
    /// Whether nothing is sent until the deadline.
    pub(super) is_held: bool,
    /// Whether it stands among the ready.
    pub(super) is_ready: bool,
    /// Where it stands among the deadlines.
    pub(super) queued_at: Option<Tick>,
}

impl Stream {
    pub(super) fn detached(acked: Seq, now: Tick) -> Self {
        Self {
            is_connected: false,
            sent: Seq::default(),
            sent_max: Seq::default(),
            acked,
            waits_since: None,
            progress_at: now,
            retries: 0,
            is_held: false,
            is_ready: false,
            queued_at: None,
        }
    }

    /// The client connects, and has processed everything up to `processed`.
    pub(super) fn connect(&mut self, processed: Seq, now: Tick) {
        self.is_connected = true;
        self.sent = processed;
        self.sent_max = processed;
        self.waits_since = None;
        self.progress_at = now;
        self.retries = 0;
        self.is_held = false;
    }

    /// Takes note that `seq` is handed out. Returns whether it was before.
    #[inline]
    pub(super) fn take(&mut self, seq: Seq, now: Tick) -> bool {
        let was_sent = seq <= self.sent_max;
        self.sent = seq;
        self.sent_max = self.sent_max.max(seq);
        self.waits_since.get_or_insert(now);
        was_sent
    }

    /// Takes note of what is acknowledged. Returns whether that is more than before.
    #[inline]
    pub(super) fn see_acked(&mut self, acked: Seq, now: Tick) -> bool {
        if acked <= self.acked {
            return false;
        }
        self.acked = acked;
        self.progress_at = now;
        self.retries = 0;
        self.waits_since = if self.is_connected && self.sent > acked { Some(now) } else { None };
        true
    }

    /// The delivery of `seq` failed.
    pub(super) fn hold(&mut self, seq: Seq, now: Tick) {
        self.sent = self.sent.min(Seq::new(seq.get().saturating_sub(1)));
        self.sent_max = self.sent_max.min(self.sent);
        self.is_held = true;
        self.waits_since = Some(now);
        self.retries = self.retries.saturating_add(1);
    }

    /// Sends everything behind `acked` again.
    pub(super) fn rewind(&mut self, acked: Seq, now: Tick) {
        if !self.is_held {
            self.sent = self.sent.min(acked);
            self.retries = self.retries.saturating_add(1);
        }
        self.is_held = false;
        self.waits_since = Some(now);
    }

    /// Nothing is pending.
    pub(super) fn rest(&mut self, now: Tick) {
        self.waits_since = None;
        self.progress_at = now;
    }

    pub(super) fn restart_stall(&mut self, now: Tick) {
        self.progress_at = now;
    }

    pub(super) fn resend_is_due(&self, now: Tick, options: &NotifierOptions) -> bool {
        self.resend_at(options).is_some_and(|at| at <= now)
    }

    pub(super) fn stall_is_due(&self, now: Tick, options: &NotifierOptions) -> bool {
        self.stall_at(options).is_some_and(|at| at <= now)
    }

    /// When it must be looked at.
    #[inline]
    pub(super) fn deadline(&self, options: &NotifierOptions) -> Option<Tick> {
        match (self.resend_at(options), self.stall_at(options)) {
            (Some(resend), Some(stall)) => Some(resend.min(stall)),
            (resend, stall) => resend.or(stall),
        }
    }

    #[inline]
    fn resend_at(&self, options: &NotifierOptions) -> Option<Tick> {
        if !self.is_connected {
            return None;
        }
        // While it is held, the retry that caused that is counted already.
        let retries = self.retries - u32::from(self.is_held && self.retries > 0);
        self.waits_since.and_then(|since| since.plus(resend_ticks(retries, options)))
    }

    fn stall_at(&self, options: &NotifierOptions) -> Option<Tick> {
        options.stall_ticks.and_then(|ticks| self.progress_at.plus(ticks))
    }
}

/// How long to wait after so many attempts without progress.
fn resend_ticks(retries: u32, options: &NotifierOptions) -> u64 {
    let doubled = 1_u64.checked_shl(retries).and_then(|factor| options.resend_ticks_min.checked_mul(factor));
    doubled.unwrap_or(u64::MAX).min(options.resend_ticks_max)
}
