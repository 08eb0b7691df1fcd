//! `stats`: which events fill the log.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::json;

use super::{Failed, Outcome, PierArgs, human_bytes, print_json, progress_bar};
use crate::tree::Event;
use crate::vere::{Access, Job, StoredEvent, Survey};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pier: PierArgs,
    /// How many elements of a wire make a group of their own.
    #[arg(long, default_value_t = 2)]
    depth: usize,
    /// How many groups are shown.
    #[arg(long, default_value_t = 20)]
    top: usize,
}

/// Events of one wire and tag.
#[derive(Clone, Copy, Debug, Default)]
struct Group {
    events: u64,
    bytes: u64,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failed> {
    let pier = args.pier.open(Access::Read)?;
    let log = pier.log()?;
    let survey = Survey::of(&pier)?;
    let life = survey.identity().map_or(0, |identity| identity.life.into());
    let bar = progress_bar(survey.last().unwrap_or(0));
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    let mut total = Group::default();
    if let Some(first) = log.first() {
        let mut reader = log.reader(first)?;
        while let Some(event) = reader.next_event()? {
            let group = groups.entry(key(event, life, args.depth)).or_default();
            for group in [group, &mut total] {
                group.events += 1;
                group.bytes += event.value.len() as u64;
            }
            if event.number.is_multiple_of(1024) {
                bar.set_position(event.number);
            }
        }
    }
    bar.finish_and_clear();
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| Reverse(group.bytes));
    if args.pier.json {
        let groups = groups.iter().take(args.top).map(|((wire, tag), group)| {
            json!({ "wire": wire, "tag": tag, "events": group.events, "bytes": group.bytes })
        });
        let groups: Vec<_> = groups.collect();
        print_json(&json!({ "events": total.events, "bytes": total.bytes, "groups": groups }))?;
        return Ok(Outcome::Sound);
    }
    let mut out = io::stdout().lock();
    let largest = groups.first().map_or(1, |(_, group)| group.bytes.max(1));
    for ((wire, tag), group) in groups.iter().take(args.top) {
        let bar = bar_of(group.bytes, largest);
        let name = format!("{wire} {tag}");
        writeln!(out, "{name:<40} {:>10} {:>12}  {bar}", group.events, human_bytes(group.bytes))?;
    }
    let name = format!("all {} groups", groups.len());
    writeln!(out, "{name:<40} {:>10} {:>12}", total.events, human_bytes(total.bytes))?;
    Ok(Outcome::Sound)
}

/// The wire as far as it is looked at, and the tag; or why there is none.
fn key(event: Event<'_>, life: u64, depth: usize) -> (String, String) {
    if event.number <= life {
        return ("boot".to_owned(), String::new());
    }
    let job = StoredEvent::decode(event.value).ok().and_then(|stored| Job::cue(stored.jam).ok());
    let Some(job) = job else { return ("damaged".to_owned(), String::new()) };
    let wire = job.wire_text();
    let cut = wire.match_indices('/').nth(depth).map_or(wire.len(), |(at, _)| at);
    (wire[..cut].to_owned(), format!("%{}", job.tag_text()))
}

/// A bar in proportion, at least a sliver.
fn bar_of(bytes: u64, largest: u64) -> String {
    let eighths = (u128::from(bytes) * 8 * BAR_CELLS / u128::from(largest)).max(1);
    let whole = usize::try_from(eighths / 8).expect("a bar is short");
    let rest = usize::try_from(eighths % 8).expect("less than 8");
    format!("{}{}", "█".repeat(whole), SLIVERS[rest])
}

const BAR_CELLS: u128 = 30;
const SLIVERS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
