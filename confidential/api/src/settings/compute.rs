//! The settings file of a node: of `maru-compute boot`, `router-com` and `worker`.

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use super::{ServerTls, Upstream};
use crate::{names::REQUEST_MAX, signed::PublicKey};

/// Where the file is, below the root, unless another is named.
pub const FILE: &str = "etc/maru/confidential-compute.toml";

/// Where the security module is unless another place, or a TPM, is named.
pub const NSM: &str = "/dev/nsm";

/// A node's settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where it listens, with TLS. Default: `0.0.0.0:8081`.
    pub listen: SocketAddr,
    /// Its certificate. Default: `etc/maru/confidential/node.crt` and `node.key`; as a client it shows the same one, so it
    /// is for [`crate::names::role::NODE`] beside its own name.
    pub tls: ServerTls,
    /// Its own URL, where the router reaches it. Default: none; it must be named.
    pub url: String,
    /// The router, which it tells that it lives; the router's certificate as a client is of the same authority.
    pub router: Upstream,
    /// Time between two heartbeats, in seconds. Default: 2.
    pub heartbeat_s: u64,
    /// The models that it answers as. Default: none; at least one must be named.
    pub models: Vec<String>,
    /// Where the engine answers: a socket's path, or `http://` on loopback. Default: `run/maru/inference/llm.sock`.
    pub engine: String,
    /// The user id that listens there, if it is a socket. Default: the owner of the socket's folder.
    pub engine_uid: Option<u32>,
    /// What makes an enclave's evidence: `/dev/nsm`, or the socket of its stand-in. Default: [`NSM`] where there is no `tpm`;
    /// not below the root.
    pub nsm: Option<PathBuf>,
    /// The TPM that holds the key, in place of `nsm`: `/dev/tpmrm0`, or the socket of a stand-in that takes the same bytes.
    /// Default: none; not below the root.
    pub tpm: Option<PathBuf>,
    /// The handle of the TPM's attestation key. Default: `0x8101_0002`.
    pub ak: u32,
    /// The registers (PCRs) of the TPM that evidence shows, and that the key is bound to. Default: 8, the program, and 12, the
    /// model.
    pub pcrs: Vec<u8>,
    /// The socket between `boot` and `router-com`. Default: `run/maru/confidential-boot/boot.sock`.
    pub boot_socket: PathBuf,
    /// The user id of `router-com`, the only one that `boot` answers. Default: that of `boot`.
    pub router_com_uid: Option<u32>,
    /// The key that badges are signed by, base64url; without it no badge is asked for. Default: none.
    pub badge_key: Option<PublicKey>,
    /// Workers at a time. Default: 8.
    pub workers: usize,
    /// Most memory of a worker, in MiB. Default: 256.
    pub worker_memory_mib: u64,
    /// Longest life of a worker, in seconds. Default: 600.
    pub worker_s: u64,
    /// Connections at a time. Default: 256.
    pub connections: usize,
    /// Connections at a time from one address, or one /64 of IPv6, that is not the router's. Default: 64.
    pub connections_per_address: usize,
    /// Longest request, in bytes. Default: 2 MiB.
    pub max_request_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: ([0, 0, 0, 0], 8081).into(),
            tls: ServerTls::named("node"),
            url: String::new(),
            router: Upstream::default(),
            heartbeat_s: 2,
            models: Vec::new(),
            engine: "run/maru/inference/llm.sock".to_owned(),
            engine_uid: None,
            nsm: None,
            tpm: None,
            ak: 0x8101_0002,
            pcrs: vec![8, 12],
            boot_socket: "run/maru/confidential-boot/boot.sock".into(),
            router_com_uid: None,
            badge_key: None,
            workers: 8,
            worker_memory_mib: 256,
            worker_s: 600,
            connections: 256,
            connections_per_address: 64,
            max_request_bytes: REQUEST_MAX,
        }
    }
}
