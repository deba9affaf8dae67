//! The DERP map for nodes: our own relay, and those of `derp_map_file`.

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use chassis::watched::WatchedFiles;
use control_protocol::map::{DerpMap, DerpNode, DerpRegion, OWN_REGION, RegionId};
use coordinator_api::invitation::ServerUrl;

use crate::{
    config::{Config, below},
    files::Paths,
    relay::certificate::{self, CertificateError},
};

/// Largest number of a region (`tailcfg.DERPRegion`).
const REGION_MAX: RegionId = 65_535;

/// The DERP map cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum DerpMapError {
    /// `derp_map_file` cannot be read.
    #[error("cannot read {}, which derp_map_file names in coordinator.toml", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// It is not a DERP map in JSON.
    #[error("{} is not a DERP map with at least one region", .0.display())]
    Json(PathBuf, #[source] serde_json::Error),
    /// It has no region.
    #[error("{} is not a DERP map with at least one region: add one, or remove derp_map_file from coordinator.toml", .0.display())]
    Empty(PathBuf),
    /// A region is invalid: its key in the map, what is wrong and what to do.
    #[error("region {} of {} {}", .1, .0.display(), .2)]
    Region(PathBuf, RegionId, &'static str),
    /// Our own relay's certificate is missing or invalid.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// The DERP map for nodes.
#[derive(Debug)]
pub(crate) enum Relays {
    /// Our own relay only.
    Own(Arc<DerpMap>),
    /// The relays of a file, which is reloaded when it changes, with or without our own.
    File(WatchedFiles<Arc<DerpMap>, DerpMapError>),
}

impl Relays {
    /// Waits for our own relay's certificate to pin it, and reads `derp_map_file`.
    pub(crate) async fn load(
        root: &Path,
        paths: &Paths,
        config: &Config,
    ) -> Result<Self, DerpMapError> {
        let settings = &config.settings;
        let file = settings.derp_map_file.as_ref().map(|file| below(root, file));
        if let Some(path) = &file {
            // Reports errors before the wait for the certificate.
            read(path, None)?;
        }
        let own = match settings.derp_map_only {
            true => None,
            false => Some(own(paths, config).await?),
        };
        let Some(path) = file else {
            return Ok(Self::Own(Arc::new(with(own))));
        };
        let read = {
            let path = path.clone();
            move || read(&path, own.as_ref()).map(Arc::new)
        };
        Ok(Self::File(WatchedFiles::load("derp_map_file", vec![path], read)?))
    }

    /// The current map.
    pub(crate) fn current(&self) -> Arc<DerpMap> {
        match self {
            Self::Own(map) => Arc::clone(map),
            Self::File(watched) => watched.current(),
        }
    }
}

/// Our own relay: on the coordinator's port with the coordinator's certificate, or on a port of its own with a pinned one.
async fn own(paths: &Paths, config: &Config) -> Result<DerpRegion, CertificateError> {
    let settings = &config.settings;
    let (host, port, pin) = if settings.relay.embedded {
        let url = ServerUrl::parse(&settings.server_url());
        // The settings were validated.
        let (host, port) =
            url.map_or_else(|_| Default::default(), |url| (url.host().to_owned(), url.port()));
        (host, port, String::new())
    } else {
        let host = settings.relay_host();
        let pin = certificate::pin(paths, &host, config.relay_patience).await?;
        (host, settings.relay.listen.port(), pin)
    };
    let (ipv4, ipv6) = match host.parse() {
        Ok(IpAddr::V4(ip)) => (Some(ip), settings.relay.ipv6),
        Ok(IpAddr::V6(ip)) => (settings.relay.ipv4, Some(ip)),
        Err(_) => (settings.relay.ipv4, settings.relay.ipv6),
    };
    let node = DerpNode {
        name: format!("{OWN_REGION}a"),
        region_id: OWN_REGION,
        cert_name: pin,
        ipv4: ipv4.map(|ip| ip.to_string()).unwrap_or_default(),
        ipv6: ipv6.map(|ip| ip.to_string()).unwrap_or_default(),
        host_name: host,
        stun_port: i32::from(settings.relay.stun_listen.port()),
        derp_port: port,
        ..DerpNode::default()
    };
    Ok(DerpRegion {
        region_id: OWN_REGION,
        region_code: "home".to_owned(),
        region_name: "Home".to_owned(),
        nodes: vec![node],
        ..DerpRegion::default()
    })
}

/// A map of our own relay, if any.
fn with(own: Option<DerpRegion>) -> DerpMap {
    let regions = own.into_iter().map(|region| (region.region_id, region)).collect();
    DerpMap { regions, omit_default_regions: true, ..DerpMap::default() }
}

/// Reads a map and adds our own relay, if any.
fn read(path: &Path, own: Option<&DerpRegion>) -> Result<DerpMap, DerpMapError> {
    let path = || path.to_owned();
    let text = std::fs::read(path()).map_err(|source| DerpMapError::Read(path(), source))?;
    let mut map: DerpMap =
        serde_json::from_slice(&text).map_err(|source| DerpMapError::Json(path(), source))?;
    if map.regions.is_empty() {
        return Err(DerpMapError::Empty(path()));
    }
    for (&region, content) in &map.regions {
        let wrong = |what| Err(DerpMapError::Region(path(), region, what));
        if region == 0 || region > REGION_MAX {
            return wrong("has no number from 1 to 65535: give it one, such as 900");
        }
        if content.region_id != region {
            return wrong("has another RegionID inside: make both the same");
        }
        if content.nodes.is_empty() {
            return wrong("has no relay: add one to its Nodes, or remove the region");
        }
        if content.nodes.iter().any(|node| node.region_id != region) {
            return wrong("has a relay with another RegionID: make both the same");
        }
        if content.nodes.iter().any(|node| node.host_name.is_empty()) {
            return wrong("has a relay without HostName: name the host");
        }
    }
    let Some(own) = own else { return Ok(map) };
    if map.regions.contains_key(&own.region_id) {
        let what = "has the number of our own relay's region: give it another, such as 900, or set derp_map_only in \
                    coordinator.toml to leave ours out";
        return Err(DerpMapError::Region(path(), own.region_id, what));
    }
    map.regions.insert(own.region_id, own.clone());
    map.omit_default_regions = true;
    Ok(map)
}

#[cfg(test)]
mod tests;
