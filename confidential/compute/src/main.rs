//! `maru-compute`: see the library.

use std::{ffi::OsString, process::ExitCode};

use chassis::failure;
use clap::Parser as _;
use maru_compute::{Args, Error, Process, Root, boot, load, router_com, worker};

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
