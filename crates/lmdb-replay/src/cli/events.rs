//! `show` and `dump`: events.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

use serde_json::{Value, json};

use super::{Failed, Outcome, PierArgs};
use crate::tree::Event;
use crate::vere::{Access, StoredEvent};

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    pier: PierArgs,
    /// The event's number.
    number: u64,
}

#[derive(Debug, clap::Args)]
pub(super) struct DumpArgs {
    #[command(flatten)]
    pier: PierArgs,
    /// The first event; without it the first one there is.
    #[arg(long)]
    from: Option<u64>,
    /// The last event; without it the last one there is.
    #[arg(long)]
    to: Option<u64>,
}

pub(super) fn run_show(args: &ShowArgs) -> Result<Outcome, Failed> {
    let pier = args.pier.open(Access::Read)?;
    let mut reader = pier.log()?.reader(args.number.into())?;
    let Some(event) = reader.next_event()? else {
        return Err(Failed::Usage(format!("event {} is behind the end of the log", args.number)));
    };
    let mut out = io::stdout().lock();
    if args.pier.json {
        writeln!(out, "{:#}", event_json(event))?;
    } else {
        writeln!(out, "{}", line(event))?;
        writeln!(
            out,
            "jam   {}",
            hex(StoredEvent::decode(event.value).map_or(event.value, |stored| stored.jam))
        )?;
    }
    Ok(Outcome::Sound)
}

pub(super) fn run_dump(args: &DumpArgs) -> Result<Outcome, Failed> {
    let pier = args.pier.open(Access::Read)?;
    let log = pier.log()?;
    let first = log.first().map_or(1, u64::from);
    let mut reader = log.reader(args.from.unwrap_or(first).into())?;
    let mut out = BufWriter::new(io::stdout().lock());
    loop {
        // What was read before an error is printed before it is told.
        let event = match reader.next_event() {
            Ok(event) => event,
            Err(error) => {
                out.flush()?;
                return Err(error.into());
            }
        };
        let Some(event) = event.filter(|event| args.to.is_none_or(|to| event.number <= to)) else { break };
        if args.pier.json {
            writeln!(out, "{}", event_json(event))?;
        } else {
            writeln!(out, "{}", line(event))?;
        }
    }
    out.flush()?;
    Ok(Outcome::Sound)
}

fn line(event: Event<'_>) -> String {
    match StoredEvent::decode(event.value) {
        Ok(stored) => format!("{:>10}  mug {:08x}  {:>8} bytes", event.number, stored.mug, event.value.len()),
        Err(error) => format!("{:>10}  damaged: {error}", event.number),
    }
}

fn event_json(event: Event<'_>) -> Value {
    match StoredEvent::decode(event.value) {
        Ok(stored) => json!({
            "number": event.number,
            "mug": format!("{:08x}", stored.mug),
            "bytes": event.value.len(),
            "jam_hex": hex(stored.jam),
        }),
        Err(error) => json!({
            "number": event.number,
            "bytes": event.value.len(),
            "error": error.to_string(),
            "value_hex": hex(event.value),
        }),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A string grows without fail.
        let _grown = write!(text, "{byte:02x}");
    }
    text
}
