//! Options of the command line.

use std::{path::PathBuf, thread};

use chassis::log::LogArgs;
use clap::{Parser, value_parser};

/// Serves one GGUF model over a UNIX socket, with llama-server's API.
#[derive(Clone, Debug, Parser)]
#[command(name = "maru-llm", version)]
pub struct Options {
    /// Directory that relative paths lie below
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Model file, in GGUF format
    #[arg(long, value_name = "FILE")]
    pub model: PathBuf,
    /// Name of the model in the list of models [default: the file's name]
    #[arg(long, value_name = "NAME")]
    pub alias: Option<String>,
    /// Socket to serve on
    #[arg(long, value_name = "FILE", default_value = "run/maru/inference/llm.sock")]
    pub socket: PathBuf,
    /// Tokens that each conversation may hold, prompt and reply together
    #[arg(long, value_name = "TOKENS", default_value_t = 4096, value_parser = value_parser!(u32).range(64..=1 << 20))]
    pub ctx: u32,
    /// Replies generated at the same time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u32).range(1..=64))]
    pub slots: u32,
    /// Requests that may wait for a slot; further ones are refused
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub queue: usize,
    /// Memory for conversations that have no slot, in MiB; those used least recently are forgotten first
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    pub cache_mib: usize,
    /// How long a conversation is remembered after its last reply, so that the next turn is quick; 0: not at all
    #[arg(long, value_name = "S", default_value_t = 600, value_parser = value_parser!(u64).range(..=31_536_000))]
    pub cache_seconds: u64,
    /// Threads that compute [default: half of the cores]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=512))]
    pub threads: Option<u32>,
    /// What is logged.
    #[command(flatten)]
    pub log: LogArgs,
}

impl Options {
    /// Threads that compute.
    ///
    /// llama.cpp's threads wait for each other by spinning, several hundred times per token: if other programs use the
    /// cores, all threads wait for the slowest. Measured on two cores beside a load of 14, for 40 tokens: one thread 1
    /// to 7 s (0.5 s of processor time), two threads 44 s (7.7 s). So the default is half of the cores.
    pub(crate) fn thread_count(&self) -> u32 {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(|| u32::try_from(cores / 2).unwrap_or(1).max(1))
    }

    /// The model's name in the list of models.
    pub(crate) fn model_name(&self) -> String {
        let stem = || self.model.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        self.alias.clone().or_else(stem).unwrap_or_else(|| "model".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn a_model_is_named_after_its_file_by_default() {
        let options = |more: &[&str]| {
            Options::parse_from([&["maru-llm", "--model", "m/SmolLM2.Q4.gguf"], more].concat())
        };
        assert_eq!(options(&[]).model_name(), "SmolLM2.Q4");
        assert_eq!(options(&["--alias", "smollm2"]).model_name(), "smollm2");
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for wrong in [
            ["--slots", "0"],
            ["--threads", "0"],
            ["--ctx", "8"],
            ["--cache-seconds", "99999999999"],
        ] {
            assert!(
                Options::try_parse_from(["maru-llm", "--model", "m", wrong[0], wrong[1]]).is_err(),
                "{wrong:?}"
            );
        }
    }
}
