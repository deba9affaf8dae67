//! Model files whose header can be used, and which llama.cpp may load, refuse or end the process for.

use crate::{Gguf, Value, damage::list_of, tensor, text, tiny};

const TOKENS: &str = "tokenizer.ggml.tokens";
const SCORES: &str = "tokenizer.ggml.scores";

/// What a header may say, and what llama.cpp may make of it: it may load, refuse or abort.
#[must_use]
pub fn left_to_llama_cpp(families: &[&str]) -> Vec<(String, Vec<u8>)> {
    let (mut files, bytes) = (Vec::new(), |file: Gguf| file.bytes());
    let mut add = |what: String, file: Gguf| files.push((what, bytes(file)));
    for at in 0..tiny().tensors.len() {
        let name = &tiny().tensors[at].name;
        let mut missing = tiny();
        missing.tensors.remove(at);
        add(format!("{name} is missing"), missing);
        add(
            format!("{name} is half as wide"),
            tiny().tensor(at, |it| (it.shape[0], it.bytes) = (it.shape[0] / 2, it.bytes / 2)),
        );
        add(
            format!("{name} has a third dimension"),
            tiny().tensor(at, |it| {
                it.shape.resize(2, 1);
                it.shape.push(2);
                it.bytes *= 2;
            }),
        );
        add(
            format!("{name} is empty"),
            tiny().tensor(at, |it| (it.shape, it.bytes) = (vec![0], 0)),
        );
        for (kind, half) in [(24, 4), (25, 2), (26, 1), (1, 2), (30, 2)] {
            add(
                format!("{name} is of type {kind}"),
                tiny().tensor(at, |it| (it.kind, it.bytes) = (kind, it.bytes / half)),
            );
        }
    }
    add("an unused tensor".to_owned(), {
        let mut more = tiny();
        more.tensors.push(tensor("what", vec![4]));
        more
    });
    for (key, values) in odd_values() {
        for value in values {
            add(format!("{key} is {value:?}"), tiny().with(key, value));
        }
        add(format!("{key} is missing"), tiny().without(key));
    }
    for family in families {
        add(format!("of the family {family}"), of_family(family));
    }
    files
}

/// Values that are written as they must be.
fn odd_values() -> Vec<(&'static str, Vec<Value>)> {
    let u32s = |all: &[u32]| all.iter().map(|&number| Value::U32(number)).collect::<Vec<_>>();
    let f32s = |all: &[f32]| all.iter().map(|&number| Value::F32(number)).collect::<Vec<_>>();
    let texts = |all: &[&str]| all.iter().map(|all| text(all)).collect::<Vec<_>>();
    let (numbers, points) = ([0, 1, 3, 7, 33, 1 << 20, u32::MAX], [0.0, -1.0, f32::NAN, f32::MAX]);
    let list =
        |of: &str, count: usize| Value::Texts((0..count).map(|at| format!("{of}{at}")).collect());
    vec![
        ("llama.context_length", u32s(&[1, 2, 63, (1 << 31) - 1])),
        ("llama.embedding_length", u32s(&numbers)),
        ("llama.embedding_length_out", u32s(&numbers)),
        ("llama.block_count", u32s(&[2, 512])),
        ("llama.vocab_size", u32s(&numbers)),
        ("llama.feed_forward_length", u32s(&numbers)),
        (
            "llama.attention.head_count",
            [u32s(&[0, 1, 2, 32]), vec![Value::I32s(vec![-1])]].concat(),
        ),
        (
            "llama.attention.head_count_kv",
            [u32s(&[1, 4]), vec![Value::I32s(vec![0]), Value::I32s(vec![3])]].concat(),
        ),
        ("llama.attention.key_length", u32s(&numbers)),
        ("llama.attention.value_length", u32s(&numbers)),
        ("llama.attention.layer_norm_rms_epsilon", f32s(&points)),
        ("llama.attention.causal", vec![Value::Bool(false), Value::Raw(7, vec![2])]),
        ("llama.pooling_type", u32s(&numbers)),
        ("llama.rope.dimension_count", u32s(&numbers)),
        ("llama.rope.freq_base", f32s(&points)),
        ("llama.rope.scaling.factor", f32s(&points)),
        ("llama.rope.scaling.original_context_length", u32s(&numbers)),
        ("llama.rope.scaling.type", texts(&["none", "yarn", "longrope"])),
        ("llama.expert_count", u32s(&[1, 2])),
        ("llama.expert_used_count", u32s(&[0])),
        ("general.file_type", u32s(&numbers)),
        (
            "tokenizer.ggml.model",
            texts(&["llama", "bert", "hybriddna", "whitespace", "t5", "rwkv", "plamo2", "gemma4"]),
        ),
        (
            "tokenizer.ggml.pre",
            texts(&["", "what", "llama-bpe", "kimi-k2", "deepseek-r1-qwen", "gemma4"]),
        ),
        (TOKENS, vec![list("", 1), list("a", 257), list("a", 258), list("a", 259)]),
        (SCORES, vec![Value::F32s(vec![f32::NAN; 258]), Value::I32s(vec![-1; 258])]),
        (
            "tokenizer.ggml.token_type",
            vec![Value::I32s(vec![-1; 258]), Value::I32s(vec![6; 258]), Value::I32s(vec![3; 300])],
        ),
        ("tokenizer.ggml.token_type_count", u32s(&numbers)),
        (
            "tokenizer.ggml.merges",
            vec![list("a b", 9), list("", 9), Value::Texts(vec![String::new(); 3])],
        ),
        ("tokenizer.ggml.bos_token_id", u32s(&numbers)),
        ("tokenizer.ggml.eos_token_id", u32s(&numbers)),
        ("tokenizer.ggml.precompiled_charsmap", vec![list_of(0, 0)]),
        ("tokenizer.chat_template", texts(&["", "{{", "{% for", "<|im_start|>", "[INST]"])),
    ]
}

/// The tiny model under another family's name.
fn of_family(family: &str) -> Gguf {
    let mut file = tiny().with("general.architecture", text(family));
    for (key, _) in &mut file.entries {
        if let Some(rest) = key.strip_prefix("llama.") {
            *key = format!("{family}.{rest}");
        }
    }
    file
}
