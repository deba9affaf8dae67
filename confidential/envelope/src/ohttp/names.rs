//! Labels and limits of the outer layer.

use crate::{chunks::Limits, exchange::Layer};

/// Maximum length of a chunk, which every implementation accepts (draft-ietf-ohai-chunked-ohttp-08, section 6).
pub const CHUNK: usize = 16_384;

/// Limits of a request that the gateway opens: 2 MiB, in chunks of [`CHUNK`].
pub const REQUEST_LIMITS: Limits = Limits { chunk: CHUNK, total: 2 << 20 };

/// Limits of a response that the client opens: 64 MiB, in chunks of [`CHUNK`].
pub const RESPONSE_LIMITS: Limits = Limits { chunk: CHUNK, total: 64 << 20 };

pub(crate) static LAYER: Layer = Layer {
    request: "message/bhttp request",
    chunked_request: "message/bhttp chunked request",
    response: "message/bhttp response",
    chunked_response: "message/bhttp chunked response",
    chunk: CHUNK,
};
