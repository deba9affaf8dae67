//! The messages on the wire. Field numbers are those of OpenPCC's generated code (`gen/protos/**.pb.go`).

use prost::Message;

/// The bytes are not a message of this kind, or exceed a limit. The error contains nothing of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// Decodes one message.
pub(crate) fn decode<T: Message + Default>(
    bytes: &[u8],
    what: &'static str,
) -> Result<T, Malformed> {
    T::decode(bytes).map_err(|_| Malformed(what))
}

/// Checks the length of a list.
pub(crate) fn bounded<T>(items: &[T], max: usize, what: &'static str) -> Result<(), Malformed> {
    if items.len() <= max { Ok(()) } else { Err(Malformed(what)) }
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Piece {
    /// An enum in OpenPCC; unknown values are kept.
    #[prost(int32, tag = "1")]
    pub(crate) kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) data: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) signature: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Pieces {
    #[prost(message, repeated, tag = "1")]
    pub(crate) items: Vec<Piece>,
}

/// `TPMQuoteAttestation`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Quote {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) attest: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub(crate) registers: Option<RegisterMap>,
}

/// `PCRValues`: a map, as a list of entries, so that order and duplicates are visible.
#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct RegisterMap {
    #[prost(message, repeated, tag = "1")]
    pub(crate) values: Vec<Register>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Register {
    #[prost(uint32, optional, tag = "1")]
    pub(crate) index: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(crate) value: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Manifest {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(string, repeated, tag = "2")]
    pub(crate) tags: Vec<String>,
    #[prost(message, optional, tag = "3")]
    pub(crate) evidence: Option<Pieces>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Manifests {
    #[prost(message, repeated, tag = "1")]
    pub(crate) items: Vec<Manifest>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct ManifestRequest {
    #[prost(string, repeated, tag = "1")]
    pub(crate) tags: Vec<String>,
    #[prost(int32, tag = "2")]
    pub(crate) limit: i32,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct RequestInfo {
    #[prost(message, repeated, tag = "1")]
    pub(crate) candidates: Vec<Candidate>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Candidate {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) encapsulated_key: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Attest {
    #[prost(string, tag = "1")]
    pub(crate) node_id: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) nonce: Vec<u8>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Event {
    #[prost(string, tag = "1")]
    pub(crate) node_id: String,
    #[prost(int64, tag = "2")]
    pub(crate) event_index: i64,
    #[prost(message, optional, tag = "3")]
    pub(crate) timestamp: Option<Timestamp>,
    #[prost(oneof = "EventKind", tags = "4, 5")]
    pub(crate) what: Option<EventKind>,
}

#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(crate) enum EventKind {
    #[prost(message, tag = "4")]
    Heartbeat(Heartbeat),
    #[prost(message, tag = "5")]
    Shutdown(Shutdown),
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Shutdown {}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Heartbeat {
    #[prost(oneof = "Routing", tags = "1, 2")]
    pub(crate) routing: Option<Routing>,
}

#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(crate) enum Routing {
    #[prost(string, tag = "1")]
    Url(String),
    #[prost(message, tag = "2")]
    Info(Info),
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Info {
    #[prost(string, tag = "2")]
    pub(crate) url: String,
    #[prost(string, tag = "3")]
    pub(crate) healthcheck_url: String,
    #[prost(string, repeated, tag = "4")]
    pub(crate) tags: Vec<String>,
    #[prost(message, optional, tag = "5")]
    pub(crate) evidence: Option<Pieces>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Badge {
    #[prost(message, optional, tag = "1")]
    pub(crate) credentials: Option<Credentials>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) signature: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Message)]
pub(crate) struct Credentials {
    /// See `badge`.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) models: Vec<u8>,
}
