//! Other programs' resolvers on a machine: systemd-resolved with its bus, and openresolv.
//!
//! `cargo xtask` fetches Debian's packages, without installing them (they would change the host's resolver), and names the folder
//! with their files in `MARU_RESOLVERS`.

use std::{fs, path::PathBuf, process::Stdio, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};

use crate::{Machine, Process};

/// Names the folder with the packages' files.
pub const FOLDER: &str = "MARU_RESOLVERS";

/// Where a machine sees its resolver's own file.
const STUB: &str = "/run/systemd/resolve/stub-resolv.conf";
/// How long a daemon may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const POLL: Duration = Duration::from_millis(50);

/// A bus for systemd-resolved alone, which lets everybody ask; who may change something is its own decision.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="method_return"/><allow receive_type="error"/>
<allow receive_type="signal"/><allow send_destination="org.freedesktop.DBus"/></policy>
<include>FOLDER/usr/share/dbus-1/system.d/org.freedesktop.resolve1.conf</include></busconfig>
"#;

/// A running systemd-resolved, with the bus.
#[derive(Debug)]
pub struct Resolved {
    /// The daemon.
    pub daemon: Process,
    _bus: Process,
}

/// Starts systemd-resolved on a machine, whose programs ask it from now on; a network's resolver is given by
/// `resolvectl dns INTERFACE ADDRESS`.
///
/// # Errors
///
/// The packages were not fetched, or it does not start.
pub fn resolved(machine: &Machine) -> Result<Resolved> {
    let folder = folder()?;
    let folder = folder.display();
    add(machine, "/usr/bin")?;
    machine.sh("mkdir -p /run/dbus /run/systemd/resolve
        echo 'systemd-resolve:x:998:998::/:/usr/sbin/nologin' >> /etc/passwd
        echo 'systemd-resolve:x:998:' >> /etc/group
        chown 998:998 /run/systemd/resolve")?;
    fs::write(machine.path("/run/bus.conf"), BUS.replace("FOLDER", &folder.to_string()))?;
    let mut bus = machine.command("dbus-daemon");
    bus.args(["--config-file=/run/bus.conf", "--nofork", "--nopidfile"]);
    let bus = machine.spawn(bus.stdin(Stdio::null()).stderr(Stdio::null()))?;
    wait(machine, "/run/dbus/system_bus_socket")?;
    let daemon = daemon(machine)?;
    machine.sh(&format!("ln -sf {STUB} /etc/resolv.conf"))?;
    Ok(Resolved { daemon, _bus: bus })
}

impl Resolved {
    /// Restarts the daemon, as an upgrade of its package does.
    ///
    /// # Errors
    ///
    /// It does not end or start.
    pub fn restart(&mut self, machine: &Machine) -> Result<()> {
        self.daemon.stop(PATIENCE)?;
        self.daemon = daemon(machine)?;
        Ok(())
    }
}

fn daemon(machine: &Machine) -> Result<Process> {
    let folder = folder()?;
    let mut command = machine.command(folder.join("lib/systemd/systemd-resolved"));
    let daemon = machine.spawn(command.stdin(Stdio::null()).stderr(Stdio::null()))?;
    wait(machine, STUB)?;
    machine.sh("for i in $(seq 100); do resolvectl dns && exit; sleep 0.1; done; exit 1")?;
    Ok(daemon)
}

/// Puts openresolv on a machine, without an entry.
///
/// # Errors
///
/// The packages were not fetched.
pub fn openresolv(machine: &Machine) -> Result<()> {
    let folder = folder()?;
    machine.sh(&format!(
        "mkdir -p /run/resolvconf
        cp {}/etc/resolvconf.conf /etc/",
        folder.display()
    ))?;
    add(machine, "/usr/sbin")?;
    add(machine, "/usr/lib")
}

/// Adds the packages' files to a folder of a machine, for this machine alone.
fn add(machine: &Machine, to: &str) -> Result<()> {
    let folder = folder()?;
    // Debian 12's packages have both places, which are one on a machine.
    let lower: Vec<_> = [to, to.trim_start_matches("/usr")]
        .iter()
        .map(|place| format!("{}{place}", folder.display()))
        .filter(|place| fs::metadata(place).is_ok())
        .collect();
    machine
        .sh(&format!("mount -t overlay -o lowerdir={}:{to} resolvers {to}", lower.join(":")))
        .map(drop)
}

fn wait(machine: &Machine, path: &str) -> Result<()> {
    let mut waited = Duration::ZERO;
    while fs::symlink_metadata(machine.path(path)).is_err() {
        ensure!(waited < PATIENCE, "{path} does not appear");
        thread::sleep(POLL);
        waited += POLL;
    }
    Ok(())
}

fn folder() -> Result<PathBuf> {
    let folder = std::env::var_os(FOLDER)
        .with_context(|| format!("{FOLDER} names no folder: `cargo xtask test` sets it"))?;
    Ok(folder.into())
}
