//! Conversations that are stored: what a turn costs more than one that is not kept, and how long reading takes.
//!
//! Callers, gateway and model server share the machine's processors, so only figures of the same run can be compared.

mod ask;
mod openclaw;

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::Command,
    time::Instant,
};

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    gateway::{Ask, Load, Peer},
    numbers::{median, milliseconds, round},
    process::done,
    report::{Report, row},
};
use crate::{progress::Step, stop};
use ask::{ask, p50_ms};

/// People whose conversations are stored, as many of each.
const PEOPLE: u32 = 10;
/// Messages of a conversation.
const MESSAGES: u32 = 50;
/// Requests of each kind, one after the other.
const READS: u32 = 100;
/// Rounds of turns that are kept and turns that are not, and turns of each.
const ROUNDS: usize = 7;
const TURNS: u32 = 50;
/// The figures, by their place in the results and as people read them.
const FIGURES: [(&str, &str); 16] = [
    ("/start_s", "start, s"),
    ("/idle_kib", "resident after the start, KiB"),
    ("/idle_empty_kib", "the same with nothing stored"),
    ("/end_kib", "resident at the end"),
    ("/list_us/p50", "list of one person's: p50 µs"),
    ("/list_us/p99", "p99"),
    ("/history_us/p50", "open: p50 µs"),
    ("/history_us/p99", "p99"),
    ("/search_us/p50", "search of one person's: p50 µs"),
    ("/search_us/p99", "p99"),
    ("/first_turn_ms", "first turn, ms"),
    ("/turn_ms", "turn, p50 ms"),
    ("/temporary_turn_ms", "turn that is not kept"),
    ("/added_turn_ms", "added by keeping it, median of rounds"),
    ("/sync_ms", "one write that is synced to this disk, p50 ms"),
    ("/prompt_bytes", "bytes that the model is sent for `hi`"),
];

/// Measures the gateway, and OpenClaw where it is installed.
pub(super) fn run(stored: u32, openclaw: Option<&Path>) -> Result<Report> {
    let load = Load::start()?;
    let maru = gateway(&load, stored)?;
    let openclaw = openclaw.map(|folder| openclaw::measure(folder, &load)).transpose()?;
    let mut table = vec![row(["", "maru", "OpenClaw"])];
    for (figure, what) in FIGURES {
        let cell = |results: Option<&Value>| {
            let value = results.and_then(|results| results.pointer(figure));
            value.map_or_else(|| "-".to_owned(), ToString::to_string)
        };
        table.push(row([what, &cell(Some(&maru)), &cell(openclaw.as_ref())]));
    }
    let notes = vec![
        format!(
            "{stored} conversations of {MESSAGES} messages, those of {PEOPLE} people, in SQLite; the word that is \
             searched is in none"
        ),
        format!(
            "maru: under the seal, one request after the other; a turn is synced to the disk before its last event; \
             {ROUNDS} rounds of {TURNS} turns each, sessions of 10 turns"
        ),
        "OpenClaw: by its `/v1/chat/completions`; the model server answers both at once".to_owned(),
    ];
    Ok(Report {
        unit: "as named",
        results: json!({"maru": maru, "openclaw": openclaw}),
        table,
        notes,
    })
}

fn gateway(load: &Load, stored: u32) -> Result<Value> {
    let step = Step::new("starting the gateway with nothing stored");
    let empty = Peer::sealed("empty", load, |_| Ok(()))?.resident_kib()?;
    step.done("the gateway starts with nothing stored");
    let step = Step::new(&format!("storing {stored} conversations"));
    let peer = Peer::sealed("stored", load, |root| fill(load, root, stored))?;
    step.done(&format!("{stored} conversations are stored"));
    let mut results = Value::Object(peer.start_figures());
    results["idle_empty_kib"] = empty.into();

    for operation in ["list", "history", "search"] {
        stop::check()?;
        let step = Step::new(operation);
        let asked = ask(load, &peer, Ask::new(&peer, READS).option("--operation", operation))?;
        results[format!("{operation}_us")] = asked["total_us"].clone();
        step.done(operation);
    }
    turns(load, &peer, &mut results)?;
    ask(load, &peer, Ask::new(&peer, 1).option("--text", "hi"))?;
    results["prompt_bytes"] = load.last_bytes()?.into();
    results["end_kib"] = peer.resident_kib()?.into();
    Ok(results)
}

/// Turns that are kept and turns that are not, in turn.
fn turns(load: &Load, peer: &Peer, results: &mut Value) -> Result<()> {
    let (mut kept, mut temporary) = (Vec::new(), Vec::new());
    for number in 0..=ROUNDS {
        stop::check()?;
        let step = Step::new(&format!("turns: round {number} of {ROUNDS}"));
        let session = format!("round-{number}");
        let one = ask(load, peer, Ask::new(peer, TURNS).option("--session", &session))?;
        let other = ask(load, peer, Ask::new(peer, TURNS))?;
        // The first round warms up.
        if number > 0 {
            kept.push(p50_ms(&one)?);
            temporary.push(p50_ms(&other)?);
        }
        step.done(&format!("turns: round {number} of {ROUNDS}"));
    }
    let added = kept.iter().zip(&temporary).map(|(kept, temporary)| kept - temporary).collect();
    results["sync_ms"] = round(sync_ms(load.dir.path())?, 3).into();
    results["turn_ms"] = round(median(kept), 3).into();
    results["temporary_turn_ms"] = round(median(temporary), 3).into();
    results["added_turn_ms"] = round(median(added), 3).into();
    Ok(())
}

/// How long a write takes that is synced to the disk: a turn that is kept waits for one.
fn sync_ms(dir: &Path) -> Result<f64> {
    let mut file = File::create(dir.join("synced"))?;
    let mut write = || {
        let begun = Instant::now();
        file.write_all(&[0; 12 << 10])?;
        file.sync_data()?;
        Ok(milliseconds(begun.elapsed()))
    };
    Ok(median((0..TURNS).map(|_| write()).collect::<Result<_>>()?))
}

/// Stores conversations where the gateway of this root looks for them. Each is synced once, which takes a slow disk many
/// minutes in all, so they are stored in memory first.
fn fill(load: &Load, root: &Path, stored: u32) -> Result<()> {
    let memory = tempfile::tempdir_in("/dev/shm")?;
    let database = memory.path().join("conversations.sqlite");
    let mut command = Command::new(&load.program);
    command.arg("fill");
    command.arg("--database").arg(&database);
    command.arg("--key").arg(root.join(services::GATEWAY_KEY).join("key"));
    for (option, number) in
        [("--people", PEOPLE), ("--conversations", stored / PEOPLE), ("--messages", MESSAGES)]
    {
        command.args([option, &number.to_string()]);
    }
    done(&mut command)?;
    fs::copy(database, root.join("var/lib/maru/gateway/conversations.sqlite"))?;
    Ok(())
}
