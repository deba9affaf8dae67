//! Load for `cargo xtask bench rooms`: people of a homeserver who write, wait and start their apps. It speaks to telmeet's
//! socket, as the agent does, or to another homeserver's port, on one thread: what it costs is part of every figure.
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock")]
#![allow(clippy::print_stdout, reason = "the result is what it prints")]

mod client;
mod fan_out;
mod numbers;
mod start;
mod write;

use std::{
    error::Error,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Parser;
use serde_json::json;

use client::{Client, Target};

/// What people see when this fails.
type Failure = Box<dyn Error>;

/// Measures a homeserver, and prints one JSON object.
#[derive(Debug, Parser)]
struct Args {
    /// telmeet's socket
    #[arg(long, required_unless_present = "tcp")]
    unix: Option<PathBuf>,
    /// Address of another homeserver, at which anybody may register
    #[arg(long)]
    tcp: Option<String>,
    /// Its process, whose memory is read
    #[arg(long)]
    pid: u32,
    /// People who write at once
    #[arg(long, default_value_t = 50)]
    people: usize,
    /// Seconds for which they write, and for which streams listen
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Messages that are stored when an app starts
    #[arg(long, default_value_t = 100_000)]
    messages: usize,
    /// Streams that wait for messages
    #[arg(long, default_value_t = 400)]
    streams: usize,
    /// Only end once it answers
    #[arg(long)]
    ready: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let args = Args::parse();
    let target = match (&args.unix, &args.tcp) {
        (Some(socket), _) => Target::Telmeet(socket.clone()),
        (None, Some(address)) => Target::Other(address.clone()),
        (None, None) => return Err("no homeserver".into()),
    };
    if args.ready {
        return ready(&target).await;
    }
    let seconds = Duration::from_secs(args.seconds);
    let rest = numbers::resident_mib(args.pid)?;
    let mut people = Vec::new();
    for number in 0..args.people {
        people.push(Client::sign_in(&target, number).await?);
    }
    let room = write::room(&mut people).await?;
    let sent = write::at_once(&mut people, &room, seconds, usize::MAX).await?;
    let fan_out =
        fan_out::measure(&target, &mut people, &room, args.streams, seconds, args.pid).await?;
    let sliding = start::sliding(&target, args.people).await?;
    let missing =
        args.messages.saturating_sub(sent.count() + fan_out["sent"].as_u64().unwrap_or(0) as usize);
    write::at_once(&mut people, &room, Duration::MAX, missing).await?;
    let sync = start::sync(&mut people[0], &room).await?;
    println!(
        "{}",
        json!({
            "rest_mib": rest, "sent": sent.figures(), "fan_out": fan_out, "sliding": sliding,
            "messages": args.messages, "sync": sync, "end_mib": numbers::resident_mib(args.pid)?,
        })
    );
    Ok(())
}

/// Waits until the homeserver answers.
async fn ready(target: &Target) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        match Client::connect(target, 0).await {
            Ok(mut client) => match client.get("/_matrix/client/versions").await {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > Duration::from_secs(60) => return Err(error),
                Err(_) => {}
            },
            Err(error) if begun.elapsed() > Duration::from_secs(60) => return Err(error),
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
