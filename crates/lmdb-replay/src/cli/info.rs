//! `info` and `epochs`: what a pier is made of.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Failed, Outcome, PierArgs, human_bytes, print_json, text_of};
use crate::vere::{Access, DataError, DataSurvey, DiskVersion, EpochSurvey, SnapshotFiles, Survey};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    pier: PierArgs,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failed> {
    let pier = args.pier.open(Access::Read)?;
    let survey = Survey::of(&pier)?;
    let identity = survey.identity();
    if args.pier.json {
        print_json(&json!({
            "disk_version": disk_number(survey.disk),
            "who": identity.map(|identity| identity.who.to_string()),
            "fake": identity.map(|identity| identity.is_fake),
            "life": identity.map(|identity| identity.life),
            "first": survey.first(),
            "last": survey.last(),
            "snapshot": snapshot_json(&survey.snapshot),
            "epochs": survey.epochs.len(),
            "top": data_json(&survey.top),
        }))?;
        return Ok(Outcome::Sound);
    }
    let mut out = io::stdout().lock();
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    writeln!(out, "disk      version {}", disk_number(survey.disk))?;
    writeln!(out, "who       {}", or_unknown(identity.map(|identity| format!("{:#x}", identity.who))))?;
    writeln!(out, "fake      {}", or_unknown(identity.map(|identity| identity.is_fake.to_string())))?;
    writeln!(out, "life      {}", or_unknown(identity.map(|identity| identity.life.to_string())))?;
    match (survey.first(), survey.last()) {
        (Some(first), Some(last)) => writeln!(out, "events    {first} to {last}")?,
        _ => writeln!(out, "events    none")?,
    }
    writeln!(out, "snapshot  {}", snapshot_text(&survey.snapshot))?;
    writeln!(out, "epochs    {}", survey.epochs.len())?;
    if let Ok(data) = &survey.top {
        writeln!(
            out,
            "lmdb      page size {}, pages {}, last transaction {}, map size {}, file {}",
            data.state.page_bytes,
            data.state.last_page + 1,
            data.state.transaction,
            human_bytes(data.state.map_bytes),
            human_bytes(data.bytes)
        )?;
    }
    Ok(Outcome::Sound)
}

pub(super) fn run_epochs(args: &Args) -> Result<Outcome, Failed> {
    let pier = args.pier.open(Access::Read)?;
    let survey = Survey::of(&pier)?;
    if args.pier.json {
        let epochs: Vec<Value> = survey.epochs.iter().map(epoch_json).collect();
        print_json(&json!({ "disk_version": disk_number(survey.disk), "epochs": epochs }))?;
        return Ok(Outcome::Sound);
    }
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{:<16} {:>12} {:>12} {:>12}  {:<5} {:<8} snapshot",
        "epoch", "first", "last", "bytes", "epoc", "vere"
    )?;
    for epoch in &survey.epochs {
        let data = epoch.data.as_ref().ok();
        let bounds = data.and_then(|data| data.bounds);
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        writeln!(
            out,
            "{:<16} {:>12} {:>12} {:>12}  {:<5} {:<8} {}",
            epoch.name,
            number(bounds.map(|(first, _)| first)),
            number(bounds.map(|(_, last)| last)),
            data.map_or_else(|| "damaged".to_owned(), |data| human_bytes(data.bytes)),
            epoch.epoc.text().unwrap_or("?"),
            epoch.vere.text().unwrap_or("?"),
            snapshot_text(&epoch.snapshot),
        )?;
    }
    Ok(Outcome::Sound)
}

fn disk_number(disk: DiskVersion) -> u8 {
    match disk {
        DiskVersion::Flat => 1,
        DiskVersion::Migrating => 2,
        DiskVersion::Epochs => 3,
    }
}

fn snapshot_text(snapshot: &SnapshotFiles) -> String {
    if snapshot.files.is_empty() {
        return "none".to_owned();
    }
    let bytes = human_bytes(snapshot.files.iter().map(|(_, bytes)| bytes).sum());
    let event =
        snapshot.event.map_or_else(|| "of an unknown event".to_owned(), |event| format!("of event {event}"));
    let state = if snapshot.has_patch() { ", half saved" } else { "" };
    format!("{event}, {bytes}{state}")
}

fn snapshot_json(snapshot: &SnapshotFiles) -> Value {
    json!({
        "event": snapshot.event,
        "is_whole": snapshot.is_whole(),
        "has_patch": snapshot.has_patch(),
        "files": snapshot.files.iter().map(|(name, bytes)| json!({ "name": name, "bytes": bytes })).collect::<Vec<_>>(),
    })
}

fn epoch_json(epoch: &EpochSurvey) -> Value {
    json!({
        "name": epoch.name,
        "number": epoch.number,
        "path": text_of(&epoch.path),
        "epoc": epoch.epoc.text(),
        "vere": epoch.vere.text(),
        "data": data_json(&epoch.data),
        "snapshot": snapshot_json(&epoch.snapshot),
    })
}

fn data_json(data: &Result<DataSurvey, DataError>) -> Value {
    match data {
        Ok(data) => json!({
            "bytes": data.bytes,
            "page_bytes": data.state.page_bytes,
            "pages": data.state.last_page + 1,
            "transaction": data.state.transaction,
            "map_bytes": data.state.map_bytes,
            "events": data.entries,
            "first": data.bounds.map(|(first, _)| first),
            "last": data.bounds.map(|(_, last)| last),
            "version": data.meta.version,
            "who": data.meta.who.map(|who| who.to_string()),
            "fake": data.meta.is_fake,
            "life": data.meta.life,
        }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}
