//! Rules for a header's entries: those that the engine needs, and those without which llama.cpp ends the process
//! (`llama_model_loader`, `llama_model_base::load_hparams`, `llama_vocab::impl::load`).

use crate::{
    architectures::ARCHITECTURES,
    entries::{Entries, TOKENS, Value, kind},
    error::{Error, printable},
};

/// Most layers of a model (`LLAMA_MAX_LAYERS`).
const LAYERS_MAX: u32 = 512;
/// Most experts of a layer (`LLAMA_MAX_EXPERTS`).
const EXPERTS_MAX: u32 = 1024;
/// Default of `general.alignment` (`docs/gguf.md`).
const ALIGNMENT: u32 = 32;

/// The contents of a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The family, such as `llama`.
    pub architecture: Option<String>,
    /// Number of parameters as people write it, such as `135M`.
    pub size_label: Option<String>,
    /// Tokens that the model was trained to hold.
    pub context_tokens: Option<u64>,
    /// Bytes of one token in the cache of all layers, with 16 bits for each number; `None` if it is unknown.
    pub cache_bytes_per_token: Option<u64>,
    /// Least size of the whole file, in bytes: the end of its last tensor.
    pub least_bytes: u64,
}

/// The type of a value.
#[derive(Clone, Copy)]
enum ValueType {
    /// A single value of this kind.
    One(u32),
    /// A list of values of one of these kinds.
    List(&'static [u32]),
    /// A number for all layers, or a list with one number for each.
    Layers,
}

const U16: ValueType = ValueType::One(kind::U16);
const U32: ValueType = ValueType::One(kind::U32);
const F32: ValueType = ValueType::One(kind::F32);
const BOOL: ValueType = ValueType::One(kind::BOOL);
const TEXT: ValueType = ValueType::One(kind::TEXT);
const TEXTS: ValueType = ValueType::List(&[kind::TEXT]);
/// 8-bit numbers, signed or not.
const BYTES: ValueType = ValueType::List(&[0, 1]);

/// Types of entries of any model, if they are present.
const TYPES: &[(&str, ValueType)] = &[
    ("general.architecture", TEXT),
    ("general.name", TEXT),
    ("general.file_type", U32),
    ("general.alignment", U32),
    ("split.count", U16),
    ("tokenizer.ggml.model", TEXT),
    ("tokenizer.ggml.pre", TEXT),
    (TOKENS, TEXTS),
    ("tokenizer.ggml.token_type", ValueType::List(&[kind::I32])),
    ("tokenizer.ggml.token_type_count", U32),
    ("tokenizer.ggml.scores", ValueType::List(&[kind::F32, kind::I32])),
    ("tokenizer.ggml.merges", TEXTS),
    ("tokenizer.ggml.precompiled_charsmap", BYTES),
    ("tokenizer.ggml.suppress_tokens", ValueType::List(&[kind::I32])),
    ("tokenizer.ggml.bos_token_id", U32),
    ("tokenizer.ggml.eos_token_id", U32),
    ("tokenizer.ggml.eot_token_id", U32),
    ("tokenizer.ggml.eom_token_id", U32),
    ("tokenizer.ggml.unknown_token_id", U32),
    ("tokenizer.ggml.seperator_token_id", U32),
    ("tokenizer.ggml.padding_token_id", U32),
    ("tokenizer.ggml.mask_token_id", U32),
    ("tokenizer.ggml.fim_pre_token_id", U32),
    ("tokenizer.ggml.fim_suf_token_id", U32),
    ("tokenizer.ggml.fim_mid_token_id", U32),
    ("tokenizer.ggml.fim_pad_token_id", U32),
    ("tokenizer.ggml.fim_rep_token_id", U32),
    ("tokenizer.ggml.fim_sep_token_id", U32),
    ("tokenizer.ggml.prefix_token_id", U32),
    ("tokenizer.ggml.suffix_token_id", U32),
    ("tokenizer.ggml.middle_token_id", U32),
    ("tokenizer.ggml.add_bos_token", BOOL),
    ("tokenizer.ggml.add_eos_token", BOOL),
    ("tokenizer.ggml.add_sep_token", BOOL),
    ("tokenizer.ggml.add_space_prefix", BOOL),
    ("tokenizer.ggml.remove_extra_whitespaces", BOOL),
    ("tokenizer.ggml.normalizer.lowercase", BOOL),
    ("tokenizer.ggml.normalizer.strip_accents", BOOL),
];

/// The same for entries whose keys begin with the family.
const FAMILY_TYPES: &[(&str, ValueType)] = &[
    ("vocab_size", U32),
    ("context_length", U32),
    ("embedding_length", U32),
    ("embedding_length_out", U32),
    ("block_count", U32),
    ("nextn_predict_layers", U32),
    ("feed_forward_length", ValueType::Layers),
    ("expert_count", U32),
    ("expert_used_count", ValueType::Layers),
    ("expert_group_count", U32),
    ("expert_group_used_count", U32),
    ("pooling_type", U32),
    ("attention.causal", BOOL),
    ("attention.head_count", ValueType::Layers),
    ("attention.head_count_kv", ValueType::Layers),
    ("attention.key_length", U32),
    ("attention.value_length", U32),
    ("attention.key_length_swa", U32),
    ("attention.value_length_swa", U32),
    ("attention.layer_norm_epsilon", F32),
    ("attention.layer_norm_rms_epsilon", F32),
    ("rope.dimension_count", U32),
    ("rope.dimension_count_swa", U32),
    ("rope.freq_base", F32),
    ("rope.scale_linear", F32),
    ("rope.scaling.type", TEXT),
    ("rope.scaling.factor", F32),
    ("rope.scaling.alpha", F32),
    ("rope.scaling.attn_factor", F32),
    ("rope.scaling.original_context_length", U32),
    ("rope.scaling.finetuned", BOOL),
];

/// Values of `rope.scaling.type`.
const ROPE_SCALINGS: [&str; 4] = ["none", "linear", "yarn", "longrope"];
/// Values of `tokenizer.ggml.model`, without `none`: such a model has no vocabulary.
const TOKENIZERS: [&str; 9] =
    ["llama", "bert", "gpt2", "hybriddna", "whitespace", "t5", "rwkv", "plamo2", "gemma4"];
/// Tokenizers that need a list of merges.
const MERGING: [&str; 4] = ["gpt2", "hybriddna", "whitespace", "gemma4"];

/// Checks all entries.
pub(super) fn check(entries: &Entries) -> Result<(), Error> {
    let family = family(entries)?;
    for (key, expected) in TYPES {
        check_type(entries, key, *expected, 0)?;
    }
    if let Some(&Value::U16(parts @ 2..)) = entries.get("split.count") {
        return Err(Error::Part(parts));
    }
    let family = Family { name: family, entries };
    family.layers()?;
    family.experts()?;
    family.heads()?;
    family.rope()?;
    tokenizer(entries)
}

/// The alignment of tensors: each begins at a multiple of it.
pub(super) fn alignment(entries: &Entries) -> Result<u64, Error> {
    let key = "general.alignment";
    match entries.u32(key).unwrap_or(ALIGNMENT) {
        alignment if alignment.is_power_of_two() => Ok(alignment.into()),
        _ => Err(Error::entry(key, "is not a power of two")),
    }
}

/// The contents of a header that was checked, without the least size of the file.
pub(super) fn header(entries: &Entries) -> Header {
    let text = |key: &str| entries.text(key).map(|text| String::from_utf8_lossy(text).into_owned());
    let architecture = text("general.architecture");
    let number = |key: &str| {
        let number = entries.u32(&format!("{}.{key}", architecture.as_deref()?))?;
        Some(u64::from(number))
    };
    let cache = || {
        let heads = number("attention.head_count")?;
        let kept = number("attention.head_count_kv").unwrap_or(heads);
        let width = number("embedding_length")?.checked_div(heads)?;
        let key = number("attention.key_length").unwrap_or(width);
        let value = number("attention.value_length").unwrap_or(width);
        let numbers = key.checked_add(value)?.checked_mul(kept)?;
        numbers.checked_mul(number("block_count")?)?.checked_mul(2)
    };
    Header {
        size_label: text("general.size_label"),
        context_tokens: number("context_length"),
        cache_bytes_per_token: cache(),
        least_bytes: 0,
        architecture: architecture.clone(),
    }
}

fn family(entries: &Entries) -> Result<&'static str, Error> {
    let key = "general.architecture";
    let name = entries.text(key).ok_or_else(|| Error::entry(key, "is missing or not a text"))?;
    let known = ARCHITECTURES.iter().find(|known| known.as_bytes() == name);
    known.copied().ok_or_else(|| Error::Architecture(printable(name)))
}

/// Checks the type of a value, if it is present. A list for layers must have one number for each layer.
fn check_type(entries: &Entries, key: &str, expected: ValueType, layers: u32) -> Result<(), Error> {
    let Some(value) = entries.get(key) else { return Ok(()) };
    let fits = match (expected, value) {
        (ValueType::One(kind), value) => value.kind() == kind,
        (ValueType::List(kinds), Value::List { kind, .. }) => kinds.contains(kind),
        (ValueType::Layers, Value::List { kind, count, .. }) => {
            if *count != u64::from(layers) {
                return Err(Error::entry(key, "does not have one number for each layer"));
            }
            matches!(*kind, kind::U32 | kind::I32)
        }
        (ValueType::Layers, value) => value.kind() == kind::U32,
        (ValueType::List(_), _) => false,
    };
    if fits { Ok(()) } else { Err(Error::entry(key, "has the wrong type")) }
}

/// The entries whose keys begin with the family.
struct Family<'a> {
    name: &'static str,
    entries: &'a Entries,
}

impl Family<'_> {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    fn u32(&self, key: &str) -> Option<u32> {
        self.entries.u32(&self.key(key))
    }

    fn wrong(&self, key: &str, problem: &'static str) -> Error {
        Error::entry(self.key(key), problem)
    }

    /// A number that must be present and not zero.
    fn positive(&self, key: &str) -> Result<u32, Error> {
        match self.u32(key) {
            Some(0) => Err(self.wrong(key, "is 0")),
            Some(number) => Ok(number),
            None => Err(self.wrong(key, "is missing")),
        }
    }

    /// The largest number for any layer; 0 if there is none.
    fn largest(&self, key: &str) -> u32 {
        match self.entries.get(&self.key(key)) {
            Some(Value::U32(number)) => *number,
            Some(Value::List { numbers, .. }) => numbers.iter().copied().max().unwrap_or_default(),
            _ => 0,
        }
    }

    fn layers(&self) -> Result<(), Error> {
        let layers = self.u32("block_count").unwrap_or_default();
        for (key, expected) in FAMILY_TYPES {
            check_type(self.entries, &self.key(key), *expected, layers)?;
        }
        for key in ["context_length", "embedding_length", "block_count"] {
            self.positive(key)?;
        }
        if self.u32("context_length").is_some_and(|tokens| i32::try_from(tokens).is_err()) {
            return Err(self.wrong("context_length", "is more than 2^31"));
        }
        if layers > LAYERS_MAX {
            return Err(self.wrong("block_count", "is more than 512"));
        }
        if self.u32("nextn_predict_layers").is_some_and(|ahead| ahead >= layers) {
            return Err(self.wrong("nextn_predict_layers", "leaves no layer"));
        }
        Ok(())
    }

    fn experts(&self) -> Result<(), Error> {
        let (count, used) = (self.u32("expert_count").unwrap_or_default(), "expert_used_count");
        // These two families count the only feed-forward network of a layer as an expert.
        if count <= 1 && matches!(self.name, "hunyuan_vl" | "hunyuan-dense") {
            return Ok(());
        }
        if count > EXPERTS_MAX {
            return Err(self.wrong("expert_count", "is more than 1024"));
        }
        let most = self.largest(used);
        if most > count || (most == 0 && count > 0) {
            return Err(self.wrong(used, "does not fit expert_count"));
        }
        let groups = self.u32("expert_group_count").unwrap_or_default();
        let picked = self.u32("expert_group_used_count").unwrap_or_default();
        if groups > 0 && (groups >= count || count % groups != 0) {
            return Err(self.wrong("expert_group_count", "does not fit expert_count"));
        }
        if groups > 1 && !(1..groups).contains(&picked) {
            return Err(self.wrong("expert_group_used_count", "does not fit expert_group_count"));
        }
        Ok(())
    }

    /// The query heads are divided evenly among the key-value heads, and the embedding among the query heads.
    fn heads(&self) -> Result<(), Error> {
        let (query, kv) = ("attention.head_count", "attention.head_count_kv");
        let Some(heads) = self.u32(query).filter(|heads| *heads > 0) else { return Ok(()) };
        if self.u32("embedding_length").is_some_and(|width| width < heads) {
            return Err(self.wrong(query, "is more than embedding_length"));
        }
        match self.u32(kv) {
            Some(0) => Err(self.wrong(kv, "is 0")),
            Some(kv_heads) if heads % kv_heads != 0 => {
                Err(self.wrong(kv, "does not divide attention.head_count"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn rope(&self) -> Result<(), Error> {
        let key = "rope.scaling.type";
        let scaling = self.entries.text(&self.key(key));
        let is_known = |text: &[u8]| ROPE_SCALINGS.iter().any(|known| known.as_bytes() == text);
        if scaling.is_none_or(is_known) { Ok(()) } else { Err(self.wrong(key, "is unknown")) }
    }
}

/// Checks the vocabulary and the lists that belong to it.
fn tokenizer(entries: &Entries) -> Result<(), Error> {
    let (model, merges) = ("tokenizer.ggml.model", "tokenizer.ggml.merges");
    let name = entries.text(model).ok_or_else(|| Error::entry(model, "is missing"))?;
    let is_among = |known: &[&str]| known.iter().any(|known| known.as_bytes() == name);
    if !is_among(&TOKENIZERS) {
        return Err(Error::entry(model, "is not supported by the engine"));
    }
    let words = entries.count(TOKENS).unwrap_or_default();
    if words == 0 {
        return Err(Error::entry(TOKENS, "is missing or empty"));
    }
    for key in ["tokenizer.ggml.scores", "tokenizer.ggml.token_type"] {
        if entries.count(key).is_some_and(|count| count < words) {
            return Err(Error::entry(key, "is shorter than tokenizer.ggml.tokens"));
        }
    }
    // This tokenizer needs no list.
    let merges_itself = entries.text("tokenizer.ggml.pre") == Some(b"kimi-k2");
    if is_among(&MERGING) && !merges_itself && entries.get(merges).is_none() {
        return Err(Error::entry(merges, "is missing"));
    }
    Ok(())
}
