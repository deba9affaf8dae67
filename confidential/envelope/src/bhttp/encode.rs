//! Encoding of messages.

use super::{
    fields,
    head::{Framing, Head},
};
use crate::{Plaintext, varint};

/// Encodes a message of known length, padded with zeros to a multiple of so many bytes (1 for none).
#[must_use]
pub fn encode<H: Head>(head: &H, content: &[u8], multiple: usize) -> Plaintext {
    let mut bytes = begin(head, Framing::TestCandidate);
    let mut lines = Vec::new();
    fields::write(head.headers(), &mut lines);
    fields::text(&lines, &mut bytes);
    varint::write_len(content.len(), &mut bytes);
    let mut message = Plaintext::default();
    let trailers = 1;
    let length = bytes.len() + content.len() + trailers;
    message.reserve(length.next_multiple_of(multiple.max(1)));
    message.append(&bytes);
    message.append(content);
    message.append(&[0]);
    message.append(&padding(length, multiple));
    message
}

/// Encodes a message of indeterminate length in parts.
#[derive(Debug)]
pub struct Encoder {
    multiple: usize,
    /// Bytes written so far.
    written: usize,
}

impl Encoder {
    /// Encodes the head of a message that is padded to a multiple of so many bytes (1 for none).
    #[must_use]
    pub fn new<H: Head>(head: &H, multiple: usize) -> (Self, Plaintext) {
        let mut bytes = begin(head, Framing::Indeterminate);
        fields::write(head.headers(), &mut bytes);
        bytes.push(0);
        (Self { multiple, written: bytes.len() }, bytes.into())
    }

    /// Encodes a part of the content.
    #[must_use]
    pub fn content(&mut self, content: &[u8]) -> Plaintext {
        let mut chunk = Plaintext::default();
        if !content.is_empty() {
            let mut length = Vec::new();
            varint::write_len(content.len(), &mut length);
            chunk.reserve(length.len() + content.len());
            chunk.append(&length);
            chunk.append(content);
        }
        self.written += chunk.len();
        chunk
    }

    /// Encodes the end of the message, without trailers.
    #[must_use]
    pub fn finish(self) -> Plaintext {
        let mut end = vec![0, 0];
        end.extend(padding(self.written + end.len(), self.multiple));
        end.into()
    }
}

fn begin<H: Head>(head: &H, framing: Framing) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint::write(framing.indicator::<H>(), &mut bytes);
    head.control(&mut bytes);
    bytes
}

fn padding(length: usize, multiple: usize) -> Vec<u8> {
    vec![0; length.next_multiple_of(multiple.max(1)) - length]
}
