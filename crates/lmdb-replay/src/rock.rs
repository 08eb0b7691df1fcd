//! Rocks: a kernel in a file that every runtime can load, `.urb/roc/<event>.jam`.
//!
//! A rock is the jam of `[%arvo kernel %hashboard cold]`, with the cold state of jets last. It has no checksum, and
//! its event only in its name: what can be checked is that it is such a noun, and then the mugs of the events after
//! it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use samestep_noun::{CueError, CueLimits, Noun};

use crate::durable;

/// A kernel and what its runtime knew of its jets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rock {
    /// The kernel.
    pub kernel: Noun,
    /// The tag before the state of jets: `%hashboard`.
    pub hashboard: Noun,
    /// The cold state of jets. `~` is right for any kernel.
    pub cold: Noun,
}

impl Rock {
    /// A rock without a state of jets.
    pub fn new(kernel: Noun) -> Self {
        Self { kernel, hashboard: Noun::from("hashboard"), cold: Noun::ZERO }
    }

    /// The jam.
    pub fn encode(&self) -> Vec<u8> {
        Noun::from(("arvo", &self.kernel, &self.hashboard, &self.cold)).jam()
    }

    /// Reads a jam.
    ///
    /// # Errors
    ///
    /// [`RockError::Cue`] and [`RockError::NotARock`].
    pub fn decode(jam: &[u8], limits: &CueLimits) -> Result<Self, RockError> {
        let noun = Noun::cue_within(jam, limits)?;
        match noun.as_tuple() {
            Some([tag, kernel, hashboard, cold]) if tag.is_cord("arvo") && kernel.is_cell() => {
                Ok(Self { kernel: kernel.clone(), hashboard: hashboard.clone(), cold: cold.clone() })
            }
            _ => Err(RockError::NotARock),
        }
    }

    /// The state of jets, with its tag.
    pub(crate) fn jets(&self) -> (Noun, Noun) {
        (self.hashboard.clone(), self.cold.clone())
    }
}

/// The rocks of a pier, by event.
///
/// Names that are no decimal number before `.jam` are no rocks. Without the folder there are none.
///
/// # Errors
///
/// What the system says of the folder.
pub fn list(root: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(root.join(ROCK_DIR)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut rocks = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let number =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jam"));
        let number = number.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(number) = number.and_then(|digits| digits.parse().ok())
            && path.is_file()
        {
            rocks.push((number, path));
        }
    }
    rocks.sort();
    Ok(rocks)
}

/// Where the rock of event `number` stands in a pier.
pub fn path(root: &Path, number: u64) -> PathBuf {
    root.join(ROCK_DIR).join(format!("{number}.jam"))
}

/// The bytes of the rock of event `number`.
///
/// # Errors
///
/// [`RockError::Io`].
pub fn read(root: &Path, number: u64) -> Result<Vec<u8>, RockError> {
    let path = path(root, number);
    fs::read(&path).map_err(|source| RockError::Io { path, source })
}

/// Writes the rock of event `number`: the old one or the new one is there, whole, whenever the process ends.
///
/// # Errors
///
/// [`RockError::Io`].
pub fn write(root: &Path, number: u64, jam: &[u8]) -> Result<PathBuf, RockError> {
    let path = path(root, number);
    let dir = root.join(ROCK_DIR);
    let write = || {
        fs::create_dir_all(&dir)?;
        durable::sync_dir(&root.join(URB_DIR))?;
        durable::replace(&dir, &format!("{number}.jam"), jam)
    };
    write().map_err(|source| RockError::Io { path: path.clone(), source })?;
    Ok(path)
}

/// Writes a rock into a file of any name, as [`write`] does.
#[cfg(feature = "cli")]
pub(crate) fn write_file(path: &Path, jam: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
    durable::replace(dir, name, jam)
}

/// Why there is no rock.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RockError {
    /// The file cannot be read or written.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no jam: the write was cut, or it is damaged.
    #[error("the rock is no noun")]
    Cue(#[from] CueError),
    /// It is a jam of something else.
    #[error("the noun is no rock, which is [%arvo kernel %hashboard cold]")]
    NotARock,
}

const URB_DIR: &str = ".urb";
const ROCK_DIR: &str = ".urb/roc";
