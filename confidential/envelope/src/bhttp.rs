//! Binary HTTP (RFC 9292): requests and responses as bytes, of known or indeterminate length.
//!
//! Strict: what HTTP/2 calls malformed is refused, padding is zeros, every length is bounded before it is believed.
//! Informational responses are read and passed over.

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
