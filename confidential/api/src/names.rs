//! Headers, media types, hosts, paths and bounds.

/// The chain's own headers, in lower case.
pub mod header {
    /// Base64 of [`crate::routing::ComputeRequestInfo`], from client to router (OpenPCC `router/api/headers.go`).
    pub const ROUTING_INFO: &str = "x-routing-info";
    /// The ID of the responding node, from router to client.
    pub const NODE_ID: &str = "x-node-id";
    /// Base64 of the encapsulated key of the chosen node, from router to node.
    pub const ENCAPSULATED_KEY: &str = "x-encapsulated-key";
    /// OpenPCC's credit; ignored here.
    pub const CREDIT: &str = "x-credit";
    /// OpenPCC's amount of a credit, which OpenPCC's nodes require.
    pub const CREDIT_AMOUNT: &str = "x-credit-amount";
    /// The badge, inside the encrypted request.
    pub const BADGE: &str = "x-confsec-badge";
    /// The signature of the configuration, base64url.
    pub const SIGNATURE: &str = "maru-signature";
    /// Base64url of the certificate of the key that signed the configuration.
    pub const CERTIFICATE: &str = "maru-certificate";
}

/// Media types.
pub mod media {
    /// An encapsulated request (RFC 9458, section 9.2).
    pub const OHTTP_REQUEST: &str = "message/ohttp-req";
    /// An encapsulated response (RFC 9458, section 9.3).
    pub const OHTTP_RESPONSE: &str = "message/ohttp-res";
    /// The same in chunks (draft-ietf-ohai-chunked-ohttp).
    pub const OHTTP_CHUNKED_REQUEST: &str = "message/ohttp-chunked-req";
    /// The same in chunks (draft-ietf-ohai-chunked-ohttp).
    pub const OHTTP_CHUNKED_RESPONSE: &str = "message/ohttp-chunked-res";
    /// A list of key configurations (RFC 9458, section 9.1).
    pub const OHTTP_KEYS: &str = "application/ohttp-keys";
    /// The inner request (OpenPCC `messages/messages.go`).
    pub const REQUEST: &str = "application/confsec-req";
    /// The same in chunks.
    pub const CHUNKED_REQUEST: &str = "application/confsec-chunked-req";
    /// The inner response.
    pub const RESPONSE: &str = "application/confsec-res";
    /// The same in chunks.
    pub const CHUNKED_RESPONSE: &str = "application/confsec-chunked-res";
    /// Protobuf (OpenPCC `httpfmt/binary.go`).
    pub const BINARY: &str = "application/octet-stream";
    /// A problem document (RFC 9457).
    pub const PROBLEM: &str = common::problem::CONTENT_TYPE;
}

/// Type of the problem for a key that is unknown or not active (RFC 9458, section 5.3).
pub const OHTTP_KEY_PROBLEM: &str = "https://iana.org/assignments/http-problem-types#ohttp-key";

/// Kind of the problem (`urn:maru:problem:`) in a router's 404 for a node that is gone. A 404 without it means that the router
/// does not have the path.
pub const NODE_GONE: &str = "node-gone";

/// Hosts inside the encryption; `.invalid` is never resolved (RFC 2606).
pub mod host {
    /// The router, inside the outer encryption.
    pub const ROUTER: &str = "confsec-router.invalid";
    /// The worker, inside the inner encryption.
    pub const WORKER: &str = "confsec.invalid";
}

/// Paths.
pub mod path {
    /// Relay, gateway, router and node: a sealed request.
    pub const ROOT: &str = "/";
    /// Router: events of nodes.
    pub const NODE_EVENTS: &str = "/node-events";
    /// Router: the nodes with these tags.
    pub const COMPUTE_MANIFESTS: &str = "/compute-manifests";
    /// Router and node: evidence with a nonce.
    pub const ATTEST: &str = "/attest";
    /// Router: a health check through the chain.
    pub const PING: &str = "/ping";
    /// Router and node: a health check for operators.
    pub const HEALTH: &str = "/_health";
    /// Gateway: the signed bundle of its keys.
    pub const BUNDLE: &str = "/bundle";
    /// Auth: the configuration.
    pub const CONFIG: &str = "/api/config";
    /// Auth: a health check.
    pub const HEALTHZ: &str = "/healthz";
}

/// DNS names in a machine's certificate for its role as a client; `.invalid` is never resolved (RFC 2606).
pub mod role {
    /// A client of the router.
    pub const GATEWAY: &str = "maru-gateway.invalid";
    /// A client of nodes.
    pub const ROUTER: &str = "maru-router.invalid";
    /// A node, which sends events to the router.
    pub const NODE: &str = "maru-node.invalid";
}

/// Longest request, in bytes.
pub const REQUEST_MAX: usize = 2 << 20;
/// Longest evidence of one node, in bytes.
pub const EVIDENCE_MAX: usize = 1 << 20;
/// Maximum number of manifests in a response (OpenPCC `router/api/compute_manifest_request.go`).
pub const MANIFESTS_MAX: usize = 500;
/// Longest JSON document, in bytes.
pub const DOCUMENT_MAX: usize = 1 << 20;
/// Maximum number of candidates of a request.
pub const CANDIDATES_MAX: usize = 16;
/// Longest tag, in bytes (OpenPCC `tags/tags.go`).
pub const TAG_MAX: usize = 512;
/// Maximum number of tags of a node or a request.
pub const TAGS_MAX: usize = 64;
/// Longest URL of a node, in bytes.
pub const URL_MAX: usize = 2048;
/// Length of a nonce, in bytes.
pub const NONCE_LEN: usize = 32;

/// The tag of a node that has this model.
#[must_use]
pub fn model_tag(model: &str) -> String {
    format!("model={model}")
}
