//! maru-llm.

use std::process::ExitCode;

use clap::Parser as _;
use maru_llm::{Options, run};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

fn main() -> ExitCode {
    let options = Options::parse();
    let filter: Targets =
        options.log.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    // Below warnings llama.cpp may show tokens, so nobody can turn that on.
    let limit = Targets::new()
        .with_default(LevelFilter::TRACE)
        .with_target("llama-cpp-2", LevelFilter::WARN);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(limit).with(lines).init();
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
