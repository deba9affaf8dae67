//! maru-llm.

use std::{error::Error, process::ExitCode};

use chassis::{failure, log::LevelFilter};
use clap::Parser as _;
use maru_llm::{Options, run};

fn main() -> ExitCode {
    let options = Options::parse();
    // Below level warn llama.cpp may log tokens, so that cannot be switched on.
    options.log.clone().start(&[("llama-cpp-2", LevelFilter::WARN)]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(options)).map_err(Box::<dyn Error>::from),
        Err(error) => Err(error.into()),
    };
    failure::exit("maru-llm", result)
}
