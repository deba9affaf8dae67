//! Automation: `cargo xtask up` demonstrates Maru, `cargo xtask test` tests it.
#![allow(clippy::disallowed_methods, reason = "automation runs on the real clock")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "automation talks to a terminal")]

mod background;
mod bench;
mod build;
mod check;
mod emulator;
mod fuzz;
mod go;
mod interop;
mod kernel;
mod lab_command;
mod model;
mod nextest;
mod package;
mod packages;
mod progress;
mod resolvers;
mod sabotage;
mod stop;
mod test;
mod tools;
mod traces;
mod up;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Demonstrate Maru: a home, a router and a laptop that is approved and chats
    Up(up::Args),
    /// Install what is missing, build Maru and run all its tests
    Test(test::Args),
    /// Measure; prints a table or JSON
    Bench(bench::Args),
    /// Run every fuzz target for a few seconds
    Fuzz(fuzz::Args),
    /// Run third-party clients against a deployment
    #[command(subcommand)]
    Interop(interop::Command),
    /// Run the tunnel's tests on the kernel of Debian 12, in an emulated machine
    Kernel(kernel::Args),
    /// Test Maru under systemd, in an emulated machine with Debian 13
    Vm(vm::Args),
    /// Formatting, lints, documentation and licences, with warnings denied
    Check(check::Args),
    /// Break each listed property in a copy of the workspace, and check that its tests fail
    Sabotage(sabotage::Args),
    /// Build Debian packages: a home, a device, the small model
    Package(package::Args),
    /// Install what is missing, build Maru's programs and fetch the model
    Setup,
    /// Build the third-party programs that tests run: Tailscale, WireGuard in Go, OpenPCC, an ACME server, clients
    Peers,
    /// Run commands on the machines of a running `cargo xtask up`
    #[command(subcommand)]
    Lab(lab_command::Command),
}

fn main() -> ExitCode {
    stop::install();
    let result = match Cli::parse().command {
        Command::Up(args) => up::run(&args),
        Command::Test(args) => return test::run(&args).unwrap_or_else(|error| fail(&error)),
        Command::Bench(args) => bench::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Interop(command) => interop::run(&command),
        Command::Kernel(args) => kernel::run(&args),
        Command::Vm(args) => vm::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Sabotage(args) => sabotage::run(&args),
        Command::Package(args) => package::run(&args),
        Command::Setup => build::everything().map(drop),
        Command::Peers => test::build_peers(),
        Command::Lab(command) => return lab_command::run(command).unwrap_or_else(|e| fail(&e)),
    };
    result.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
