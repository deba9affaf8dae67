//! `maru finish-upgrade` and `maru upgrade`, on a machine whose `systemctl` is a script.
//!
//! Fails if a version that does not become healthy stays, if the doors were opened before it was judged, or if what was cut
//! short is not taken back. Blind to systemd and dpkg.

use lab::BIN;

use super::{
    control_plane::{last_word, says},
    setup::{PATH, TestMachine},
};

/// A machine on which the services run, and dpkg has unpacked a new version of a program.
fn unpacked() -> TestMachine {
    let home = TestMachine::new();
    home.sh("mkdir -p /etc/maru /var/lib/maru/coordinator /var/lib/maru/models /var/lib/maru/former/files/run
        : > /etc/maru/coordinator.toml
        echo former > /var/lib/maru/coordinator/db.sqlite
        chown 61001:61001 /var/lib/maru/coordinator/db.sqlite
        echo former > /var/lib/maru/former/files/run/program
        echo new > /run/program
        echo 0.0.1 > /var/lib/maru/former/version
        echo unpacking > /var/lib/maru/former/stage
        touch /run/fake/active
        printf '#!/bin/sh\\nexit 1\\n' > /run/tools/dpkg-query
        chmod +x /run/tools/dpkg-query");
    home
}

fn is_former(home: &TestMachine) {
    assert_eq!(home.file("/run/program"), "former\n");
    assert_eq!(home.file("/var/lib/maru/coordinator/db.sqlite"), "former\n");
    assert_eq!(home.sh("stat -c %u /var/lib/maru/coordinator/db.sqlite").trim(), "61001");
    assert_eq!(home.file("/var/lib/maru/former/stage"), "undone");
    assert_eq!(home.sh("ls /var/lib/maru").split_whitespace().count(), 3);
}

#[test]
#[ignore = "needs: root, podman"]
fn a_version_whose_services_end_again_and_again_is_taken_back_before_its_doors_open() {
    let home = unpacked();
    home.sh("echo 10 > /run/fake/restarts");

    let said = last_word(&home.run(&["finish-upgrade"]), 1, usize::MAX);

    says(&said, "the update was taken back, and 0.0.1 is here again", &["maru-"]);
    is_former(&home);
    let calls = home.file("/run/calls");
    let (judged, back) = calls.split_once("daemon-reload").unwrap();
    assert!(
        judged.contains("restart maru-relay.service\nstart --no-block maru-relay.service"),
        "{calls}"
    );
    for door in ["block maru-agent", "block maru-coordinator", "block maru.target"] {
        assert!(!judged.contains(door), "{calls}");
    }
    assert!(back.contains("maru-agent.service") && back.contains("maru.target"), "{calls}");
}

#[test]
#[ignore = "needs: root, podman"]
fn an_update_that_was_cut_short_is_taken_back_before_the_services_start() {
    let home = unpacked();
    home.sh("cd /var/lib/maru
        mkdir former/data; cp -a coordinator former/data
        echo new > coordinator/db.sqlite
        mkdir invented
        echo trying > former/stage
        : > /run/calls");

    let done = home.run(&["upgrade", "--before-start"]);

    assert!(done.status.success(), "{done:?}");
    is_former(&home);
    assert_eq!(home.file("/run/calls"), "daemon-reload\n");
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(said.contains("it was cut short"), "{said}");
}

#[test]
#[ignore = "needs: root, podman"]
fn an_update_that_was_taken_back_leaves_no_door_closed_and_no_service_stopped() {
    let home = unpacked();
    home.sh("mkdir -p -m 700 /run/maru/telmeet; echo undone > /var/lib/maru/former/stage
        rm /run/fake/active; : > /run/calls");

    let done = home.run(&["upgrade"]);

    assert!(done.status.success(), "{done:?}");
    assert_eq!(home.sh("stat --format=%a /run/maru/telmeet").trim(), "2750");
    let calls = home.file("/run/calls");
    assert!(calls.contains("start --no-block maru.target") && !calls.contains("stop"), "{calls}");
}

#[test]
#[ignore = "needs: root, podman"]
fn without_an_update_there_is_nothing_to_end() {
    let home = TestMachine::new();

    let said = last_word(&home.run(&["upgrade"]), 2, 1);
    says(&said, "no update was cut short; name the package", &["maru upgrade FILE"]);
    assert!(home.run(&["finish-upgrade"]).status.success());
    let said = last_word(&home.run(&["--root", "/srv", "upgrade", "x.deb"]), 1, 1);
    says(&said, "`maru upgrade` updates the installed package", &["for /srv"]);
}

/// Has a lock as dpkg has it, while a program runs.
const LOCKED: &str = r#"use Fcntl;
open(my $lock, "+<", "/var/lib/dpkg/lock") or die;
my $whole = pack("s s x4 q q i x4", F_WRLCK, 0, 0, 0, 0);
fcntl($lock, F_SETLK, $whole) or die;
exit(system(@ARGV) >> 8);"#;

#[test]
#[ignore = "needs: root, podman"]
fn the_doctor_takes_back_what_was_cut_short_and_not_what_is_going_on() {
    let home = unpacked();
    home.sh("mkdir -p /var/lib/dpkg; : > /var/lib/dpkg/lock; mkdir -p -m 777 /run/maru/plugin");
    let maru = format!("{BIN}/maru");
    let doctor = |under: &[&str]| {
        let mut doctor = home.instance.machine.command("env");
        doctor.arg(PATH).args(under).args([maru.as_str(), "doctor", "--fix", "--yes"]);
        let done = doctor.output().unwrap();
        String::from_utf8([done.stdout, done.stderr].concat()).unwrap()
    };

    let said = doctor(&["perl", "-e", LOCKED]);
    assert!(said.contains("an update is going on; wait until it is done"), "{said}");
    assert_eq!(home.file("/var/lib/maru/former/stage"), "unpacking\n");

    let said = doctor(&[]);
    assert!(said.contains("Done: take the update back that was cut short"), "{said}");
    assert_eq!(home.file("/run/program"), "former\n");
    assert_eq!(home.file("/var/lib/maru/former/stage"), "undone");
    let mode = home.sh("stat --format=%a /run/maru/plugin");
    assert_eq!(mode.trim(), "777", "nothing else is repaired");
}
