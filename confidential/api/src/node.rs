//! Nodes: their names, and what they tell the router of themselves (`POST /node-events`).

use std::{fmt, str::FromStr};

use prost::Message as _;
use uuid::Uuid;

use crate::{
    evidence::EvidenceList,
    names::{EVIDENCE_MAX, TAG_MAX, TAGS_MAX, URL_MAX},
    protobuf::{self, Malformed, bounded, decode},
};

/// Names a node from one start to its end: a UUID of version 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Uuid);

impl NodeId {
    /// A name made of a UUID of version 7; `None` for any other.
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

/// The hyphenated form of 36 characters alone.
impl FromStr for NodeId {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let uuid = if text.len() == 36 { Uuid::try_parse(text).ok() } else { None };
        uuid.and_then(Self::new).ok_or(Malformed("a node's name is a UUID of version 7"))
    }
}

/// What a node tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEvent {
    /// Who tells it.
    pub node: NodeId,
    /// Rises with each event of a node.
    pub index: u64,
    /// The node's time, in milliseconds since 1970.
    pub at_ms: i64,
    /// What.
    pub what: NodeNews,
}

/// What a node tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeNews {
    /// It lives, and this is how it is reached.
    Alive(Box<RoutingInfo>),
    /// It takes no more requests.
    Shutdown,
}

/// How a node is reached, and what it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingInfo {
    /// Where sealed requests go.
    pub url: String,
    /// What answers with 2xx while it lives.
    pub healthcheck_url: String,
    /// Its tags, such as `model=NAME`: at least one.
    pub tags: Vec<String>,
    /// What it shows; the router only passes it on.
    pub evidence: EvidenceList,
}

impl NodeEvent {
    /// Reads an event. A heartbeat that only names a URL (`routing_info_url`) is refused: nothing is fetched from there.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if it is none, or breaks a bound.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        bounded(
            bytes,
            EVIDENCE_MAX + (64 << 10),
            "an event of a node has at most 1 MiB and 64 KiB",
        )?;
        let event: protobuf::Event = decode(bytes, "no event of a node")?;
        let index =
            event.event_index.try_into().map_err(|_| Malformed("an index is not negative"))?;
        let time = event.timestamp.ok_or(Malformed("an event has its time"))?;
        if !(0..1_000_000_000).contains(&time.nanos) {
            return Err(Malformed("nanoseconds are less than a second"));
        }
        let at_ms = time.seconds.checked_mul(1000).ok_or(Malformed("a time out of range"))?;
        let at_ms = at_ms.saturating_add(i64::from(time.nanos / 1_000_000));
        let what = match event.what {
            Some(protobuf::What::Shutdown(_)) => NodeNews::Shutdown,
            Some(protobuf::What::Heartbeat(heartbeat)) => match heartbeat.routing {
                Some(protobuf::Routing::Info(info)) => {
                    NodeNews::Alive(Box::new(RoutingInfo::read(info)?))
                }
                Some(protobuf::Routing::Url(_)) | None => {
                    return Err(Malformed("a heartbeat has the routing information itself"));
                }
            },
            None => return Err(Malformed("an event says what happened")),
        };
        Ok(Self { node: event.node_id.parse()?, index, at_ms, what })
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let what = match &self.what {
            NodeNews::Shutdown => protobuf::What::Shutdown(protobuf::Shutdown {}),
            NodeNews::Alive(info) => protobuf::What::Heartbeat(protobuf::Heartbeat {
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
                return Err(Malformed("a node names whole URLs"));
            }
        }
        let tags = read_tags(info.tags)?;
        if tags.is_empty() {
            return Err(Malformed("a node has at least one tag"));
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

/// Tags in their order, each once.
pub(crate) fn read_tags(mut tags: Vec<String>) -> Result<Vec<String>, Malformed> {
    bounded(&tags, TAGS_MAX, "there are at most 64 tags")?;
    for tag in &tags {
        bounded(tag.as_bytes(), TAG_MAX, "a tag has at most 512 bytes")?;
    }
    tags.sort_unstable();
    tags.dedup();
    Ok(tags)
}
