//! The places of this machine that say which authorities are trusted: the system's store, Chromium's, Firefox' policies.

use std::{
    fs, io,
    io::ErrorKind,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, anyhow};
use chassis::durable::{self, Access};
use messages::{Message, message};
use serde_json::{Value, json};

use super::root::RootCertificate;

/// The systems' folders of own authorities, each with the commands that apply an addition and a removal.
const SYSTEMS: [System; 3] = [
    System {
        folder: "usr/local/share/ca-certificates",
        added: &["update-ca-certificates"],
        removed: &["update-ca-certificates", "--fresh"],
    },
    System {
        folder: "etc/pki/ca-trust/source/anchors",
        added: &["update-ca-trust", "extract"],
        removed: &["update-ca-trust", "extract"],
    },
    System {
        folder: "etc/ca-certificates/trust-source/anchors",
        added: &["trust", "extract-compat"],
        removed: &["trust", "extract-compat"],
    },
];
/// Where programs are; root runs nothing from elsewhere.
const PROGRAMS: [&str; 4] = ["usr/sbin", "usr/bin", "sbin", "bin"];
/// Chromium's stores, below a person's home: of a package, and of a snap.
const CHROMIUM: [&str; 2] = [".pki/nssdb", "snap/chromium/current/.pki/nssdb"];
/// Firefox' policies (`Certificates` → `Install`).
const FIREFOX: &str = "etc/firefox/policies/policies.json";
/// Begin of every file that [`Machine::add`] writes.
const PREFIX: &str = "maru-";

/// How one kind of system keeps its authorities.
struct System {
    folder: &'static str,
    added: &'static [&'static str],
    removed: &'static [&'static str],
}

/// What happened to a store.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// It was changed; its name.
    Changed(String),
    /// It was left as it is, for this reason.
    Skipped(Message),
}

/// Whose Chromium is changed.
#[derive(Clone, Debug)]
struct Person {
    uid: u32,
    gid: u32,
    home: PathBuf,
}

/// This machine.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    root: PathBuf,
    /// Who ran `sudo`.
    person: Option<Person>,
}

impl Machine {
    /// The machine that this runs on, with the stores of the person who ran `sudo`.
    pub(super) fn this() -> Self {
        let root = PathBuf::from("/");
        let name = std::env::var("SUDO_USER").ok();
        let person = name.and_then(|name| {
            let users = fs::read_to_string(root.join("etc/passwd")).ok()?;
            person(&users, &name)
        });
        Self { root, person }
    }

    /// Trusts a certificate.
    pub(super) fn add(&self, certificate: &RootCertificate) -> anyhow::Result<Vec<Done>> {
        let system = self.system()?;
        let file = self.root.join(system.folder).join(format!("{}.crt", certificate.name()));
        durable::replace(&file, Access::READABLE, certificate.pem().as_bytes())
            .with_context(|| message!("file-not-saved", path = file.display()))?;
        self.run(system.added)?;
        let mut done = vec![Done::Changed(file.display().to_string())];
        done.extend(self.chromium(|store| {
            // Another one of this name would stay beside it.
            let _ = self.certutil(store, &["-D", "-n", &certificate.name()]);
            let path = file.display().to_string();
            self.certutil(store, &["-A", "-n", &certificate.name(), "-t", "C,,", "-i", &path])
        }));
        done.push(self.firefox(|installed| {
            let path = Value::from(file.display().to_string());
            if !installed.contains(&path) {
                installed.push(path);
            }
        })?);
        Ok(done)
    }

    /// Removes every certificate that was added.
    pub(super) fn remove(&self) -> anyhow::Result<Vec<Done>> {
        let system = self.system()?;
        let folder = self.root.join(system.folder);
        let names: Vec<String> = fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.starts_with(PREFIX) && name.ends_with(".crt"))
            .collect();
        let mut done = Vec::new();
        for name in &names {
            let file = folder.join(name);
            fs::remove_file(&file)
                .with_context(|| message!("file-not-saved", path = file.display()))?;
            done.push(Done::Changed(file.display().to_string()));
            done.extend(self.chromium(|store| {
                self.certutil(store, &["-D", "-n", name.trim_end_matches(".crt")])
            }));
        }
        if !names.is_empty() {
            self.run(system.removed)?;
            let own = folder.join(PREFIX).display().to_string();
            done.push(self.firefox(|installed| {
                installed.retain(|path| !path.as_str().is_some_and(|path| path.starts_with(&own)));
            })?);
        }
        Ok(done)
    }

    /// The system's kind, which its command shows.
    fn system(&self) -> anyhow::Result<&'static System> {
        let found = SYSTEMS.iter().find(|system| self.program(system.added[0]).is_some());
        found.ok_or_else(|| anyhow!(message!("trust-no-system")))
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        PROGRAMS.iter().map(|folder| self.root.join(folder).join(name)).find(|path| path.is_file())
    }

    fn run(&self, command: &[&str]) -> anyhow::Result<()> {
        let failed = || message!("trust-command-failed", command = command.join(" "));
        let program = self.program(command[0]).with_context(failed)?;
        let output = Command::new(program).args(&command[1..]).stdin(Stdio::null()).output();
        let output = output.with_context(failed)?;
        if output.status.success() { Ok(()) } else { Err(anyhow!(failed())) }
    }

    /// Changes each store of Chromium that the person has.
    fn chromium(&self, change: impl Fn(&Path) -> io::Result<bool>) -> Vec<Done> {
        let Some(person) = &self.person else {
            return vec![Done::Skipped(message!("trust-no-person"))];
        };
        let stores: Vec<_> = CHROMIUM.iter().map(|store| person.home.join(store)).collect();
        let stores: Vec<_> = stores.into_iter().filter(|store| store.is_dir()).collect();
        if !stores.is_empty() && self.program("certutil").is_none() {
            return vec![Done::Skipped(message!("trust-no-certutil"))];
        }
        let changed = stores.iter().map(|store| match change(store) {
            Ok(true) => Done::Changed(store.display().to_string()),
            Ok(false) | Err(_) => {
                Done::Skipped(message!("trust-store-left", path = store.display()))
            }
        });
        changed.collect()
    }

    /// Runs `certutil` for a store, with no more rights than its owner's.
    fn certutil(&self, store: &Path, args: &[&str]) -> io::Result<bool> {
        let (Some(program), Some(person)) = (self.program("certutil"), &self.person) else {
            return Ok(false);
        };
        let mut command = Command::new(program);
        command.arg("-d").arg(format!("sql:{}", store.display())).args(args);
        command.uid(person.uid).gid(person.gid).env("HOME", &person.home).current_dir("/");
        Ok(command.stdin(Stdio::null()).output()?.status.success())
    }

    /// Changes the list of certificates that Firefox installs.
    fn firefox(&self, change: impl FnOnce(&mut Vec<Value>)) -> anyhow::Result<Done> {
        let path = self.root.join(FIREFOX);
        let left = || Done::Skipped(message!("trust-store-left", path = path.display()));
        let mut policies = match fs::read(&path) {
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(policies @ Value::Object(_)) => policies,
                Ok(_) | Err(_) => return Ok(left()),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => json!({}),
            Err(_) => return Ok(left()),
        };
        let Some(installed) = installed(&mut policies) else { return Ok(left()) };
        change(installed);
        let failed = || message!("file-not-saved", path = path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(failed)?;
        }
        let text = serde_json::to_vec_pretty(&policies)?;
        durable::replace(&path, Access::READABLE, &text).with_context(failed)?;
        Ok(Done::Changed(path.display().to_string()))
    }
}

/// The list `policies` → `Certificates` → `Install`, made if it is missing; `None` if something else is in its place.
fn installed(policies: &mut Value) -> Option<&mut Vec<Value>> {
    let mut at = policies;
    for key in ["policies", "Certificates"] {
        at = at.as_object_mut()?.entry(key).or_insert_with(|| json!({}));
    }
    at.as_object_mut()?.entry("Install").or_insert_with(|| json!([])).as_array_mut()
}

/// A person of `/etc/passwd` (passwd(5)).
fn person(users: &str, name: &str) -> Option<Person> {
    users.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        let [user, _, uid, gid, _, home, _] = fields[..] else { return None };
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        (user == name && uid != 0).then(|| Person { uid, gid, home: home.into() })
    })
}

#[cfg(test)]
mod tests;
