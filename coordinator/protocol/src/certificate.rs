//! `POST /machine/certificate`: public certificates for names of the mesh. An extension of ours; stock clients do not ask.
//!
//! [`DnsConfig::cert_domains`](crate::map::DnsConfig::cert_domains) says which names a node may ask for. The node keeps its
//! private key: it sends a signing request (RFC 2986), and the coordinator proves the name to the authority.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::key::NodePublic;

/// Path of the request.
pub const PATH: &str = "/machine/certificate";

/// Largest request that a coordinator should read, in bytes.
pub const MAX_REQUEST_LEN: usize = 8 * 1024;

/// Largest response, in bytes.
pub const MAX_LEN: usize = 64 * 1024;

/// Longest time for an order, in seconds, the wait for others included.
pub const PATIENCE_S: u64 = 5 * 60;

/// Asks for the certificate of one name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CertificateRequest {
    /// The client's capability version.
    #[serde(default)]
    pub version: u32,
    /// The node that has the name.
    pub node_key: NodePublic,
    /// The signing request for that name alone, in PEM.
    pub signing_request: String,
}

/// Does not show the signing request, which is long.
impl fmt::Debug for CertificateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateRequest")
            .field("version", &self.version)
            .field("node_key", &self.node_key)
            .finish_non_exhaustive()
    }
}

/// The certificate. Errors are a status and a sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CertificateResponse {
    /// The chain in PEM, the name's own certificate first.
    pub chain: String,
}
