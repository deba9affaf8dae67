//! `maru confine`: becomes a program that may write in some places alone. `maru up` starts its children so.

use std::{
    fs::File,
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, anyhow};
use clap::Args;
use rustix::fs::OFlags;

/// This very program, though another may have its name by now.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";
/// Programs write there what nobody is to have.
const NULL: &str = "/dev/null";

/// Of `maru confine`.
#[derive(Clone, Debug, Args)]
pub struct ConfineArgs {
    /// File or folder to write in
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
        Ok(mut command) => anyhow!(command.exec()).context("cannot start the program"),
        Err(error) => error,
    }
}

fn confine(args: &ConfineArgs) -> anyhow::Result<Command> {
    let (program, rest) = args.command.split_first().context("name a program to run")?;
    let own = args.write.iter().map(|path| place(path));
    let places: Vec<File> = own.chain([place(Path::new(NULL))]).collect::<Result<_, _>>()?;
    // What a host lacks, `maru doctor` names.
    chassis::confine::write_only(&places).context("cannot confine what the program writes")?;
    let mut command = Command::new(program);
    command.args(rest);
    if let Some(folder) = &args.temporary {
        // A database that sorts more than fits into memory puts it there.
        command.env("TMPDIR", folder);
    }
    Ok(command)
}

fn place(path: &Path) -> anyhow::Result<File> {
    let mut options = File::options();
    options.read(true).custom_flags(OFlags::PATH.bits().cast_signed());
    options.open(path).with_context(|| format!("cannot open {}", path.display()))
}
