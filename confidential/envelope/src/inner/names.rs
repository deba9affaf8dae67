//! What the messages of the inner layer are called, and how much they hold.

/// Media type and label of a request.
pub const REQUEST: &str = "application/confsec-req";

/// Media type and label of a request in chunks.
pub const CHUNKED_REQUEST: &str = "application/confsec-chunked-req";

/// Media type and label of a response.
pub const RESPONSE: &str = "application/confsec-res";

/// Media type and label of a response in chunks.
pub const CHUNKED_RESPONSE: &str = "application/confsec-chunked-res";

/// The one host that a question names: no resolver knows it.
pub const AUTHORITY: &str = "confsec.invalid";

/// The header of the user badge, inside the question.
pub const BADGE: &str = "x-confsec-badge";

/// Most nodes that one request is sealed to.
pub const MAX_CANDIDATES: usize = 8;

/// Bytes to a multiple of which questions and answers are padded, and most bytes of a chunk: 512 and a length of two.
pub const PADDING: usize = 514;

/// The one key id of a node.
pub(crate) const KEY_ID: u8 = 0;

/// Bytes of the key that seals a request. As it has 32, the cipher is AES-256-GCM, whatever the header's AEAD says.
pub(crate) const DEK: usize = 32;

/// Associated data of the sealed key.
pub(crate) const DEK_AAD: &[u8] = b"multi-encap-key";
