//! Binary HTTP (RFC 9292): requests and responses as bytes, of known or indeterminate length.
//!
//! It is strict: messages that are malformed in HTTP/2 are refused, padding must be zeros, and lengths are limited.
//! Informational responses are skipped.

mod decode;
mod encode;
mod fields;
mod head;
mod limits;

pub use decode::{Decoder, Event, decode};
pub use encode::{Encoder, encode};
pub use head::{Head, RequestHead, ResponseHead, Scheme};
pub use limits::{MAX_FIELDS, MAX_HEAD, MAX_INFORMATIONAL, Malformed};

#[cfg(test)]
mod tests;
