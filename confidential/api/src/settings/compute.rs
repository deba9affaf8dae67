//! The settings file of a node: of `maru-compute boot`, `router-com` and `worker`.

use std::{net::SocketAddr, path::PathBuf};

use super::{ServerTls, Upstream};
use crate::{names::REQUEST_MAX, signed::PublicKey};

/// The default path of the file.
pub const FILE: &str = "etc/maru/confidential-compute.toml";

/// The default path of the security module.
pub const NSM: &str = "/dev/nsm";

settings! {
    /// A node's settings.
    Settings {
        /// The address of the TLS listener. Default: `0.0.0.0:8081`.
        listen: SocketAddr = ([0, 0, 0, 0], 8081).into(),
        /// Its certificate. Default: `etc/maru/confidential/node.crt` and `node.key`. It is the client
        /// certificate, too, so it must have the name [`crate::names::role::NODE`].
        tls: ServerTls = ServerTls::named("node"),
        /// Its URL for the router. Default: none; required.
        url: String = String::new(),
        /// The router, to which it sends heartbeats. Its client certificate has the same authority.
        router: Upstream = Upstream::default(),
        /// Interval of heartbeats, in seconds. Default: 2.
        heartbeat_s: u64 = 2,
        /// The models that it serves. Default: none; at least one is required.
        models: Vec<String> = Vec::new(),
        /// The engine: a socket's path, or `http://` on loopback. Default: `run/maru/inference/llm.sock`.
        engine: String = "run/maru/inference/llm.sock".to_owned(),
        /// The user ID of the engine, if it has a socket. Default: the owner of the socket's folder.
        engine_uid: Option<u32> = None,
        /// The security module of an enclave: `/dev/nsm`, or the socket of an emulator; not below the root. Default: [`NSM`]
        /// without `tpm`.
        nsm: Option<PathBuf> = None,
        /// The TPM that holds the key, instead of `nsm`: `/dev/tpmrm0`, or the socket of an emulator; not below the root. Default:
        /// none.
        tpm: Option<PathBuf> = None,
        /// The handle of the TPM's attestation key. Default: `0x8101_0002`.
        ak: u32 = 0x8101_0002,
        /// The registers (PCRs) of the TPM in the evidence, to which the key is bound. Default: 8, the program, and 12, the model.
        pcrs: Vec<u8> = vec![8, 12],
        /// The socket between `boot` and `router-com`. Default: `run/maru/confidential-boot/boot.sock`.
        boot_socket: PathBuf = "run/maru/confidential-boot/boot.sock".into(),
        /// The user ID of `router-com`, the only client of `boot`. Default: that of `boot`.
        router_com_uid: Option<u32> = None,
        /// The key that signs badges, base64url. Default: none; badges are not required.
        badge_key: Option<PublicKey> = None,
        /// Maximum number of workers. Default: 8.
        workers: usize = 8,
        /// Maximum memory of a worker, in MiB. Default: 256.
        worker_memory_mib: u64 = 256,
        /// Longest lifetime of a worker, in seconds. Default: 600.
        worker_s: u64 = 600,
        /// Maximum number of connections. Default: 256.
        connections: usize = 256,
        /// Maximum number of connections from one address, or one /64 of IPv6, except the router's. Default: 64.
        connections_per_address: usize = 64,
        /// Longest request, in bytes. Default: 2 MiB.
        max_request_bytes: usize = REQUEST_MAX,
    }
}
