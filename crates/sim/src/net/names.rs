//! Names of nodes and of groups of them.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Network;
use super::link::{Place, link_between};
use crate::choice::ChoiceFamily;
use crate::fault::FaultFamily;
use crate::kernel::{Kernel, NodeId};

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LookupError {
    #[error("host name {0:?} is malformed: names are of letters, digits, `-`, `_` and `.`")]
    Malformed(String),
    #[error("no node, and no group of nodes, is called {0:?}")]
    Unknown(String),
    #[error("the name {0:?} cannot be looked up now: a fault of the simulated network, try again")]
    Failed(String),
}

impl LookupError {
    /// Its kind as an I/O error.
    pub(crate) const fn kind(&self) -> ErrorKind {
        match self {
            Self::Malformed(_) => ErrorKind::InvalidInput,
            Self::Unknown(_) => ErrorKind::NotFound,
            Self::Failed(_) => ErrorKind::TimedOut,
        }
    }
}

impl Network {
    /// Addresses of `host`, at least one: those of the node of that name, or of all that are called so with a
    /// hyphen and a number behind, by node; an address as text; or the loopback addresses of `localhost`.
    pub(crate) fn lookup<E>(
        &mut self,
        kernel: &mut Kernel<E>,
        node: NodeId,
        host: &str,
    ) -> Result<Vec<IpAddr>, LookupError> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![ip]);
        }
        if host == "localhost" {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let is_part_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if host.is_empty() || !host.bytes().all(is_part_of_name) {
            return Err(LookupError::Malformed(host.to_owned()));
        }
        let chance = self.settings.chaos.lookup_failure;
        let place = link_between(node, node).place(Place::Connect);
        if kernel.choices.happens(ChoiceFamily::Network, place, chance) {
            kernel.fault(FaultFamily::LookupFailure, Some(node), || host.to_owned());
            return Err(LookupError::Failed(host.to_owned()));
        }
        if let Some(found) = self.names.get(host) {
            return Ok(vec![self.hosts[found.0 as usize].ip]);
        }
        let is_member = |name: &str| {
            let number = name.strip_prefix(host).and_then(|rest| rest.strip_prefix('-'));
            number
                .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let found: Vec<IpAddr> =
            self.hosts.iter().filter(|host| is_member(&host.name)).map(|host| host.ip).collect();
        if found.is_empty() { Err(LookupError::Unknown(host.to_owned())) } else { Ok(found) }
    }
}
