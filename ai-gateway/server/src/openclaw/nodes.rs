//! The nodes and timeouts of a provider: Maru's own keys beside OpenClaw's.

use std::time::Duration;

use llm_backend::{ApiKey, Timeouts, Tls};
use serde::Deserialize;
use serde_json::Value;

use super::{
    access,
    api::Api,
    error::{OpenClawError, wrong},
};

/// Most nodes of one provider: the health of each is checked every few seconds.
const NODES_MAX: usize = 64;
/// Most relays of one provider.
const RELAYS_MAX: usize = 16;
/// Most concurrent replies of one node.
const SLOTS_MAX: u32 = 4096;
/// The error for a `uid` beside an address that is not a UNIX socket.
const NO_SOCKET: &str =
    "it is the user of a UNIX socket's listener: remove it, or write unix:///path.sock as baseUrl";
/// Longest timeout for a reply, in seconds.
const SECONDS_MAX: f64 = 86_400.0;
/// Longest timeout for requests that use no model, in seconds: checks of other nodes wait for them.
const LOOK_UP_MAX: f64 = 60.0;

/// A server that answers for a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `unix:///path/to.sock`, `http://host:port` or `https://host:port`, with or without `/v1`.
    pub base_url: String,
    /// The credentials of both sides.
    pub access: Access,
    /// Concurrent replies; if absent, the node's own report.
    pub slots: Option<u32>,
    /// Whether it takes no new requests.
    pub draining: bool,
}

/// The API key, the certificates, and the listener's user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The API key, if the server requires one; a file's path is below the root.
    pub key: Option<ApiKey>,
    /// Certificates, for `https://` and for TLS behind a UNIX socket; paths are below the root.
    pub tls: Tls,
    /// For a UNIX socket: the user id of the listener; if absent, the owner of the socket's folder.
    pub uid: Option<u32>,
}

/// A node as the file writes it.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawNode {
    base_url: String,
    api_key: Option<Value>,
    request: Option<access::Request>,
    uid: Option<u32>,
    slots: Option<u32>,
    draining: bool,
}

impl RawNode {
    /// Reads it; a missing key or missing certificates are those of the provider.
    fn read(self, shared: &Access, at: &str) -> Result<Node, OpenClawError> {
        let Self { base_url, api_key, request, uid, slots, draining } = self;
        if base_url.is_empty() {
            let example = "unix:///run/maru/inference/llm.sock";
            return Err(wrong(at, format!("it needs a baseUrl, such as {example:?}")));
        }
        if slots.is_some_and(|slots| slots == 0 || slots > SLOTS_MAX) {
            return Err(wrong(format!("{at}.slots"), format!("write 1 to {SLOTS_MAX}")));
        }
        if uid.is_some() && !is_socket(&base_url) {
            return Err(wrong(format!("{at}.uid"), NO_SOCKET));
        }
        let own = Access::read(api_key, request, uid, at)?;
        let access = Access {
            key: own.key.or_else(|| shared.key.clone()),
            tls: if own.tls == Tls::default() { shared.tls.clone() } else { own.tls },
            uid: own.uid.or(shared.uid),
        };
        Ok(Node { base_url, access, slots, draining })
    }
}

impl Access {
    /// Reads `apiKey`, `request` and `uid`.
    pub(super) fn read(
        key: Option<Value>,
        request: Option<access::Request>,
        uid: Option<u32>,
        at: &str,
    ) -> Result<Self, OpenClawError> {
        let key = key.map(|key| access::key(&key, &format!("{at}.apiKey"))).transpose()?;
        let tls = access::tls(request.unwrap_or_default(), &format!("{at}.request.tls"))?;
        Ok(Self { key, tls, uid })
    }
}

fn is_socket(base_url: &str) -> bool {
    base_url.starts_with("unix://")
}

/// The nodes of a provider: its `baseUrl` first, unless `nodes` contains it, then `nodes`.
pub(super) fn read(
    base_url: String,
    shared: &Access,
    listed: Vec<RawNode>,
    at: &str,
) -> Result<Vec<Node>, OpenClawError> {
    if listed.len() >= NODES_MAX {
        return Err(wrong(format!("{at}.nodes"), format!("write fewer than {NODES_MAX}")));
    }
    let mut nodes: Vec<Node> = Vec::new();
    for (index, node) in listed.into_iter().enumerate() {
        let at = format!("{at}.nodes[{index}]");
        let node = node.read(shared, &at)?;
        if nodes.iter().any(|other| other.base_url == node.base_url) {
            return Err(wrong(at, format!("{:?} is listed twice; remove one", node.base_url)));
        }
        nodes.push(node);
    }
    let named = !base_url.is_empty() && nodes.iter().all(|node| node.base_url != base_url);
    if named || nodes.is_empty() {
        let own = RawNode { base_url, ..RawNode::default() };
        nodes.insert(0, own.read(shared, at)?);
    }
    if shared.uid.is_some() && !nodes.iter().any(|node| is_socket(&node.base_url)) {
        return Err(wrong(format!("{at}.uid"), NO_SOCKET));
    }
    Ok(nodes)
}

/// The relays of a provider of the confidential chain, at least one; other providers have none.
pub(super) fn relays(
    api: Api,
    nodes: &[Node],
    shared: &Access,
    listed: Vec<RawNode>,
    at: &str,
) -> Result<Vec<Node>, OpenClawError> {
    if api != Api::Confidential {
        if listed.is_empty() {
            return Ok(Vec::new());
        }
        return Err(wrong(
            format!("{at}.relays"),
            "only \"maru-confidential\" has relays; remove them",
        ));
    }
    if nodes.len() > 1 {
        let reason = "write only the configuration's address as baseUrl: it lists the nodes";
        return Err(wrong(format!("{at}.nodes"), reason));
    }
    if listed.is_empty() || listed.len() > RELAYS_MAX {
        let reason = format!("write 1 to {RELAYS_MAX}, each with its baseUrl");
        return Err(wrong(format!("{at}.relays"), reason));
    }
    let relays = listed.into_iter().enumerate();
    relays.map(|(index, relay)| relay.read(shared, &format!("{at}.relays[{index}]"))).collect()
}

/// Timeouts in seconds, as the file writes them.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawTimeouts {
    connect_seconds: Option<f64>,
    health_seconds: Option<f64>,
    first_seconds: Option<f64>,
    idle_seconds: Option<f64>,
    reply_seconds: Option<f64>,
}

impl RawTimeouts {
    /// Reads them; `reply` is the default for `replySeconds`.
    pub(super) fn read(self, reply: Duration, at: &str) -> Result<Timeouts, OpenClawError> {
        let defaults = Timeouts::default();
        let read = |name: &str, written: Option<f64>, default: Duration, most: f64| match written {
            None => Ok(default),
            Some(seconds) if seconds > 0.0 && seconds <= most => {
                Ok(Duration::from_secs_f64(seconds))
            }
            Some(_) => {
                let reason = format!("write seconds, more than 0 and at most {most}");
                Err(wrong(format!("{at}.{name}"), reason))
            }
        };
        Ok(Timeouts {
            connect: read("connectSeconds", self.connect_seconds, defaults.connect, LOOK_UP_MAX)?,
            health: read("healthSeconds", self.health_seconds, defaults.health, LOOK_UP_MAX)?,
            first: read("firstSeconds", self.first_seconds, defaults.first, SECONDS_MAX)?,
            idle: read("idleSeconds", self.idle_seconds, defaults.idle, SECONDS_MAX)?,
            budget: read("replySeconds", self.reply_seconds, reply, SECONDS_MAX)?,
        })
    }
}
