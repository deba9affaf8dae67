//! The machine while it runs.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    emulator,
    vm::{
        agent::{self, Agent, Ended},
        disk::Disk,
    },
};

/// Memory of the machine, in MiB.
const MEMORY_MIB: u32 = 3072;
/// What the serial console said, in the machine's folder.
const CONSOLE: &str = "console.log";
/// The socket of the guest agent, in the machine's folder.
const AGENT: &str = "agent.sock";
/// The guest agent's port, by the name under which Debian starts it (`qemu-guest-agent.service`).
const PORT: &str = "org.qemu.guest_agent.0";
/// The socket of the TPM's stand-in, and the folder of what it keeps, in the machine's folder.
const TPM: [&str; 2] = ["tpm.sock", "tpm"];
/// The kernel's arguments.
const KERNEL: &str = "console=ttyS0 root=/dev/vda rw panic=-1 quiet";
/// Tells one start of the machine from another.
const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";
/// How often a machine that ends is looked at.
const POLL: Duration = Duration::from_millis(200);

/// A process that ends when it is dropped.
#[derive(Debug)]
struct Process(Child);

/// A running machine.
#[derive(Debug)]
pub(super) struct Machine {
    process: Process,
    /// Debian's `swtpm`, which stands in for the machine's TPM.
    _tpm: Process,
    agent: Agent,
    deadline: Instant,
}

impl Machine {
    /// Starts a machine in `dir` with a copy of `disk`, and with the files of the image `files` as its second disk.
    pub(super) fn start(dir: &Path, disk: &Disk, files: &Path, deadline: Instant) -> Result<Self> {
        let overlay = dir.join("disk.qcow2");
        disk.overlay(&overlay)?;
        let tpm = start_tpm(dir, deadline)?;
        let drive = |path: &Path, more: &str| format!("file={},if=virtio,{more}", path.display());
        let mut command = emulator::command(dir, MEMORY_MIB);
        command
            .args(["-chardev", &format!("file,id={},path={CONSOLE}", emulator::CONSOLE)])
            .arg("-kernel")
            .arg(disk.kernel())
            .arg("-initrd")
            .arg(disk.initrd())
            .args(["-append", KERNEL])
            .args(["-drive", &drive(&overlay, "format=qcow2,cache=unsafe")])
            .args(["-drive", &drive(files, "format=raw,readonly=on")])
            .args(["-chardev", &format!("socket,id=agent,path={AGENT},server=on,wait=off")])
            .args(["-device", "virtio-serial-pci"])
            .args(["-device", &format!("virtserialport,chardev=agent,name={PORT}")])
            .args(["-chardev", &format!("socket,id=tpm,path={}", TPM[0])])
            .args(["-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm"])
            // A network of its own, from which nothing leaves.
            .args(["-netdev", "user,id=net,restrict=on", "-device", "virtio-net-pci,netdev=net"]);
        let process = command.spawn().context("setpriv (util-linux) does not run")?;
        let process = Process(process);
        let agent = Agent::connect(&dir.join(AGENT), deadline)?;
        Ok(Self { process, _tpm: tpm, agent, deadline })
    }

    /// Runs a script of bash as root.
    pub(super) fn run(&mut self, script: &str) -> Result<Ended> {
        self.agent.run(script)
    }

    /// Runs a script; fails with what it said if it fails.
    pub(super) fn check(&mut self, script: &str) -> Result<String> {
        let ended = self.run(script)?;
        ensure!(ended.status == 0, "exit status {}\n{}", ended.status, ended.text.trim());
        Ok(ended.text)
    }

    /// Starts a script that ends this run of the machine, and waits for the next one.
    pub(super) fn start_anew(&mut self, script: &str) -> Result<()> {
        let before = self.check(BOOT_ID)?;
        self.agent.start(script)?;
        loop {
            self.agent.reconnect()?;
            match self.check(BOOT_ID) {
                Ok(now) if now != before => return Ok(()),
                Ok(_) | Err(_) => agent::check(self.deadline)?,
            }
            thread::sleep(POLL);
        }
    }

    /// Switches it off, as its administrator does.
    pub(super) fn power_off(mut self) -> Result<()> {
        self.agent.start("systemctl poweroff")?;
        loop {
            if let Some(status) = self.process.0.try_wait()? {
                ensure!(status.success(), "the emulator ended with {status}");
                return Ok(());
            }
            agent::check(self.deadline)?;
            thread::sleep(POLL);
        }
    }
}

/// Starts a TPM 2.0 that was never used.
fn start_tpm(dir: &Path, deadline: Instant) -> Result<Process> {
    let [socket, state] = TPM;
    fs::create_dir(dir.join(state))?;
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "swtpm", "socket", "--tpm2"])
        .args(["--tpmstate", &format!("dir={state}")])
        .args(["--ctrl", &format!("type=unixio,path={socket}")])
        .stdin(Stdio::null())
        .current_dir(dir);
    let process = Process(command.spawn().context("setpriv (util-linux) does not run")?);
    while !dir.join(socket).exists() {
        agent::check(deadline)?;
        thread::sleep(POLL);
    }
    Ok(process)
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
