//! maru-llm.

use std::{error::Error, process::ExitCode};

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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(options)).map_err(Box::<dyn Error>::from),
        Err(error) => Err(error.into()),
    };
    chassis::failure::exit("maru-llm", ended)
}
