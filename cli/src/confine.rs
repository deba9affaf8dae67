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

/// This very program, though another may have its name by now.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";
/// Programs write there what nobody is to have.
const NULL: &str = "/dev/null";

/// Of `maru confine`.
#[derive(Clone, Debug, Args)]
pub struct ConfineArgs {
    /// Control group to enter (version 2)
    #[arg(long, value_name = "FOLDER")]
    pub group: Option<PathBuf>,
    /// Most memory that a process may map to write in, in MiB
    #[arg(long, value_name = "MIB")]
    pub data_mib: Option<u64>,
    /// Longest file that a process may write, in MiB
    #[arg(long, value_name = "MIB")]
    pub file_mib: Option<u64>,
    /// File or folder to write in; without any, it may write wherever its user may
    #[arg(long, value_name = "PATH")]
    pub write: Vec<PathBuf>,
    /// Folder for the program's temporary files; it is one of those to write in, or below one
    #[arg(long, value_name = "PATH")]
    pub temporary: Option<PathBuf>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
}

/// Returns only if that cannot be done.
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
        // What a host lacks, `maru doctor` names.
        chassis::confine::write_only(&places).context(message!("not-confined"))?;
    }
    let mut command = Command::new(program);
    command.args(rest);
    if let Some(folder) = &args.temporary {
        // A database that sorts more than fits into memory puts it there.
        command.env("TMPDIR", folder);
    }
    Ok(command)
}

/// Bounds this process, and all that it starts.
fn bound(args: &ConfineArgs) -> anyhow::Result<()> {
    if let Some(group) = &args.group {
        let processes = group.join("cgroup.procs");
        // Whoever writes this is meant (cgroups(7)).
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
    options.open(path).with_context(|| message!("folder-not-opened", path = path.display()))
}
