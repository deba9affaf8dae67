//! The machine's files: Debian's modules, busybox, the tests and what they call.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::debian::{self, Kernel, output};
use crate::progress::Step;

/// What the archive is called, in the folder of the machine.
pub(super) const FILE: &str = "initrd";

/// What the machine starts with.
const INIT: &str = include_str!("init");
/// Programs of this host that are more than busybox has, or other.
const PROGRAMS: [&str; 5] = ["bash", "ip", "nft", "nsenter", "unshare"];
/// Modules in the order in which they are loaded, below the kernel's folder of them.
const MODULES: [&str; 6] = [
    "drivers/net/tun.ko",
    "drivers/net/veth.ko",
    "fs/overlayfs/overlay.ko",
    "lib/libcrc32c.ko",
    "net/netfilter/nfnetlink.ko",
    "net/netfilter/nf_tables.ko",
];

/// Makes the archive in `dir`; the machine will run the program `tests` with these names of tests.
pub(super) fn make(dir: &Path, kernel: &Kernel, tests: &Path, names: &[String]) -> Result<()> {
    let busybox = debian::busybox()?;
    let step = Step::new("making the machine's files");
    fs::create_dir_all(dir)?;
    let root = tempfile::tempdir_in(dir)?;
    let at = |path: &str| root.path().join(path.trim_start_matches('/'));
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755))?;
    for folder in ["bin", "dev", "etc", "modules", "proc", "run", "sys", "tmp", "usr/bin"] {
        fs::create_dir_all(at(folder))?;
    }
    copy(&busybox, &at("bin/busybox"))?;
    copy(tests, &at("tests"))?;
    for (number, module) in MODULES.iter().enumerate() {
        copy(&kernel.modules.join(module), &at(&format!("modules/{number}.ko")))?;
    }
    for program in PROGRAMS {
        let path = on_this_host(program)?;
        copy(&path, &at(&format!("usr/bin/{program}")))?;
        let said = output(Command::new("ldd").arg(&path))?;
        for library in libraries(&String::from_utf8_lossy(&said)) {
            copy(Path::new(library), &at(library))?;
        }
    }
    fs::write(at("names"), names.iter().map(|name| format!("{name}\n")).collect::<String>())?;
    fs::write(at("init"), INIT)?;
    fs::set_permissions(at("init"), fs::Permissions::from_mode(0o755))?;
    let script = format!("find . | \"$1\" cpio -o -H newc -R 0:0 > ../{FILE}");
    output(Command::new("sh").args(["-ec", &script, "sh"]).arg(busybox).current_dir(root.path()))?;
    step.done("the machine's files are made");
    Ok(())
}

fn on_this_host(program: &str) -> Result<PathBuf> {
    let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
    let mut paths = folders.into_iter().map(|folder| Path::new(folder).join(program));
    paths.find(|path| path.exists()).with_context(|| format!("there is no {program}"))
}

/// Copies a file, and makes the folder that it is to be in.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display())).map(drop)
}

/// Reads what `ldd` says: the paths of a program's libraries.
fn libraries(said: &str) -> impl Iterator<Item = &str> {
    said.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_which_libraries_a_program_has() {
        let said = "\tlinux-vdso.so.1 (0x00007ffe)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found: Vec<_> = libraries(said).collect();
        assert_eq!(found, ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
    }
}
