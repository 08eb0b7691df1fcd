//! What a process leaves behind that is killed.

use std::future::pending;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use samestep_provider_traits::{
    NetworkProvider, Providers, TaskProvider, TcpListener, TimeProvider, UdpSocket,
};

use crate::machine::Machine;

const ANY_PORT: &str = "127.0.0.1:0";
/// Set in a process that is to be killed: the test of this name holds addresses in it.
const HOLDS: &str = "SAMESTEP_TEST_HOLDS";

/// The kernel gives up what a ring accepts on a little after the process: whoever starts again does not see that.
#[test]
fn who_is_started_again_has_its_addresses() {
    const TEST: &str = "killed::who_is_started_again_has_its_addresses";
    if is_to_be_killed() {
        Machine::Ring.world(hold_addresses);
        return;
    }
    if Machine::Ring.runtime().is_none() {
        return;
    }
    for _ in 0..10 {
        let mut holds = Command::new(std::env::current_exe().unwrap());
        holds.args(["--exact", TEST, "--nocapture"]).env(HOLDS, "yes").stdout(Stdio::piped());
        let mut process = Killed(holds.spawn().unwrap());
        let said = BufReader::new(process.0.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut held = said.filter_map(|line| line.strip_prefix("holds ")?.parse::<SocketAddr>().ok());
        let [listens, receives] = [held.next().unwrap(), held.next().unwrap()];
        drop(process);
        Machine::Ring.world(|world| async move {
            let network = world.network();
            assert_eq!(network.bind(listens).await.unwrap().local_addr().unwrap(), listens);
            assert_eq!(network.bind_udp(receives).await.unwrap().local_addr().unwrap(), receives);
        });
    }
}

/// An address that somebody does hold is told as such, and not at once.
#[test]
fn an_address_in_use_is_tried_for_a_second() {
    Machine::Ring.world(|world| async move {
        let listener = world.network().bind(ANY_PORT.parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let begun = world.time().now();
        assert_eq!(world.network().bind(address).await.unwrap_err().kind(), ErrorKind::AddrInUse);
        assert!(world.time().now() - begun >= Duration::from_secs(1));

        let again = world.task().spawn("again", world.network().bind(address));
        world.task().yield_now().await;
        listener.close().await.unwrap();
        assert_eq!(again.await.unwrap().unwrap().local_addr().unwrap(), address);
    });
}

#[expect(clippy::disallowed_methods, reason = "it is how a test tells its own process")]
fn is_to_be_killed() -> bool {
    std::env::var_os(HOLDS).is_some()
}

async fn hold_addresses(world: impl Providers) {
    let listener = world.network().bind(ANY_PORT.parse().unwrap()).await.unwrap();
    let socket = world.network().bind_udp(ANY_PORT.parse().unwrap()).await.unwrap();
    let addresses = [listener.local_addr().unwrap(), socket.local_addr().unwrap()];
    let receives = world.task().spawn("receive", async move { drop(socket.recv_from(vec![0; 8]).await) });
    let accepts = world.task().spawn("accept", async move { drop(listener.accept().await) });
    world.task().yield_now().await;
    for address in addresses {
        println!("\nholds {address}");
    }
    let () = pending().await;
    drop((receives, accepts));
}

/// A process that is killed, and waited for, when this is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
