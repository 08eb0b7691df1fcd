//! A server that keeps a number in a file.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use samestep_provider_traits::{File, OpenOptions, StorageProvider};
use samestep_sim::{Chaos, SimContext, SimFile, Test};

use crate::{Outcome, ask, ask_until_answered, is_found, is_sound, serve};

const GET: u64 = 0;

async fn run(context: SimContext, syncs: bool) -> Outcome {
    let options = OpenOptions::read_write().create();
    let file = Rc::new(context.storage().open("number".as_ref(), options).await?);
    file.sync_all().await?;
    context.storage().sync_dir("".as_ref()).await?;
    serve(context, move |[number, _]| {
        let file = Rc::clone(&file);
        async move {
            if number == GET {
                return Ok([number, read(&file).await?]);
            }
            file.write_all_at(Box::new(number.to_le_bytes()), 0).await.0?;
            if syncs {
                file.sync_data().await?;
            }
            Ok([number, number])
        }
    })
    .await
}

async fn read(file: &SimFile) -> io::Result<u64> {
    if file.metadata().await?.len < 8 {
        return Ok(0);
    }
    let (outcome, bytes) = file.read_exact_at(Box::new([0; 8]), 0).await;
    outcome?;
    Ok(u64::from_le_bytes(*bytes))
}

fn define(test: &mut Test, syncs: bool) {
    let _server = test.node("server", 1, move |context| run(context, syncs)).restarts(Duration::from_secs(1));
    test.client("client", |context| async move {
        let mut acked = 0;
        for number in 1..40 {
            let [_, stored] = ask_until_answered(&context, "server:80", [GET, 0]).await;
            if stored < acked {
                return Err(format!("{acked} was acknowledged, and {stored} is there").into());
            }
            if ask(&context, "server:80", [number, 0]).await.is_ok() {
                acked = number;
            }
            context.sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    });
    test.chaos(Chaos::swarm().for_secs(30));
}

#[test]
fn a_missing_sync_before_an_acknowledgement_is_found() {
    is_found(&["error"], |test| define(test, false));
    is_sound(|test| define(test, true));
}
