//! What a household chooses for its engines, beside the model.

/// Variable of a Quadlet with the threads of an engine.
pub(crate) const THREADS: &str = "MARU_THREADS";
/// Variable of a Quadlet with the other options of an engine, as words.
pub(crate) const OPTIONS: &str = "MARU_OPTIONS";
/// Memory of an engine's conversations without a slot if nothing was chosen, in MiB: the default of its `--cache-mib`.
const CACHE_MIB: u32 = 512;

/// Options of an engine. What is [`None`] is the engine's own default (`maru-llm --help`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineOptions {
    /// Threads that compute, at least 1.
    pub threads: u16,
    /// Numbers that conversations are made of, such as `q8_0`.
    pub cache_type: Option<&'static str>,
    /// Memory for conversations without a slot, in MiB.
    pub cache_mib: Option<u32>,
    /// How long a conversation is remembered, in seconds.
    pub cache_seconds: Option<u32>,
    /// Whether the spare engine has a model of its own, which answers only if the other one does not.
    pub has_spare_model: bool,
}

impl EngineOptions {
    /// All but the threads as arguments of an engine, which may be the spare one: no value has a space in it.
    #[must_use]
    pub fn arguments(&self, is_spare: bool) -> Vec<String> {
        let load = if self.has_spare_model { "asked" } else { "room" };
        let options = [
            ("--load", is_spare.then(|| load.to_owned())),
            ("--cache-type", self.cache_type.map(str::to_owned)),
            ("--cache-mib", self.cache_mib.map(|mib| mib.to_string())),
            ("--cache-seconds", self.cache_seconds.map(|seconds| seconds.to_string())),
        ];
        let chosen = options.into_iter().filter_map(|(name, value)| Some((name, value?)));
        chosen.flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    /// Memory of conversations without a slot, in MiB, of an engine with these options, or of any.
    pub(crate) fn cache_mib(options: Option<&Self>) -> u64 {
        options.and_then(|options| options.cache_mib).unwrap_or(CACHE_MIB).into()
    }
}
