//! A kernel that a king drives by Urbit's protocol.

use std::io;

use samestep_lmdb_replay::ipc::newt::{Decoder, encode};
use samestep_lmdb_replay::ipc::serf::{Command, Reply};
use samestep_lmdb_replay::ipc::{SerfHost, serve};
use samestep_noun::Noun;
use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};

use super::{LAST, LIFE, events, from_scratch, machine, make_pier, open};
use crate::scenario::Scenario;

/// The same log, through frames.
pub(crate) const IPC: Scenario = Scenario {
    name: "lmdb/ipc",
    about: "a king that plays the log into a serf, event by event, hears the mugs of a replay in one process",
    run: ipc,
};

fn ipc(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let root = context.scratch().join("pier");
    make_pier(&root)?;
    let expected = from_scratch(&open(&root)?)?;
    let events = events()?;
    let nouns = events.iter().map(|event| Noun::cue(&event.jam)).collect::<Result<Vec<_>, _>>()?;
    let (boot, rest) = nouns.split_at(usize::try_from(LIFE)?);
    let mut commands = vec![Command::Play { event: 1, list: boot.to_vec() }];
    let plays = rest.iter().zip(LIFE + 1..);
    commands.extend(plays.map(|(noun, event)| Command::Play { event, list: vec![noun.clone()] }));
    commands.extend([Command::Save { event: LAST }, Command::Exit { code: 7 }]);
    let mut said = Vec::new();
    for command in &commands {
        said.extend(encode(&command.to_noun().jam())?);
    }

    let mut host = Host::default();
    let mut heard = Vec::new();
    let code = serve(machine(), 0, &mut host, &mut said.as_slice(), &mut heard)?;

    let mut decoder = Decoder::new(u32::MAX);
    decoder.handle_bytes(&heard);
    let mut mugs = expected.values();
    while let Some(jam) = decoder.poll_frame()? {
        let noun = Noun::cue(jam)?;
        let reply = Reply::from_noun(&noun)?;
        if let Reply::PlayDone { mug } = &reply
            && mugs.next() != Some(mug)
        {
            return Err(LaneError::failed(format!("{noun} is not the mug of a whole replay")));
        }
        transcript.event(&Event::new("reply").field("noun", noun));
    }
    if mugs.next().is_some() {
        return Err(LaneError::failed("the serf did not answer every command"));
    }
    transcript.event(&Event::new("end").field("code", code).bytes("saved", &host.saved));
    Ok(())
}

/// Keeps what the serf saves.
#[derive(Default)]
struct Host {
    saved: Vec<u8>,
}

impl SerfHost for Host {
    fn limit(&mut self, _mil: u64) {}

    fn save(&mut self, _event: u64, _mug: u32, state: Vec<u8>) -> io::Result<()> {
        self.saved = state;
        Ok(())
    }

    fn cram(&mut self, _event: u64, _state: Vec<u8>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
