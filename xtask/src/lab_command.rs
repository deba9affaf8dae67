//! `cargo xtask lab`: runs commands on the lab's machines.

use std::process::{Command as Process, ExitCode};

use anyhow::{Context as _, Result};
use lab::{BIN, ROOT};

/// A command for the lab.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List the running machines
    List,
    /// Run a command on a machine; `maru` uses the machine's own state
    Exec {
        /// Name of the machine: home, router, laptop
        machine: String,
        /// The command
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Stop all machines, including those of tests
    Clean,
}

/// Runs the command.
pub(crate) fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::List => {
            for (name, pid) in lab::clean::list()? {
                println!("{name}\t{pid}");
            }
        }
        Command::Clean => {
            for name in lab::clean::all()? {
                println!("ended {name}");
            }
        }
        Command::Exec { machine, command } => return exec(&machine, &command),
    }
    Ok(ExitCode::SUCCESS)
}

fn exec(machine: &str, command: &[String]) -> Result<ExitCode> {
    let machines = lab::clean::list()?;
    let (_, pid) = machines.iter().find(|(name, _)| name == machine).with_context(|| {
        format!("there is no running machine {machine}: start `cargo xtask up` first")
    })?;
    let (program, args) = command.split_first().context("no command")?;
    let mut enter = Process::new("nsenter");
    enter.args(["--target", &pid.to_string(), "--net", "--mount", "--pid", "--uts", "--"]);
    if program == "maru" {
        enter.arg(format!("{BIN}/maru")).args(["--root", ROOT]);
    } else {
        enter.arg(program);
    }
    let status = enter.args(args).status().context("cannot run nsenter (util-linux)")?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}
