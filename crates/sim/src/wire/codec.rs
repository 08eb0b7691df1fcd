//! Messages as bytes.

use std::error::Error;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A format of messages.
pub trait MessageCodec: Clone + Send + Sync + 'static {
    /// The bytes of `message`.
    ///
    /// # Errors
    ///
    /// [`CodecError::Encode`] if the format cannot say it, [`CodecError::TooLong`] if no peer would read it.
    fn encode<T: Serialize>(&self, message: &T) -> Result<Vec<u8>, CodecError>;

    /// The message of which `bytes` are the whole. They may come from an enemy.
    ///
    /// # Errors
    ///
    /// [`CodecError::Decode`] if they are none, [`CodecError::TooLong`] before any of them is looked at.
    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CodecError>;
}

/// Why a message could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The format cannot say this value: mend the value.
    #[error("message cannot be encoded")]
    Encode(#[source] Box<dyn Error + Send + Sync>),
    /// The bytes are no such message: drop them, or the connection they came by.
    #[error("message cannot be decoded")]
    Decode(#[source] Box<dyn Error + Send + Sync>),
    /// The message is too long: send it in parts.
    #[error("message of {bytes} bytes is longer than {bytes_max}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The longest that is handled.
        bytes_max: usize,
    },
}

/// JSON by serde_json: good to read while debugging. Values nest at most 128 deep.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonCodec;

impl MessageCodec for JsonCodec {
    fn encode<T: Serialize>(&self, message: &T) -> Result<Vec<u8>, CodecError> {
        let bytes = serde_json::to_vec(message).map_err(|error| CodecError::Encode(Box::new(error)))?;
        check_length(&bytes)?;
        Ok(bytes)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CodecError> {
        check_length(bytes)?;
        serde_json::from_slice(bytes).map_err(|error| CodecError::Decode(Box::new(error)))
    }
}

fn check_length(bytes: &[u8]) -> Result<(), CodecError> {
    let bytes = bytes.len();
    if bytes > MESSAGE_BYTES_MAX {
        return Err(CodecError::TooLong { bytes, bytes_max: MESSAGE_BYTES_MAX });
    }
    Ok(())
}

/// The longest message that [`JsonCodec`] encodes or decodes, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::error::Error;

    use serde::{Deserialize, Serialize};

    use super::{CodecError, JsonCodec, MESSAGE_BYTES_MAX, MessageCodec};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Put {
        key: u32,
        value: String,
    }

    #[test]
    fn json_is_the_plain_one() {
        let put = Put { key: 7, value: "a\"b".into() };
        let bytes = JsonCodec.encode(&put).unwrap();
        assert_eq!(bytes, br#"{"key":7,"value":"a\"b"}"#);
        assert_eq!(JsonCodec.decode::<Put>(&bytes).unwrap(), put);
    }

    #[test]
    fn what_is_no_message_is_an_error_with_its_cause() {
        let error = JsonCodec.decode::<Put>(br#"{"key":7}"#).unwrap_err();
        assert!(matches!(error, CodecError::Decode(_)));
        assert!(error.source().unwrap().to_string().contains("missing field `value`"), "{error:?}");
        // JSON has no keys but strings.
        let error = JsonCodec.encode(&BTreeMap::from([((1, 2), 3)])).unwrap_err();
        assert!(matches!(error, CodecError::Encode(_)), "{error:?}");
    }

    #[test]
    fn an_enemy_exhausts_neither_stack_nor_memory() {
        let deep = "[".repeat(1 << 20);
        assert!(matches!(JsonCodec.decode::<serde_json::Value>(deep.as_bytes()), Err(CodecError::Decode(_))));
        let long = vec![b' '; MESSAGE_BYTES_MAX + 1];
        let error = JsonCodec.decode::<Put>(&long).unwrap_err();
        assert!(matches!(error, CodecError::TooLong { bytes, .. } if bytes == long.len()), "{error:?}");
    }
}
