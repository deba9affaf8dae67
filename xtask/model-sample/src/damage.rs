//! Damaged model files: the tiny one with one thing wrong in it.

use crate::{Gguf, Tensor, Value, tensor, text, tiny};

const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";

/// A file with something wrong.
#[derive(Clone, Debug)]
pub struct Damage {
    /// What is wrong.
    pub what: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// A part of what must be said of it.
    pub says: &'static str,
}

/// Files that must not be accepted as a model because of their header.
#[must_use]
pub fn seen_in_header() -> Vec<Damage> {
    [entries(), family(), layers(), heads(), experts(), tokenizer(), words(), tensors(), cut()]
        .concat()
}

fn damage(what: &'static str, file: &Gguf, says: &'static str) -> Damage {
    Damage { what, bytes: file.bytes(), says }
}

fn entry(what: &'static str, key: &str, value: Value, says: &'static str) -> Damage {
    damage(what, &tiny().with(key, value), says)
}

fn entries() -> Vec<Damage> {
    let twice = |key: &str, value| tiny().and(key, value);
    vec![
        damage("version 1", &Gguf { version: 1, ..tiny() }, "version 1"),
        damage("version 4", &Gguf { version: 4, ..tiny() }, "version 4"),
        damage("big-endian", &Gguf { version: 3 << 24, ..tiny() }, "version 50331648"),
        damage("no entry", &Gguf { entries: Vec::new(), ..tiny() }, "general.architecture is"),
        damage(
            "a key twice",
            &twice("llama.block_count", Value::U32(1)),
            "block_count occurs twice",
        ),
        damage(
            "an unknown key twice",
            &twice("a", Value::U32(1)).and("a", Value::U32(1)),
            "a occurs twice",
        ),
        entry("an empty key", "", Value::U32(1), "damaged"),
        entry("a key with a zero", "a\0b", Value::U32(1), "damaged"),
        entry("an unknown kind", "a", Value::Raw(13, vec![0; 8]), "damaged"),
        entry(
            "a list of lists",
            "a",
            Value::Raw(9, [9_u32.to_le_bytes(), [0; 4], [0; 4]].concat()),
            "damaged",
        ),
        entry("a list longer than all", "a", list_of(12, u64::MAX / 4), "damaged"),
        entry("a list longer than the file", "a", list_of(8, 1 << 40), "cut"),
        entry("a list of flags longer than the file", "a", list_of(7, 1 << 40), "cut"),
        entry("an alignment of 0", "general.alignment", Value::U32(0), "not a power of two"),
        entry("an alignment of 3", "general.alignment", Value::U32(3), "not a power of two"),
        entry("an alignment as 64 bits", "general.alignment", Value::U64(32), "wrong type"),
        entry("a name that is a number", "general.name", Value::U32(1), "wrong type"),
        entry("one part of two", "split.count", Value::U16(2), "llama-gguf-split --merge"),
        entry("a count of parts in 32 bits", "split.count", Value::U32(2), "wrong type"),
    ]
}

/// The head of a list of such items.
pub(crate) fn list_of(kind: u32, count: u64) -> Value {
    Value::Raw(9, [&kind.to_le_bytes()[..], &count.to_le_bytes()[..]].concat())
}

fn family() -> Vec<Damage> {
    vec![
        entry(
            "an unknown family",
            "general.architecture",
            text("lama\u{1b}[2J"),
            "family lama?[2J",
        ),
        entry("an empty family", "general.architecture", text(""), "family"),
        entry("eyes alone", "general.architecture", text("clip"), "family clip"),
        entry(
            "a family that is a number",
            "general.architecture",
            Value::U32(1),
            "is missing or not a text",
        ),
        damage(
            "no family",
            &tiny().without("general.architecture"),
            "general.architecture is missing",
        ),
    ]
}

/// The entry of the tiny model's own family.
fn llama(what: &'static str, key: &str, value: Value, says: &'static str) -> Damage {
    entry(what, &format!("llama.{key}"), value, says)
}

fn layers() -> Vec<Damage> {
    let without =
        |what, key: &str, says| damage(what, &tiny().without(&format!("llama.{key}")), says);
    vec![
        without("no layers", "block_count", "block_count is missing"),
        llama("0 layers", "block_count", Value::U32(0), "block_count is 0"),
        llama("513 layers", "block_count", Value::U32(513), "block_count is more than 512"),
        llama("2^32 layers", "block_count", Value::U32(u32::MAX), "block_count is more than 512"),
        llama("layers as 64 bits", "block_count", Value::U64(1), "wrong type"),
        llama("layers as a text", "block_count", text("1"), "wrong type"),
        without("no context", "context_length", "context_length is missing"),
        llama(
            "a context of 2^31",
            "context_length",
            Value::U32(1 << 31),
            "context_length is more than 2^31",
        ),
        llama("a context of 0", "context_length", Value::U32(0), "context_length is 0"),
        without("no width", "embedding_length", "embedding_length is missing"),
        llama("a width of 0", "embedding_length", Value::U32(0), "embedding_length is 0"),
        llama("a width with a point", "embedding_length", Value::F32(32.0), "wrong type"),
        llama("no layer but ahead", "nextn_predict_layers", Value::U32(1), "leaves no layer"),
    ]
}

fn heads() -> Vec<Damage> {
    vec![
        llama(
            "heads for two layers",
            "attention.head_count",
            Value::U32s(vec![4, 4]),
            "one number for each layer",
        ),
        llama("heads in 16 bits", "attention.head_count", Value::U16(4), "wrong type"),
        llama(
            "more heads than numbers",
            "attention.head_count",
            Value::U32(64),
            "more than embedding_length",
        ),
        llama(
            "heads that do not divide",
            "attention.head_count_kv",
            Value::U32(3),
            "does not divide",
        ),
        llama("no kept heads", "attention.head_count_kv", Value::U32(0), "head_count_kv is 0"),
        llama(
            "an epsilon as a whole number",
            "attention.layer_norm_rms_epsilon",
            Value::U32(1),
            "wrong type",
        ),
        llama("an unknown scaling", "rope.scaling.type", text("x"), "rope.scaling.type is unknown"),
        llama("a scaling that is a number", "rope.scaling.type", Value::U32(1), "wrong type"),
    ]
}

fn experts() -> Vec<Damage> {
    let experts = |count, used| {
        tiny()
            .with("llama.expert_count", Value::U32(count))
            .with("llama.expert_used_count", Value::U32(used))
    };
    let groups = |groups, used| {
        let file = experts(8, 2).with("llama.expert_group_count", Value::U32(groups));
        file.with("llama.expert_group_used_count", Value::U32(used))
    };
    vec![
        damage("1,025 experts", &experts(1025, 2), "expert_count is more than 1024"),
        damage("more experts used than there are", &experts(4, 5), "does not fit expert_count"),
        damage("no expert used", &experts(4, 0), "does not fit expert_count"),
        damage("experts used and none there", &experts(0, 1), "does not fit expert_count"),
        damage("as many groups as experts", &groups(8, 1), "expert_group_count does not fit"),
        damage("groups that do not divide", &groups(3, 1), "expert_group_count does not fit"),
        damage("no group used", &groups(2, 0), "expert_group_used_count does not fit"),
        damage("all groups used", &groups(2, 2), "expert_group_used_count does not fit"),
    ]
}

fn tokenizer() -> Vec<Damage> {
    let without = |what, key: &str, says| damage(what, &tiny().without(key), says);
    vec![
        without("no tokenizer", "tokenizer.ggml.model", "tokenizer.ggml.model is missing"),
        entry(
            "a model without words",
            "tokenizer.ggml.model",
            text("none"),
            "not supported by the engine",
        ),
        entry(
            "an unknown tokenizer",
            "tokenizer.ggml.model",
            text("x"),
            "not supported by the engine",
        ),
        entry("a tokenizer that is a number", "tokenizer.ggml.model", Value::U32(1), "wrong type"),
        without("no merges", "tokenizer.ggml.merges", "merges is missing"),
        entry(
            "merges that are numbers",
            "tokenizer.ggml.merges",
            Value::U32s(vec![1]),
            "wrong type",
        ),
        entry("an end that is a text", "tokenizer.ggml.eos_token_id", text("a"), "wrong type"),
        entry(
            "a beginning with a sign",
            "tokenizer.ggml.bos_token_id",
            Value::Raw(5, vec![0; 4]),
            "wrong type",
        ),
        entry(
            "a flag that is a number",
            "tokenizer.ggml.add_bos_token",
            Value::U32(1),
            "wrong type",
        ),
    ]
}

fn words() -> Vec<Damage> {
    let texts = |texts: &[&str]| Value::Texts(texts.iter().map(|&text| text.to_owned()).collect());
    vec![
        damage("no words", &tiny().without(TOKENS), "tokens is missing or empty"),
        entry("an empty list of words", TOKENS, texts(&[]), "tokens is missing or empty"),
        entry("words that are numbers", TOKENS, Value::U32s(vec![1, 2]), "wrong type"),
        entry("one word", TOKENS, text("a"), "wrong type"),
        entry("a word twice", TOKENS, texts(&["a", "b", "a"]), "contains a word twice"),
        entry("scores that are too few", SCORES, Value::F32s(vec![1.0]), "shorter than"),
        entry("scores that are texts", SCORES, texts(&["a"]), "wrong type"),
        entry(
            "kinds that are too few",
            "tokenizer.ggml.token_type",
            Value::I32s(vec![1]),
            "shorter than",
        ),
        entry(
            "kinds without a sign",
            "tokenizer.ggml.token_type",
            Value::U32s(vec![1; 300]),
            "wrong type",
        ),
    ]
}

fn tensors() -> Vec<Damage> {
    let one = |what, change: fn(&mut Tensor), says| damage(what, &tiny().tensor(1, change), says);
    vec![
        damage("no tensor", &Gguf { tensors: Vec::new(), ..tiny() }, "damaged"),
        one("a name twice", |it| it.name = "token_embd.weight".to_owned(), "occurs twice"),
        one("a name that is too long", |it| it.name = "w".repeat(64), "damaged"),
        one(
            "a name with a zero",
            |it| it.name = "a\0b".to_owned(),
            "control characters in its name",
        ),
        one("five dimensions", |it| it.shape = vec![32, 1, 1, 1, 1], "more than four dimensions"),
        one("2^32 dimensions", |it| it.shape = vec![1; 1 << 10], "more than four dimensions"),
        one("a length with its sign bit", |it| it.shape = vec![1 << 63], "larger than any file"),
        one(
            "lengths whose product is too large",
            |it| it.shape = vec![1 << 32, 1 << 31],
            "larger than any file",
        ),
        one("a size that is too large", |it| it.shape = vec![1 << 61], "larger than any file"),
        one("an unknown type", |it| it.kind = 43, "has an unknown type"),
        one("a type of before", |it| it.kind = 4, "has an unknown type"),
        one("a type with its sign bit", |it| it.kind = u32::MAX, "has an unknown type"),
        one(
            "half a block in a row",
            |it| (it.kind, it.shape) = (10, vec![128]),
            "not a multiple of its type's blocks",
        ),
        one("an offset that overlaps", |it| it.offset = Some(0), "does not begin where"),
        one("an offset with a gap", |it| it.offset = Some(1 << 20), "does not begin where"),
        one("an offset that is not aligned", |it| it.offset = Some(33_025), "does not begin where"),
        one("an offset that is too large", |it| it.offset = Some(u64::MAX), "does not begin where"),
    ]
}

fn cut() -> Vec<Damage> {
    let cut = |what, bytes: &[u8], len| Damage { what, bytes: bytes[..len].to_vec(), says: "cut" };
    let (whole, header) = (tiny().bytes(), tiny().header().len());
    let more = Gguf { tensors: vec![tensor("w", vec![1 << 40])], ..tiny() };
    let mut many = tiny().bytes();
    many[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut much = tiny().bytes();
    much[16..24].copy_from_slice(&(1_u64 << 63).to_le_bytes());
    vec![
        cut("nothing", &whole, 0),
        cut("cut within the first numbers", &whole, 20),
        cut("cut within an entry", &whole, 100),
        cut("cut within the tensors", &whole, header - 10),
        cut("cut where the content begins", &whole, header),
        cut("cut within the content", &whole, header + 4000),
        cut("cut by one byte", &whole, whole.len() - 1),
        cut("a terabyte that is not there", &more.header(), more.header().len()),
        Damage { what: "2^64 tensors", bytes: many, says: "damaged" },
        Damage { what: "2^63 entries", bytes: much, says: "damaged" },
    ]
}
