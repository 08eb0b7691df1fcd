//! Who subscribes.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Name of a client: 1 to 255 bytes, any bytes. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Arc<[u8]>);

impl ClientId {
    /// The client called `name`.
    ///
    /// # Errors
    ///
    /// [`ClientIdError`] if `name` is empty or longer than [`CLIENT_BYTES_MAX`].
    pub fn new(name: impl AsRef<[u8]>) -> Result<Self, ClientIdError> {
        let name = name.as_ref();
        if is_client_name(name) { Ok(Self(name.into())) } else { Err(ClientIdError { bytes: name.len() }) }
    }

    /// What sorts before every name.
    pub(crate) fn before_all() -> Self {
        Self(Arc::new([]))
    }

    /// The name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Whether `name` may be the name of a client.
pub(crate) fn is_client_name(name: &[u8]) -> bool {
    (1..=CLIENT_BYTES_MAX).contains(&name.len())
}

impl Borrow<[u8]> for ClientId {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId({self})")
    }
}

/// A name is empty or too long for a [`ClientId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a client's name has 1 to {CLIENT_BYTES_MAX} bytes, not {bytes}")]
pub struct ClientIdError {
    /// Its length.
    pub bytes: usize,
}

/// What a client shows to prove that a subscription is its own: 16 bytes that it chose when it subscribed.
///
/// Guards against mistakes and against clients that guess; it travels and is stored as it is, so it is no protection
/// from those who read the log. Not shown by `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token([u8; TOKEN_BYTES]);

impl Token {
    /// The token with these bytes.
    pub const fn new(bytes: [u8; TOKEN_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn to_bytes(self) -> [u8; TOKEN_BYTES] {
        self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Longest name of a client, in bytes.
pub const CLIENT_BYTES_MAX: usize = 255;
/// Length of a [`Token`], in bytes.
pub const TOKEN_BYTES: usize = 16;
