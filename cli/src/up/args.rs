//! The arguments of `maru up`.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;
use gguf::CacheType;

use crate::{
    number, ollama,
    passphrase::PassphraseSource,
    up::{checks, saved_options::SavedOptions},
};

/// Options of the engines, which later runs use, too.
#[derive(Clone, Debug, Args)]
pub(crate) struct EngineArgs {
    /// Threads of each engine [default: the engines share the cores]; remembered
    #[arg(long, value_name = "N", value_parser = number::within(1_u16..=512))]
    threads: Option<u16>,
    /// Engines: with a spare one, chats go on while an engine or the model changes, at the price of its
    /// memory [default: 2]; remembered
    #[arg(long, value_name = "N", value_parser = number::within(1_u8..=2))]
    engines: Option<u8>,
    /// Model of the spare engine, a GGUF file: it answers only if the other engine does not, and takes no memory before; the model
    /// of the other one makes both the same again; remembered
    #[arg(long, value_name = "FILE")]
    spare_model: Option<PathBuf>,
    /// Numbers that conversations are made of: f16, or q8_0 or q4_0, with which twice or four times as many tokens fit, less
    /// exactly [default: f16]; remembered
    #[arg(long, value_name = "TYPE")]
    cache_type: Option<CacheType>,
    /// Memory of each engine for conversations whose next turn is quick, in MiB [default: 512]; remembered
    #[arg(long, value_name = "MIB", value_parser = number::within(0_u32..=1 << 20))]
    cache_mib: Option<u32>,
    /// How long an engine remembers a conversation after its last reply, in seconds; 0: not at all [default: 600]; remembered
    #[arg(long, value_name = "S", value_parser = number::within(0_u32..=31_536_000))]
    cache_seconds: Option<u32>,
}

impl EngineArgs {
    /// Writes what was given into the saved options, beside the model that answers; returns whether that changes them.
    ///
    /// # Errors
    ///
    /// The spare engine's model cannot be used.
    pub(crate) fn keep(&self, saved: &mut SavedOptions, model: &Path) -> anyhow::Result<bool> {
        let before = saved.clone();
        saved.threads = self.threads.or(saved.threads);
        saved.engines = self.engines.or(saved.engines);
        saved.cache_type = self.cache_type.or(saved.cache_type);
        saved.cache_mib = self.cache_mib.or(saved.cache_mib);
        saved.cache_seconds = self.cache_seconds.or(saved.cache_seconds);
        if let Some(path) = &self.spare_model {
            saved.spare_model = Some(checks::model(path)?.path);
        }
        saved.spare_model.take_if(|spare| spare == model);
        Ok(*saved != before)
    }
}

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
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
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
