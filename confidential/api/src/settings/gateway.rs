//! The gateway's settings file.

use std::{net::SocketAddr, path::PathBuf};

use super::{ServerTls, Upstream};
use crate::{config::KeySource, names::REQUEST_MAX};

/// The default path of the file.
pub const FILE: &str = "etc/maru/confidential-gateway.toml";

settings! {
    /// The gateway's settings.
    Settings {
        /// The address of the TLS listener. Default: `0.0.0.0:3200`.
        listen: SocketAddr = ([0, 0, 0, 0], 3200).into(),
        /// The loopback address of a listener without TLS, for a relay on this machine. Default: none.
        listen_plain: Option<SocketAddr> = None,
        /// Its host names (`Host`) without port. Default: none; at least one is required.
        names: Vec<String> = Vec::new(),
        /// Its certificate. Default: `etc/maru/confidential/gateway.crt` and `gateway.key`. It is the client
        /// certificate, too, so it must have the name [`crate::names::role::GATEWAY`].
        tls: ServerTls = ServerTls::named("gateway"),
        /// The router.
        router: Upstream = Upstream::default(),
        /// The keys that requests are sealed to.
        keys: Keys = Keys::default(),
        /// The key that signs the bundle; not used with seeds.
        bundle: BundleKey = BundleKey::default(),
        /// The folder of the state. Default: `var/lib/maru/confidential-gateway`.
        state: PathBuf = "var/lib/maru/confidential-gateway".into(),
        /// Maximum number of connections. Default: 1,024.
        connections: usize = 1024,
        /// Maximum number of connections from one address, or one /64 of IPv6, such as a relay's. Default: 512.
        connections_per_address: usize = 512,
        /// Longest request, in bytes. Default: 2 MiB.
        max_request_bytes: usize = REQUEST_MAX,
        /// Longest time until the router responds, in seconds. Default: 330, a little more than the router waits.
        answer_s: u64 = 330,
        /// Longest time between two parts of a response, received or sent, in seconds. Default: 600, as long as a node may work.
        idle_s: u64 = 600,
        /// Longest time for a response from its head to its end, in seconds. Default: 900, longer than a node may work.
        whole_answer_s: u64 = 900,
    }
}

settings! {
    /// The keys that requests are sealed to.
    Keys {
        /// Their source: `gateway` makes them in memory, `seeds` derives them. Default: `gateway`.
        source: KeySource = KeySource::Gateway,
        /// How long a key is accepted, in seconds; not used with seeds. Default: 86,400, a day.
        active_s: u64 = 86_400,
        /// How long two consecutive keys are both accepted, in seconds; not used with seeds. Default: 3,600.
        overlap_s: u64 = 3600,
        /// How long a key is published before it is active, in seconds; not used with seeds. Default: 3,600.
        ahead_s: u64 = 3600,
        /// File with `OHTTP_SEEDS_JSON`, if the source is `seeds`. Default: none; the environment variable of that name is used.
        seeds_file: Option<PathBuf> = None,
    }
}

settings! {
    /// The key that signs the bundle.
    BundleKey {
        /// The private key. Default: `etc/maru/confidential/bundle.key`.
        key: PathBuf = "etc/maru/confidential/bundle.key".into(),
        /// The identity's certificate of it. Default: `etc/maru/confidential/bundle.json`.
        certificate: PathBuf = "etc/maru/confidential/bundle.json".into(),
    }
}
