use std::io::{self, BufReader, Cursor};

use model_sample::{Gguf, Value, damage::seen_in_header, tiny};
use proptest::prelude::*;

use super::{error::HELD_MAX, *};

fn check(bytes: &[u8]) -> Result<Header, Error> {
    read_file(Cursor::new(bytes), bytes.len() as u64)
}

#[test]
fn a_header_describes_the_model_and_the_least_size_of_the_file() {
    let bytes = tiny().bytes();
    let header = check(&bytes).unwrap();
    assert_eq!(header.architecture.as_deref(), Some("llama"));
    assert_eq!(header.size_label.as_deref(), Some("20K"));
    assert_eq!(header.context_tokens, Some(256));
    // One layer, key and value of 2 heads with 8 numbers each, two bytes a number.
    assert_eq!(header.cache_bytes_per_token, Some(2 * 2 * 8 * 2));
    assert_eq!(header.least_bytes, bytes.len() as u64);
}

#[test]
fn unusable_headers_are_refused_in_one_sentence() {
    for damage in seen_in_header() {
        let what = damage.what;
        let error = check(&damage.bytes).expect_err(what).to_string();
        assert!(error.contains(damage.says), "{what}: {error}");
        assert!(!error.contains(char::is_control), "{what}: {error:?}");
    }
    let says = |bytes: &[u8]| check(bytes).unwrap_err().to_string();
    assert!(says(b"\x80\x02}q").contains("not a GGUF"));
}

/// Entries of real models, and entries that are not needed.
#[test]
fn headers_that_llama_cpp_accepts_are_accepted() {
    let layers = |count: usize| Value::U32s(vec![2; count]);
    for (what, file) in [
        ("version 2", Gguf { version: 2, ..tiny() }),
        ("heads for each layer", tiny().with("llama.attention.head_count_kv", layers(1))),
        ("experts", {
            let file = tiny().with("llama.expert_count", Value::U32(8));
            file.with("llama.expert_used_count", layers(1))
        }),
        ("one part", tiny().with("split.count", Value::U16(1))),
        ("a long text", tiny().with("tokenizer.chat_template", Value::Text("x".repeat(9000)))),
        ("a template that is a list", tiny().with("tokenizer.chat_template", Value::Texts(vec![]))),
        ("empty words", {
            let words = ["", "a", ""].map(str::to_owned).into();
            tiny().with("tokenizer.ggml.tokens", Value::Texts(words))
        }),
        ("another alignment", {
            let mut file = tiny().with("general.alignment", Value::U32(8));
            let mut next = 0;
            for tensor in &mut file.tensors {
                (tensor.offset, next) = (Some(next), next + tensor.bytes);
            }
            file
        }),
        ("kimi's words", {
            let file = tiny().without("tokenizer.ggml.merges");
            file.with("tokenizer.ggml.pre", Value::Text("kimi-k2".to_owned()))
        }),
    ] {
        check(&file.bytes()).unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

/// An endless header of different keys of 60,000 bytes, and how much of it was read.
#[derive(Default)]
struct Keys {
    buffer: Vec<u8>,
    at: usize,
    count: u64,
    read: u64,
}

impl io::Read for &mut Keys {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(to)?;
        self.consume(len);
        Ok(len)
    }
}

impl BufRead for &mut Keys {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() {
            self.buffer = if self.count == 0 {
                [&b"GGUF\x03\0\0\0"[..], &1_u64.to_le_bytes(), &ENTRIES_MAX.to_le_bytes()].concat()
            } else {
                let key = format!("{:060000}", self.count);
                [&60_000_u64.to_le_bytes()[..], key.as_bytes(), &[7, 0, 0, 0, 1]].concat()
            };
            (self.at, self.count) = (0, self.count + 1);
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, len: usize) {
        self.at += len;
        self.read += len as u64;
    }
}

#[test]
fn the_memory_for_a_header_is_bounded() {
    let mut keys = Keys::default();
    let error = read(&mut keys).unwrap_err();
    assert!(matches!(error, Error::TooMuch), "{error}");
    assert!(keys.read < HELD_MAX + (1 << 20), "{} bytes were read", keys.read);

    // Small keys take more memory than their bytes, and so do the hashes of words.
    let many = (0..1_200_000).map(|at| format!("{at:x}")).collect();
    let words = tiny().with("tokenizer.ggml.tokens", Value::Texts(many));
    assert!(matches!(check(&words.bytes()), Err(Error::TooMuch)));
    let most = (0..300_000).map(|at| format!("{at:x}")).collect();
    let words = tiny().without("tokenizer.ggml.token_type");
    check(&words.with("tokenizer.ggml.tokens", Value::Texts(most)).bytes()).unwrap();
}

proptest! {
    /// With one byte of the header changed and perhaps the file cut, the result is a header or an error of one line,
    /// and does not depend on how the file is read.
    #[test]
    fn no_header_breaks_the_reader(
        at in any::<prop::sample::Index>(), value: u8, end in any::<prop::sample::Index>(), cut: bool, piece in 1_usize..9,
    ) {
        let mut bytes = tiny().bytes();
        let header = tiny().header().len();
        bytes[at.index(header)] = value;
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        let found = check(&bytes);
        let again = read(BufReader::with_capacity(piece, &bytes[..]));
        match found {
            Ok(header) => prop_assert_eq!(again.ok(), Some(header)),
            Err(error) => prop_assert!(!error.to_string().contains(char::is_control)),
        }
    }

    #[test]
    fn a_file_that_was_cut_is_never_accepted(end in any::<prop::sample::Index>()) {
        let bytes = tiny().bytes();
        prop_assert!(check(&bytes[..end.index(bytes.len())]).is_err());
    }

    #[test]
    fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = check(&bytes);
        let _ = check(&[b"GGUF\x03\0\0\0".as_slice(), &bytes].concat());
    }
}
