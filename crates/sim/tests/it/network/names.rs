//! Names of nodes and groups.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};

use samestep_provider_traits::NetworkProvider;
use samestep_sim::{ChaosConfiguration, FaultFamily, NetworkConfiguration, WorldConfig};

use super::{address, ip, on, world_of};

fn lookup(config: WorldConfig, host: &'static str) -> Result<Vec<SocketAddr>, ErrorKind> {
    let (world, nodes) = world_of(config, 3);
    world.add_node("node-x", ip(8));
    world.add_node("other-0", ip(9));
    let providers = world.providers(nodes[1]);
    on(
        &world,
        nodes[1],
        async move { providers.network().lookup(host, 80).await.map_err(|error| error.kind()) },
    )
}

#[test]
fn nodes_and_groups_have_names() {
    let found = |host| lookup(WorldConfig::new(1), host);
    assert_eq!(found("node-1"), Ok(vec![address(1, 80)]));
    assert_eq!(found("node"), Ok(vec![address(0, 80), address(1, 80), address(2, 80)]));
    assert_eq!(found("other"), Ok(vec![address(9, 80)]));
    assert_eq!(found("10.0.0.77"), Ok(vec![address(76, 80)]));
    assert_eq!(found("node-7"), Err(ErrorKind::NotFound));
    assert_eq!(found("nod"), Err(ErrorKind::NotFound));
    assert_eq!(found("node 1"), Err(ErrorKind::InvalidInput));
    let local = found("localhost").unwrap();
    assert!(local.iter().map(SocketAddr::ip).all(|ip: IpAddr| ip.is_loopback()), "{local:?}");
}

#[test]
fn a_name_may_not_be_found_now() {
    let chaos = ChaosConfiguration { lookup_failure_probability: 1.0, ..ChaosConfiguration::disabled() };
    let network = NetworkConfiguration { chaos, ..NetworkConfiguration::default() };
    let config = WorldConfig::new(1).network(network);
    assert_eq!(lookup(config.clone(), "node-1"), Err(ErrorKind::TimedOut));
    assert_eq!(lookup(config, "10.0.0.2"), Ok(vec![address(1, 80)]), "an address needs no look-up");
    assert_eq!(FaultFamily::LookupFailure.name(), "lookup-failure");
}
