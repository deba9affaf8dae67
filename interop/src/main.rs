//! `stock-client`: joins a coordinator with the crates `tailscale` and `ts_control`, as any stock client would, and
//! exchanges packets with a mesh address.
//!
//! Each event is one JSON object on a line of stdout; logs go to stderr (`RUST_LOG`). Exit status: 0 done, 1 failed,
//! 2 usage. Static binaries resolve no names: give addresses, in the relay map too.

mod exchange;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use tailscale::{AuthState, Config, Device};
use tokio::time::timeout;
use tracing_subscriber::EnvFilter;

/// A stock client of the control protocol, for tests.
#[derive(Debug, Parser)]
#[command(name = "stock-client")]
struct Args {
    /// URL of the coordinator.
    #[arg(long)]
    control: url::Url,
    /// Pre-auth key. Without one, an `auth_url` event has the URL at which the device can be approved.
    #[arg(long)]
    authkey: Option<String>,
    /// Directory for the device's keys; the same directory is the same device.
    #[arg(long)]
    state: PathBuf,
    /// Name that the device requests.
    #[arg(long, default_value = "stock")]
    hostname: String,
    /// Whether the coordinator should remove the device once it is offline.
    #[arg(long)]
    ephemeral: bool,
    /// Time limit for joining, and again for the exchange, in seconds.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Joins, prints an event, and leaves.
    Join,
    /// Sends datagrams until COUNT of them came back.
    UdpEcho {
        /// Mesh address and port.
        to: SocketAddr,
        /// Number of datagrams that must come back.
        #[arg(long, default_value_t = 5)]
        count: u32,
        /// Length of each, in bytes.
        #[arg(long, default_value_t = 64)]
        size: usize,
    },
    /// Sends bytes over TCP and checks that they come back.
    TcpEcho {
        /// Mesh address and port.
        to: SocketAddr,
        /// Number of bytes.
        #[arg(long, default_value_t = 65_536)]
        bytes: usize,
    },
    /// Sends an HTTP GET and prints status and body.
    TcpGet {
        /// Mesh address and port.
        to: SocketAddr,
        /// Path to request.
        #[arg(long, default_value = "/")]
        path: String,
        /// Host header; the address if it is not given.
        #[arg(long)]
        host: Option<String>,
    },
    /// Returns every datagram to its sender, until killed.
    ListenUdpEcho {
        /// Port on both mesh addresses.
        port: u16,
    },
    /// Returns every byte of every connection, until killed.
    ListenTcpEcho {
        /// Port on both mesh addresses.
        port: u16,
    },
}

/// Prints one event.
fn event(value: &Value) {
    use std::io::Write as _;

    let mut out = std::io::stdout().lock();
    // The reader of the events may have exited; the exit status still reports the result.
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            event(&json!({"event": "failed", "error": format!("{error:#}")}));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<()> {
    let limit = Duration::from_secs(args.timeout);
    let device = timeout(limit, join(&args)).await.context("not joined in time")??;
    let done = match args.command {
        Command::Join => Ok(()),
        Command::UdpEcho { to, count, size } => {
            within(limit, exchange::udp_echo(&device, to, count, size)).await
        }
        Command::TcpEcho { to, bytes } => {
            within(limit, exchange::tcp_echo(&device, to, bytes)).await
        }
        Command::TcpGet { to, path, host } => {
            let host = host.unwrap_or_else(|| to.to_string());
            within(limit, exchange::tcp_get(&device, to, &path, &host)).await
        }
        Command::ListenUdpEcho { port } => exchange::listen_udp_echo(&device, port).await,
        Command::ListenTcpEcho { port } => exchange::listen_tcp_echo(&device, port).await,
    };
    device.shutdown(Some(Duration::from_secs(2))).await;
    done
}

async fn within(
    limit: Duration,
    exchange: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    timeout(limit, exchange).await.context("the exchange did not end in time")?
}

/// Joins, and returns once the device has its addresses.
async fn join(args: &Args) -> anyhow::Result<Device> {
    let mut config = Config::default_with_key_file(args.state.join("keys.json"))
        .await
        .context("cannot use --state")?;
    config.control_server_url = args.control.clone();
    config.requested_hostname = Some(args.hostname.clone());
    config.ephemeral = args.ephemeral;
    let device = Device::new(&config, args.authkey.clone()).await.context("cannot start")?;
    if let AuthState::NotAuthorized(url) = device.is_authorized().await.context("not registered")? {
        event(&json!({"event": "auth_url", "url": url.as_str()}));
    }
    let node = device.self_node().await.context("no network map was received")?;
    let (ipv4, ipv6) = (device.ipv4_addr().await?, device.ipv6_addr().await?);
    if ipv4.is_unspecified() {
        bail!("the coordinator gave no address");
    }
    event(&json!({
        "event": "joined",
        "id": node.id,
        "stable_id": node.stable_id.0,
        "name": node.hostname,
        "addresses": [ipv4, ipv6],
    }));
    Ok(device)
}
