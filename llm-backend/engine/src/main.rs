//! maru-llm.

use std::process::ExitCode;

use clap::Parser as _;
use maru_llm::{Options, run};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let options = Options::parse();
    let filter = EnvFilter::try_new(&options.log).unwrap_or_else(|_| EnvFilter::new("info"));
    // Below warnings llama.cpp may show tokens, so nobody can turn that on.
    let filter = match "llama-cpp-2=warn".parse() {
        Ok(limit) => filter.add_directive(limit),
        Err(_) => filter,
    };
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// Prints the chain of causes once.
#[allow(clippy::print_stderr, reason = "a person started it and reads why it stopped")]
fn failed(error: &dyn std::error::Error) -> ExitCode {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    eprintln!("maru-llm: {text}");
    ExitCode::FAILURE
}
