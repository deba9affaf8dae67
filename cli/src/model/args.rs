//! Options of `maru model`.

use clap::Args;
use messages::message;

use crate::output::OutputArgs;

#[derive(Clone, Debug, Args)]
pub(crate) struct PullArgs {
    /// https://…/NAME.gguf, a file, or Ollama's folder of models
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// Name of the model here [default: as in the source]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Which one of Ollama's models, such as llama3.2:3b
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Expected SHA-256 of the file, in hexadecimal digits
    #[arg(long, value_name = "DIGITS", value_parser = digest)]
    pub(crate) sha256: Option<[u8; 32]>,
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
