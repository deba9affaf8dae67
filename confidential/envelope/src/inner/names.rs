//! Names and limits of the inner layer.

use crate::{chunks::Limits, exchange::Layer};

/// Media type and label of a request.
pub const REQUEST: &str = "application/confsec-req";

/// Media type and label of a request in chunks.
pub const CHUNKED_REQUEST: &str = "application/confsec-chunked-req";

/// Media type and label of a response.
pub const RESPONSE: &str = "application/confsec-res";

/// Media type and label of a response in chunks.
pub const CHUNKED_RESPONSE: &str = "application/confsec-chunked-res";

/// Requests and responses are padded to a multiple of so many bytes, the maximum of a chunk: 512 and a length of two.
pub const PADDING: usize = 514;

/// The key ID of every node.
pub(crate) const KEY_ID: u8 = 0;

/// Length of the key that seals a request, in bytes. The cipher is AES-256-GCM, whatever the header's AEAD says.
pub(crate) const DEK: usize = 32;

/// Associated data of the sealed key.
pub(crate) const DEK_AAD: &[u8] = b"multi-encap-key";

/// Limits of a request that the node opens: 2 MiB, in chunks of [`PADDING`].
pub const REQUEST_LIMITS: Limits = Limits { chunk: PADDING, total: 2 << 20 };

/// Limits of a response that the client opens: 64 MiB, in chunks of [`PADDING`].
pub const RESPONSE_LIMITS: Limits = Limits { chunk: PADDING, total: 64 << 20 };

pub(crate) static LAYER: Layer = Layer {
    request: REQUEST,
    chunked_request: CHUNKED_REQUEST,
    response: RESPONSE,
    chunked_response: CHUNKED_RESPONSE,
    chunk: PADDING,
};
