//! Load for `cargo xtask bench gateway` and `conversations`: a model server that answers at once, callers that count, and
//! conversations that are stored before.
//!
//! Server and callers speak HTTP/1.1 by hand, on one thread each: what they cost is part of every figure.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "the result is what it prints")]

mod ask;
mod backend;
mod caller;
mod fill;
mod response;
mod sealed;
mod summary;

use std::{error::Error, time::SystemTime};

use clap::Parser;
use rustix::process::{Resource, Rlimit};

/// What people see when this fails.
type Failure = Box<dyn Error>;

#[derive(Debug, Parser)]
enum Command {
    /// Answers as a model server; model `fast` at once, `paced` a token each 20 ms
    Backend(backend::Args),
    /// Asks, and prints one JSON object
    Ask(ask::Args),
    /// Ends once the gateway's socket answers
    Ready(ask::Target),
    /// Prints how many bytes the last chat had that the model server was asked
    Last(ask::Target),
    /// Stores conversations
    Fill(fill::Args),
}

fn main() -> Result<(), Failure> {
    let command = Command::parse();
    // Thousands of connections, whatever the shell allows.
    let most = rustix::process::getrlimit(Resource::Nofile).maximum;
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Backend(args) => backend::run(args).await,
            Command::Ask(args) => ask::run(args).await,
            Command::Ready(target) => ask::ready(&target).await,
            Command::Last(target) => ask::last(&target).await,
            Command::Fill(args) => fill::run(args).await,
        }
    })
}

/// Microseconds since 1970: each token says when it was sent.
fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
