//! telmeet, compared with Synapse: the same people write, wait and start their apps.
//!
//! Homeserver and people share the machine's processors, so only figures of the same run can be compared.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Command, time::Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{
    numbers::round,
    process::{Running, done},
    report::{Report, row},
};
use crate::{progress::Step, stop, workspace};

/// The example of telmeet that asks.
pub(super) const EXAMPLE: &str = "rooms_load";
/// Messages that are stored when an app starts. Synapse takes a quarter of an hour for as many as telmeet.
const MESSAGES: [&str; 2] = ["100000", "5000"];
/// Synapse, from PyPI.
const SYNAPSE: &str = "1.163.0";
/// Its TCP port.
const PORT: u16 = 18_993;
/// The figures, as the example names them and as people read them.
const FIGURES: [(&str, &str); 17] = [
    ("/start_s", "start, s"),
    ("/rest_mib", "resident at rest, MiB"),
    ("/sent/per_s", "50 people write: messages a second"),
    ("/sent/p50_ms", "acknowledged, p50 ms"),
    ("/sent/p99_ms", "acknowledged, p99 ms"),
    ("/fan_out/p50_ms", "to 400 streams, 20 a second: p50 ms"),
    ("/fan_out/p99_ms", "p99 ms"),
    ("/fan_out/lost", "not received"),
    ("/fan_out/streams_mib", "resident with the streams, MiB"),
    ("/sliding/bytes", "first sliding sync of 50 rooms, bytes"),
    ("/sliding/p50_ms", "ms"),
    ("/messages", "messages that are stored"),
    ("/sync/p50_ms", "first sync then, ms"),
    ("/sync/p99_ms", "p99 ms"),
    ("/sync/bytes", "bytes"),
    ("/sync/next/p50_ms", "sync after a message then, ms"),
    ("/end_mib", "resident at the end, MiB"),
];

/// A homeserver that can be started.
struct Homeserver {
    command: Command,
    /// How the example reaches it.
    target: [String; 2],
    messages: &'static str,
}

/// Measures telmeet, then Synapse.
pub(super) fn run() -> Result<Report> {
    let dir = tempfile::tempdir()?;
    let maru = measure("telmeet", telmeet(dir.path())?, dir.path())?;
    let synapse = measure("Synapse", synapse(dir.path())?, dir.path())?;
    let mut table = vec![row(["", "telmeet", &format!("Synapse {SYNAPSE}")])];
    for (figure, what) in FIGURES {
        let cell = |results: &Value| {
            results.pointer(figure).map_or_else(|| "-".to_owned(), ToString::to_string)
        };
        table.push(row([what, &cell(&maru), &cell(&synapse)]));
    }
    let notes = vec![
        "SQLite; one process each; the load runs on the same processors".to_owned(),
        "a message is acknowledged by telmeet after it is synced to disk".to_owned(),
    ];
    Ok(Report {
        unit: "as named",
        results: json!({"maru": maru, "synapse": synapse}),
        table,
        notes,
    })
}

fn measure(name: &str, homeserver: Homeserver, dir: &Path) -> Result<Value> {
    stop::check()?;
    let Homeserver { mut command, target, messages } = homeserver;
    let load = |running: &Running, args: &[&str]| -> Result<Vec<u8>> {
        let mut load = Command::new(lab::binary(&format!("examples/{EXAMPLE}"))?);
        load.args(&target).args(["--pid", &running.id().to_string()]).args(args);
        let out = load.output().context("cannot run the load")?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "{name}: {said}");
        Ok(out.stdout)
    };
    let step = Step::new(&format!("{name}: people write, wait and start their apps"));
    let begun = Instant::now();
    let running = Running::start(&mut command, &dir.join(format!("{name}.log")))?;
    load(&running, &["--ready"])?;
    let start_s = round(begun.elapsed().as_secs_f64(), 3);
    let printed = load(&running, &["--messages", messages])?;
    let mut results: Value = serde_json::from_slice(&printed).context("the load's output")?;
    results["start_s"] = start_s.into();
    step.done(&format!("{name} is measured"));
    Ok(results)
}

fn telmeet(dir: &Path) -> Result<Homeserver> {
    let root = dir.join("telmeet");
    fs::create_dir(&root)?;
    let settings = root.join("telmeet.toml");
    let uid = fs::metadata("/proc/self")?.uid();
    fs::write(&settings, format!("agent_uid = {uid}\nconnections = 1000\n"))?;
    let mut command = Command::new(lab::binary("maru-telmeet")?);
    command.arg("--root").arg(&root).arg("--config").arg(settings);
    let socket = root.join("run/maru/telmeet/http.sock").display().to_string();
    Ok(Homeserver { command, target: ["--unix".to_owned(), socket], messages: MESSAGES[0] })
}

/// Installs it if need be.
fn synapse(dir: &Path) -> Result<Homeserver> {
    let place = workspace::target()?.join(format!("peers/synapse-{SYNAPSE}"));
    let python = place.join("bin/python");
    if !python.exists() {
        let step = Step::new("installing Synapse from PyPI (60 MB)");
        done(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
        let wanted = format!("matrix-synapse=={SYNAPSE}");
        let installed =
            done(Command::new(place.join("bin/pip")).args(["install", "--quiet", &wanted]));
        if installed.is_err() {
            fs::remove_dir_all(&place)?;
        }
        installed?;
        step.done("Synapse is installed");
    }
    let root = dir.join("synapse");
    fs::create_dir(&root)?;
    let settings = root.join("homeserver.yaml");
    // JSON is YAML.
    fs::write(&settings, settings_of_synapse(&root).to_string())?;
    let program = ["-m", "synapse.app.homeserver", "--config-path"];
    let mut keys = Command::new(&python);
    done(keys.args(program).arg(&settings).arg("--generate-keys").current_dir(&root))?;
    let mut command = Command::new(python);
    command.args(program).arg(settings).current_dir(&root);
    let address = format!("127.0.0.1:{PORT}");
    Ok(Homeserver { command, target: ["--tcp".to_owned(), address], messages: MESSAGES[1] })
}

/// Without limits of rate and without other servers.
fn settings_of_synapse(root: &Path) -> Value {
    let fast = json!({"per_second": 1_000_000, "burst_count": 1_000_000});
    json!({
        "server_name": "rooms.maru.home.arpa",
        "pid_file": root.join("pid"),
        "listeners": [{
            "port": PORT, "bind_addresses": ["127.0.0.1"], "type": "http", "tls": false,
            "resources": [{"names": ["client"], "compress": false}],
        }],
        "database": {"name": "sqlite3", "args": {"database": root.join("homeserver.db")}},
        "media_store_path": root.join("media"),
        "signing_key_path": root.join("signing.key"),
        "trusted_key_servers": [],
        "report_stats": false,
        "enable_registration": true,
        "enable_registration_without_verification": true,
        "bcrypt_rounds": 4,
        "rc_message": fast, "rc_registration": fast, "rc_room_creation": fast,
        "rc_login": {"address": fast, "account": fast, "failed_attempts": fast},
        "rc_joins": {"local": fast, "remote": fast},
        "rc_joins_per_room": fast,
        "rc_invites": {"per_room": fast, "per_user": fast, "per_issuer": fast},
    })
}
