use std::io::Cursor;

use proptest::prelude::*;

use super::*;

/// Writes a header as converters do.
struct Gguf(Vec<u8>);

impl Gguf {
    fn new(tensors: u64, entries: u64) -> Self {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(entries.to_le_bytes());
        Self(bytes)
    }

    fn text(mut self, text: &str) -> Self {
        self.0.extend((text.len() as u64).to_le_bytes());
        self.0.extend(text.as_bytes());
        self
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn entry(self, key: &str, value: u32) -> Self {
        self.text(key).raw(&4_u32.to_le_bytes()).raw(&value.to_le_bytes())
    }

    /// A list of texts, as vocabularies are.
    fn texts(self, key: &str, texts: &[&str]) -> Self {
        let head = self.text(key).raw(&9_u32.to_le_bytes()).raw(&8_u32.to_le_bytes());
        let head = head.raw(&(texts.len() as u64).to_le_bytes());
        texts.iter().fold(head, |head, text| head.text(text))
    }

    /// A tensor of one dimension, `offset` bytes after the header's end.
    fn tensor(self, offset: u64) -> Self {
        let tensor = self.text("w").raw(&1_u32.to_le_bytes()).raw(&4_u64.to_le_bytes());
        tensor.raw(&0_u32.to_le_bytes()).raw(&offset.to_le_bytes())
    }
}

/// A header with all that is looked for, and the tensor's content.
fn model() -> Vec<u8> {
    let header = Gguf::new(1, 7)
        .text("general.architecture")
        .raw(&8_u32.to_le_bytes())
        .text("llama")
        .texts("tokenizer.ggml.tokens", &["a", "바다", ""])
        .entry("llama.context_length", 8192)
        .entry("llama.block_count", 30)
        .entry("llama.attention.head_count", 9)
        .entry("llama.attention.head_count_kv", 3)
        .entry("llama.embedding_length", 576)
        .tensor(64);
    let len = header.0.len().next_multiple_of(32) + 64 + 16;
    let mut bytes = header.0;
    bytes.resize(len, 7);
    bytes
}

#[test]
fn a_header_tells_what_the_model_is_and_how_long_the_file_must_be() {
    let bytes = model();
    let header = read(Cursor::new(&bytes)).unwrap();
    assert_eq!(header.architecture.as_deref(), Some("llama"));
    assert_eq!(header.context_tokens, Some(8192));
    // 30 layers, key and value of 3 heads with 64 numbers each, two bytes a number.
    assert_eq!(header.cache_bytes_per_token, Some(30 * 2 * 3 * 64 * 2));
    assert_eq!(header.least_bytes, bytes.len() as u64 - 16);
}

#[test]
fn what_is_no_model_is_told_by_name() {
    let says = |bytes: &[u8]| read(Cursor::new(bytes)).unwrap_err().to_string();
    assert!(says(b"\x80\x02}q").contains("not a GGUF"));
    assert!(says(b"GGUF\x01\0\0\0").contains("version 1"));
    assert!(says(b"GGUF\x03\0\0\0\x01").contains("cut"));
    assert!(says(&Gguf::new(u64::MAX, 0).0).contains("damaged"));
    let nested = Gguf::new(0, 1).text("k").raw(&9_u32.to_le_bytes()).raw(&9_u32.to_le_bytes());
    assert!(says(&nested.raw(&[0; 8]).0).contains("damaged"));
    let huge = Gguf::new(0, 1).text("k").raw(&9_u32.to_le_bytes()).raw(&12_u32.to_le_bytes());
    assert!(says(&huge.raw(&u64::MAX.to_le_bytes()).0).contains("damaged"));
}

proptest! {
    #[test]
    fn no_header_breaks_the_reader(mut bytes in Just(model()), at in 0_usize..300, value: u8, end in 0_usize..400) {
        let len = bytes.len();
        bytes[at % len] = value;
        bytes.truncate(end);
        let _ = read(Cursor::new(&bytes));
    }

    #[test]
    fn a_header_that_was_cut_is_never_taken(end in 0_usize..200) {
        let bytes = model();
        let header = bytes.len() - 64 - 16 - 32;
        prop_assert!(read(Cursor::new(&bytes[..end.min(header)])).is_err());
    }
}

#[test]
fn a_header_of_nothing_is_empty() {
    let header = read(Cursor::new(Gguf::new(0, 0).0)).unwrap();
    assert_eq!(header, Header { least_bytes: 24, ..Header::default() });
}
