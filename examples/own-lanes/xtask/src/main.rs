//! `cargo xtask determinism`: a hundred runs of each lane, compared byte for byte.

use std::process::ExitCode;

use bank::Bank;
use samestep_replay_traits::{Event, Lane, LaneContext, LaneError, Seeding, Transcript};

/// Money moves at random, and the books are written after each transfer.
struct Transfers;

impl Lane for Transfers {
    fn name(&self) -> &str {
        "bank/transfers"
    }

    fn about(&self) -> &str {
        "moves money at random between six accounts, and writes the books after each transfer"
    }

    fn run(&self, context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
        let mut bank = Bank::default();
        for step in 0..50 {
            // All randomness comes from the seed, forked by name, so that a new draw shifts no other.
            let draw = |what: &str| context.seed().fork(&format!("{step} {what}")).get();
            let account = |number: u64| ["ann", "bob", "cid", "dot", "eve", "fay"][number as usize % 6];
            let (from, to) = (account(draw("from")), account(draw("to")));
            bank.transfer(from, to, (draw("amount") % 100) as i64);

            let mut event = Event::new("books").field("step", step);
            for (name, balance) in bank.balances() {
                event = event.field(name, balance);
            }
            transcript.event(&event);
            // A lane checks what must be true, too: with this, `soak` can find seeds that break it.
            if bank.balances().map(|(_, balance)| balance).sum::<i64>() != 0 {
                return Err(LaneError::failed(format!("money came from nowhere in step {step}")));
            }
        }
        Ok(())
    }

    fn seeding(&self) -> Seeding {
        Seeding::Random
    }
}

fn main() -> ExitCode {
    samestep_lane_runner::main(&[&Transfers])
}
