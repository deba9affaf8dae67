//! Connection settings of a node.

use std::path::{Path, PathBuf};

use llm_backend::{ApiKey, Settings, SocketTrust, Timeouts, Tls};

use crate::{
    config::below,
    openclaw::{self, Access},
};

/// Connection settings of a node; its socket and files are below the root.
pub(super) fn settings(root: &Path, node: &openclaw::Node, timeouts: Timeouts) -> Settings {
    let file = |path: &PathBuf| below(root, path);
    let base_url = match node.base_url.strip_prefix("unix://") {
        Some(path) => format!("unix://{}", below(root, Path::new(path)).display()),
        None => node.base_url.clone(),
    };
    let Access { key, tls, uid } = &node.access;
    let key = key.clone().map(|key| match key {
        ApiKey::File(path) => ApiKey::File(file(&path)),
        ApiKey::Text(text) => ApiKey::Text(text),
    });
    let tls = Tls {
        ca: tls.ca.as_ref().map(file),
        cert: tls.cert.as_ref().map(file),
        key: tls.key.as_ref().map(file),
        server_name: tls.server_name.clone(),
    };
    let socket = SocketTrust { root: root.to_owned(), uid: *uid };
    Settings { base_url, key, tls, socket, timeouts }
}
