//! Asks through a confidential chain, for `cargo xtask bench confidential`: a model server whose replies cost next to
//! nothing, a caller that asks it directly and through the chain, and what verifying a node costs.
//!
//! The caller is the crate's own client, as `maru-gateway` uses it. It reads what to do from its input, one JSON object, and
//! prints another.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "the result is what it prints")]

mod ask;
mod engine;
mod summary;
mod verify;

use std::{error::Error, io};

/// What people see when this fails.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // The model server has one thread, as the bench has few processors; the caller has as many as `maru-gateway`.
    match words[..] {
        ["engine", port] => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(engine::run(port.parse()?))
        }
        ["measure"] => {
            let parameters = serde_json::from_reader(io::stdin())?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            println!("{}", runtime.block_on(ask::run(parameters))?);
            Ok(())
        }
        ["verify"] => {
            let parameters = serde_json::from_reader(io::stdin())?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            println!("{}", runtime.block_on(verify::run(parameters))?);
            Ok(())
        }
        _ => Err("say `engine PORT`, `measure` or `verify`".into()),
    }
}
