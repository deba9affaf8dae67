//! `maru confine`: becomes a program whose memory and files are bounded, and that may write in some places alone.
//! `maru up` starts its children so.

use std::{
    fs::File,
    io::Write as _,
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow};
use chassis::process;
use clap::Args;
use messages::message;
use rustix::{fs::OFlags, process::Resource};

/// This program, even if its file was replaced.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";
/// Programs write discarded output to it.
const NULL: &str = "/dev/null";

#[derive(Clone, Debug, Args)]
pub(crate) struct ConfineArgs {
    /// Control group to enter (version 2)
    #[arg(long, value_name = "FOLDER")]
    pub(crate) group: Option<PathBuf>,
    /// Maximum writable memory that a process may map, in MiB
    #[arg(long, value_name = "MIB")]
    pub(crate) data_mib: Option<u64>,
    /// Maximum size of a file that a process may write, in MiB
    #[arg(long, value_name = "MIB")]
    pub(crate) file_mib: Option<u64>,
    /// File or folder to write in; without any, it may write wherever its user may
    #[arg(long, value_name = "PATH")]
    pub(crate) write: Vec<PathBuf>,
    /// Folder for the program's temporary files; it is one of those to write in, or below one
    #[arg(long, value_name = "PATH")]
    pub(crate) temporary: Option<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<std::ffi::OsString>,
}

/// Starts the program; returns only on failure.
pub(crate) fn run(args: &ConfineArgs) -> anyhow::Error {
    match confine(args) {
        Ok(mut command) => anyhow!(command.exec()).context(message!("program-not-started")),
        Err(error) => error,
    }
}

fn confine(args: &ConfineArgs) -> anyhow::Result<Command> {
    let (program, rest) = args.command.split_first().context(message!("no-program"))?;
    bound(args)?;
    if !args.write.is_empty() {
        let own = args.write.iter().map(|path| place(path));
        let places: Vec<File> = own.chain([place(Path::new(NULL))]).collect::<Result<_, _>>()?;
        // `maru doctor` reports what the host does not support.
        chassis::confine::write_only(&places).context(message!("not-confined"))?;
    }
    let mut command = Command::new(program);
    command.args(rest);
    if let Some(folder) = &args.temporary {
        // A database sorts there what does not fit into memory.
        command.env("TMPDIR", folder);
    }
    Ok(command)
}

/// Limits this process, and all that it starts.
fn bound(args: &ConfineArgs) -> anyhow::Result<()> {
    if let Some(group) = &args.group {
        let processes = group.join("cgroup.procs");
        // 0 is the writing process (cgroups(7)).
        let entered = File::options().write(true).open(&processes);
        entered
            .and_then(|mut file| file.write_all(b"0"))
            .with_context(|| message!("group-not-entered", path = group.display()))?;
    }
    let limits = [(Resource::Data, args.data_mib), (Resource::Fsize, args.file_mib)];
    for (resource, mib) in limits {
        if let Some(mib) = mib {
            process::limit(resource, mib << 20).context(message!("limit-not-set"))?;
        }
    }
    Ok(())
}

fn place(path: &Path) -> anyhow::Result<File> {
    let mut options = File::options();
    options.read(true).custom_flags(OFlags::PATH.bits().cast_signed());
    options.open(path).with_context(|| message!("not-opened", path = path.display()))
}
