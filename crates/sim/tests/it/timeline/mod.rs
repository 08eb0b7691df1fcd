//! A failing run of a protocol of three nodes, drawn.

mod browser;
mod devtools;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{NetworkProvider, RandomProvider, TimeProvider, UdpSocket};
use samestep_sim::{Chaos, Check, SimContext, Test, timeline};

/// Whoever hears nothing of the others for a second leads: right with one that is cut off from a majority, if only that
/// one counted.
async fn heartbeat(context: SimContext) -> Result<(), Box<dyn std::error::Error>> {
    let socket = context.network().bind_udp((context.my_ip(), 9).into()).await?;
    let heard = Rc::new(Cell::new(context.time().now()));
    loop {
        for peer in context.servers().filter(|peer| peer.ip != context.my_ip()) {
            let _lost = socket.send_to("alive", (peer.ip, 9).into()).await;
        }
        let wait = Duration::from_millis(context.random().random_range(150..250));
        let until = context.time().now() + wait;
        while let Some(left) = until.checked_sub(context.time().now()).filter(|left| !left.is_zero()) {
            if let Ok((Ok(_), _)) = context.time().timeout(left, socket.recv_from(vec![0; 16])).await {
                heard.set(context.time().now());
            }
        }
        let leads = context.time().now() - heard.get() > Duration::from_secs(1);
        if leads {
            context.note("leads", context.name());
        }
        context.state().publish(context.name(), leads);
    }
}

fn define(test: &mut Test) {
    let _nodes = test.node("node", 3..=3, heartbeat);
    test.client("user", |context| async move {
        context.sleep(Duration::from_secs(20)).await;
        Ok(())
    });
    test.always("one leader", |view| {
        let leads = |number: u32| view.state().get::<bool>(&format!("node-{number}")) == Some(true);
        let leaders: Vec<u32> = (0..3).filter(|number| leads(*number)).collect();
        if leaders.len() < 2 { Ok(()) } else { Err(format!("nodes {leaders:?} lead")) }
    });
    test.chaos(Chaos::swarm().for_secs(20));
}

#[test]
fn a_failing_run_of_three_nodes_is_drawn() {
    let check = Check::new().seeds(200).stop_at_first_failure().without_regressions().ignore_environment();
    let report = check.report(define);
    let (line, _) = report.replays().next().expect("it is wrong");
    let timeline = timeline(&line, define);
    assert!(timeline.events().len() > 100, "{timeline:?}");
    let page = timeline.to_html();
    for part in ["node-0", "node-2", "one leader: nodes", "sends 5 bytes to node-1"] {
        assert!(page.contains(part), "{part}");
    }
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join("three-nodes.html");
    std::fs::write(&path, page).unwrap();
    browser::try_page(&path);
    let trace: serde_json::Value = serde_json::from_str(&timeline.to_perfetto()).unwrap();
    let flows = trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "s").count();
    assert!(flows > 20, "{flows}");
}
