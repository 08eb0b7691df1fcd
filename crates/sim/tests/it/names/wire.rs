//! Wire types, traits and errors, as programs use them.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use samestep_provider_traits::{Providers, TcpStream};
use samestep_sim::{
    CodecError, Endpoint, JsonCodec, MessageCodec, NetworkAddress, NetworkAddressParseError, NetworkProvider,
    RandomProvider, SimProviders, SimWorld, SimulationError, SimulationResult, TaskProvider,
    TcpListenerTrait, TimeProvider, UID, WELL_KNOWN_RESERVED_COUNT, WellKnownToken,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ping {
    to: Endpoint,
    number: u64,
}

/// Routes a message by its endpoint, over a codec that it does not know.
struct Process<C> {
    codec: C,
    receivers: BTreeMap<UID, &'static str>,
}

impl<C: MessageCodec> Process<C> {
    fn receive(&self, bytes: &[u8]) -> Result<&'static str, CodecError> {
        let ping: Ping = self.codec.decode(bytes)?;
        let not_found = UID::well_known(WellKnownToken::EndpointNotFound.as_u32());
        Ok(self.receivers.get(&ping.to.token).unwrap_or(&self.receivers[&not_found]))
    }
}

#[test]
fn a_message_reaches_the_receiver_that_its_endpoint_names() {
    let address = NetworkAddress::parse("10.0.0.1:4500").unwrap();
    let ping = Endpoint::well_known(address, WellKnownToken::Ping);
    // The first token that a program may have, and the last of those that are reserved.
    let first = Endpoint::new(address, UID::well_known(WellKnownToken::FirstAvailable.as_u32()));
    let last = first.adjusted(0).token.second + (WELL_KNOWN_RESERVED_COUNT as u64 - 1) - first.token.second;
    assert_eq!((first.token.second, last), (3, 63));
    let own = Endpoint::new(address, UID::new(7, 8));
    let receivers = [
        (WellKnownToken::EndpointNotFound.uid(), "not found"),
        (ping.token, "ping"),
        (own.token, "own"),
        (own.adjusted(1).token, "the second of its own"),
    ];
    let process = Process { codec: JsonCodec, receivers: receivers.into() };
    let reached =
        |to: Endpoint| process.receive(&JsonCodec.encode(&Ping { to, number: 1 }).unwrap()).unwrap();
    assert_eq!(
        [ping, own, own.adjusted(1), own.adjusted(2)].map(reached),
        ["ping", "own", "the second of its own", "not found"]
    );
    assert!(own.is_valid() && !Endpoint::new(address, UID::default()).is_valid());
}

#[test]
fn what_is_no_message_or_no_address_is_an_error_that_says_what() {
    let process = Process { codec: JsonCodec, receivers: BTreeMap::new() };
    let error = process.receive(b"{\"to\":").unwrap_err();
    assert!(matches!(&error, CodecError::Decode(_)) && error.source().is_some(), "{error}");
    // JSON has no keys but strings.
    let error = JsonCodec.encode(&BTreeMap::from([((1, 2), 3)])).unwrap_err();
    assert!(matches!(&error, CodecError::Encode(_)) && error.source().is_some(), "{error}");
    let parse = |text: &str| NetworkAddress::parse(text).unwrap_err();
    assert_eq!(parse("10.0.0.1"), NetworkAddressParseError::MissingPort);
    assert_eq!(parse("10.0.0.256:1"), NetworkAddressParseError::InvalidIp);
    assert_eq!(parse("10.0.0.1:port"), NetworkAddressParseError::InvalidPort);
    let address = NetworkAddress::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
    assert_eq!("127.0.0.1:1".parse(), Ok(address));
}

/// A codec of somebody else's: JSON, and one byte before it that tells its version.
#[derive(Clone)]
struct Versioned(u8);

impl MessageCodec for Versioned {
    fn encode<T: Serialize>(&self, message: &T) -> Result<Vec<u8>, CodecError> {
        let mut bytes = vec![self.0];
        bytes.extend(JsonCodec.encode(message)?);
        Ok(bytes)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, CodecError> {
        match bytes.split_first() {
            Some((version, rest)) if *version == self.0 => JsonCodec.decode(rest),
            _ => Err(CodecError::Decode("another version".into())),
        }
    }
}

#[test]
fn a_program_may_have_a_codec_of_its_own() {
    let bytes = Versioned(2).encode(&5).unwrap();
    assert_eq!(bytes, b"\x025");
    assert_eq!(Versioned(2).decode::<u32>(&bytes).unwrap(), 5);
    assert!(matches!(Versioned(3).decode::<u32>(&bytes), Err(CodecError::Decode(_))));
}

#[test]
fn errors_of_simulations_have_causes_and_a_result_of_their_own() {
    fn now(world: samestep_sim::WeakSimWorld) -> SimulationResult<Duration> {
        world.now()
    }
    let world = SimWorld::new();
    let weak = world.downgrade();
    assert_eq!(now(weak).unwrap(), Duration::ZERO);
    drop(world);
    let error = now(weak).unwrap_err();
    assert!(matches!(error, SimulationError::SimulationShutdown), "{error}");
    let error = SimulationError::from(std::io::Error::other("disk"));
    assert_eq!(error.source().unwrap().to_string(), "disk");
    assert_eq!(SimulationError::InvalidState("no such node".into()).to_string(), "no such node");
}

/// A program over the five traits, which knows no simulation.
async fn rolls_and_answers<N, L, T, K, R>(
    (network, time, tasks, random): (N, T, K, R),
    address: std::net::SocketAddr,
) -> (u32, Duration)
where
    N: NetworkProvider<TcpListener = L>,
    L: TcpListenerTrait<Stream = N::TcpStream>,
    T: TimeProvider,
    K: TaskProvider,
    R: RandomProvider,
{
    let listener = network.bind(address).await.unwrap();
    let rolled = random.random_range(1..7_u32);
    let server = tasks.spawn("server", async move {
        let (stream, _) = listener.accept().await.unwrap();
        stream.write_all(Box::new(rolled.to_le_bytes())).await.0.unwrap();
    });
    let stream = network.connect(address).await.unwrap();
    let (outcome, bytes) = stream.read_exact(Box::new([0; 4])).await;
    outcome.unwrap();
    server.await.unwrap();
    time.sleep(Duration::from_secs(1)).await;
    (u32::from_le_bytes(*bytes), time.now())
}

#[test]
fn a_program_over_the_traits_runs_in_a_world() {
    let run = |seed| {
        let world = SimWorld::new_with_seed(seed);
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        let node = world.add_node("node", ip);
        let node_world: SimProviders = world.providers(node);
        let parts = (
            *node_world.network(),
            *node_world.time(),
            *node_world.task(),
            Providers::random(&node_world).fork("dice"),
        );
        let program = rolls_and_answers(parts, (ip, 80).into());
        world.block_on(&mut world.spawn(Some(node), "program", program)).unwrap().unwrap()
    };
    assert_eq!(run(1), run(1));
    let rolled: std::collections::BTreeSet<u32> = (0..40).map(|seed| run(seed).0).collect();
    assert_eq!(rolled.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!(run(1).1 > Duration::from_secs(1));
}
