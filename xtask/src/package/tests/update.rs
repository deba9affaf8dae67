//! What maintainer scripts do at an update, with scripts for `maru` and Debian's tools. Blind to dpkg.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use testkit::small_disk::SmallDisk;

use super::package;

/// A maintainer script whose folders are below `root`.
fn script(name: &str, root: &Path) -> String {
    let (_, text) = package("maru-home").scripts.iter().find(|(known, _)| *known == name).unwrap();
    let mut text = (*text).to_owned();
    for folder in ["/etc/", "/var/lib/", "/run/", "/usr/bin/", "/usr/lib/"] {
        text = text.replace(folder, &format!("{}{folder}", root.display()));
    }
    text
}

/// A root with the version 1.2 installed, and tools of its own.
struct Home {
    root: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    fn below(folder: &Path) -> Self {
        let home = Self { root: tempfile::tempdir_in(folder).unwrap() };
        for folder in ["etc/maru", "var/lib/maru", "usr/bin", "usr/lib/maru", "tools"] {
            fs::create_dir_all(home.at(folder)).unwrap();
        }
        fs::write(home.at("etc/maru/coordinator.toml"), "").unwrap();
        home.program("usr/bin/maru", "echo maru \"$@\" >> \"$ROOT/calls\"");
        home.program("usr/bin/maru-agent", "exit 0");
        let files =
            "echo \"$ROOT/usr\"; echo \"$ROOT/usr/bin/maru\"; echo \"$ROOT/usr/bin/maru-agent\"";
        home.program("tools/dpkg-query", files);
        for tool in ["systemd-sysusers", "systemd-tmpfiles", "systemctl", "podman"] {
            home.program(&format!("tools/{tool}"), "exit 0");
        }
        home
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn program(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&path);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, name: &str, args: &[&str]) -> Output {
        self.run_in("C", name, args)
    }

    fn run_in(&self, language: &str, name: &str, args: &[&str]) -> Output {
        let path = format!("{}:{}", self.at("tools").display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", &script(name, self.root.path()), name]).args(args);
        shell.env("PATH", path).env("LC_ALL", language).env("ROOT", self.root.path());
        shell.env("DPKG_MAINTSCRIPT_PACKAGE", "maru-home").output().unwrap()
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.at("calls")).unwrap_or_default()
    }

    fn stage(&self) -> Option<String> {
        fs::read_to_string(self.at("var/lib/maru/former/stage")).ok()
    }

    /// Where a program is kept.
    fn kept(&self, path: &str) -> PathBuf {
        let place = self.at(path).display().to_string();
        self.at(&format!("var/lib/maru/former/files{place}"))
    }
}

#[test]
fn before_an_update_there_is_a_backup_and_the_former_programs_are_kept() {
    let home = Home::new();
    let before = fs::metadata(home.at("usr/bin/maru")).unwrap().ino();

    let done = home.run("preinst", &["upgrade", "1.2", "1.10"]);

    assert!(done.status.success(), "{done:?}");
    let backup = home.at("var/lib/maru/former/backup.tar");
    assert_eq!(home.calls(), format!("maru backup --force {}\n", backup.display()));
    assert_eq!(home.stage().as_deref(), Some("unpacking\n"));
    assert_eq!(fs::metadata(home.kept("usr/bin/maru")).unwrap().ino(), before);
    assert!(home.kept("usr/bin/maru-agent").exists());
    let mode = fs::metadata(home.at("var/lib/maru/former")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "the former programs and the backup are root's");
}

/// dpkg calls it an upgrade, too. Blind to what dpkg-query says then (`cargo xtask vm powercut`).
#[test]
fn a_first_installation_that_was_cut_short_is_no_update() {
    let home = Home::new();
    fs::remove_file(home.at("usr/bin/maru")).unwrap();
    home.program("tools/dpkg-query", "[ \"$1\" = --control-path ] || exit 1");

    let done = home.run("preinst", &["upgrade", "1.2", "1.2"]);

    assert!(done.status.success(), "{done:?}");
    assert_eq!(home.stage(), None);
}

#[test]
fn an_older_version_and_a_failed_backup_change_nothing() {
    let home = Home::new();
    for args in [["upgrade", "1.10", "1.9"], ["install", "1.10", "1.9"]] {
        let refused = home.run("preinst", &args);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(said.contains("1.9 may not be able to read the data of 1.10"), "{said}");
        assert_eq!(said.lines().count(), 1);
        assert_eq!((home.calls().as_str(), home.stage()), ("", None));
    }
    home.program("usr/bin/maru", "echo no room >&2; exit 1");
    assert_eq!(home.run("preinst", &["upgrade", "1.2", "1.3"]).status.code(), Some(1));
    assert_eq!(home.stage(), None);
    fs::write(home.at("etc/maru/update-without-backup"), "").unwrap();
    assert!(home.run("preinst", &["upgrade", "1.2", "1.3"]).status.success());
}

/// Full disks are where updates lose data.
#[test]
#[ignore = "needs: root"]
fn an_update_without_room_for_a_backup_and_a_copy_changes_nothing() {
    let name =
        "package::tests::update::an_update_without_room_for_a_backup_and_a_copy_changes_nothing";
    let Some(disk) = SmallDisk::of_test(name, "100m") else { return };
    let home = Home::below(disk.path());
    let data = home.at("var/lib/maru/coordinator");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("db.sqlite"), vec![1; 20 << 20]).unwrap();
    fs::create_dir_all(home.at("var/lib/maru/models")).unwrap();
    fs::write(home.at("var/lib/maru/models/large.gguf"), vec![1; 40 << 20]).unwrap();

    for (language, expected) in [("C", "needs 104 MiB of free space"), ("ko_KR.UTF-8", "104 MiB가")]
    {
        let refused = home.run_in(language, "preinst", &["upgrade", "1.2", "1.3"]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(said.contains(expected) && said.lines().count() == 1, "{said}");
    }
    assert_eq!((home.calls().as_str(), home.stage()), ("", None));
    assert!(!home.at("var/lib/maru/former").exists());
    assert_eq!(fs::metadata(data.join("db.sqlite")).unwrap().len(), 20 << 20);

    // Models are not copied.
    fs::write(data.join("db.sqlite"), "").unwrap();
    fs::write(home.at("var/lib/maru/models/large.gguf"), vec![1; 30 << 20]).unwrap();
    assert!(home.run("preinst", &["upgrade", "1.2", "1.3"]).status.success());
}

/// The former version would not read it after an update that failed.
#[test]
fn a_database_on_postgres_is_copied_by_somebody_before_each_update() {
    let home = Home::new();
    fs::write(home.at("etc/maru/gateway.toml"), "# database_url_file = \"/etc/url\"\n").unwrap();
    assert!(home.run("preinst", &["upgrade", "1.2", "1.3"]).status.success(), "a comment");
    let own = "[conversations]\ndatabase_url_file = \"/etc/url\"\n";
    fs::write(home.at("etc/maru/gateway.toml"), own).unwrap();
    for file in ["calls", "var/lib/maru/former/stage"] {
        fs::remove_file(home.at(file)).unwrap();
    }

    for (language, expected) in
        [("C", "is not put back if the update fails"), ("ko", "되돌려지지 않아")]
    {
        let refused = home.run_in(language, "preinst", &["upgrade", "1.2", "1.3"]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(said.contains(expected) && said.contains("gateway.toml"), "{said}");
        assert_eq!(said.lines().count(), 1);
    }
    assert_eq!((home.calls().as_str(), home.stage()), ("", None));

    let agreed = home.at("etc/maru/update-with-postgres");
    fs::write(&agreed, "").unwrap();
    assert!(home.run("preinst", &["upgrade", "1.2", "1.3"]).status.success());
    assert!(!agreed.exists(), "the next update asks again");
}

/// What dpkg calls installed is then the version that was taken back.
#[test]
fn after_an_update_was_taken_back_its_former_version_is_the_one_that_counts() {
    let home = Home::new();
    assert!(home.run("preinst", &["upgrade", "1.2", "1.3"]).status.success());
    fs::write(home.at("var/lib/maru/former/stage"), "undone").unwrap();
    home.program("tools/dpkg-query", "exit 1");

    assert!(home.run("preinst", &["upgrade", "1.3", "1.2"]).status.success());
    assert_eq!(home.stage().as_deref(), Some("unpacking\n"));
    assert!(home.kept("usr/bin/maru").exists());
    fs::write(home.at("var/lib/maru/former/stage"), "undone").unwrap();
    assert_eq!(home.run("preinst", &["upgrade", "1.3", "1.1"]).status.code(), Some(1));

    // Nothing is kept over an update that was cut short before it is taken back.
    fs::write(home.at("var/lib/maru/former/stage"), "trying").unwrap();
    home.program("usr/bin/maru", "exit 1");
    assert!(!home.run("preinst", &["upgrade", "1.3", "1.4"]).status.success());
    assert_eq!(home.stage().as_deref(), Some("trying"));
}

#[test]
fn a_command_that_does_not_run_at_all_is_replaced_by_the_former_one() {
    let home = Home::new();
    assert!(home.run("preinst", &["upgrade", "1.2", "1.3"]).status.success());
    fs::remove_file(home.at("calls")).unwrap();
    home.program("usr/bin/maru", "exit 126");

    let failed = home.run("postinst", &["configure", "1.2"]);

    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert_eq!(home.calls(), "maru upgrade\n");
    // Without an update there is nothing to end.
    fs::remove_file(home.at("var/lib/maru/former/stage")).unwrap();
    assert!(home.run("postinst", &["configure", ""]).status.success());
}

/// What opens the folders of sockets to the agent is `systemd-tmpfiles`.
#[test]
fn the_services_open_before_or_after_a_trial_and_not_in_it() {
    let home = Home::new();
    fs::create_dir_all(home.at("usr/lib/tmpfiles.d")).unwrap();
    fs::write(home.at("usr/lib/tmpfiles.d/maru.conf"), "").unwrap();
    home.program("tools/systemd-tmpfiles", "echo \"$@\" >> \"$ROOT/calls\"");
    assert!(home.run("preinst", &["upgrade", "1.2", "1.3"]).status.success());
    let stage = home.at("var/lib/maru/former/stage").display().to_string();
    // How far the update is, what becomes of the stage while the new `maru` ends it, what the former one makes of it, and what is
    // called.
    let (create, tried, back) = ("--create maru.conf", "maru finish-upgrade", "maru upgrade");
    let cases: &[(&str, &str, &str, &[&str])] = &[
        ("unpacking", "rm STAGE", "", &[create, tried]),
        ("trying", "echo undone > STAGE; exit 1", "", &[tried, create]),
        ("trying", "exit 126", "echo undone > STAGE", &[tried, back, create]),
        ("trying", "exit 126", "exit 1", &[tried, back]),
        ("copying", "exit 126", "exit 1", &[tried, back]),
        // It stays, and did not open them itself.
        ("unpacking", "rm STAGE; exit 1", "", &[create, tried, create]),
        ("undone", "exit 1", "", &[create, tried, create]),
    ];
    for (word, new, former, expected) in cases {
        let program = |text: &str| {
            format!("echo maru \"$@\" >> \"$ROOT/calls\"; {}", text.replace("STAGE", &stage))
        };
        home.program("usr/bin/maru", &program(new));
        let kept = home.kept("usr/bin/maru");
        home.program(
            kept.strip_prefix(home.root.path()).unwrap().to_str().unwrap(),
            &program(former),
        );
        fs::write(&stage, word).unwrap();
        fs::write(home.at("calls"), "").unwrap();

        let done = home.run("postinst", &["configure", "1.2"]);

        assert_eq!(home.calls().lines().collect::<Vec<_>>(), *expected, "{word}, {new}: {done:?}");
        assert_eq!(done.status.success(), !new.contains("exit"), "{word}, {new}");
    }
}

#[test]
fn what_dpkg_itself_put_back_is_no_update_any_more() {
    let home = Home::new();
    assert!(home.run("preinst", &["upgrade", "1.2", "1.3"]).status.success());

    assert!(home.run("postrm", &["abort-upgrade", "1.2"]).status.success());
    assert_eq!(home.stage(), None);

    fs::write(home.at("var/lib/maru/former/stage"), "undone").unwrap();
    assert!(home.run("postrm", &["abort-upgrade", "1.2"]).status.success());
    assert_eq!(home.stage().as_deref(), Some("undone"));

    // The next try cannot be unpacked: 1.2 runs still, although dpkg has 1.3 as installed.
    assert!(home.run("preinst", &["upgrade", "1.3", "1.4"]).status.success());
    assert_eq!(home.stage().as_deref(), Some("unpacking\n"));
    assert!(home.run("postrm", &["abort-upgrade", "1.3"]).status.success());
    assert_eq!(home.stage().as_deref(), Some("undone\n"));
}

/// The package was removed after an update was taken back.
#[test]
fn an_update_does_not_outlive_its_package() {
    for old in ["", "1.3"] {
        let home = Home::new();
        assert!(home.run("preinst", &["upgrade", "1.2", "1.3"]).status.success());
        assert!(home.run("prerm", &["remove"]).status.success());
        assert!(home.calls().ends_with("maru upgrade\n"), "{}", home.calls());
        fs::write(home.at("var/lib/maru/former/stage"), "undone").unwrap();
        assert!(home.run("prerm", &["remove"]).status.success());
        assert!(!home.at("usr/bin/maru-agent").exists(), "dpkg may not know it");

        assert!(home.run("preinst", &["install", old, "1.3"]).status.success());
        assert!(home.run("postinst", &["configure", old]).status.success());
        assert_eq!(home.stage(), None);
    }
}
