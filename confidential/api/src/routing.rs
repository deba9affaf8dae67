//! A client's requests to the router, and routing information.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;

use crate::{
    evidence::EvidenceList,
    names::{CANDIDATES_MAX, MANIFESTS_MAX, NONCE_LEN, REQUEST_MAX},
    node::{NodeId, read_tags},
    protobuf::{self, Malformed, bounded, decode},
};

/// Longest encapsulated key, in bytes: with X-Wing, header and sealed key, it has 1,175.
pub const ENCAPSULATED_KEY_MAX: usize = 2048;

/// A node in the router's list. Its evidence is only a hint: clients request fresh evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeManifest {
    /// Its ID.
    pub id: NodeId,
    /// Its tags, at least one.
    pub tags: Vec<String>,
    /// The evidence that it sent to the router.
    pub evidence: EvidenceList,
}

impl ComputeManifest {
    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.write().encode_to_vec()
    }

    fn read(manifest: protobuf::Manifest) -> Result<Self, Malformed> {
        let (id, tags) = (manifest.id.parse()?, read_tags(manifest.tags)?);
        if tags.is_empty() {
            return Err(Malformed("a node must have a tag"));
        }
        Ok(Self { id, tags, evidence: EvidenceList::read(manifest.evidence)? })
    }

    fn write(&self) -> protobuf::Manifest {
        protobuf::Manifest {
            id: self.id.to_string(),
            tags: self.tags.clone(),
            evidence: Some(self.evidence.write()),
        }
    }
}

/// The router's response to a [`ComputeManifestRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComputeManifestList(pub Vec<ComputeManifest>);

impl ComputeManifestList {
    /// Longest list, in bytes.
    pub const LEN_MAX: usize = 16 << 20;

    /// Decodes a list of at most [`MANIFESTS_MAX`] manifests and [`Self::LEN_MAX`] bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        bounded(bytes, Self::LEN_MAX, "a list of manifests has at most 16 MiB")?;
        let list: protobuf::Manifests = decode(bytes, "not a list of manifests")?;
        bounded(&list.items, MANIFESTS_MAX, "there are at most 500 manifests")?;
        list.items.into_iter().map(ComputeManifest::read).collect::<Result<_, _>>().map(Self)
    }

    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let items = self.0.iter().map(ComputeManifest::write).collect();
        protobuf::Manifests { items }.encode_to_vec()
    }

    /// Appends an encoded manifest to an encoded list.
    pub fn append(list: &mut Vec<u8>, manifest: &[u8]) {
        list.push(0x0a);
        let mut len = manifest.len();
        while len >= 0x80 {
            // The low seven bits, with the continuation bit.
            list.push(u8::try_from(len & 0x7f).unwrap_or_default() | 0x80);
            len >>= 7;
        }
        list.push(u8::try_from(len).unwrap_or_default());
        list.extend_from_slice(manifest);
    }
}

/// A request for a list of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeManifestRequest {
    /// Required tags; none for all nodes.
    pub tags: Vec<String>,
    /// Maximum number of nodes, up to [`MANIFESTS_MAX`].
    pub limit: usize,
}

impl ComputeManifestRequest {
    /// Decodes a request.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        bounded(bytes, REQUEST_MAX, "a request has at most 2 MiB")?;
        let request: protobuf::ManifestRequest = decode(bytes, "not a request for manifests")?;
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit <= MANIFESTS_MAX);
        let limit = limit.ok_or(Malformed("the limit must be at most 500"))?;
        Ok(Self { tags: read_tags(request.tags)?, limit })
    }

    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let limit = i32::try_from(self.limit).unwrap_or(i32::MAX);
        protobuf::ManifestRequest { tags: self.tags.clone(), limit }.encode_to_vec()
    }
}

/// The nodes that a request is sealed to, in `X-Routing-Info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeRequestInfo {
    /// 1 to [`CANDIDATES_MAX`] nodes, each once.
    pub candidates: Vec<ComputeCandidate>,
}

/// A node that a request is sealed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeCandidate {
    /// The node.
    pub id: NodeId,
    /// The request's key, sealed to it.
    pub encapsulated_key: Vec<u8>,
}

impl ComputeRequestInfo {
    /// Decodes the candidates.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let info: protobuf::RequestInfo = decode(bytes, "not routing information")?;
        bounded(&info.candidates, CANDIDATES_MAX, "there are at most 16 candidates")?;
        let mut candidates: Vec<ComputeCandidate> = Vec::with_capacity(info.candidates.len());
        for it in info.candidates {
            let id = it.id.parse()?;
            if it.encapsulated_key.is_empty() || it.encapsulated_key.len() > ENCAPSULATED_KEY_MAX {
                return Err(Malformed(
                    "a candidate must have an encapsulated key of at most 2,048 bytes",
                ));
            }
            if candidates.iter().any(|known| known.id == id) {
                return Err(Malformed("a candidate is listed twice"));
            }
            candidates.push(ComputeCandidate { id, encapsulated_key: it.encapsulated_key });
        }
        if candidates.is_empty() {
            return Err(Malformed("there must be a candidate"));
        }
        Ok(Self { candidates })
    }

    /// Decodes the header's value: base64 with padding.
    ///
    /// # Errors
    ///
    /// As [`Self::decode`].
    pub fn decode_text(text: &[u8]) -> Result<Self, Malformed> {
        Self::decode(
            &STANDARD.decode(text).map_err(|_| Malformed("routing information must be base64"))?,
        )
    }

    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let candidate = |it: &ComputeCandidate| protobuf::Candidate {
            id: it.id.to_string(),
            encapsulated_key: it.encapsulated_key.clone(),
        };
        let candidates = self.candidates.iter().map(candidate).collect();
        protobuf::RequestInfo { candidates }.encode_to_vec()
    }

    /// Encodes the header's value.
    #[must_use]
    pub fn encode_text(&self) -> String {
        STANDARD.encode(self.encode())
    }
}

/// A request for a node's evidence with a nonce (`POST /attest`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestRequest {
    /// The node.
    pub node: NodeId,
    /// The client's nonce, new for each verification.
    pub nonce: [u8; NONCE_LEN],
}

impl AttestRequest {
    /// Decodes a request.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        bounded(bytes, 1024, "a request for evidence has at most 1 KiB")?;
        let request: protobuf::Attest = decode(bytes, "not a request for evidence")?;
        let nonce =
            request.nonce.try_into().map_err(|_| Malformed("a nonce must have 32 bytes"))?;
        Ok(Self { node: request.node_id.parse()?, nonce })
    }

    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let nonce = self.nonce.to_vec();
        protobuf::Attest { node_id: self.node.to_string(), nonce }.encode_to_vec()
    }
}
