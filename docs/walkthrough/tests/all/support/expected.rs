//! What is expected of each service: written here once more, so that the service table is not its own judge.

use std::collections::BTreeSet;

use ai_gateway_api::settings::gateway;
use confidential_api::settings::compute;

use super::keys::keys;

type Keys = fn() -> BTreeSet<String>;

/// The headings of `docs/configuration.md`, and the keys that each documents; the servers of the confidential chain share one.
pub(crate) const SETTINGS: &[(&str, Keys)] = &[
    ("coordinator.toml", keys::<coordinator_api::settings::Settings>),
    ("agent.toml", keys::<node_agent_api::settings::Settings>),
    ("gateway.toml", keys::<gateway::Settings>),
    ("A deployment of the confidential chain", keys::<gateway::Deployment>),
    ("telmeet.toml", keys::<telmeet_api::settings::Settings>),
    ("confidential-compute.toml", keys::<compute::Settings>),
];

/// Service, user, group, capabilities.
pub(crate) const RIGHTS: &[(&str, u32, u32, u64)] = &[
    ("coordinator", 61001, 61001, 0),
    ("relay", 61006, 61006, 0),
    ("inference", 61004, 61004, 0),
    ("inference-2", 61004, 61004, 0),
    ("gateway", 61002, 61002, 0),
    ("telmeet", 61003, 61003, 0),
    ("participant", 61007, 61007, 0),
    ("agent", 61005, 61000, NET_ADMIN | NET_BIND_SERVICE),
];

/// Bits of capabilities(7).
pub(crate) const NET_BIND_SERVICE: u64 = 1 << 10;
pub(crate) const NET_ADMIN: u64 = 1 << 12;

/// What a container sees and may take.
pub(crate) struct Container {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    /// Word of the command line that tells two of one program apart.
    pub(crate) word: &'static str,
    /// Below the root outside, and below `/` inside.
    pub(crate) writes: &'static [&'static str],
    pub(crate) reads: &'static [&'static str],
    pub(crate) memory_mib: u64,
    pub(crate) pids: u64,
}

/// Where an engine sees its model, and nothing beside it.
pub(crate) const MODEL: &str = "var/lib/maru/models/";
/// What an engine takes beside its model.
const ENGINE_MIB: u64 = 2560;

pub(crate) const CONTAINERS: &[Container] = &[
    Container {
        name: "gateway",
        program: "maru-gateway",
        word: "",
        writes: &[
            "run/maru/gateway",
            "run/maru/metrics",
            "run/maru/participant",
            "run/maru/plugin",
            "var/lib/maru/gateway",
        ],
        reads: &[
            "etc/maru/gateway.toml",
            "run/maru/dial",
            "run/maru/gateway-key",
            "run/maru/inference",
            "run/maru/inference-2",
            "var/lib/maru/gateway/config",
        ],
        memory_mib: 256,
        pids: 128,
    },
    Container {
        name: "telmeet",
        program: "maru-telmeet",
        word: "",
        writes: &[
            "run/maru/rooms",
            "run/maru/rooms-admin",
            "run/maru/telmeet",
            "var/lib/maru/telmeet",
            "var/lib/maru/telmeet-key",
        ],
        reads: &["etc/maru/telmeet.toml", "run/maru/plugin", "var/lib/maru/telmeet-members"],
        memory_mib: 256,
        pids: 128,
    },
    Container {
        name: "participant",
        program: "maru-participant",
        word: "",
        writes: &[
            "run/maru/participant-admin",
            "var/lib/maru/participant",
            "var/lib/maru/participant-key",
        ],
        reads: &["run/maru/participant", "run/maru/rooms"],
        memory_mib: 128,
        pids: 128,
    },
    Container {
        name: "inference",
        program: "maru-llm",
        word: "/run/maru/inference/",
        writes: &["run/maru/inference"],
        reads: &[MODEL],
        memory_mib: ENGINE_MIB,
        pids: 1024,
    },
    Container {
        name: "inference-2",
        program: "maru-llm",
        word: "/run/maru/inference-2/",
        writes: &["run/maru/inference-2"],
        reads: &[MODEL],
        memory_mib: ENGINE_MIB,
        pids: 1024,
    },
];
