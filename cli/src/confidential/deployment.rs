//! A deployment.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use common::{mesh, wire::Fixed};
use confidential_api::policy::{Anchor, Policy};
use messages::message;

/// The address of a server, and the name in its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerAddress {
    pub(super) at: SocketAddr,
    pub(super) name: String,
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, at) = match text.rsplit_once('@') {
            Some((name, at)) => (Some(name), at),
            None => (None, text),
        };
        let at: SocketAddr = at.parse().map_err(|_| message!("not-an-ip-port").to_string())?;
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        match name {
            None => Ok(Self { name: at.ip().to_string(), at }),
            Some(name) if !name.is_empty() && name.len() < 254 && name.bytes().all(known) => {
                Ok(Self { name: name.to_owned(), at })
            }
            Some(_) => Err(message!("not-a-dns-name").to_string()),
        }
    }
}

impl ServerAddress {
    /// Whether it is outside this machine and the mesh.
    pub(super) fn is_outside(&self) -> bool {
        !(self.at.ip().is_loopback() || mesh::contains(self.at.ip()))
    }
}

/// A deployment as it is in the files.
#[derive(Clone, Debug)]
pub(super) struct Deployment {
    pub(super) name: String,
    pub(super) identity: Fixed<32>,
    pub(super) auth: ServerAddress,
    pub(super) relays: Vec<ServerAddress>,
    /// The authority's certificates, as the gateway finds them.
    pub(super) ca: PathBuf,
    pub(super) models: Vec<String>,
    pub(super) anchors: Vec<Anchor>,
    /// What is pinned of it, if a policy was given.
    pub(super) policy: Option<Policy>,
    pub(super) simulated: bool,
}
