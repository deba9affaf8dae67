//! The systemd units, as `systemd-analyze verify` reads them.
//!
//! Fails if systemd does not know a key, cannot use a value, or does not find a program. The same look at a unit with a
//! mistake finds it. Blind to what the units do: nothing is started.

use std::{
    fs,
    process::{Command, Output},
};

use services::{SERVERS, SERVICES, systemd};

/// What systemd says of these units, whose programs are where the tests built them.
fn verify(units: &[(String, String)]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let programs = lab::binaries().unwrap();
    let mut command = Command::new("systemd-analyze");
    command.args(["--man=no", "--generators=no", "--recursive-errors=no", "verify"]);
    let is_unit =
        |name: &str| [".service", ".target", ".timer"].iter().any(|kind| name.ends_with(kind));
    for (name, text) in units.iter().filter(|(name, _)| is_unit(name)) {
        let path = folder.path().join(name);
        let text = text.replace("=/usr/bin/maru", &format!("={}/maru", programs.display()));
        fs::write(&path, text).unwrap();
        command.arg(path);
    }
    command.output().unwrap()
}

/// So that no other package is given a number of ours.
#[test]
#[ignore = "needs: systemd"]
fn systemd_gives_every_service_its_user() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("usr/lib/sysusers.d");
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    for (name, text) in systemd::files().iter().filter(|(name, _)| name.ends_with(".sysusers.conf"))
    {
        fs::write(folder.join(name), text).unwrap();
    }

    let output = Command::new("systemd-sysusers").arg("--root").arg(root.path()).output().unwrap();

    assert!(output.status.success(), "{output:?}");
    let users = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    let services = SERVICES.iter().map(|it| (it.unit(), it.uid, it.gid));
    for (name, uid, gid) in services.chain(SERVERS.iter().map(|it| (it.unit(), it.uid, it.gid))) {
        // The spare engine is the first one's user.
        let named = name.trim_end_matches("-2");
        assert!(users.contains(&format!("{named}:x:{uid}:{gid}:")), "{named}: {users}");
    }
}

#[test]
#[ignore = "needs: systemd"]
fn systemd_takes_every_unit() {
    let units = systemd::files();
    assert!(units.iter().any(|(name, _)| name == "maru-agent.service"));

    let output = verify(&units);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{output:?}");

    for (right, wrong) in [
        ("NoNewPrivileges=yes", "NoNewPrivilege=yes"),
        ("LimitCORE=0", "LimitCORE=none of it"),
        ("User=61001", "User=a b"),
        ("ExecStart=/usr/bin/maru-coordinator", "ExecStart=/usr/bin/maru-kordinator"),
    ] {
        let mut units = units.clone();
        let kept = ["maru-coordinator.service", systemd::PREPARE, systemd::UPGRADE];
        units.retain(|(name, _)| kept.contains(&name.as_str()));
        assert!(verify(&units).stderr.is_empty());
        units[0].1 = units[0].1.replace(right, wrong);
        let output = verify(&units);
        assert!(!output.stderr.is_empty() || !output.status.success(), "{wrong} is not noticed");
    }
}
