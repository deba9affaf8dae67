//! Nodes: their IDs, and the events that they send to the router (`POST /node-events`).

use std::{fmt, str::FromStr};

use prost::Message as _;
use uuid::Uuid;

use crate::{
    evidence::EvidenceList,
    names::{EVIDENCE_MAX, TAG_MAX, TAGS_MAX, URL_MAX},
    protobuf::{self, Malformed, bounded, decode},
};

/// The ID of a running node: a UUID of version 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Uuid);

impl NodeId {
    /// The ID with this UUID; `None` if its version is not 7.
    #[must_use]
    pub fn new(uuid: Uuid) -> Option<Self> {
        (uuid.get_version_num() == 7).then_some(Self(uuid))
    }

    /// The UUID.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Only the hyphenated form of 36 characters.
impl FromStr for NodeId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let uuid = if text.len() == 36 { Uuid::try_parse(text).ok() } else { None };
        uuid.and_then(Self::new).ok_or(Malformed("a node's ID must be a UUID of version 7"))
    }
}

/// An event of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEvent {
    /// The node.
    pub node: NodeId,
    /// Increases with each event of a node.
    pub index: u64,
    /// The node's time, in milliseconds since 1970.
    pub at_ms: i64,
    /// The status of the node.
    pub what: NodeStatus,
}

/// The status of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeStatus {
    /// It is alive (a heartbeat).
    Alive(Box<RoutingInfo>),
    /// It accepts no more requests.
    Shutdown,
}

/// The address, tags and evidence of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingInfo {
    /// The URL for sealed requests.
    pub url: String,
    /// The URL of its health check.
    pub healthcheck_url: String,
    /// Its tags, such as `model=NAME`: at least one.
    pub tags: Vec<String>,
    /// Its evidence, which the router does not verify.
    pub evidence: EvidenceList,
}

impl NodeEvent {
    /// Decodes an event. A heartbeat with only a URL (`routing_info_url`) is refused.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        bounded(
            bytes,
            EVIDENCE_MAX + (64 << 10),
            "an event of a node has at most 1 MiB and 64 KiB",
        )?;
        let event: protobuf::Event = decode(bytes, "not an event of a node")?;
        let index =
            event.event_index.try_into().map_err(|_| Malformed("an index must not be negative"))?;
        let time = event.timestamp.ok_or(Malformed("an event must have a time"))?;
        if !(0..1_000_000_000).contains(&time.nanos) {
            return Err(Malformed("nanoseconds must be less than a second"));
        }
        let at_ms = time.seconds.checked_mul(1000).ok_or(Malformed("a time out of range"))?;
        let at_ms = at_ms.saturating_add(i64::from(time.nanos / 1_000_000));
        let what = match event.what {
            Some(protobuf::EventKind::Shutdown(_)) => NodeStatus::Shutdown,
            Some(protobuf::EventKind::Heartbeat(heartbeat)) => match heartbeat.routing {
                Some(protobuf::Routing::Info(info)) => {
                    NodeStatus::Alive(Box::new(RoutingInfo::read(info)?))
                }
                Some(protobuf::Routing::Url(_)) | None => {
                    return Err(Malformed("a heartbeat must have routing information"));
                }
            },
            None => return Err(Malformed("an event must have a content")),
        };
        Ok(Self { node: event.node_id.parse()?, index, at_ms, what })
    }

    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let what = match &self.what {
            NodeStatus::Shutdown => protobuf::EventKind::Shutdown(protobuf::Shutdown {}),
            NodeStatus::Alive(info) => protobuf::EventKind::Heartbeat(protobuf::Heartbeat {
                routing: Some(protobuf::Routing::Info(info.write())),
            }),
        };
        let nanos = i32::try_from(self.at_ms.rem_euclid(1000)).unwrap_or_default() * 1_000_000;
        let event = protobuf::Event {
            node_id: self.node.to_string(),
            event_index: i64::try_from(self.index).unwrap_or(i64::MAX),
            timestamp: Some(protobuf::Timestamp { seconds: self.at_ms.div_euclid(1000), nanos }),
            what: Some(what),
        };
        event.encode_to_vec()
    }
}

impl RoutingInfo {
    fn read(info: protobuf::Info) -> Result<Self, Malformed> {
        for url in [&info.url, &info.healthcheck_url] {
            bounded(url.as_bytes(), URL_MAX, "a URL has at most 2,048 bytes")?;
            if !url.contains("://") {
                return Err(Malformed("a node's URLs must be absolute"));
            }
        }
        let tags = read_tags(info.tags)?;
        if tags.is_empty() {
            return Err(Malformed("a node must have a tag"));
        }
        let evidence = EvidenceList::read(info.evidence)?;
        Ok(Self { url: info.url, healthcheck_url: info.healthcheck_url, tags, evidence })
    }

    fn write(&self) -> protobuf::Info {
        protobuf::Info {
            url: self.url.clone(),
            healthcheck_url: self.healthcheck_url.clone(),
            tags: self.tags.clone(),
            evidence: Some(self.evidence.write()),
        }
    }
}

/// Sorted tags, each once.
pub(crate) fn read_tags(mut tags: Vec<String>) -> Result<Vec<String>, Malformed> {
    bounded(&tags, TAGS_MAX, "there are at most 64 tags")?;
    for tag in &tags {
        bounded(tag.as_bytes(), TAG_MAX, "a tag has at most 512 bytes")?;
    }
    tags.sort_unstable();
    tags.dedup();
    Ok(tags)
}
