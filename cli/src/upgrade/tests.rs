//! The course of an update, killed wherever it can be, and packages that are refused. Blind to systemd and dpkg.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::bail;

use super::{
    former::{Former, Stage},
    machine::Machine,
    package::{self, Package},
    trial::{Start, finish, take_back},
};

/// Every file below a root except what an update keeps, with its content and mode.
type Files = BTreeMap<PathBuf, (String, u32)>;

/// A machine on which dpkg has just unpacked a new version.
struct TestMachine {
    root: tempfile::TempDir,
    /// Every file of the former version.
    before: Files,
    /// What the new version makes of it.
    after: Files,
    /// Whether the new version is healthy.
    works: bool,
    runs: bool,
    /// How many copies of the data fail.
    failing: usize,
    /// The step at which the power is cut, counted from one.
    cut: Option<usize>,
    steps: usize,
    calls: Vec<&'static str>,
}

impl TestMachine {
    fn new(works: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut machine = Self {
            root,
            before: Files::new(),
            after: Files::new(),
            works,
            runs: true,
            failing: 0,
            cut: None,
            steps: 0,
            calls: Vec::new(),
        };
        machine.write("etc/maru/coordinator.toml", "settings");
        machine.write("var/lib/maru/models/model.gguf", "model");
        machine.write("var/lib/maru/up.json", "former");
        machine.write("var/lib/maru/coordinator/db.sqlite", "former");
        machine.write("var/lib/maru/gateway/workspace/SOUL.md", "former");
        std::os::unix::fs::symlink("/etc/shadow", machine.at("var/lib/maru/gateway/link")).unwrap();
        for name in ["usr/bin/maru", "usr/lib/systemd/system/maru-old.service"] {
            machine.write(name, "former");
            machine.write(&format!("var/lib/maru/former/files/{name}"), "former");
        }
        machine.write("var/lib/maru/former/backup.tar", "backup");
        machine.write("var/lib/maru/former/version", "0.1.0\n");
        machine.before = machine.files();
        // As dpkg does it.
        machine.write("usr/bin/new", "new");
        fs::rename(machine.at("usr/bin/new"), machine.at("usr/bin/maru")).unwrap();
        fs::remove_file(machine.at("usr/lib/systemd/system/maru-old.service")).unwrap();
        machine.write("usr/lib/systemd/system/maru-new.service", "new");
        machine.write("var/lib/maru/former/stage", "unpacking\n");
        let unpacked = machine.files();
        machine.migrate();
        machine.after = machine.files();
        // Back to the former data.
        fs::remove_dir_all(machine.at("var/lib/maru/invented")).unwrap();
        machine.write("var/lib/maru/up.json", "former");
        machine.write("var/lib/maru/coordinator/db.sqlite", "former");
        assert_eq!(machine.files(), unpacked);
        machine
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    }

    /// What the new version makes of the data.
    fn migrate(&self) {
        self.write("var/lib/maru/coordinator/db.sqlite", "new");
        self.write("var/lib/maru/invented/db.sqlite", "new");
        fs::remove_file(self.at("var/lib/maru/up.json")).unwrap();
    }

    fn files(&self) -> Files {
        let (mut found, mut next) = (Files::new(), vec![self.root.path().to_owned()]);
        while let Some(folder) = next.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let meta = path.symlink_metadata().unwrap();
                if path.ends_with("var/lib/maru/former") {
                    continue;
                }
                if meta.is_dir() {
                    next.push(path);
                } else if meta.is_symlink() {
                    found.insert(
                        path.clone(),
                        (fs::read_link(path).unwrap().display().to_string(), 0),
                    );
                } else {
                    found.insert(
                        path.clone(),
                        (fs::read_to_string(path).unwrap(), meta.permissions().mode()),
                    );
                }
            }
        }
        found
    }

    fn former(&self) -> Former {
        Former::of(self.root.path())
    }

    /// The names of what an update keeps.
    fn kept(&self) -> Vec<String> {
        let entries = fs::read_dir(self.at("var/lib/maru/former")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        match self.cut {
            // Nothing happens after the cut.
            Some(cut) if self.steps >= cut => Err(io::Error::other("the power is cut")),
            Some(_) | None => Ok(()),
        }
    }

    fn call(&mut self, name: &'static str) -> anyhow::Result<()> {
        self.step()?;
        self.calls.push(name);
        Ok(())
    }

    fn is_cut(&self) -> bool {
        self.cut.is_some_and(|cut| self.steps >= cut)
    }

    /// As systemd-tmpfiles does it, before an update is taken back.
    fn boot(&self) {
        for name in ["coordinator", "gateway/config", "gateway/workspace", "models", "telmeet"] {
            fs::create_dir_all(self.at("var/lib/maru").join(name)).unwrap();
        }
    }

    /// The power comes back, and is cut again at that step.
    fn power(&mut self, cut: Option<usize>) {
        (self.cut, self.steps) = (cut, 0);
        self.calls.clear();
    }
}

impl Machine for TestMachine {
    fn change(&mut self, change: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        self.step()?;
        change()?;
        let copied = self.at("var/lib/maru/former/data");
        if self.failing > 0 && fs::read_dir(&copied).is_ok_and(|mut it| it.next().is_none()) {
            self.failing -= 1;
            // `cp` makes no folder in the place of a file.
            fs::write(copied.join("coordinator"), "")?;
        }
        Ok(())
    }

    async fn is_running(&mut self) -> anyhow::Result<bool> {
        Ok(self.runs)
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        self.call("stop")
    }

    async fn close(&mut self) -> anyhow::Result<()> {
        self.call("close")
    }

    async fn reload(&mut self) -> anyhow::Result<()> {
        self.call("reload")
    }

    async fn start_and_judge(&mut self) -> anyhow::Result<()> {
        self.call("judge")?;
        self.migrate();
        if !self.works {
            bail!("maru-coordinator ends again and again");
        }
        Ok(())
    }

    async fn open(&mut self) -> anyhow::Result<()> {
        assert_eq!(self.former().stage().unwrap(), None, "it may be taken back");
        self.call("open")
    }

    async fn announce(&mut self) -> anyhow::Result<()> {
        self.calls.push("announce");
        bail!("the coordinator is busy")
    }

    async fn start_former(&mut self) -> anyhow::Result<()> {
        self.call("start")
    }

    fn package_files(&mut self) -> Vec<PathBuf> {
        let new = ["usr/bin/maru", "usr/lib/systemd/system/maru-new.service", "usr/bin"];
        new.map(|name| Path::new("/").join(name)).to_vec()
    }
}

#[tokio::test]
async fn a_version_that_runs_stays_and_only_the_backup_is_kept() {
    let mut machine = TestMachine::new(true);

    finish(&machine.former(), &mut machine).await.unwrap();

    assert_eq!(machine.files(), machine.after);
    // That the coordinator is not told changes nothing.
    assert_eq!(machine.calls, ["close", "judge", "open", "announce"]);
    assert_eq!(machine.kept(), ["backup.tar"]);
}

#[tokio::test]
async fn a_version_that_does_not_run_is_taken_back_and_one_sentence_says_why() {
    let mut machine = TestMachine::new(false);

    let error = finish(&machine.former(), &mut machine).await.unwrap_err();

    let said = "the update was taken back, and 0.1.0 is here again with its data as before: \
                maru-coordinator ends again and again";
    assert_eq!(format!("{error:#}"), said);
    assert_eq!(machine.files(), machine.before);
    assert_eq!(machine.calls, ["close", "judge", "stop", "reload", "start"]);
    assert_eq!(machine.kept(), ["backup.tar", "files", "stage", "version", "why"]);

    // As `dpkg --configure -a` does it.
    let again = finish(&machine.former(), &mut machine).await.unwrap_err();
    assert_eq!(format!("{again:#}"), said);
    assert_eq!(machine.files(), machine.before);
    assert_eq!(machine.calls.len(), 5, "whoever stopped it since knows why");
    // The first time may have ended before that.
    take_back(&machine.former(), Start::Now, &mut machine).await.unwrap();
    assert_eq!(machine.calls[5..], ["start"]);
}

/// The former version of the key is in the clear, and gets a passphrase later.
#[tokio::test]
async fn no_copy_of_the_machine_key_is_left_on_the_disk() {
    for works in [true, false] {
        let mut machine = TestMachine::new(works);
        machine.write("var/lib/maru/machine-key.json", "key in the clear");
        machine.write("var/lib/maru/former/data/machine-key.json", "of an earlier try");
        let block = machine.at("block");
        fs::hard_link(machine.at("var/lib/maru/former/data/machine-key.json"), &block).unwrap();

        let _ = finish(&machine.former(), &mut machine).await;

        assert!(fs::read(&block).unwrap().iter().all(|byte| *byte == 0), "{works}");
        // One that an administrator keeps elsewhere.
        let stick = machine.at("stick.json");
        fs::write(&stick, "key on a stick").unwrap();
        fs::create_dir_all(machine.at("var/lib/maru/former/tried")).unwrap();
        let link = machine.at("var/lib/maru/former/tried/machine-key.json");
        std::os::unix::fs::symlink(&stick, link).unwrap();
        machine.former().clean();
        assert_eq!(fs::read_to_string(stick).unwrap(), "key on a stick");
        assert!(!machine.at("var/lib/maru/former/tried").exists());
        let key = fs::read_to_string(machine.at("var/lib/maru/machine-key.json")).unwrap();
        assert_eq!(key, "key in the clear");
    }
}

/// It is replaced by the agent, which runs, after `cp` has listed it.
#[tokio::test]
async fn a_file_that_goes_away_while_it_is_copied_does_not_end_the_update() {
    for failing in [1, 2, 3] {
        for works in [true, false] {
            let mut machine = TestMachine::new(works);
            machine.failing = failing;

            let ended = finish(&machine.former(), &mut machine).await;

            assert_eq!(machine.failing, 0);
            let stays = works && failing < 3;
            assert_eq!(ended.is_ok(), stays, "{failing}: {ended:?}");
            assert_eq!(machine.calls.contains(&"judge"), failing < 3);
            let expected = if stays { &machine.after } else { &machine.before };
            assert_eq!(machine.files(), *expected, "{failing}");
        }
    }
}

#[tokio::test]
async fn where_nothing_runs_there_is_nothing_to_try() {
    let mut machine = TestMachine::new(false);
    machine.runs = false;

    finish(&machine.former(), &mut machine).await.unwrap();

    assert!(machine.calls.is_empty());
    assert_eq!(machine.former().stage().unwrap(), None);
}

#[tokio::test]
async fn wherever_the_power_is_cut_programs_and_data_are_both_former_or_both_new() {
    for works in [true, false] {
        for cut in 1.. {
            let mut machine = TestMachine::new(works);
            machine.power(Some(cut));
            let ended = finish(&machine.former(), &mut machine).await;
            if !machine.is_cut() {
                assert!(cut > 6, "{cut} steps");
                assert_eq!(ended.is_ok(), works);
                break;
            }
            if machine.former().stage().unwrap().is_none() {
                assert!(works && ended.is_err());
                assert!(machine.kept().contains(&"start".to_owned()), "cut at {cut}");
                assert_eq!(machine.files(), machine.after, "cut at {cut}");
                continue;
            }
            // It is cut again while it is taken back, once at every step.
            for again in 1.. {
                machine.power(Some(again));
                machine.boot();
                let _ = take_back(&machine.former(), Start::Later, &mut machine).await;
                if !machine.is_cut() {
                    break;
                }
            }
            assert_eq!(machine.files(), machine.before, "cut at {cut}, works: {works}");
            assert_eq!(machine.former().stage().unwrap(), Some(Stage::Undone));
            assert!(!machine.calls.contains(&"start"), "systemd starts it");
        }
    }
}

#[tokio::test]
async fn a_stage_that_is_not_known_changes_nothing() {
    let mut machine = TestMachine::new(true);
    machine.write("var/lib/maru/former/stage", "flying");
    let unpacked = machine.files();

    let error = finish(&machine.former(), &mut machine).await.unwrap_err();

    assert!(error.to_string().contains("install the newest package"), "{error}");
    assert_eq!(machine.files(), unpacked);
    assert!(machine.calls.is_empty());
}

/// Without this no service would start.
#[tokio::test]
async fn a_start_without_an_update_goes_on_and_a_person_is_told() {
    let root = tempfile::tempdir().unwrap();
    assert!(!super::take_back(Start::Later, root.path()).await.unwrap());
    assert!(super::take_back(Start::Now, root.path()).await.is_err());
}

#[test]
fn every_stage_is_read_as_it_was_written() {
    let mut machine = TestMachine::new(true);
    for stage in [
        Stage::Unpacking,
        Stage::Copying,
        Stage::Trying,
        Stage::SettingAside,
        Stage::PuttingBack,
        Stage::Undone,
    ] {
        machine.former().enter(stage, &mut machine).unwrap();
        assert_eq!(machine.former().stage().unwrap(), Some(stage));
    }
}

/// A package without files, as Debian's own tool makes it.
fn deb(folder: &Path, name: &str, version: &str, architecture: &str) -> PathBuf {
    let tree = folder.join(format!("{name}-{version}-{architecture}"));
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    fs::set_permissions(tree.join("DEBIAN"), fs::Permissions::from_mode(0o755)).unwrap();
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: a <a@localhost>\nDescription: test\n"
    );
    fs::write(tree.join("DEBIAN/control"), control).unwrap();
    let file = tree.with_extension("deb");
    let done = Command::new("dpkg-deb").arg("--build").args([&tree, &file]).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    file
}

#[test]
fn a_package_that_does_not_fit_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let word = str::to_owned;
    let installed =
        Package { name: word("maru-home"), version: word("0.2.0"), architecture: word("amd64") };
    let check = |name, version, architecture| {
        let file = deb(folder.path(), name, version, architecture);
        package::check(&file, &installed, false).map_err(|error| format!("{error:#}"))
    };
    let refused = |name, version, architecture, words: &str| {
        let said = check(name, version, architecture).unwrap_err();
        assert!(said.contains(words) && !said.contains('\n'), "{said}");
    };

    assert_eq!(check("maru-home", "0.10.0", "amd64").unwrap().version, "0.10.0");
    check("maru-model-smollm2", "0.1.0", "all").unwrap();
    refused("maru-home", "0.1.9", "amd64", "not newer than 0.2.0");
    refused("maru-home", "0.2.0", "amd64", "not newer than 0.2.0");
    refused("maru-home", "0.3.0", "arm64", "is for arm64, and this machine is amd64");
    refused("maru", "0.3.0", "amd64", "get a package maru-home");
    let same = deb(folder.path(), "maru-home", "0.2.0", "amd64");
    assert!(package::check(&same, &installed, true).is_ok(), "after an update was taken back");
    let text = folder.path().join("notes.deb");
    fs::write(&text, "!<arch>\nnot one").unwrap();
    let said = format!("{:#}", package::check(&text, &installed, false).unwrap_err());
    assert!(said.contains("is not a Debian package that can be read"), "{said}");
}
