//! The arguments of `maru up`.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use crate::{number, ollama, passphrase::PassphraseSource};

#[derive(Clone, Debug, Args)]
pub(crate) struct UpArgs {
    /// Name or address by which devices reach this machine [default: its address on the
    /// network]; only used by the first start
    #[arg(long, value_name = "HOST")]
    pub(crate) address: Option<String>,
    /// Domain of the network [default: maru.home.arpa]; only used by the first start
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
    /// Model for the embedded engine, a GGUF file; remembered
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// Threads of each engine [default: the engines share the cores]; remembered
    #[arg(long, value_name = "N", value_parser = number::within(1_u16..=512))]
    pub(crate) threads: Option<u16>,
    /// Engines: with a spare one, chats go on while an engine or the model changes, at the price of its
    /// memory [default: 2]; remembered
    #[arg(long, value_name = "N", value_parser = number::within(1_u8..=2))]
    pub(crate) engines: Option<u8>,
    /// Let the gateway ask an Ollama that runs here, or on another node at a mesh address
    /// [default: http://127.0.0.1:11434]; writes it into agent.toml and openclaw.json
    #[arg(
        long,
        value_name = "URL",
        num_args = 0..=1,
        default_missing_value = ollama::USUAL,
        value_parser = ollama::address
    )]
    pub(crate) ollama: Option<SocketAddr>,
    /// Let --ollama change an openclaw.json that Maru did not write, such as OpenClaw's own; the former file stays beside it
    #[arg(long, requires = "ollama")]
    pub(crate) write: bool,
    /// Person to create, if missing
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseSource,
    /// Show every line that the services log, not only warnings
    #[arg(short, long)]
    pub(crate) verbose: bool,
}
