//! Emulated machines: what all of them have in common.
//!
//! Emulation needs neither KVM nor hardware, but is many times slower than the host.

use std::{
    path::Path,
    process::{Command, Stdio},
};

/// The id of the character device that is the serial console.
pub(crate) const CONSOLE: &str = "console";

/// An emulator with processors, memory in MiB and a serial console, whose character device the caller adds. It ends with
/// this process, however that ends.
pub(crate) fn command(dir: &Path, memory_mib: u32) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
        .args(["-accel", "tcg,thread=multi", "-cpu", "max", "-m"])
        .arg(memory_mib.to_string())
        .args(["-no-user-config", "-nodefaults", "-display", "none"])
        .args(["-serial", &format!("chardev:{CONSOLE}")])
        .stdin(Stdio::null())
        .current_dir(dir);
    command
}
