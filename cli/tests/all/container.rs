//! The container recipe on this machine: what a program sees that is started with it.
//!
//! Fails if: an interface but `lo` is there, a capability is left, a write outside the mounts
//! succeeds, a file may grow without bound, privileges can be gained, a namespace can be made, a socket leads out. Blind to: what
//! the real daemons do; end-to-end tests look into those.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use services::{
    GATEWAY, GATEWAY_SERVICE, Service,
    podman::{Limits, Settings, run},
    seccomp,
};

/// The smallest program that looks around; built static by the host's compiler.
const PROBE: &str = r##"
extern "C" {
    fn unshare(flags: i32) -> i32;
    fn socket(family: i32, kind: i32, protocol: i32) -> i32;
}
fn main() {
    // A user's namespace, before threads or files are in use.
    if unsafe { unshare(0x1000_0000) } != 0 {
        println!("namespace {:?}", std::io::Error::last_os_error().raw_os_error());
    }
    // UNIX, IPv4, netlink, AF_ALG, AF_VSOCK (socket(2)).
    for family in [1, 2, 16, 38, 40] {
        if unsafe { socket(family, if family == 38 { 5 } else { 1 }, 0) } >= 0 {
            println!("socket {family}");
        }
    }
    println!("child {}", std::thread::spawn(|| 7).join().unwrap());
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    for line in read("/proc/self/status").lines() {
        if ["CapEff", "CapBnd", "NoNewPrivs", "Uid", "Seccomp:"].iter().any(|k| line.starts_with(k)) {
            println!("{}", line.replace('\t', " "));
        }
    }
    for line in read("/proc/net/dev").lines().skip(2) {
        println!("interface {}", line.split(':').next().unwrap_or("").trim());
    }
    for path in ["/x", "/tmp/x", "/run/x", "/dev/x", "/dev/shm/x", "/dev/mqueue/x", "/etc/x", "/proc/x",
        "/run/maru/gateway/x", "/run/maru/inference/x", "/var/lib/maru/gateway/x", "/var/lib/maru/gateway/config/x"] {
        println!("write {path} {}", std::fs::write(path, "x").is_ok());
    }
    for line in read("/proc/self/limits").lines() {
        if line.starts_with("Max core file size") {
            println!("core {}", line.split_whitespace().nth(4).unwrap_or(""));
        }
        if line.starts_with("Max file size") {
            println!("file {}", line.split_whitespace().nth(3).unwrap_or(""));
        }
    }
}
"##;

struct Podman {
    root: tempfile::TempDir,
}

impl Podman {
    /// Makes an instance's directories and an image with the probe in it.
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let podman = Self { root };
        for link in GATEWAY_SERVICE.listens.iter().chain(GATEWAY_SERVICE.calls) {
            let path = podman.path(&link.directory());
            fs::create_dir_all(&path).unwrap();
            std::os::unix::fs::chown(&path, Some(link.owner), Some(link.group)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(link.mode)).unwrap();
        }
        for folder in [
            "etc/maru",
            "run/maru/dial",
            "run/maru/gateway-key",
            "var/lib/maru/gateway/config",
            "build",
        ] {
            fs::create_dir_all(podman.path(folder)).unwrap();
        }
        fs::write(podman.path("etc/maru/gateway.toml"), "").unwrap();
        fs::write(podman.path(seccomp::FILE), seccomp::profile()).unwrap();
        let state = podman.path("var/lib/maru/gateway");
        std::os::unix::fs::chown(state, Some(GATEWAY), Some(GATEWAY)).unwrap();
        podman.build();
        podman
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    fn build(&self) {
        let source = self.path("build/probe.rs");
        fs::write(&source, PROBE).unwrap();
        let compiled = Command::new("rustc")
            .args([
                "-C",
                "target-feature=+crt-static",
                "--target",
                "x86_64-unknown-linux-gnu",
                "-o",
            ])
            .arg(self.path("build/probe"))
            .arg(&source)
            .output()
            .unwrap();
        assert!(compiled.status.success(), "{compiled:?}");
        let recipe = services::podman::containerfile("probe");
        fs::write(self.path("build/Containerfile"), recipe).unwrap();
        let context = self.path("build").display().to_string();
        let built = self.call(&["build", "--quiet", "--tag=localhost/probe:1", &context]);
        assert!(built.status.success(), "{built:?}");
    }

    fn call(&self, args: &[&str]) -> Output {
        let at = |option: &str, folder: &str| format!("--{option}={}", self.path(folder).display());
        let conf = self.path("containers.conf");
        fs::write(&conf, "[engine]\ncgroup_manager = \"cgroupfs\"\nlock_type = \"file\"\n")
            .unwrap();
        Command::new("podman")
            .args([at("root", "storage"), at("runroot", "r"), at("tmpdir", "t")])
            .args(args)
            .env("CONTAINERS_CONF", conf)
            .output()
            .unwrap()
    }

    /// What the probe sees as `service`, with `more` options of Podman's.
    fn probe(&self, service: &Service, more: &[&str]) -> Vec<String> {
        let settings = Settings {
            root: self.root.path().to_owned(),
            image: "localhost/probe:1".to_owned(),
            model: None,
            seccomp: self.path(seccomp::FILE),
            engine: None,
            limits: Limits {
                memory: false,
                swap: false,
                pids: false,
                cgroups: true,
                open_files: 1024,
            },
        };
        let args = run(service, &settings);
        let image = args.iter().position(|arg| *arg == settings.image).unwrap();
        let name = |option: &str| option.split('=').next().unwrap().to_owned();
        let replaced: Vec<_> = more.iter().map(|option| name(option)).collect();
        let mut all = vec!["run"];
        let kept = args[..image].iter().filter(|arg| !replaced.contains(&name(arg)));
        all.extend(kept.map(String::as_str));
        all.extend(more);
        all.extend(args[image..].iter().map(String::as_str));
        let output = self.call(&all);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.call(&["rm", "--all", "--force"]);
        unmount(self.root.path());
    }
}

fn unmount(root: &Path) {
    let _ = Command::new("umount").args(["-l"]).arg(root.join("storage/overlay")).output();
}

/// Whether all that the recipe promises is seen.
fn is_isolated(seen: &[String]) -> Result<(), String> {
    let has = |line: &str| seen.iter().any(|seen| seen == line);
    let interfaces: Vec<_> = seen.iter().filter(|line| line.starts_with("interface")).collect();
    if interfaces != ["interface lo"] {
        return Err(format!("interfaces: {interfaces:?}"));
    }
    let uid = format!("Uid: {GATEWAY} {GATEWAY} {GATEWAY} {GATEWAY}");
    let file = format!("file {}", GATEWAY_SERVICE.disk_mib << 20);
    for line in [
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "namespace Some(1)",
        "child 7",
        "core 0",
        &uid,
        &file,
    ] {
        if !has(line) {
            return Err(format!("missing {line:?} in {seen:?}"));
        }
    }
    let sockets: Vec<_> = seen.iter().filter(|line| line.starts_with("socket")).collect();
    if sockets != ["socket 1"] {
        return Err(format!("sockets: {sockets:?}"));
    }
    let writable = ["write /run/maru/gateway/x true", "write /var/lib/maru/gateway/x true"];
    let written: Vec<_> =
        seen.iter().filter(|line| line.starts_with("write") && line.ends_with("true")).collect();
    if written != writable {
        return Err(format!("written: {written:?}"));
    }
    Ok(())
}

#[test]
#[ignore = "needs: root, podman"]
fn a_container_sees_lo_alone_has_no_capability_and_writes_nowhere_else() {
    let podman = Podman::new();

    let seen = podman.probe(&GATEWAY_SERVICE, &[]);
    let harmed = [
        podman.probe(&GATEWAY_SERVICE, &["--network=host"]),
        podman.probe(&GATEWAY_SERVICE, &["--read-only=false", "--user=0:0"]),
        podman.probe(&GATEWAY_SERVICE, &["--cap-add=NET_ADMIN"]),
        podman.probe(
            &GATEWAY_SERVICE,
            &["--security-opt=no-new-privileges", "--security-opt=seccomp=unconfined"],
        ),
    ];

    assert_eq!(is_isolated(&seen), Ok(()));
    for harmed in harmed {
        assert!(is_isolated(&harmed).is_err(), "{harmed:?}");
    }
}
