//! Options of `maru model`.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use clap::Args;
use messages::message;

use crate::{
    ollama::{self, Ollama},
    output::OutputArgs,
    up,
};

/// Whose models are meant.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct OllamaArgs {
    /// Models of a running Ollama, here or on another node at its mesh address [default: where the
    /// gateway's dial leads, or else http://127.0.0.1:11434]
    #[arg(long, value_name = "URL", num_args = 0..=1, value_parser = place)]
    ollama: Option<Option<SocketAddr>>,
}

impl OllamaArgs {
    /// A client, if an Ollama is meant.
    pub(super) fn client(&self, root: &Path) -> anyhow::Result<Option<Ollama>> {
        let Some(at) = self.ollama else { return Ok(None) };
        let at = match at {
            Some(at) => at,
            None => up::ollama::dialled(&up::config::agent(root)?)
                .unwrap_or_else(|| (Ipv4Addr::LOCALHOST, ollama::PORT).into()),
        };
        up::ollama::client(root, at).map(Some)
    }
}

/// The option's value: a name of a model behind it is not one.
fn place(text: &str) -> Result<SocketAddr, String> {
    ollama::address(text).map_err(|error| message!("ollama-option-before-name", error).to_string())
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(super) ollama: OllamaArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct NameArgs {
    /// Its name, as `maru model list` shows it
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    #[command(flatten)]
    pub(super) ollama: OllamaArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CopyArgs {
    /// Its name, as `maru model list` shows it
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// Another name for it
    #[arg(value_name = "NEW")]
    pub(super) new: String,
    #[command(flatten)]
    pub(super) ollama: OllamaArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct UseArgs {
    /// Its name, as `maru model list` shows it
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    #[command(flatten)]
    pub(super) ollama: OllamaArgs,
    /// Change an openclaw.json that Maru did not write, such as OpenClaw's own, too; the former file stays beside it
    #[arg(long)]
    pub(super) write: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct PullArgs {
    /// https://…/NAME.gguf, a file, or Ollama's folder of models; with --ollama a name, such as llama3.2:3b
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// Name of the model here [default: as in the source]
    #[arg(long, value_name = "NAME", conflicts_with = "ollama")]
    pub(crate) name: Option<String>,
    /// Which one of Ollama's models, such as llama3.2:3b
    #[arg(long, value_name = "MODEL", conflicts_with = "ollama")]
    pub(crate) model: Option<String>,
    /// Expected SHA-256 of the file, in hexadecimal digits
    #[arg(long, value_name = "DIGITS", value_parser = digest, conflicts_with = "ollama")]
    pub(crate) sha256: Option<[u8; 32]>,
    #[command(flatten)]
    pub(crate) ollama: OllamaArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Reads 64 hexadecimal digits; Ollama writes `sha256:` or `sha256-` before them.
pub(super) fn digest(text: &str) -> Result<[u8; 32], String> {
    let digits = ["sha256:", "sha256-"].iter().find_map(|before| text.strip_prefix(before));
    let mut digest = [0; 32];
    hex::decode_to_slice(digits.unwrap_or(text), &mut digest)
        .map_err(|_| message!("not-a-sha256").to_string())?;
    Ok(digest)
}
