//! Messages between nodes: late, out of order, lost, cut off, as a seed has it.

use raft::eraftpb::Message;

use crate::emission::dice::Dice;

pub(super) struct Bus {
    dice: Dice,
    /// With the tick in which each arrives, in the order in which they were sent.
    under_way: Vec<(u64, Message)>,
    cut_off: Vec<u64>,
    pub(super) faults: BusFaults,
    pub(super) dropped: u64,
    pub(super) reordered: u64,
}

/// How bad the network is.
#[derive(Clone, Copy, Debug)]
pub(super) struct BusFaults {
    /// Ticks that a message takes at most; at least 1.
    pub(super) delay_ticks_max: u64,
    /// One message in so many is lost; 0 for none.
    pub(super) lost_one_in: u64,
}

impl Bus {
    pub(super) fn new(dice: Dice, faults: BusFaults) -> Self {
        Self { dice, under_way: Vec::new(), cut_off: Vec::new(), faults, dropped: 0, reordered: 0 }
    }

    pub(super) fn send(&mut self, messages: Vec<Message>, now: u64) {
        for message in messages {
            let is_lost = self.faults.lost_one_in > 0 && self.dice.one_in(self.faults.lost_one_in);
            if is_lost || self.is_cut(&message) {
                self.dropped += 1;
                continue;
            }
            let arrives = now + 1 + self.dice.below(self.faults.delay_ticks_max);
            self.reordered += u64::from(self.under_way.iter().any(|(at, _)| *at > arrives));
            self.under_way.push((arrives, message));
        }
    }

    /// What arrives now, of those that nothing cut off on their way.
    pub(super) fn arrivals(&mut self, now: u64) -> Vec<Message> {
        let (due, rest) = std::mem::take(&mut self.under_way).into_iter().partition(|(at, _)| *at <= now);
        self.under_way = rest;
        let due: Vec<(u64, Message)> = due;
        due.into_iter().map(|(_, message)| message).filter(|message| !self.is_cut(message)).collect()
    }

    /// Nothing reaches `node` any more, and nothing leaves it.
    pub(super) fn cut_off(&mut self, node: u64) {
        self.cut_off.push(node);
    }

    pub(super) fn heal(&mut self, node: u64) {
        self.cut_off.retain(|cut| *cut != node);
    }

    fn is_cut(&self, message: &Message) -> bool {
        self.cut_off.iter().any(|&cut| cut == message.from || cut == message.to)
    }
}
