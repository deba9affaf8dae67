//! Where a peer listens.

use std::path::PathBuf;

/// Name that the gateway answers to.
const HOST: &str = "chat.maru.home.arpa:18789";

/// The address of a listener, as options of the load generator.
#[derive(Clone, Debug)]
pub(super) struct ListenAddress {
    pub(super) options: Vec<String>,
}

impl ListenAddress {
    pub(super) fn unix(path: PathBuf) -> Self {
        Self { options: vec!["--unix".to_owned(), path.display().to_string()] }
    }

    pub(super) fn port(port: u16) -> Self {
        Self { options: vec!["--port".to_owned(), port.to_string()] }
    }

    /// The agent's own connection to the gateway.
    pub(super) fn agent(path: PathBuf) -> Self {
        let mut place = Self::unix(path);
        place.options.extend(["--identity", "--host", HOST].map(str::to_owned));
        place
    }
}
