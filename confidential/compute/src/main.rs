//! `maru-compute`: see the library.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use chassis::{failure, log::LogArgs};
use clap::{Parser, Subcommand};
use maru_compute::{Error, Root, boot, load, router_com, worker};

/// A node of the confidential chain: makes evidence of its software, and answers sealed requests.
#[derive(Debug, Parser)]
#[command(name = "maru-compute", version)]
struct Args {
    /// Root directory of all paths.
    #[arg(long, global = true, default_value = "/")]
    root: PathBuf,
    /// Settings file [default: etc/maru/confidential-compute.toml below the root].
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    process: Process,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
enum Process {
    /// Hold the private key, make evidence of it, and start a worker for each request.
    Boot,
    /// Serve the router.
    RouterCom,
    /// Make the TPM's attestation key if there is none, and print it as an anchor for the policy; once for each machine.
    Ak {
        /// Name of the machine in the policy.
        #[arg(long, default_value = "node")]
        name: String,
    },
    /// Answer one request; started by boot.
    #[command(hide = true)]
    Worker,
}

fn main() -> ExitCode {
    let args = Args::parse();
    args.log.clone().start(&[]);
    failure::exit("maru-compute", run(&args))
}

fn run(args: &Args) -> Result<(), Error> {
    let root = std::path::absolute(&args.root).unwrap_or_else(|_| args.root.clone());
    let settings = load(&root, args.config.as_deref())?;
    let at = Root::new(&root);
    match &args.process {
        Process::Boot => wait(boot::run(&at, &settings, program(args, &root))),
        Process::RouterCom => wait(router_com::run(&at, &settings)),
        Process::Ak { name } => {
            #[allow(clippy::print_stdout, reason = "it is the command's output")]
            {
                println!("{}", serde_json::json!(boot::provision(&settings, name)?));
            }
            Ok(())
        }
        Process::Worker => worker::run(&at, &settings),
    }
}

fn wait(serve: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    // One thread: waking another one costs more than forwarding a request.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Error::Job)?.block_on(serve)
}

/// The command line of a worker.
fn program(args: &Args, root: &std::path::Path) -> boot::Program {
    let mut arguments: Vec<OsString> = vec!["--root".into(), root.into()];
    if let Some(config) = &args.config {
        let config = std::path::absolute(config).unwrap_or_else(|_| config.clone());
        arguments.extend(["--config".into(), config.into()]);
    }
    arguments.push("worker".into());
    // The running executable, even if its file was replaced.
    boot::Program { path: "/proc/self/exe".into(), arguments }
}
