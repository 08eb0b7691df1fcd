//! Endpoints: an address, and a token that tells apart what listens there.

use serde::{Deserialize, Serialize};

use crate::wire::{NetworkAddress, UID};

/// Where a message goes: a process and one receiver in it, known without discovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// The process.
    pub address: NetworkAddress,
    /// The receiver in it.
    pub token: UID,
}

impl Endpoint {
    /// The receiver `token` of the process at `address`.
    pub const fn new(address: NetworkAddress, token: UID) -> Self {
        Self { address, token }
    }

    /// A well-known receiver of the process at `address`.
    pub const fn well_known(address: NetworkAddress, token: WellKnownToken) -> Self {
        Self { address, token: token.uid() }
    }

    /// Endpoint number `index` of an interface whose first one is this; see [`UID::adjusted`].
    pub const fn adjusted(&self, index: u32) -> Self {
        Self { address: self.address, token: self.token.adjusted(index) }
    }

    /// Whether its token is a valid one.
    pub const fn is_valid(&self) -> bool {
        self.token.is_valid()
    }
}

/// Receivers that every process has. Tokens below [`WELL_KNOWN_RESERVED_COUNT`] are kept for such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum WellKnownToken {
    /// Answers for receivers that are not there.
    EndpointNotFound = 0,
    /// Answers to show that the process lives.
    Ping = 1,
    /// Answers for receivers that the sender may not reach.
    UnauthorizedEndpoint = 2,
    /// The first token that is free for a program's own well-known receivers.
    FirstAvailable = 3,
}

impl WellKnownToken {
    /// Its number.
    pub const fn as_u32(self) -> u32 {
        self as u32
    }

    /// Its identifier.
    pub const fn uid(self) -> UID {
        UID::well_known(self as u32)
    }
}

/// How many tokens are reserved for well-known receivers: those from 0 to 63.
pub const WELL_KNOWN_RESERVED_COUNT: usize = 64;

const _: () = assert!((WellKnownToken::FirstAvailable as usize) < WELL_KNOWN_RESERVED_COUNT);

#[cfg(test)]
mod tests {
    use super::{Endpoint, WellKnownToken};
    use crate::wire::{NetworkAddress, UID};

    #[test]
    fn a_well_known_endpoint_and_those_that_follow_it() {
        let address = NetworkAddress::parse("10.0.0.1:4500").unwrap();
        let ping = Endpoint::well_known(address, WellKnownToken::Ping);
        assert_eq!(ping.token, UID::new(u64::MAX, 1));
        assert!(ping.is_valid() && ping.token.is_well_known());
        assert_eq!(ping.adjusted(1).token, UID::new(0x0000_0000_ffff_ffff, 2));
        assert_eq!(ping.adjusted(1).address, address);
        assert!(!Endpoint::new(address, UID::default()).is_valid());
        assert_eq!(
            [WellKnownToken::UnauthorizedEndpoint.as_u32(), 3],
            [2, WellKnownToken::FirstAvailable as u32]
        );
    }

    #[test]
    fn an_endpoint_is_the_same_after_json() {
        let address = NetworkAddress::parse("[fe80::1]:1:tls").unwrap();
        let endpoint = Endpoint::new(address, UID::new(u64::MAX, u64::MAX - 1));
        let json = serde_json::to_string(&endpoint).unwrap();
        assert_eq!(serde_json::from_str::<Endpoint>(&json).unwrap(), endpoint);
    }
}
