//! The log's folder, byte for byte.

use std::fs;
use std::path::Path;

use samestep_replay_traits::{Event, LaneContext, LaneError, Transcript};
use samestep_wal::{Index, Wal};
use sha2::{Digest, Sha256};

use super::{append, names, put_hard_state, rotating_every};
use crate::scenario::Scenario;

/// Two runs of one script with one log id.
pub(crate) const FOLDER_BYTES: Scenario = Scenario {
    name: "wal/folder-bytes",
    about: "two logs with one id and one history are byte-identical folders, by SHA-256 of every file",
    run: folder_bytes,
};

fn folder_bytes(context: &LaneContext, transcript: &mut Transcript) -> Result<(), LaneError> {
    let one = digest_of_one_history(&context.scratch().join("one"))?;
    let two = digest_of_one_history(&context.scratch().join("elsewhere/two"))?;
    if one != two {
        return Err(LaneError::failed(format!("one folder is {one:?}, the other {two:?}")));
    }
    for (name, length, sha256) in one {
        transcript
            .event(&Event::new("file").field("name", name).field("bytes", length).field("sha256", sha256));
    }
    Ok(())
}

/// Writes one history to `dir` and digests what is left there.
fn digest_of_one_history(dir: &Path) -> Result<Vec<(String, usize, String)>, LaneError> {
    for session in 0..3_u64 {
        let (mut wal, _) = Wal::open(dir, rotating_every(5))?;
        let next = wal.next_index().get();
        for index in next..next + 12 {
            append(
                &mut wal,
                index,
                session,
                &vec![index.to_le_bytes()[0]; usize::try_from(index * 7 % 90)?],
            )?;
            if index.is_multiple_of(4) {
                put_hard_state(&mut wal, index, session, &index.to_le_bytes())?;
            }
        }
        wal.prune_through(Index::new(next + 3))?;
        wal.close()?;
    }
    digest_of(dir)
}

/// Name, length and SHA-256 of each file in `dir`.
pub(crate) fn digest_of(dir: &Path) -> Result<Vec<(String, usize, String)>, LaneError> {
    let digest = |name: String| {
        let bytes = fs::read(dir.join(&name))?;
        let sha256 =
            Sha256::digest(&bytes).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        Ok((name, bytes.len(), sha256))
    };
    names(dir)?.into_iter().map(digest).collect()
}
