//! One node: Raft, its log and snapshots on the provider's storage, and the outbox that the log makes.
//!
//! Generic over the storage, driven by ticks, with no clock, network or task of its own: whoever holds it ticks it,
//! hands it the messages that came, calls [`Node::persist`], sends what that gives, and applies.

mod disk;
mod store;

use std::collections::VecDeque;

use raft::eraftpb::{ConfState, Entry, Message, MessageType};
use raft::{Config, RawNode, SnapshotStatus, StateRole};
use samestep_emission::{
    Applied, Change, EncodeError, Index, NodeId, Notifier, NotifierOptions, Outbox, Refused, RestoreError,
    Term,
};
use samestep_provider_traits::StorageProvider;
use samestep_wal::TailModel;

use disk::Disk;
pub(crate) use disk::DiskError;
use store::Store;

/// A replica.
pub(crate) struct Node<S: StorageProvider> {
    raw: RawNode<Store>,
    disk: Disk<S>,
    outbox: Outbox,
    /// While this node leads.
    notifier: Option<Notifier>,
    /// Committed, durable here, and not yet applied.
    committed: VecDeque<Entry>,
    /// A snapshot that was installed: from here on the outbox goes on.
    installed: Option<Vec<u8>>,
    options: NodeOptions,
}

/// What a node does before its messages leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// What they speak of is on the disk.
    Synced,
    /// It is written and not synced: the mistake that a simulation must find.
    Hoped,
}

/// Who calls elections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elections {
    /// Each node, when it has not heard of a leader for long enough.
    ByTime,
    /// Whoever holds the nodes, by [`Node::campaign`]: who leads when is as certain as a script.
    OnDemand,
}

/// How a node behaves. The same on every node but for `id`.
#[derive(Clone, Debug)]
pub(crate) struct NodeOptions {
    /// Which of `voters` this one is.
    pub(crate) id: u64,
    /// All nodes, from 1.
    pub(crate) voters: Vec<u64>,
    /// A snapshot is made after so many entries, and the log before it removed.
    pub(crate) snapshot_entries: u64,
    pub(crate) elections: Elections,
    /// Whether a leader that hears of no majority gives up.
    pub(crate) checks_quorum: bool,
    /// What a torn end of the log may look like.
    pub(crate) tail: TailModel,
    pub(crate) notifier: NotifierOptions,
    pub(crate) durability: Durability,
}

/// Why a node cannot go on. It must be opened anew.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum NodeError {
    #[error("raft stopped")]
    Raft(#[from] raft::Error),
    #[error("the disk failed")]
    Disk(#[from] DiskError),
    #[error("a snapshot cannot be restored")]
    Snapshot(#[from] RestoreError),
    #[error("an entry was applied twice")]
    Apply(#[from] samestep_emission::ApplyError),
    #[error("an option is out of range")]
    Options(#[from] samestep_emission::NotifierOptionsError),
}

/// Why a record was not proposed. Ask the leader, later.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ProposeError {
    #[error("this node does not lead")]
    NotLeading,
    #[error("raft refuses the proposal")]
    Raft(#[from] raft::Error),
    #[error("the record cannot be encoded")]
    Encode(#[from] EncodeError),
}

impl<S: StorageProvider> Node<S> {
    /// Opens what the storage holds; a new node if that is nothing.
    pub(crate) async fn open(storage: S, options: NodeOptions) -> Result<Self, NodeError> {
        let voters = ConfState { voters: options.voters.clone(), ..ConfState::default() };
        let (disk, recovered) = Disk::open(storage, options.tail).await?;
        let outbox = match &recovered.snapshot {
            Some(snapshot) => Outbox::restore(&snapshot.data)?,
            None => Outbox::new(),
        };
        let store = Store::new(recovered, voters);
        // Each node waits for an election in its own way, so that they do not tie; none draws lots.
        let election_ticks = match options.elections {
            Elections::ByTime => usize::try_from(10 + 4 * options.id).unwrap_or(usize::MAX - 1),
            Elections::OnDemand => NEVER_TICKS,
        };
        let config = Config {
            id: options.id,
            election_tick: 10,
            min_election_tick: election_ticks,
            max_election_tick: election_ticks + 1,
            heartbeat_tick: 2,
            applied: store.snapshot_index(),
            max_size_per_msg: 1 << 20,
            max_inflight_msgs: 256,
            check_quorum: options.checks_quorum,
            pre_vote: true,
            ..Config::default()
        };
        let raw = RawNode::new(&config, store, &slog::Logger::root(slog::Discard, slog::o!()))?;
        let (notifier, installed) = (None, None);
        Ok(Self { raw, disk, outbox, notifier, committed: VecDeque::new(), installed, options })
    }

    /// Time passes.
    pub(crate) fn tick(&mut self) {
        self.raw.tick();
    }

    /// A message came. What is no message for this node now is ignored, as if it had been lost.
    pub(crate) fn step(&mut self, message: Message) {
        let _ignored = self.raw.step(message);
    }

    /// Calls an election, unless this node leads. Whether it wins is another matter.
    pub(crate) fn campaign(&mut self) {
        let _ignored = self.raw.campaign();
    }

    /// Proposes a record. Whether it is ever committed is another matter.
    pub(crate) fn propose(&mut self, change: &Change<'_>) -> Result<(), ProposeError> {
        if !self.is_leader() {
            return Err(ProposeError::NotLeading);
        }
        let mut entry = Vec::new();
        change.encode(&mut entry)?;
        Ok(self.raw.propose(Vec::new(), entry)?)
    }

    /// Makes durable what must be before messages leave, and gives the messages. Call until it gives `None`.
    pub(crate) async fn persist(&mut self) -> Result<Option<Vec<Message>>, NodeError> {
        self.follow_role()?;
        if !self.raw.has_ready() {
            return Ok(None);
        }
        let mut ready = self.raw.ready();
        let mut messages = ready.take_messages();
        if *ready.snapshot() != raft::eraftpb::Snapshot::default() {
            let snapshot = ready.snapshot().clone();
            let mut hard_state = ready.hs().cloned().unwrap_or_else(|| self.raw.store().hard_state().clone());
            // What is committed behind the snapshot comes with the same messages, and is not durable before it.
            hard_state.commit = snapshot.get_metadata().index;
            self.disk.install(&snapshot, &hard_state).await?;
            self.installed = Some(snapshot.data.to_vec());
            self.committed.clear();
            self.raw.mut_store().install(snapshot);
        }
        let entries = ready.take_entries();
        self.disk.append(&entries).await?;
        self.raw.mut_store().append(entries);
        if let Some(hard_state) = ready.hs() {
            self.disk.put_hard_state(hard_state).await?;
            self.raw.mut_store().set_hard_state(hard_state.clone());
        }
        if ready.must_sync() && self.options.durability == Durability::Synced {
            self.disk.sync().await?;
        }
        messages.extend(ready.take_persisted_messages());
        self.committed.extend(ready.take_committed_entries());
        let mut rest = self.raw.advance_append(ready);
        if let Some(commit) = rest.commit_index() {
            self.raw.mut_store().set_commit(commit);
        }
        messages.extend(rest.take_messages());
        self.committed.extend(rest.take_committed_entries());
        for message in messages.iter().filter(|message| message.get_msg_type() == MessageType::MsgSnapshot) {
            // If it is lost, the leader finds out by what the follower rejects.
            self.raw.report_snapshot(message.to, SnapshotStatus::Finish);
        }
        Ok(Some(messages))
    }

    /// The next entry to apply: its index and bytes. Empty ones are Raft's own.
    pub(crate) fn next_committed(&self) -> Option<(Index, &[u8])> {
        self.committed.front().map(|entry| (Index::new(entry.index), &entry.data[..]))
    }

    /// Applies the next entry that is committed; `None` if there is none. The inner result is the outbox's answer;
    /// `None` for an entry of Raft's own.
    #[expect(clippy::type_complexity, reason = "an entry, its record, and the answer are three questions")]
    pub(crate) fn apply_next(
        &mut self,
    ) -> Result<Option<(Index, Option<Result<Applied, Refused>>)>, NodeError> {
        if let Some(snapshot) = self.installed.take() {
            self.outbox = Outbox::restore(&snapshot)?;
            self.raw.advance_apply_to(self.outbox.applied().get());
        }
        let Some(entry) = self.committed.pop_front() else { return Ok(None) };
        let index = Index::new(entry.index);
        let answer = if entry.data.is_empty() {
            self.outbox.skip(index)?;
            None
        } else {
            Some(self.outbox.apply_entry(index, &entry.data)?)
        };
        self.raw.advance_apply_to(entry.index);
        Ok(Some((index, answer)))
    }

    /// Makes a snapshot of the outbox if the log has grown enough, and removes the log before it.
    pub(crate) async fn compact(&mut self) -> Result<bool, NodeError> {
        let applied = self.outbox.applied().get();
        if applied < self.raw.store().snapshot_index() + self.options.snapshot_entries {
            return Ok(false);
        }
        let snapshot = self.raw.store().make_snapshot(applied, self.outbox.snapshot());
        let hard_state = self.raw.store().hard_state().clone();
        self.disk.save_snapshot(&snapshot, &hard_state).await?;
        self.raw.mut_store().compact(snapshot);
        Ok(true)
    }

    /// Hands out what waits, while this node leads. See [`Notifier::poll`].
    pub(crate) fn notifier(&mut self) -> Option<(&mut Notifier, &mut Outbox)> {
        Some((self.notifier.as_mut()?, &mut self.outbox))
    }

    /// What the log made.
    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Whether Raft elected this node, as far as it knows.
    pub(crate) fn is_leader(&self) -> bool {
        self.raw.raft.state == StateRole::Leader
    }

    /// Whether this node leads and has applied its own epoch: the one to talk to.
    pub(crate) fn serves(&self) -> bool {
        self.notifier.as_ref().is_some_and(|notifier| notifier.leads(&self.outbox))
    }

    pub(crate) fn id(&self) -> u64 {
        self.options.id
    }

    pub(crate) fn term(&self) -> u64 {
        self.raw.raft.term
    }

    /// Term and index of the newest entry: of two nodes, the one that has more can be elected.
    pub(crate) fn newest(&self) -> (u64, u64) {
        let log = &self.raw.raft.raft_log;
        (log.last_term(), log.last_index())
    }

    /// Index of the snapshot that the log begins behind; 0 if there is none.
    pub(crate) fn snapshot_index(&self) -> u64 {
        self.raw.store().snapshot_index()
    }

    /// A leader gets a notifier and starts its epoch; who leads no more has neither.
    fn follow_role(&mut self) -> Result<(), NodeError> {
        let term = Term::new(self.raw.raft.term);
        if !self.is_leader() {
            self.notifier = None;
        } else if self.notifier.as_ref().is_none_or(|notifier| notifier.term() != term) {
            self.notifier = Some(Notifier::new(term, self.options.notifier)?);
            let start = Change::StartEpoch { term, node: NodeId::new(self.options.id) };
            // Refused only if the leader is already being replaced.
            let _lost = self.propose(&start);
        }
        Ok(())
    }
}

/// More ticks than a node lives.
const NEVER_TICKS: usize = 1 << 30;
