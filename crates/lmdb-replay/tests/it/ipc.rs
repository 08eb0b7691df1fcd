//! Frames, messages, a kernel that a king drives, and a serf that is driven.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use samestep_lmdb_replay::Machine;
use samestep_lmdb_replay::ipc::newt::{Decoder, FrameError, encode};
use samestep_lmdb_replay::ipc::{
    ClientError, MessageError, SerfHost, SerfMachine, SerfProcess, ServeError, mars, serf, serve,
};
use samestep_lmdb_replay::machine::{Budget, FailureKind, NockMachine};
use samestep_lmdb_replay::play::{PlayError, PlayOptions, ReplayFailure, Start, play};
use samestep_noun::Noun;

use crate::genuine::{Mugs, folder, piers};
use crate::kernel;

/// What was said: by the king or not, the mug of the noun, and the frame.
struct Said {
    is_king: bool,
    mug: u32,
    frame: Vec<u8>,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// A conversation that Vere 3.0's C code held.
fn conversation() -> Vec<Said> {
    let text = include_str!("../data/ipc-v30.txt");
    let said = |line: &str| {
        let [who, mug, frame] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        Said { is_king: who == "king", mug: u32::from_str_radix(mug, 16).unwrap(), frame: unhex(frame) }
    };
    text.lines().filter(|line| !line.starts_with('#')).map(said).collect()
}

/// Where there is one, another conversation: `ipc-v30.jsonl` in the folder that `SAMESTEP_PIERS` names.
fn other_conversation() -> Vec<Said> {
    let Some(folder) = folder() else { return Vec::new() };
    let text = fs::read_to_string(folder.join("ipc-v30.jsonl")).unwrap();
    let said = |line: &str| {
        let said: serde_json::Value = serde_json::from_str(line).unwrap();
        Said {
            is_king: said["dir"] == "king>serf",
            mug: u32::from_str_radix(said["mug"].as_str().unwrap(), 16).unwrap(),
            frame: unhex(said["frame"].as_str().unwrap()),
        }
    };
    text.lines().map(said).collect()
}

/// Each frame is decoded to a typed message, which is encoded to the same bytes.
#[test]
fn genuine_messages_are_read_and_written_byte_for_byte() {
    for said in conversation().iter().chain(&other_conversation()) {
        let mut decoder = Decoder::new(1 << 20);
        decoder.handle_bytes(&said.frame);
        let noun = Noun::cue(decoder.poll_frame().unwrap().unwrap()).unwrap();
        assert!(decoder.is_empty());
        assert_eq!(noun.mug(), said.mug);
        let again = if said.is_king {
            serf::Command::from_noun(&noun).unwrap().to_noun()
        } else {
            serf::Reply::from_noun(&noun).unwrap().to_noun()
        };
        assert_eq!(encode(&again.jam()).unwrap(), said.frame, "{noun}");
    }
}

/// Frames come in any portions, several at once, and with padding.
#[test]
fn frames_come_in_any_portions() {
    let said = conversation();
    let stream: Vec<u8> = said.iter().flat_map(|said| said.frame.clone()).collect();
    for portion in [1, 2, 3, 5, 7, 64, 1000, stream.len()] {
        let mut decoder = Decoder::new(1 << 20);
        let mut frames = Vec::new();
        for bytes in stream.chunks(portion) {
            decoder.handle_bytes(bytes);
            while let Some(jam) = decoder.poll_frame().unwrap() {
                frames.push(encode(jam).unwrap());
            }
        }
        assert!(decoder.is_empty());
        assert!(frames.iter().eq(said.iter().map(|said| &said.frame)), "in portions of {portion}");
    }
    let jam = [Noun::from(("live", 0)).jam(), vec![0; 5]].concat();
    let padded = Noun::cue(&jam).unwrap();
    assert_eq!(serf::Reply::from_noun(&padded), Ok(serf::Reply::Live));
}

/// What is no frame is told, and no length is believed before its bytes are there.
#[test]
fn broken_streams_are_told() {
    let read = |mut bytes: &[u8]| Decoder::new(100).read_frame(&mut bytes);
    assert!(matches!(read(b"play: events 3-67"), Err(FrameError::Mark { found: b'p' })));
    assert!(matches!(read(&[0, 0, 0, 0, 0]), Err(FrameError::Empty)));
    let too_long = read(&[0, 101, 0, 0, 0]);
    assert!(matches!(too_long, Err(FrameError::TooLong { bytes: 101, frame_bytes_max: 100 })));
    assert!(matches!(read(&[0, 2, 0, 0, 0, 1]), Err(FrameError::Cut)));
    assert!(matches!(read(&[0, 2]), Err(FrameError::Cut)));
    assert!(matches!(read(&[]), Ok(None)));
}

/// Messages of protocol 2 as they are specified.
#[test]
fn messages_of_protocol_2_are_read_and_written() {
    let commands = [
        "[%poke 5000 [%g 0] %wake 0]",
        "[%peek 0 0 %x]",
        "[%sync %save 0]",
        "[%live %pack 0]",
        "[%live %meld 0]",
        "[%quiz %quac 0]",
        "[%quiz %quic 0]",
        "[%exit 0]",
        "[%boot [1 2] 3 4]",
    ];
    for text in commands {
        let noun: Noun = text.parse().unwrap();
        assert_eq!(mars::Command::from_noun(&noun).unwrap().to_noun(), noun, "{text}");
    }
    let replies = [
        "[%ripe [2 [%vere 0] 0] [256 0] 97 12345]",
        "[%poke 0 [[%g 0] %done 0] 0]",
        "[%poke 1 [%exit 0] 0]",
        "[%peek 0 0]",
        "[%sync 97 12345]",
        "[%live 0]",
        "[%slog 0 %leaf 97 0]",
        "[%flog 'text']",
        "[%quiz 7]",
    ];
    for text in replies {
        let noun: Noun = text.parse().unwrap();
        assert_eq!(mars::Reply::from_noun(&noun).unwrap().to_noun(), noun, "{text}");
    }
    for text in ["[%poke 0]", "[%sync %load 0]", "[%exit 1]", "7", "[%live %save 0]", "[%boot 0]"] {
        let outcome = mars::Command::from_noun(&text.parse().unwrap());
        assert!(matches!(outcome, Err(MessageError::Unknown { .. })), "{text}");
    }
    for text in ["[%poke 2 0]", "[%ripe [2 0] [0 0] 1 0x100000000]", "[%live 1]", "[%poke 1 7]", "7"] {
        let outcome = mars::Reply::from_noun(&text.parse().unwrap());
        assert!(matches!(outcome, Err(MessageError::Unknown { .. })), "{text}");
    }
}

#[derive(Default)]
struct Host {
    saved: Vec<u64>,
    limits: Vec<u64>,
}

impl SerfHost for Host {
    fn limit(&mut self, mil: u64) {
        self.limits.push(mil);
    }

    fn save(&mut self, event: u64, _: u32, _: Vec<u8>) -> std::io::Result<()> {
        self.saved.push(event);
        Ok(())
    }

    fn cram(&mut self, _: u64, _: Vec<u8>) -> std::io::Result<()> {
        Err(std::io::ErrorKind::StorageFull.into())
    }
}

/// To a genuine king we say what the genuine serf said, byte for byte: booting, playing, work, a crash with what is
/// put in its place, a peek, and a crash in a replay, for which nothing is.
#[test]
fn a_genuine_king_hears_what_the_genuine_serf_said() {
    let said = conversation();
    let join = |is_king: bool| -> Vec<u8> {
        said.iter().filter(|said| said.is_king == is_king).flat_map(|said| said.frame.clone()).collect()
    };
    let mut host = Host::default();
    let mut heard = Vec::new();
    let kernel = NockMachine::new(Budget::default());
    let code = serve(kernel, 0, &mut host, &mut join(true).as_slice(), &mut heard).unwrap();
    assert_eq!(code, 0);
    assert_eq!(heard, join(false));
    assert_eq!(host.saved, [12]);
    assert!(host.limits.contains(&5000));
}

/// A king that is at another event is refused, and one that wants to end does.
#[test]
fn a_king_out_of_step_is_refused() {
    let tell = |commands: &[&str]| {
        let frames: Vec<u8> =
            commands.iter().flat_map(|text| encode(&text.parse::<Noun>().unwrap().jam()).unwrap()).collect();
        let kernel = NockMachine::new(Budget::default());
        serve(kernel, 0, &mut Host::default(), &mut frames.as_slice(), &mut Vec::new())
    };
    let other = |outcome| matches!(outcome, Err(ServeError::OtherEvent { event: 0, .. }));
    assert!(other(tell(&["[%live %save 12]"])));
    assert!(other(tell(&["[%play 2 [1 0] 0]"])));
    assert!(matches!(tell(&["[%live %shave 12]"]), Err(ServeError::Message(_))));
    assert!(matches!(tell(&["[%live %exit 7]", "[%live %shave 12]"]), Ok(7)));
}

fn serf_in(folder: &Path) -> SerfProcess {
    SerfProcess::new(env!("CARGO_BIN_EXE_samestep-serf"), folder)
}

/// A replay through a serf's process gives what one in this process gives, mug by mug, from the first event and from a
/// rock; and a state of the one is a state of the other.
#[test]
fn a_replay_through_a_process_is_the_same() {
    let events = kernel::events();
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(&folder.path().join("pier"), &events, &[20]);
    let (mut here, mut there) = (Mugs::default(), Mugs::default());
    let nock = NockMachine::new(Budget::default());
    let (mut replay, report) = play(&pier, nock, None, &PlayOptions::default(), &mut here).unwrap();
    let serf = SerfMachine::start(serf_in(&folder.path().join("serf"))).unwrap();
    let (mut through, other) = play(&pier, serf, None, &PlayOptions::default(), &mut there).unwrap();
    assert_eq!(here.0, there.0);
    assert_eq!(report, other);
    let state = replay.machine_mut().snapshot().unwrap();
    assert_eq!(through.machine_mut().snapshot().unwrap(), state);
    // Backwards, to a state that was saved here.
    let mut options = PlayOptions::default();
    (options.target, options.start) = (Some(30), Start::First);
    let nock = NockMachine::new(Budget::default());
    let (mut replay, report) = play(&pier, nock, None, &options, &mut ()).unwrap();
    let serf = through.machine_mut();
    serf.restore(30, &replay.machine_mut().snapshot().unwrap()).unwrap();
    assert_eq!((serf.event(), serf.mug()), (30, report.replay.mug));
    serf.reclaim(samestep_lmdb_replay::machine::Reclaim::Meld).unwrap();
    serf.poke(31, &events[30].jam).unwrap();
    assert_eq!(serf.mug(), events[30].mug);
}

/// Genuine piers too, where there are some.
#[test]
fn genuine_piers_replay_through_a_process() {
    let scratch = tempfile::tempdir().unwrap();
    let Some((piers, _)) = piers(scratch.path()) else { return };
    for entry in fs::read_dir(piers.join("good")).unwrap() {
        let root = entry.unwrap().path();
        let pier = samestep_lmdb_replay::vere::Pier::open(
            &root,
            samestep_lmdb_replay::vere::Access::Read,
            samestep_lmdb_replay::lock::ProcessIds::Honour,
        );
        let pier = pier.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let serf = SerfMachine::start(serf_in(folder.path())).unwrap();
        let (_, report) = play(&pier, serf, None, &PlayOptions::default(), &mut ()).unwrap();
        println!("{}: {} mugs agree", root.display(), report.replay.verified);
        assert!(report.replay.verified > 0);
    }
}

/// An event that fails in the other process ends the replay as it does here, with the state before it.
#[test]
fn a_crash_in_a_process_is_told() {
    let mut events = kernel::events();
    events.truncate(10);
    kernel::append(&mut events, ("fail", 0));
    let folder = tempfile::tempdir().unwrap();
    let pier = kernel::write(&folder.path().join("pier"), &events, &[]);
    let serf = SerfMachine::start(serf_in(&folder.path().join("serf"))).unwrap();
    let outcome = play(&pier, serf, None, &PlayOptions::default(), &mut ());
    let Err(PlayError::Replay(ReplayFailure::Event { number: 11, kind, source, .. })) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(kind, FailureKind::Crash);
    assert_eq!(source.to_string(), "bail %exit behind event 10: [1953069157 0]");
}

/// A process that ends, says something else than was asked for, or prints text, is told as such.
#[test]
fn a_process_that_misbehaves_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let start = |name: &str, script: &str| {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        SerfMachine::start(SerfProcess::new(path, folder.path()))
    };
    let say = |noun: &str| {
        let frame = encode(&noun.parse::<Noun>().unwrap().jam()).unwrap();
        format!("printf '{}'", frame.iter().fold(String::new(), |text, byte| format!("{text}\\{byte:03o}")))
    };
    assert!(matches!(start("silent", "exit 0"), Err(ClientError::Ended)));
    let text = start("text", "echo urbit 3.0");
    assert!(matches!(text, Err(ClientError::Frame(FrameError::Mark { found: b'u' }))), "{text:?}");
    let live = start("live", &say("[%live 0]"));
    assert!(matches!(&live, Err(ClientError::Unexpected { found, .. }) if found == "live"), "{live:?}");
    let mars = start("mars", &say("[%ripe [2 139 4] 0 0]"));
    assert!(matches!(mars, Err(ClientError::Protocol { found: 2 })), "{mars:?}");
    let none = SerfMachine::start(SerfProcess::new(folder.path().join("none"), folder.path()));
    assert!(matches!(none, Err(ClientError::Start { .. })));
    // It says that work is done where a play was asked for; what it says aside comes first, and is no answer.
    let script = [say("[%ripe [1 139 4] 0 0]"), say("[%slog 0 %leaf 97 0]"), say("[%work %done 1 7 0]")];
    let mut serf = start("work", &format!("{}\ncat >/dev/null", script.join("\n"))).unwrap();
    let outcome = serf.poke(1, &Noun::from((1, 2)).jam());
    assert!(matches!(outcome, Err(ClientError::Unexpected { asked: "%play", .. })), "{outcome:?}");
    assert_eq!(SerfMachine::failure_kind(&ClientError::Ended), FailureKind::Lost);
}

/// A serf's own output has frames and nothing else, and what is for people goes elsewhere.
#[test]
fn nothing_but_frames_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_samestep-serf"));
    command.args(["serf", folder.path().to_str().unwrap(), "0:0:0:0", "0", "0", "31", "0", "0", "0", "0"]);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut printed = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut printed).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(printed, conversation()[0].frame);
}
