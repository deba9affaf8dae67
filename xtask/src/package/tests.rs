use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Permissions},
    io::Read as _,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink},
    path::Path,
    process::Command,
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{
    architecture::Architecture,
    archive::File,
    contents::{self, Parts},
    deb::{Package, Tree},
};

mod update;

fn parts(architecture: Architecture) -> Parts {
    let programs = contents::programs();
    let page = |section: u8, name: &str| {
        (format!("usr/share/man/man{section}/{name}.{section}"), File::text("A page."))
    };
    let daemons = ["maru-coordinator-relay"].into_iter().chain(programs.clone());
    let pages = daemons.map(|name| page(8, name)).chain([page(1, "maru"), page(1, "maru-status")]);
    Parts {
        architecture,
        // The other way round: the order in which programs come does not matter.
        programs: programs.iter().rev().map(|&name| (name, File::program(name))).collect(),
        manual: pages.collect(),
        licences: ["maru-home", "maru"].map(|name| (name, "A licence.".to_owned())).into(),
        model: ("small.gguf", File::text("A model.")),
    }
}

fn package(name: &str) -> Package {
    package_for(Architecture::Amd64, name)
}

fn package_for(architecture: Architecture, name: &str) -> Package {
    let mut packages = contents::packages(&parts(architecture)).unwrap().into_iter();
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
        let packages = contents::packages(&parts(Architecture::Amd64)).unwrap();
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
            // Neither settings nor rights on devices, which others use, too.
            assert!(!path.starts_with("etc/") && !path.contains("/udev/"), "{path}");
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
                        let program = command.split(' ').next().unwrap();
                        program.trim_start_matches(['-', '+']).to_owned()
                    }
                    Some(("Image", image)) => match image.strip_prefix("oci-archive:") {
                        Some(archive) => archive.to_owned(),
                        None => format!("/usr/share/containers/systemd/{image}"),
                    },
                    Some(_) | None => continue,
                };
                if needed == "/bin/sh" {
                    // Every Debian has it.
                    continue;
                }
                assert!(package.tree.contains_key(&needed[1..]), "{path} of {name}: {needed}");
                found.insert(needed);
            }
        }
        assert!(found.contains("/usr/bin/maru-agent"), "{name}: {found:?}");
    }
}

/// Without them a backup would go without rooms and conversations.
#[test]
fn a_backup_finds_every_program_that_copies_a_database() {
    let package = package("maru-home");
    for service in services::DATABASE_SERVICES {
        let path = format!("usr/bin/{}", service.binary);
        assert!(package.tree.contains_key(&path), "{path}");
    }
}

#[test]
fn pages_are_about_the_programs_of_their_package() {
    let pages = |name| -> Vec<String> {
        let tree = package(name).tree;
        tree.into_keys().filter_map(|path| Some(path.rsplit_once("/man/")?.1.to_owned())).collect()
    };

    assert_eq!(pages("maru"), ["man1/maru-status.1", "man1/maru.1", "man8/maru-agent.8"]);
    let home = pages("maru-home");
    for page in ["maru-coordinator.8", "maru-coordinator-relay.8", "maru-gateway.8"] {
        assert!(home.contains(&format!("man8/{page}")), "{home:?}");
    }
    let without = Parts { manual: Tree::new(), ..parts(Architecture::Amd64) };
    let error = contents::packages(&without).unwrap_err();
    assert!(error.to_string().contains("has no page"), "{error}");
}

/// Blobs have the names of their sums, and lead from the index to the program (OCI image specification 1.1).
#[test]
fn an_image_holds_its_program_for_the_packages_architecture() {
    let package = package_for(Architecture::Arm64, "maru-home");
    assert_eq!(dpkg_deb("--field", &package).lines().nth(2), Some("Architecture: arm64"));
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
    assert_eq!(config["architecture"], "arm64");
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

/// A maintainer script of a home, to run in a root of its own.
fn script(name: &str, argument: &str, root: &Path) -> Command {
    let (_, text) = package("maru-home").scripts.iter().find(|(known, _)| *known == name).unwrap();
    let mut text = (*text).to_owned();
    for folder in ["/etc/", "/var/backups/", "/var/lib/", "/run/", "/usr/bin/", "/usr/lib/"] {
        text = text.replace(&format!(" {folder}"), &format!(" {}{folder}", root.display()));
    }
    let mut shell = Command::new("sh");
    shell.args(["-c", &text, name, argument]);
    shell
}

/// Runs `postrm` after a file of the network was written, and a service made a link to a folder of somebody else; returns the
/// root and what it says.
fn purge(file: Option<&str>, language: &str) -> (TempDir, String) {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    for folder in ["etc/maru", "var/lib/maru/models", "run/maru", "usr/bin", "home/ann"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    fs::write(at("home/ann/letter"), "").unwrap();
    if let Some(file) = file {
        fs::create_dir_all(at(file).parent().unwrap()).unwrap();
        fs::write(at(file), "").unwrap();
        for link in ["var/lib/maru/models/link", "run/maru/link"] {
            symlink(at("home/ann"), at(link)).unwrap();
        }
    }
    let out = script("postrm", "purge", root.path()).env("LC_ALL", language).output().unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    assert!(at("home/ann/letter").exists(), "a link was followed");
    (root, String::from_utf8(out.stdout).unwrap())
}

/// Runs `postinst` on a machine whose accounts `getent` says; returns its status, what it says, and which programs it called.
fn configure(account: &str, language: &str) -> (bool, String, String) {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    for folder in ["usr/lib/sysusers.d", "usr/lib/tmpfiles.d", "tools"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    for (path, file) in package("maru-home").tree {
        if path.contains("/sysusers.d/") || path.contains("/tmpfiles.d/") {
            fs::write(at(&path), file.bytes).unwrap();
        }
    }
    let tool = |name: &str, text: String| {
        let path = at("tools").join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    };
    let calls = at("calls");
    tool("getent", format!(r#"case "$1 $2" in {account} esac; exit 2"#));
    for name in ["systemd-sysusers", "systemd-tmpfiles", "systemctl", "podman"] {
        tool(name, format!(r#"echo "{name} $*" >> {}"#, calls.display()));
    }
    let path = format!("{}:/usr/bin:/bin", at("tools").display());
    let mut shell = script("postinst", "configure", root.path());
    let out = shell.env("PATH", path).env("LC_ALL", language).output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    let called = fs::read_to_string(calls).unwrap_or_default();
    (out.status.success(), String::from_utf8(said).unwrap(), called)
}

/// An account with the number of a service would own what the service keeps: its folders, sockets and keys.
#[test]
fn nothing_is_made_where_somebody_else_has_the_number_of_a_service() {
    let user = "'passwd 61002') echo bob:x:61002:61002::/home/bob:/bin/sh; exit 0 ;;";
    let group = "'group 61015') echo family:x:61015:ann; exit 0 ;;";
    for (account, owner) in [(user, "bob"), (group, "family")] {
        for (language, expected) in [("C", "sudo apt install -f"), ("ko_KR.UTF-8", "번호")] {
            let (done, said, called) = configure(account, language);
            assert!(!done && said.contains(owner) && said.contains(expected), "{said}");
            assert_eq!((said.lines().count(), called.as_str()), (1, ""), "{said}");
        }
    }

    let own = "'passwd 61002') echo maru-gateway:x:61002:61002::/:/usr/sbin/nologin; exit 0 ;;";
    for account in [own, ""] {
        let (done, said, called) = configure(account, "C");
        assert!(done && said.is_empty(), "{said}");
        for call in ["systemd-sysusers maru.conf", "systemd-tmpfiles --create maru.conf"] {
            assert!(called.contains(call), "{called}");
        }
    }
}

/// A service that was taken over may put anything into its own folder, also in place of the folders of root's in it.
#[test]
#[ignore = "needs: root"]
fn folders_are_made_without_following_links() {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    let (_, file) = package("maru-home")
        .tree
        .into_iter()
        .find(|(path, _)| path == "usr/lib/tmpfiles.d/maru.conf")
        .unwrap();
    fs::create_dir_all(at("etc")).unwrap();
    fs::create_dir_all(at("var/lib/ann")).unwrap();
    fs::write(at("etc/maru.conf"), file.bytes).unwrap();
    let make = || {
        let mut tool = Command::new("systemd-tmpfiles");
        tool.arg(format!("--root={}", root.path().display())).arg("--create");
        tool.arg(at("etc/maru.conf")).output().unwrap()
    };
    let out = make();
    assert!(out.status.success(), "{out:?}");
    for folder in ["workspace", "config"] {
        fs::remove_dir(at("var/lib/maru/gateway").join(folder)).unwrap();
        let link = at("var/lib/maru/gateway").join(folder);
        symlink("../../ann", &link).unwrap();
        lchown(link, Some(61002), Some(61002)).unwrap();
    }

    let out = make();

    // The rest of the package is configured: a service cannot keep an update from being installed.
    assert!(out.status.success(), "{out:?}");
    let meta = fs::metadata(at("var/lib/ann")).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (0, 0, 0o755));
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

#[test]
fn a_purge_keeps_backups_and_says_where() {
    let (root, said) = purge(Some("var/backups/maru/maru-2026-11-26T00-00-00Z.tar"), "C");
    assert!(said.starts_with("Backups are kept in "), "{said}");
    assert!(root.path().join("var/backups/maru/maru-2026-11-26T00-00-00Z.tar").exists());
}

/// So what was edited by hand is kept by every update, without a question of dpkg's.
#[test]
fn no_package_has_a_file_in_etc() {
    for package in contents::packages(&parts(Architecture::Amd64)).unwrap() {
        let settings: Vec<_> =
            package.tree.keys().filter(|path| path.starts_with("etc/")).collect();
        assert!(settings.is_empty(), "{}: {settings:?}", package.name);
    }
}

/// A power cut may end a script before any of its commands: dpkg runs it again, and the second run does all of it.
#[test]
fn an_interrupted_script_runs_again_to_its_end() {
    const COMMANDS: [&str; 6] =
        ["systemctl", "systemd-sysusers", "systemd-tmpfiles", "podman", "rm", "umount"];
    let scripts = [("postinst", "configure"), ("prerm", "remove"), ("postrm", "purge")];
    for (name, action) in scripts {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().display();
        let at = |name: &str| root.path().join(name);
        for folder in ["run/systemd/system", "usr/bin", "usr/lib/maru/images", "etc/maru", "tools"]
        {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("usr/lib/maru/images/maru-gateway.tar"), "").unwrap();
        fs::write(at("etc/maru/purge-data"), "").unwrap();
        // Each command notes its call; call number $END ends the script, as a power cut would.
        let stub = format!(
            "#!/bin/sh\necho \"${{0##*/}} $*\" >> {path}/calls\n\
             [ \"$(grep -c '' {path}/calls)\" != \"$END\" ] || kill -KILL $PPID\n"
        );
        let tools = COMMANDS.map(|command| at("tools").join(command));
        for tool in tools.into_iter().chain([at("usr/bin/maru-agent")]) {
            fs::write(&tool, &stub).unwrap();
            fs::set_permissions(&tool, Permissions::from_mode(0o755)).unwrap();
        }
        let run = |end: usize| {
            let _ = fs::remove_file(at("calls"));
            let mut shell = script(name, action, root.path());
            let search = format!("{path}/tools:/usr/bin:/bin");
            shell.env("PATH", search).env("END", end.to_string());
            let ended = shell.output().unwrap().status.success();
            let calls = fs::read_to_string(at("calls")).unwrap_or_default();
            (ended, calls.lines().map(str::to_owned).collect::<Vec<_>>())
        };
        let (ended, whole) = run(0);
        assert!(ended && whole.len() > 1, "{name}: {whole:?}");
        let undoes = whole.iter().any(|call| call == "maru-agent restore");
        assert_eq!(undoes, name == "prerm", "{whole:?}");
        for end in 1..=whole.len() {
            assert_eq!(run(end), (false, whole[..end].to_vec()), "{name}");
            assert_eq!(run(0), (true, whole.clone()), "{name} after it ended at call {end}");
        }
    }
}
