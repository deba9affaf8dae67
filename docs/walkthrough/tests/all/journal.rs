//! What coordinator and agent write to the journal of a machine where systemd starts them: events with their fields, and none
//! of the secrets that they hold or are told.
//!
//! A socket takes journald's place, at the one path where daemons look for it, in the machine's own `/run`. A laptop joins
//! with an invitation, and a coordinator fails to start. Fails if an event has no fields, if anything is on standard error as
//! well, or if the journal then holds a key that anybody was given or a private key of theirs. Blind to what systemd and
//! Podman themselves write there.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::Path,
    process::Stdio,
    sync::mpsc,
    thread,
};

use lab::{Instance, Machine, ROOT, STOP, topology::Topology};

use super::{
    logs::{Secrets, finds_what_is_there},
    support::control::{Control, url},
};

/// What takes journald's place on a machine: entries as they come.
struct Journald(mpsc::Receiver<Vec<u8>>);

impl Journald {
    fn start(machine: &Machine) -> Self {
        let path = machine.path("/run/systemd/journal/socket");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let socket = UnixDatagram::bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let (sender, entries) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = vec![0; 256 << 10];
            while let Ok(len) = socket.recv(&mut bytes) {
                if sender.send(bytes[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self(entries)
    }

    /// Every entry so far.
    fn entries(&self) -> Vec<String> {
        self.0.try_iter().map(|entry| String::from_utf8(entry).unwrap()).collect()
    }
}

/// The entries that have each of these fields.
fn with<'a>(entries: &'a [String], fields: &[&str]) -> Vec<&'a str> {
    let has = |entry: &&str| fields.iter().all(|field| entry.lines().any(|line| line == *field));
    entries.iter().map(String::as_str).filter(has).collect()
}

#[test]
#[ignore = "needs: root"]
fn events_are_in_the_journal_with_their_fields_and_without_secrets() {
    let all = ["--log", "trace"];
    let topology = Topology::new(&["laptop"]).unwrap();
    let at_home = Journald::start(&topology.home);
    let at_laptop = Journald::start(&topology.laptops[0]);
    let mut secrets = Secrets::default();
    let control = Control::start_with(&topology, |_| format!("server_url = \"{}\"\n", url()), &all);
    let state = tempfile::tempdir().unwrap();
    let laptop = Instance::new(&topology.laptops[0], state.path()).unwrap();
    let agent = laptop.agent_with(&all).unwrap();

    let invitation = control.json(&["invite", "alice"])["url"].as_str().unwrap().to_owned();
    secrets.add_text("the invitation", &invitation);
    laptop.ok(&["join", &invitation, "--hostname", "laptop"]).unwrap();
    control.home.approve("laptop").unwrap();
    let runs = |text: &str| text.contains("\"running\"").then_some(());
    laptop.wait_until(&["status", "-o", "json"], STOP, runs).unwrap();
    drop(agent);
    fs::create_dir_all(laptop.root.join("etc/maru")).unwrap();
    fs::write(laptop.root.join("etc/maru/coordinator.toml"), "listen = \"\u{202e}nowhere\"")
        .unwrap();
    let said = fs::File::create(laptop.root.join("failed")).unwrap();
    let mut fails = laptop.program("maru-coordinator");
    fails.args(["--root", ROOT, "serve"]).stdin(Stdio::null());
    fails.env("JOURNAL_STREAM", lab::stream(&said).unwrap()).stdout(said.try_clone().unwrap());
    assert!(!fails.stderr(said).status().unwrap().success());

    let (home, laptops) = (at_home.entries(), at_laptop.entries());
    let coordinator = "SYSLOG_IDENTIFIER=maru-coordinator";
    let node = home.iter().find_map(|entry| {
        let line =
            entry.lines().find_map(|line| line.strip_prefix("MESSAGE=device approved node="));
        line.map(|node| format!("NODE={node}"))
    });
    let node = node.expect("the approval is an entry");
    let approved = with(&home, &["PRIORITY=6", coordinator, &node]);
    assert!(approved.iter().any(|entry| entry.contains("\nMESSAGE=device approved")), "{home:?}");
    assert!(!with(&home, &["PRIORITY=7", coordinator]).is_empty(), "{home:?}");
    assert!(!with(&laptops, &["PRIORITY=7", "SYSLOG_IDENTIFIER=maru-agent"]).is_empty());
    let said = |file: &Path| fs::read_to_string(file).unwrap();
    for file in [control.home.root.join("serve"), laptop.root.join("agent.log")] {
        assert_eq!(said(&file), "", "{}", file.display());
    }
    let failed = said(&laptop.root.join("failed"));
    assert!(failed.starts_with("<3>") && failed.lines().count() == 1, "{failed}");
    assert!(!failed.contains('\u{202e}'), "{failed}");

    secrets.add_files(&control.home.root.join("var/lib/maru"));
    secrets.add_files(&laptop.root.join("var/lib/maru"));
    for (who, entries) in [("home", home), ("laptop", laptops)] {
        let log = entries.join("\n").into_bytes();
        assert_eq!(secrets.found_in(&log), Vec::<&String>::new(), "in the journal of {who}");
        finds_what_is_there(&secrets, &log);
    }
}
