//! The inner layer as exchanges see it.

use super::names::{CHUNKED_REQUEST, CHUNKED_RESPONSE, PADDING, REQUEST, RESPONSE};
use crate::{chunks::Limits, exchange::Layer};

/// How much a request may hold that the node opens: 2 MiB, in chunks of [`PADDING`].
pub const REQUEST_LIMITS: Limits = Limits { chunk: PADDING, total: 2 << 20 };

/// How much a response may hold that the client opens: 64 MiB, in chunks of [`PADDING`].
pub const RESPONSE_LIMITS: Limits = Limits { chunk: PADDING, total: 64 << 20 };

pub(crate) static LAYER: Layer = Layer {
    request: REQUEST,
    chunked_request: CHUNKED_REQUEST,
    response: RESPONSE,
    chunked_response: CHUNKED_RESPONSE,
    chunk: PADDING,
};
