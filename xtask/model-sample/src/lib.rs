//! Model files for tests: a tiny one that llama.cpp loads and computes with, and what can be changed in it.
#![forbid(unsafe_code)]

pub mod damage;
pub mod odd;

/// Words of the tiny model besides one for each byte.
const SPECIAL: [&str; 2] = ["<|im_start|>", "<|im_end|>"];
/// Its width.
const WIDTH: u64 = 32;
/// Width between the two halves of a layer.
const INNER: u64 = 64;
/// 32-bit numbers (`GGML_TYPE_F32`).
const F32: u32 = 0;

/// A value as it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// 16 bits.
    U16(u16),
    /// 32 bits.
    U32(u32),
    /// 64 bits.
    U64(u64),
    /// A number with a point.
    F32(f32),
    /// Yes or no.
    Bool(bool),
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// A list of numbers.
    U32s(Vec<u32>),
    /// A list of numbers with a sign.
    I32s(Vec<i32>),
    /// A list of numbers with a point.
    F32s(Vec<f32>),
    /// Any kind, with these bytes.
    Raw(u32, Vec<u8>),
}

/// The description of a tensor in the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its type, by ggml's number.
    pub kind: u32,
    /// Where it begins, if it is not where the one before it ends.
    pub offset: Option<u64>,
    /// Bytes of its content.
    pub bytes: u64,
}

/// A model file.
#[derive(Clone, Debug, PartialEq)]
pub struct Gguf {
    /// The format's version.
    pub version: u32,
    /// Keys and values, in order.
    pub entries: Vec<(String, Value)>,
    /// Tensors, in order.
    pub tensors: Vec<Tensor>,
}

/// A Llama of one layer with random-looking weights: 80 KiB. It says nothing of sense.
#[must_use]
pub fn tiny() -> Gguf {
    let words: Vec<String> = (0..=u8::MAX).map(word).chain(SPECIAL.map(str::to_owned)).collect();
    let count = words.len() as u64;
    // CONTROL (3) for the last two, NORMAL (1) for the others.
    let kinds = (0..words.len()).map(|at| if at > usize::from(u8::MAX) { 3 } else { 1 }).collect();
    let entries = [
        ("general.architecture", text("llama")),
        ("general.size_label", text("20K")),
        ("llama.context_length", Value::U32(256)),
        ("llama.embedding_length", Value::U32(32)),
        ("llama.block_count", Value::U32(1)),
        ("llama.feed_forward_length", Value::U32(64)),
        ("llama.attention.head_count", Value::U32(4)),
        ("llama.attention.head_count_kv", Value::U32(2)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(1e-5)),
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("gpt-2")),
        ("tokenizer.ggml.tokens", Value::Texts(words)),
        ("tokenizer.ggml.token_type", Value::I32s(kinds)),
        ("tokenizer.ggml.merges", Value::Texts(Vec::new())),
        ("tokenizer.ggml.bos_token_id", Value::U32(256)),
        ("tokenizer.ggml.eos_token_id", Value::U32(257)),
    ];
    let tensors = [
        ("token_embd", vec![WIDTH, count]),
        ("output_norm", vec![WIDTH]),
        ("blk.0.attn_norm", vec![WIDTH]),
        ("blk.0.attn_q", vec![WIDTH, WIDTH]),
        ("blk.0.attn_k", vec![WIDTH, WIDTH / 2]),
        ("blk.0.attn_v", vec![WIDTH, WIDTH / 2]),
        ("blk.0.attn_output", vec![WIDTH, WIDTH]),
        ("blk.0.ffn_norm", vec![WIDTH]),
        ("blk.0.ffn_gate", vec![WIDTH, INNER]),
        ("blk.0.ffn_up", vec![WIDTH, INNER]),
        ("blk.0.ffn_down", vec![INNER, WIDTH]),
    ];
    Gguf {
        version: 3,
        entries: entries.map(|(key, value)| (key.to_owned(), value)).into(),
        tensors: tensors.map(|(name, shape)| tensor(&format!("{name}.weight"), shape)).into(),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A tensor of 32-bit numbers.
#[must_use]
pub fn tensor(name: &str, shape: Vec<u64>) -> Tensor {
    let bytes = shape.iter().product::<u64>() * 4;
    Tensor { name: name.to_owned(), shape, kind: F32, offset: None, bytes }
}

/// The character for a byte in GPT-2's encoding: itself if it is printable, else the next unused character.
fn word(byte: u8) -> String {
    let is_seen = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let before = (0..byte).filter(|byte| !is_seen(*byte)).count();
    let shown = if is_seen(byte) { u32::from(byte) } else { 256 + before as u32 };
    char::from_u32(shown).into_iter().collect()
}

impl Gguf {
    /// Gives an entry another value, or adds it.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value) -> Self {
        match self.entries.iter_mut().find(|(known, _)| known == key) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((key.to_owned(), value)),
        }
        self
    }

    /// Adds an entry, whether its key is there or not.
    #[must_use]
    pub fn and(mut self, key: &str, value: Value) -> Self {
        self.entries.push((key.to_owned(), value));
        self
    }

    /// Takes an entry out.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.entries.retain(|(known, _)| known != key);
        self
    }

    /// Changes the tensor at this place.
    #[must_use]
    pub fn tensor(mut self, at: usize, change: impl FnOnce(&mut Tensor)) -> Self {
        change(&mut self.tensors[at]);
        self
    }

    /// The header's bytes.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        let mut to = b"GGUF".to_vec();
        to.extend(self.version.to_le_bytes());
        to.extend((self.tensors.len() as u64).to_le_bytes());
        to.extend((self.entries.len() as u64).to_le_bytes());
        for (key, value) in &self.entries {
            write_text(&mut to, key);
            write(&mut to, value);
        }
        let mut next = 0;
        for tensor in &self.tensors {
            write_text(&mut to, &tensor.name);
            to.extend((tensor.shape.len() as u32).to_le_bytes());
            to.extend(tensor.shape.iter().flat_map(|length| length.to_le_bytes()));
            to.extend(tensor.kind.to_le_bytes());
            to.extend(tensor.offset.unwrap_or(next).to_le_bytes());
            next += tensor.bytes.next_multiple_of(32);
        }
        to
    }

    /// The whole file: the header and numbers between -0.25 and 0.25.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut to = self.header();
        to.resize(to.len().next_multiple_of(32), 0);
        let numbers = self.tensors.iter().map(|tensor| tensor.bytes.next_multiple_of(32) / 4).sum();
        for at in 0_u64..numbers {
            let mixed = (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16;
            to.extend((f32::from(mixed) / f32::from(u16::MAX) * 0.5 - 0.25).to_le_bytes());
        }
        to
    }
}

fn write_text(to: &mut Vec<u8>, text: &str) {
    to.extend((text.len() as u64).to_le_bytes());
    to.extend(text.as_bytes());
}

fn write(to: &mut Vec<u8>, value: &Value) {
    let mut list = |kind: u32, count: usize, items: Vec<u8>| {
        to.extend([9, kind].map(u32::to_le_bytes).concat());
        to.extend((count as u64).to_le_bytes());
        to.extend(items);
    };
    let (kind, bytes) = match value {
        Value::Texts(texts) => {
            let mut items = Vec::new();
            texts.iter().for_each(|item| write_text(&mut items, item));
            return list(8, texts.len(), items);
        }
        Value::U32s(all) => {
            return list(4, all.len(), all.iter().flat_map(|it| it.to_le_bytes()).collect());
        }
        Value::I32s(all) => {
            return list(5, all.len(), all.iter().flat_map(|it| it.to_le_bytes()).collect());
        }
        Value::F32s(all) => {
            return list(6, all.len(), all.iter().flat_map(|it| it.to_le_bytes()).collect());
        }
        Value::Text(all) => {
            to.extend(8_u32.to_le_bytes());
            return write_text(to, all);
        }
        Value::U16(number) => (2, number.to_le_bytes().to_vec()),
        Value::U32(number) => (4, number.to_le_bytes().to_vec()),
        Value::U64(number) => (10, number.to_le_bytes().to_vec()),
        Value::F32(number) => (6, number.to_le_bytes().to_vec()),
        Value::Bool(is) => (7, vec![u8::from(*is)]),
        Value::Raw(kind, bytes) => (*kind, bytes.clone()),
    };
    to.extend(kind.to_le_bytes());
    to.extend(bytes);
}
