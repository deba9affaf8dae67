//! `maru`: the one command that people type.

use std::process::ExitCode;

use clap::FromArgMatches as _;
use messages::Language;

fn main() -> ExitCode {
    Language::of_environment(|name| std::env::var(name).ok()).make_current();
    let matches = cli::help::command().get_matches();
    match cli::args::Cli::from_arg_matches(&matches) {
        Ok(cli) => cli::finish(cli::run(cli)),
        Err(error) => error.exit(),
    }
}
