//! Options of the command line.

use std::path::{Path, PathBuf};

use chassis::{log::LogArgs, machine};
use clap::{
    Parser, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser as _},
    value_parser,
};
use gguf::CacheType;

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
    /// Tokens that each conversation may hold, prompt and reply together [default: as many as the model was trained
    /// for and memory holds]
    #[arg(long, value_name = "TOKENS", value_parser = value_parser!(u32).range(64..=1 << 20))]
    pub ctx: Option<u32>,
    /// Numbers that a conversation's memory is made of: the smaller, the more tokens fit, and the less exact is what is
    /// remembered of each
    #[arg(
        long,
        value_name = "TYPE",
        default_value = CacheType::default().as_str(),
        value_parser = PossibleValuesParser::new(CacheType::ALL.map(CacheType::as_str))
            .try_map(|text| text.parse::<CacheType>())
    )]
    pub cache_type: CacheType,
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
    /// Threads that compute, at most one for each core that this program may use [default: all of these cores but one]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=512))]
    pub threads: Option<u32>,
    /// When the model is loaded
    #[arg(long, value_enum, default_value = "now")]
    pub load: Load,
    /// What is logged.
    #[command(flatten)]
    pub log: LogArgs,
}

/// When the model is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Load {
    /// At the start.
    Now,
    /// At the start if memory has room for a second engine, else as with `asked`.
    Room,
    /// At the first request; once nothing is remembered of any, it is dropped again.
    Asked,
}

impl Options {
    /// Threads that compute.
    ///
    /// llama.cpp's threads wait for each other by spinning, several hundred times per token: if other programs use the
    /// cores, all threads wait for the slowest. Measured on two cores beside a load of 14, for 40 tokens: one thread 1
    /// to 7 s (0.5 s of processor time), two threads 44 s (7.7 s). So one core is left to others, and more threads than
    /// cores are never taken.
    pub(crate) fn thread_count(&self) -> u32 {
        let cores = machine::cores(Path::new("/"));
        let cores = u32::try_from(cores).unwrap_or(u32::MAX);
        threads(self.threads, cores)
    }

    /// The model's name in the list of models.
    pub(crate) fn model_name(&self) -> String {
        let stem = || self.model.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        self.alias.clone().or_else(stem).unwrap_or_else(|| "model".to_owned())
    }
}

fn threads(asked: Option<u32>, cores: u32) -> u32 {
    asked.unwrap_or_else(|| cores.saturating_sub(1)).clamp(1, cores.max(1))
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
    fn there_are_never_more_threads_than_cores() {
        let all = [(None, 1), (None, 2), (None, 8), (Some(3), 8), (Some(9), 8), (Some(1), 1)];
        assert_eq!(all.map(|(asked, cores)| threads(asked, cores)), [1, 1, 7, 3, 8, 1]);
    }

    #[test]
    fn impossible_numbers_are_refused() {
        for wrong in [
            ["--slots", "0"],
            ["--threads", "0"],
            ["--ctx", "8"],
            ["--cache-type", "f64"],
            ["--cache-seconds", "99999999999"],
        ] {
            assert!(
                Options::try_parse_from(["maru-llm", "--model", "m", wrong[0], wrong[1]]).is_err(),
                "{wrong:?}"
            );
        }
    }
}
