//! What a client asks of the router, and what it says to be routed.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message as _;

use crate::{
    evidence::EvidenceList,
    names::{CANDIDATES_MAX, MANIFESTS_MAX, NONCE_LEN, REQUEST_MAX},
    node::{NodeId, read_tags},
    protobuf::{self, Malformed, bounded, decode},
};

/// Longest encapsulated key, in bytes: X-Wing's, with the header before it and the sealed key behind it, has 1,175.
pub const ENCAPSULATED_KEY_MAX: usize = 2048;

/// A node as the router shows it. What it shows only tells whether it is worth asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeManifest {
    /// Its name.
    pub id: NodeId,
    /// Its tags, at least one.
    pub tags: Vec<String>,
    /// What it showed the router.
    pub evidence: EvidenceList,
}

impl ComputeManifest {
    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.write().encode_to_vec()
    }

    fn read(manifest: protobuf::Manifest) -> Result<Self, Malformed> {
        let (id, tags) = (manifest.id.parse()?, read_tags(manifest.tags)?);
        if tags.is_empty() {
            return Err(Malformed("a node has at least one tag"));
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

/// The router's answer to a [`ComputeManifestRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComputeManifestList(pub Vec<ComputeManifest>);

impl ComputeManifestList {
    /// Longest list that a router sends and a client reads, in bytes.
    pub const LEN_MAX: usize = 16 << 20;

    /// Reads a list of at most [`MANIFESTS_MAX`] manifests and [`Self::LEN_MAX`] bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is none, or breaks a bound.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        bounded(bytes, Self::LEN_MAX, "a list of manifests has at most 16 MiB")?;
        let list: protobuf::Manifests = decode(bytes, "no list of manifests")?;
        bounded(&list.items, MANIFESTS_MAX, "there are at most 500 manifests")?;
        list.items.into_iter().map(ComputeManifest::read).collect::<Result<_, _>>().map(Self)
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let items = self.0.iter().map(ComputeManifest::write).collect();
        protobuf::Manifests { items }.encode_to_vec()
    }

    /// Appends a manifest that was written before to a list that is being written: one more item, whose number is 1.
    pub fn append(list: &mut Vec<u8>, manifest: &[u8]) {
        list.push(0x0a);
        let mut len = manifest.len();
        while len >= 0x80 {
            // The low seven bits, and that more follow.
            list.push(u8::try_from(len & 0x7f).unwrap_or_default() | 0x80);
            len >>= 7;
        }
        list.push(u8::try_from(len).unwrap_or_default());
        list.extend_from_slice(manifest);
    }
}

/// Which nodes a client wants to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeManifestRequest {
    /// Tags that each of them has; none asks for all.
    pub tags: Vec<String>,
    /// At most so many, up to [`MANIFESTS_MAX`].
    pub limit: usize,
}

impl ComputeManifestRequest {
    /// Reads a question.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is none, or breaks a bound.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        bounded(bytes, REQUEST_MAX, "a request has at most 2 MiB")?;
        let request: protobuf::ManifestRequest = decode(bytes, "no question for manifests")?;
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit <= MANIFESTS_MAX);
        let limit = limit.ok_or(Malformed("the limit is a number up to 500"))?;
        Ok(Self { tags: read_tags(request.tags)?, limit })
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let limit = i32::try_from(self.limit).unwrap_or(i32::MAX);
        protobuf::ManifestRequest { tags: self.tags.clone(), limit }.encode_to_vec()
    }
}

/// The nodes that a request was sealed for, in `X-Routing-Info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeRequestInfo {
    /// At least one, at most [`CANDIDATES_MAX`], each once.
    pub candidates: Vec<ComputeCandidate>,
}

/// A node that a request was sealed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeCandidate {
    /// The node.
    pub id: NodeId,
    /// The request's key, sealed for it.
    pub encapsulated_key: Vec<u8>,
}

impl ComputeRequestInfo {
    /// Reads the candidates.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if there are none or too many, or one is there twice or has no key.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let info: protobuf::RequestInfo = decode(bytes, "no routing information")?;
        bounded(&info.candidates, CANDIDATES_MAX, "there are at most 16 candidates")?;
        let mut candidates: Vec<ComputeCandidate> = Vec::with_capacity(info.candidates.len());
        for it in info.candidates {
            let id = it.id.parse()?;
            if it.encapsulated_key.is_empty() || it.encapsulated_key.len() > ENCAPSULATED_KEY_MAX {
                return Err(Malformed(
                    "a candidate has an encapsulated key of at most 2,048 bytes",
                ));
            }
            if candidates.iter().any(|known| known.id == id) {
                return Err(Malformed("each candidate is there once"));
            }
            candidates.push(ComputeCandidate { id, encapsulated_key: it.encapsulated_key });
        }
        if candidates.is_empty() {
            return Err(Malformed("there is at least one candidate"));
        }
        Ok(Self { candidates })
    }

    /// Reads the header's value: base64 with padding.
    ///
    /// # Errors
    ///
    /// As [`Self::decode`].
    pub fn decode_text(text: &[u8]) -> Result<Self, Malformed> {
        Self::decode(
            &STANDARD.decode(text).map_err(|_| Malformed("routing information is base64"))?,
        )
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let candidate = |it: &ComputeCandidate| protobuf::Candidate {
            id: it.id.to_string(),
            encapsulated_key: it.encapsulated_key.clone(),
        };
        let candidates = self.candidates.iter().map(candidate).collect();
        protobuf::RequestInfo { candidates }.encode_to_vec()
    }

    /// Writes the header's value.
    #[must_use]
    pub fn encode_text(&self) -> String {
        STANDARD.encode(self.encode())
    }
}

/// Asks a node for evidence with a nonce (`POST /attest`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttestRequest {
    /// The node.
    pub node: NodeId,
    /// The client's own, fresh for each verification.
    pub nonce: [u8; NONCE_LEN],
}

impl AttestRequest {
    /// Reads a question.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        bounded(bytes, 1024, "a question for evidence has at most 1 KiB")?;
        let request: protobuf::Attest = decode(bytes, "no question for evidence")?;
        let nonce = request.nonce.try_into().map_err(|_| Malformed("a nonce has 32 bytes"))?;
        Ok(Self { node: request.node_id.parse()?, nonce })
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let nonce = self.nonce.to_vec();
        protobuf::Attest { node_id: self.node.to_string(), nonce }.encode_to_vec()
    }
}
