//! One machine, and the cable between two.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    family,
    process::{self, Process},
};

/// First process of a machine: prepares it, then waits until the machine's creator exits.
///
/// It is bash, because bash reaps the orphans that process 1 inherits.
const INIT: &str = r#"
set -e
mount -t tmpfs -o mode=755 maru-lab /run
mkdir -p /run/lock /run/maru-lab/etc /run/maru-lab/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/maru-lab/etc,workdir=/run/maru-lab/work maru-lab /etc
rm -f /etc/resolv.conf
: > /etc/resolv.conf
ip link set lo up
echo ready
read -r _ || true
"#;

/// What the command line of a machine's first process starts with, for [`crate::clean`].
pub(crate) const MARK: &str = "maru-lab-machine";

/// A machine of namespaces; dropping it ends every process in it.
#[derive(Debug)]
pub struct Machine {
    name: String,
    holder: Child,
    /// The first process in the machine, numbered as on the host.
    init: u32,
    /// Whether its programs get no sockets of IPv6.
    is_without_ipv6: AtomicBool,
}

impl Machine {
    /// Makes a machine with a loopback interface and nothing else.
    ///
    /// # Errors
    ///
    /// The namespaces cannot be made, mostly for want of root.
    pub fn new(name: &str) -> Result<Self> {
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts"])
            .args(["bash", "-c", INIT, &format!("{MARK}:{name}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A terminal's Ctrl-C is for its maker, which ends it in order.
            .process_group(0)
            .spawn()
            .context("cannot run unshare (util-linux)")?;
        let mut ready = String::new();
        let out = holder.stdout.as_mut().context("no pipe")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut ready)?;
        if ready.trim() != "ready" {
            let _ = holder.kill();
            let _ = holder.wait();
            bail!("cannot make the lab machine {name}: namespaces, overlay and ip need root");
        }
        let init = process::child_of(holder.id()).context("the machine has no first process")?;
        Ok(Self { name: name.to_owned(), holder, init, is_without_ipv6: AtomicBool::new(false) })
    }

    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The machine's first process, numbered as on the host; its namespaces are under `/proc`.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.init
    }

    /// A command that runs inside the machine; see [`Machine::spawn`] for one that is signalled.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init.to_string()]);
        command.args(["--net", "--mount", "--pid", "--uts", "--"]).arg(program);
        if self.is_without_ipv6.load(Ordering::Relaxed) {
            family::refuse_ipv6(&mut command);
        }
        command
    }

    /// Makes it as one whose kernel has no IPv6, for all commands from now on: no interface takes an address of it, no program
    /// gets a socket of it.
    ///
    /// # Errors
    ///
    /// The kernel's settings cannot be changed.
    pub fn lose_ipv6(&self) -> Result<()> {
        self.sh(
            "cd /proc/sys/net/ipv6/conf; echo 1 > all/disable_ipv6; echo 1 > default/disable_ipv6",
        )?;
        self.is_without_ipv6.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Starts a command made by [`Machine::command`].
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn spawn(&self, command: &mut Command) -> Result<Process> {
        Process::start(command)
    }

    /// Runs a shell script inside and returns what it printed.
    ///
    /// # Errors
    ///
    /// It does not exit with status 0; the error holds what it printed.
    pub fn sh(&self, script: &str) -> Result<String> {
        let out = self.command("bash").args(["-ec", script]).stdin(Stdio::null()).output()?;
        let stdout = String::from_utf8_lossy(&out.stdout).into_owned();
        ensure!(
            out.status.success(),
            "on {}: `{script}` failed ({})\n{stdout}{}",
            self.name,
            out.status,
            String::from_utf8_lossy(&out.stderr)
        );
        Ok(stdout)
    }

    /// Flushes the machine's nftables and removes its `nft`, so that no process restores them.
    ///
    /// # Errors
    ///
    /// There is no `nft`, or this was done before.
    pub fn flush_nftables_for_good(&self) -> Result<()> {
        self.sh("cp /usr/sbin/nft /run/nft; : > /run/no-nft
            mount --bind /run/no-nft /usr/sbin/nft
            /run/nft flush ruleset")
            .map(drop)
    }

    /// Runs `work` on a thread of its own inside the machine's network.
    ///
    /// Only the network is entered: files and processes stay the caller's.
    ///
    /// # Panics
    ///
    /// When `work` panics, or the network cannot be entered.
    pub fn in_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/proc/{}/ns/net", self.init);
        thread::scope(|scope| {
            let thread = scope.spawn(move || {
                #[allow(
                    clippy::expect_used,
                    reason = "a test's own thread: nothing to do but fail"
                )]
                enter_network(&path).expect("cannot enter the lab machine's network");
                work()
            });
            match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Where a path of the machine's own files is seen from the host.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/{}", self.init, inside.trim_start_matches('/')))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        for _ in 0..50 {
            if matches!(self.holder.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn enter_network(path: &str) -> Result<()> {
    let file = fs::File::open(path).with_context(|| format!("cannot open {path}"))?;
    rustix::thread::move_into_link_name_space(
        std::os::fd::AsFd::as_fd(&file),
        Some(rustix::thread::LinkNameSpaceType::Network),
    )?;
    Ok(())
}

/// Joins two machines by a cable: (machine, interface, address with prefix length) each.
///
/// # Errors
///
/// An interface of that name exists already, or an address is malformed.
pub fn link(a: (&Machine, &str, &str), b: (&Machine, &str, &str)) -> Result<()> {
    cable((a.0, a.1), (b.0, b.1))?;
    name_ends(a, b)
}

/// Gives the ends of a cable their addresses: (machine, interface, address with prefix length) each.
pub(crate) fn name_ends(a: (&Machine, &str, &str), b: (&Machine, &str, &str)) -> Result<()> {
    for (machine, interface, address) in [a, b] {
        let family = if address.contains(':') { " nodad" } else { "" };
        machine.sh(&format!(
            "ip addr add {address} dev {interface}{family}; ip link set {interface} up"
        ))?;
    }
    Ok(())
}

/// Joins two machines by a cable whose ends have no address and are down: (machine, interface) each.
pub(crate) fn cable(a: (&Machine, &str), b: (&Machine, &str)) -> Result<()> {
    let (pid_a, pid_b) = (a.0.pid().to_string(), b.0.pid().to_string());
    let out = Command::new("ip")
        .args(["link", "add", a.1, "netns", &pid_a, "type", "veth"])
        .args(["peer", "name", b.1, "netns", &pid_b])
        .output()
        .context("cannot run ip (iproute2)")?;
    ensure!(
        out.status.success(),
        "cannot make the cable: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    Ok(())
}
