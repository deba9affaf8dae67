//! What a header tells.

/// What a header tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The family, such as `llama`.
    pub architecture: Option<String>,
    /// Number of parameters as people write it, such as `135M`.
    pub size_label: Option<String>,
    /// Tokens that the model was trained to hold.
    pub context_tokens: Option<u64>,
    /// Bytes that one token takes in the cache of all layers, with 16 bits for each number; `None` if it is not told.
    pub cache_bytes_per_token: Option<u64>,
    /// Least size that the whole file has, in bytes: where the content of its last tensor ends.
    pub least_bytes: u64,
}
