use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    process::Command,
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{
    archive::File,
    contents::{self, Parts},
    deb::{Package, Tree},
};

fn parts() -> Parts {
    let programs = contents::programs();
    let page = ("usr/share/man/man1/maru.1".to_owned(), File::text("A page."));
    Parts {
        // The other way round: the order in which programs come does not matter.
        programs: programs.iter().rev().map(|&name| (name, File::program(name))).collect(),
        manual: Tree::from([page]),
        licences: ["maru-home", "maru"].map(|name| (name, "A licence.".to_owned())).into(),
        model: ("small.gguf", File::text("A model.")),
    }
}

fn package(name: &str) -> Package {
    let mut packages = contents::packages(&parts()).unwrap().into_iter();
    packages.find(|package| package.name == name).unwrap()
}

/// What Debian's own tool says of a package.
fn dpkg_deb(option: &str, package: &Package) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(package.file_name());
    fs::write(&path, package.bytes().unwrap()).unwrap();
    let out = Command::new("dpkg-deb").arg(option).arg(path).env("TZ", "UTC").output().unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let pack = || -> Vec<_> {
        let packages = contents::packages(&parts()).unwrap();
        packages.iter().map(|package| (package.file_name(), package.bytes().unwrap())).collect()
    };

    let (first, second) = (pack(), pack());

    assert_eq!(first.len(), 3);
    assert!(first == second, "packages of the same inputs differ");
}

/// Everything is root's, has one time, and can be run only if it is a program.
#[test]
fn debian_reads_a_package() {
    for name in ["maru-home", "maru", "maru-model-smollm2"] {
        let package = package(name);
        let listed = dpkg_deb("--contents", &package);
        for line in listed.lines() {
            let fields: Vec<_> = line.split_whitespace().collect();
            let [mode, owner, _, date, time, path] = fields[..] else { panic!("{line}") };
            assert_eq!((owner, date, time), ("root/root", "2026-01-01", "00:00"), "{line}");
            let expected = match path {
                folder if folder.ends_with('/') => "drwxr-xr-x",
                program if program.starts_with("./usr/bin/") => "-rwxr-xr-x",
                _ => "-rw-r--r--",
            };
            assert_eq!(mode, expected, "{line}");
        }
        for path in package.tree.keys() {
            assert!(listed.contains(&format!(" ./{path}\n")), "{path}");
        }
        assert!(dpkg_deb("--info", &package).contains(&format!(" Package: {name}\n")));
    }
}

/// A unit whose program or image is in no package would fail on every machine.
#[test]
fn units_find_their_programs_and_images() {
    for name in ["maru-home", "maru"] {
        let package = package(name);
        let mut found = BTreeSet::new();
        for (path, file) in &package.tree {
            let text = String::from_utf8_lossy(&file.bytes);
            for line in text.lines().filter(|_| path.contains("/systemd/")) {
                let needed = match line.split_once('=') {
                    Some((key, command)) if key.starts_with("ExecStart") => {
                        command.split(' ').next().unwrap().to_owned()
                    }
                    Some(("Image", image)) => match image.strip_prefix("oci-archive:") {
                        Some(archive) => archive.to_owned(),
                        None => format!("/usr/share/containers/systemd/{image}"),
                    },
                    Some(_) | None => continue,
                };
                assert!(package.tree.contains_key(&needed[1..]), "{path} of {name}: {needed}");
                found.insert(needed);
            }
        }
        assert!(found.contains("/usr/bin/maru-agent"), "{name}: {found:?}");
    }
}

/// Blobs have the names of their sums, and lead from the index to the program (OCI image specification 1.1).
#[test]
fn an_image_holds_its_program() {
    let package = package("maru-home");
    let archive = &package.tree["usr/lib/maru/images/maru-gateway.tar"];
    let mut blobs = BTreeMap::new();
    for entry in tar::Archive::new(archive.bytes.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if let Some(sum) = path.strip_prefix("blobs/sha256/") {
            assert_eq!(sum, hex::encode(Sha256::digest(&bytes)));
        }
        blobs.insert(path, bytes);
    }
    let blob = |descriptor: &Value| {
        let sum = descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:");
        let bytes = &blobs[&format!("blobs/sha256/{sum}")];
        assert_eq!(descriptor["size"], bytes.len());
        bytes
    };
    let index: Value = serde_json::from_slice(&blobs["index.json"]).unwrap();
    let name = &index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"];
    assert_eq!(name, "localhost/maru-gateway:latest");
    let manifest: Value = serde_json::from_slice(blob(&index["manifests"][0])).unwrap();
    let config: Value = serde_json::from_slice(blob(&manifest["config"])).unwrap();
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/maru-gateway"]));
    assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
    let layer = blob(&manifest["layers"][0]);
    let mut layer = tar::Archive::new(layer.as_slice());
    let mut entries = layer.entries().unwrap();
    let mut program = entries.next().unwrap().unwrap();
    assert_eq!(program.path().unwrap().to_str(), Some("maru-gateway"));
    assert_eq!(program.header().mode().unwrap(), 0o755);
    let mut text = String::new();
    program.read_to_string(&mut text).unwrap();
    assert_eq!(text, "maru-gateway");
    assert!(entries.next().is_none());
}

#[test]
fn a_shell_reads_the_maintainer_scripts() {
    for (name, text) in package("maru-home").scripts {
        let out = Command::new("sh").args(["-n", "-c", text]).output().unwrap();
        assert!(out.status.success() && text.starts_with("#!/bin/sh\n"), "{name}: {out:?}");
    }
}

/// Runs `postrm` in a root of its own, after a file of the network was written there; returns the root and what it says.
fn purge(file: Option<&str>, language: &str) -> (TempDir, String) {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    for folder in ["etc/maru", "var/lib/maru/models", "run/maru", "usr/bin"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    if let Some(file) = file {
        fs::write(at(file), "").unwrap();
    }
    let (_, text) =
        package("maru-home").scripts.iter().find(|(name, _)| *name == "postrm").unwrap();
    let mut text = (*text).to_owned();
    for folder in ["/etc/", "/var/lib/", "/run/", "/usr/bin/"] {
        text = text.replace(folder, &format!("{}{folder}", root.path().display()));
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", &text, "postrm", "purge"]).env("LC_ALL", language);
    let out = shell.output().unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    (root, String::from_utf8(out.stdout).unwrap())
}

#[test]
fn a_purge_keeps_what_the_network_has_and_says_where() {
    for (language, expected) in [("en_US.UTF-8", "are kept in"), ("ko_KR.UTF-8", "남아 있습니다")]
    {
        let (root, said) = purge(Some("var/lib/maru/machine-key.json"), language);
        assert!(said.contains(expected) && said.contains("/var/lib/maru"), "{said}");
        assert!(root.path().join("var/lib/maru/machine-key.json").exists());
        assert!(!root.path().join("etc/maru").exists(), "a folder without files stays");
    }
}

#[test]
fn a_purge_removes_the_networks_data_only_when_asked() {
    let (root, said) = purge(Some("etc/maru/purge-data"), "C");
    assert_eq!(said, "");
    for folder in ["etc/maru", "var/lib/maru", "run/maru"] {
        assert!(!root.path().join(folder).exists(), "{folder}");
    }
}

/// Such as when `maru` has become `maru-home`, and what is left of `maru` is purged.
#[test]
fn a_purge_leaves_the_other_package_alone() {
    let (root, said) = purge(Some("usr/bin/maru"), "C");
    assert_eq!(said, "");
    for folder in ["etc/maru", "var/lib/maru/models", "run/maru"] {
        assert!(root.path().join(folder).exists(), "{folder}");
    }
}
