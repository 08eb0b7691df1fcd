//! `show` and `dump`: events.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};

use samestep_noun::Noun;
use serde_json::{Value, json};

use super::{Failed, Outcome, PierArgs};
use crate::tree::Event;
use crate::vere::{Access, Job, Pier, StoredEvent, Survey};

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
    let life = life(&pier)?;
    let mut reader = pier.log()?.reader(args.number.into())?;
    let Some(event) = reader.next_event()? else {
        return Err(Failed::Usage(format!("event {} is behind the end of the log", args.number)));
    };
    let mut out = io::stdout().lock();
    if args.pier.json {
        writeln!(out, "{:#}", event_json(event, life))?;
    } else {
        writeln!(out, "{}", line(event, life))?;
        if let Ok(stored) = StoredEvent::decode(event.value) {
            if let Ok(noun) = Noun::cue(stored.jam) {
                writeln!(out, "noun  {noun}\nmug   {:08x}, of the noun", noun.mug())?;
            }
            writeln!(out, "jam   {}", hex(stored.jam))?;
        }
    }
    Ok(Outcome::Sound)
}

pub(super) fn run_dump(args: &DumpArgs) -> Result<Outcome, Failed> {
    let pier = args.pier.open(Access::Read)?;
    let (life, log) = (life(&pier)?, pier.log()?);
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
            writeln!(out, "{}", event_json(event, life))?;
        } else {
            writeln!(out, "{}", line(event, life))?;
        }
    }
    out.flush()?;
    Ok(Outcome::Sound)
}

/// How many events boot the ship: they are any nouns.
fn life(pier: &Pier) -> Result<u64, Failed> {
    Ok(Survey::of(pier)?.identity().map_or(0, |identity| identity.life.into()))
}

fn line(event: Event<'_>, life: u64) -> String {
    let stored = match StoredEvent::decode(event.value) {
        Ok(stored) => stored,
        Err(error) => return format!("{:>10}  damaged: {error}", event.number),
    };
    let what = match Noun::cue(stored.jam).map(|noun| Job::of(&noun)) {
        Ok(_) if event.number <= life => "boot".to_owned(),
        Ok(Ok(job)) => format!("{}  {} %{}", date(&job), job.wire_text(), job.tag_text()),
        Ok(Err(error)) => error.to_string(),
        Err(error) => format!("damaged: {error}"),
    };
    format!("{:>10}  mug {:08x}  {:>8} bytes  {what}", event.number, stored.mug, event.value.len())
}

fn event_json(event: Event<'_>, life: u64) -> Value {
    let mut object = json!({ "number": event.number, "bytes": event.value.len() });
    let stored = match StoredEvent::decode(event.value) {
        Ok(stored) => stored,
        Err(error) => {
            object["error"] = error.to_string().into();
            object["value_hex"] = hex(event.value).into();
            return object;
        }
    };
    object["mug"] = format!("{:08x}", stored.mug).into();
    match Noun::cue(stored.jam) {
        Ok(noun) => {
            object["noun_mug"] = format!("{:08x}", noun.mug()).into();
            if event.number > life
                && let Ok(job) = Job::of(&noun)
            {
                object["date"] = date(&job).into();
                object["wire"] = job.wire_text().into();
                object["tag"] = job.tag_text().into();
            }
        }
        Err(error) => object["error"] = error.to_string().into(),
    }
    object["jam_hex"] = hex(stored.jam).into();
    object
}

/// When a job happened, to the second.
pub(super) fn date(job: &Job) -> String {
    jiff::Timestamp::from_second(job.unix_seconds())
        .map_or_else(|_| format!("{:#x}", job.now), |date| date.to_string())
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A string grows without fail.
        let _grown = write!(text, "{byte:02x}");
    }
    text
}
