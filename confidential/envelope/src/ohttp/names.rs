//! What the messages of the outer layer are called, and how much they hold.

use crate::{chunks::Limits, exchange::Layer};

/// Media type of a list of key configurations (RFC 9458, section 3.2).
pub const KEYS: &str = "application/ohttp-keys";

/// Media type of a request (RFC 9458, section 4.4).
pub const REQUEST: &str = "message/ohttp-req";

/// Media type of a response.
pub const RESPONSE: &str = "message/ohttp-res";

/// Media type of a request in chunks (draft-ietf-ohai-chunked-ohttp-08, section 4).
pub const CHUNKED_REQUEST: &str = "message/ohttp-chunked-req";

/// Media type of a response in chunks.
pub const CHUNKED_RESPONSE: &str = "message/ohttp-chunked-res";

/// The problem type of a gateway that does not have the key (RFC 9458, section 5.3); the status is 400.
pub const KEY_PROBLEM: &str = "https://iana.org/assignments/http-problem-types#ohttp-key";

/// Bytes of a chunk that everyone takes (draft-ietf-ohai-chunked-ohttp-08, section 6): also the most that is sent.
pub const CHUNK: usize = 16_384;

/// How much a request may hold that the gateway opens: 2 MiB, in chunks of [`CHUNK`].
pub const REQUEST_LIMITS: Limits = Limits { chunk: CHUNK, total: 2 << 20 };

/// How much a response may hold that the client opens: 64 MiB, in chunks of [`CHUNK`].
pub const RESPONSE_LIMITS: Limits = Limits { chunk: CHUNK, total: 64 << 20 };

pub(crate) static LAYER: Layer = Layer {
    request: "message/bhttp request",
    chunked_request: "message/bhttp chunked request",
    response: "message/bhttp response",
    chunked_response: "message/bhttp chunked response",
    chunk: CHUNK,
};
