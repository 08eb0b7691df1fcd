//! Frames: `0x00 | length u32 little-endian, not 0 | jam`.

use std::io::{self, Read, Write};

/// Takes frames out of bytes that come in any portions.
#[derive(Debug)]
pub struct Decoder {
    /// Bytes of frames that are not complete, or not taken.
    bytes: Vec<u8>,
    /// Where the next frame begins in them.
    start: usize,
    frame_bytes_max: u32,
}

impl Decoder {
    /// A decoder of frames with jams of at most `frame_bytes_max` bytes.
    pub fn new(frame_bytes_max: u32) -> Self {
        Self { bytes: Vec::new(), start: 0, frame_bytes_max }
    }

    /// Takes bytes as they came.
    pub fn handle_bytes(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The jam in the next frame, once it is complete. It may end with zero bytes, as some writers pad.
    ///
    /// # Errors
    ///
    /// [`FrameError`]: the stream is not one of frames, or lost its place. No frame follows.
    pub fn poll_frame(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let rest = &self.bytes[self.start..];
        let Some((mark, rest)) = rest.split_first() else { return Ok(None) };
        if *mark != MARK {
            return Err(FrameError::Mark { found: *mark });
        }
        let Some((length, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length);
        if length == 0 {
            return Err(FrameError::Empty);
        }
        if length > self.frame_bytes_max {
            return Err(FrameError::TooLong { bytes: length, frame_bytes_max: self.frame_bytes_max });
        }
        let length = length as usize;
        if rest.len() < length {
            return Ok(None);
        }
        let from = self.start + HEADER_BYTES;
        self.start = from + length;
        Ok(Some(&self.bytes[from..self.start]))
    }

    /// Whether all bytes that came belong to frames that were taken.
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    /// The next frame of `reader`, or `None` at its end.
    ///
    /// # Errors
    ///
    /// [`FrameError`], of which [`FrameError::Cut`] is an end inside a frame.
    pub fn read_frame(&mut self, reader: &mut impl Read) -> Result<Option<Vec<u8>>, FrameError> {
        let mut portion = [0; PORTION_BYTES];
        loop {
            if let Some(jam) = self.poll_frame()? {
                return Ok(Some(jam.to_vec()));
            }
            match reader.read(&mut portion) {
                Ok(0) if self.is_empty() => return Ok(None),
                Ok(0) => return Err(FrameError::Cut),
                Ok(count) => self.handle_bytes(&portion[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The frame of a jam.
///
/// # Errors
///
/// [`FrameError::Empty`] and [`FrameError::TooLong`] if no frame can hold it.
pub fn encode(jam: &[u8]) -> Result<Vec<u8>, FrameError> {
    let too_long = FrameError::TooLong { bytes: u32::MAX, frame_bytes_max: u32::MAX };
    let length = u32::try_from(jam.len()).map_err(|_| too_long)?;
    if length == 0 {
        return Err(FrameError::Empty);
    }
    Ok([&[MARK], &length.to_le_bytes()[..], jam].concat())
}

/// Writes the frame of a jam, and flushes.
///
/// # Errors
///
/// As [`encode`], and [`FrameError::Io`].
pub fn write_frame(writer: &mut impl Write, jam: &[u8]) -> Result<(), FrameError> {
    writer.write_all(&encode(jam)?)?;
    Ok(writer.flush()?)
}

/// Why there is no next frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Something else was written into the stream, text most likely.
    #[error("byte {found:#04x} where a frame should begin: something else writes into the stream")]
    Mark {
        /// The byte.
        found: u8,
    },
    /// A frame of no bytes.
    #[error("a frame without bytes")]
    Empty,
    /// A frame is longer than was allowed.
    #[error("a frame of {bytes} bytes, at most {frame_bytes_max} are allowed")]
    TooLong {
        /// Its length.
        bytes: u32,
        /// The limit.
        frame_bytes_max: u32,
    },
    /// The stream ends inside a frame.
    #[error("the stream ends inside a frame: the other process ended")]
    Cut,
    /// The stream failed.
    #[error("the stream failed")]
    Io(#[from] io::Error),
}

const MARK: u8 = 0;
const HEADER_BYTES: usize = 5;
const PORTION_BYTES: usize = 8 * 1024;
