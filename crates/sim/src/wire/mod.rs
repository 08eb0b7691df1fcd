//! Names and bytes that programs send each other: identifiers, addresses, endpoints, and a codec.
//!
//! The types and their layout are FoundationDB's (`flow/IRandom.h`, `flow/network.h`, `fdbrpc/FlowTransport`). All
//! that is read from text or bytes is bounded before it is believed.

mod address;
mod codec;
mod endpoint;
mod uid;

pub use address::{NetworkAddress, NetworkAddressParseError, flags};
pub use codec::{CodecError, JsonCodec, MESSAGE_BYTES_MAX, MessageCodec};
pub use endpoint::{Endpoint, WELL_KNOWN_RESERVED_COUNT, WellKnownToken};
pub use uid::UID;
