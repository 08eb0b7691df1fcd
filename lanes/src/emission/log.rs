//! A log with one outbox at its end: in memory, or in a folder and durable before it is applied.

use std::path::{Path, PathBuf};

use samestep_emission::{
    Applied, Change, Fingerprint, Index, NodeId, Notifier, NotifierOptions, Outbox, Refused, Seq,
    StallPolicy, SubscriptionId, Target, Term,
};
use samestep_replay_traits::LaneError;
use samestep_wal::{LogId, Options, Wal};

use super::TOKEN;

pub(super) struct Log {
    entries: Vec<Vec<u8>>,
    folder: Option<(PathBuf, Wal)>,
    pub(super) outbox: Outbox,
}

impl Log {
    /// An empty log in memory.
    pub(super) fn in_memory() -> Self {
        Self { entries: Vec::new(), folder: None, outbox: Outbox::new() }
    }

    /// The log in the folder `dir`, replayed; an empty one if there is none.
    pub(super) fn open(dir: &Path) -> Result<Self, LaneError> {
        let mut options = Options::create(LogId::new(*b"emission's lanes"));
        options.segment_bytes = 64 << 10;
        let (wal, _) = Wal::open(dir, options)?;
        let mut outbox = Outbox::new();
        outbox.replay(wal.reader(Index::new(1))?)?;
        Ok(Self { entries: Vec::new(), folder: Some((dir.to_owned(), wal)), outbox })
    }

    /// The process dies, and another one starts: of this one nothing is left but the log.
    pub(super) fn restart(self) -> Result<Self, LaneError> {
        if let Some((dir, wal)) = self.folder {
            drop(wal);
            return Self::open(&dir);
        }
        let mut outbox = Outbox::new();
        for (index, entry) in (1..).zip(&self.entries) {
            let _answer = outbox.apply_entry(Index::new(index), entry)?;
        }
        Ok(Self { outbox, ..self })
    }

    /// Applies what `outbox` lacks. Returns how many entries those were. For logs in memory.
    pub(super) fn replay_into(&self, outbox: &mut Outbox) -> Result<u64, LaneError> {
        let from = outbox.applied().get();
        let missing = (1..).zip(&self.entries).filter(|(index, _)| *index > from);
        let mut count = 0;
        for (index, entry) in missing {
            let _answer = outbox.apply_entry(Index::new(index), entry)?;
            count += 1;
        }
        Ok(count)
    }

    /// Appends `change`, and applies it. What the outbox refuses is in the log all the same.
    pub(super) fn try_append(&mut self, change: &Change<'_>) -> Result<Result<Applied, Refused>, LaneError> {
        let mut entry = Vec::new();
        change.encode(&mut entry)?;
        let index = match &mut self.folder {
            Some((_, wal)) => wal.append(&entry)?,
            None => Index::new(self.entries.len() as u64 + 1),
        };
        let answer = self.outbox.apply_entry(index, &entry)?;
        if self.folder.is_none() {
            self.entries.push(entry);
        }
        Ok(answer)
    }

    /// The same where a refusal is a failure of the scenario.
    pub(super) fn append(&mut self, change: &Change<'_>) -> Result<Applied, LaneError> {
        Ok(self.try_append(change)??)
    }

    pub(super) fn start_epoch(&mut self, term: u64) -> Result<(), LaneError> {
        self.append(&Change::StartEpoch { term: Term::new(term), node: NodeId::new(1) })?;
        Ok(())
    }

    pub(super) fn subscribe(
        &mut self,
        client: &str,
        fingerprint: u64,
        stall: StallPolicy,
    ) -> Result<SubscriptionId, LaneError> {
        let (client, fingerprint) = (client.as_bytes(), Fingerprint::new(fingerprint));
        match self.append(&Change::Subscribe { client, fingerprint, token: TOKEN, stall })? {
            Applied::Subscribed { subscription } => Ok(subscription),
            other => Err(LaneError::failed(format!("not subscribed: {other:?}"))),
        }
    }

    pub(super) fn emit(&mut self, subscription: SubscriptionId, payload: &[u8]) -> Result<(), LaneError> {
        self.append(&Change::Emit { target: Target::Subscription(subscription), origin: None, payload })?;
        Ok(())
    }

    pub(super) fn acknowledge(
        &mut self,
        subscription: SubscriptionId,
        through: u64,
    ) -> Result<(), LaneError> {
        self.append(&Change::Acknowledge { subscription, through: Seq::new(through) })?;
        Ok(())
    }

    pub(super) fn compact(
        &mut self,
        id: SubscriptionId,
        through: u64,
        snapshot: &[u8],
    ) -> Result<(), LaneError> {
        self.append(&Change::Compact { subscription: id, through: Seq::new(through), snapshot })?;
        Ok(())
    }

    /// A notifier for whoever leads now.
    pub(super) fn notifier(&self) -> Result<Notifier, LaneError> {
        let options =
            NotifierOptions { resend_ticks_min: 4, resend_ticks_max: 16, ..NotifierOptions::default() };
        Ok(Notifier::new(self.outbox.reign().term, options)?)
    }
}
