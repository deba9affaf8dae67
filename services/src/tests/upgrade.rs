//! What the units of services do while an update goes on (`cli`, `upgrade`).

use std::process::{Command, Output};

use crate::{AGENT_SERVICE, FORMER, SERVERS, systemd};

/// An update closes the folders of sockets to the agent (`cli`, `upgrade::door`). Blind to systemd.
#[test]
fn the_services_open_once_an_update_is_taken_back_and_not_before() {
    let files = systemd::files();
    let text = |name: &str| &files.iter().find(|(known, _)| known == name).unwrap().1;
    let script = script_of(text(systemd::UPGRADE), "ExecStartPost=-+")
        .replace("systemd-tmpfiles", "echo systemd-tmpfiles");
    let said = |word: &str| {
        let done = at_stage(&script, word);
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };

    for word in ["", "unpacking", "copying", "trying", "setting-aside", "putting-back"] {
        assert_eq!(said(word), "", "{word}");
    }
    // Where the package puts `maru.tmpfiles.conf` (`xtask`, `package`).
    assert_eq!(said("undone"), "systemd-tmpfiles --create maru.conf\n");
    for link in AGENT_SERVICE.calls {
        let folder = format!("d /{} {:04o} ", link.directory(), link.mode);
        assert!(text("maru.tmpfiles.conf").contains(&folder), "{folder}");
    }
}

/// Blind to systemd, and to dpkg, which replaces the programs meanwhile (`cargo xtask vm upgrade`).
#[test]
fn no_daemon_starts_before_an_update_has_copied_the_data() {
    let units: Vec<_> = systemd::files()
        .into_iter()
        .filter(|(_, text)| text.contains("\nType=notify\n") && !text.contains("maru watch"))
        .collect();
    assert_eq!(units.len(), SERVERS.len() + 3, "the coordinator, the relay and the agent");
    for (name, text) in units {
        let script = script_of(&text, "ExecStartPre=+");
        let starts = |word| at_stage(&script, word).status.success();
        assert!(!starts("unpacking\n") && !starts("copying"), "{name}");
        assert!(["", "trying", "undone"].into_iter().all(starts), "{name}");
    }
}

/// The shell's script in a line of a unit.
fn script_of(unit: &str, key: &str) -> String {
    let mut lines =
        unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix("/bin/sh -c '"));
    lines.next().unwrap().strip_suffix('\'').unwrap().to_owned()
}

/// What a script does at a stage of an update.
fn at_stage(script: &str, word: &str) -> Output {
    let script = script.replace(&format!("/{FORMER}/stage"), "/dev/stdin");
    let script = format!("printf %s '{word}' | {{ {script}; }}");
    Command::new("/bin/sh").args(["-c", &script]).output().unwrap()
}

/// systemd starts what a unit requires together with it, also when it starts the unit again by itself. Blind to systemd.
#[test]
fn an_update_is_taken_back_before_the_services_start_and_not_when_one_starts_again() {
    let files = systemd::files();
    for name in [systemd::PREPARE, systemd::UPGRADE] {
        let text = &files.iter().find(|(known, _)| known == name).unwrap().1;
        for line in ["RemainAfterExit=yes", "PartOf=maru.target"] {
            assert!(text.lines().any(|has| has == line), "{name} lacks {line}");
        }
        // Where a condition says no, the unit stays inactive.
        assert!(!text.contains("\nCondition"), "{name}");
    }
}
