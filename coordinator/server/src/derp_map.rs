//! The relays that nodes are told of.

use std::path::{Path, PathBuf};

use control_protocol::map::{DerpMap, DerpNode, DerpRegion};

use crate::{
    config::{Config, ConfigError, below},
    files::Paths,
    relay::certificate::{self, CertificateError},
};

/// Region of our own relay.
const REGION: u32 = 1;

/// The relays are not known.
#[derive(Debug, thiserror::Error)]
pub enum DerpMapError {
    /// `derp_map_file` cannot be used.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// Our own relay's certificate is not there, or cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// Reads the relays of `derp_map_file`, or waits for our own relay's certificate and pins it.
pub(crate) async fn load(
    root: &Path,
    paths: &Paths,
    config: &Config,
) -> Result<DerpMap, DerpMapError> {
    if let Some(file) = &config.settings.derp_map_file {
        return Ok(read(below(root, file))?);
    }
    let pin = certificate::pin(paths, &config.settings.relay_host(), config.relay_patience).await?;
    Ok(own(config, pin))
}

/// Our own relay alone, which is believed with this certificate only.
fn own(config: &Config, pin: String) -> DerpMap {
    let host = config.settings.relay_host();
    let is = |wanted: fn(&std::net::IpAddr) -> bool| {
        host.parse().ok().filter(wanted).map(|ip| ip.to_string())
    };
    let node = DerpNode {
        name: format!("{REGION}a"),
        region_id: REGION,
        cert_name: pin,
        ipv4: is(std::net::IpAddr::is_ipv4).unwrap_or_default(),
        ipv6: is(std::net::IpAddr::is_ipv6).unwrap_or_default(),
        host_name: host,
        stun_port: i32::from(config.settings.relay.stun_listen.port()),
        derp_port: config.settings.relay.listen.port(),
        ..DerpNode::default()
    };
    let region = DerpRegion {
        region_id: REGION,
        region_code: "home".to_owned(),
        region_name: "Home".to_owned(),
        nodes: vec![node],
        ..DerpRegion::default()
    };
    DerpMap { regions: [(REGION, region)].into(), omit_default_regions: true, ..DerpMap::default() }
}

fn read(path: PathBuf) -> Result<DerpMap, ConfigError> {
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(source) => return Err(ConfigError::Read { path, source }),
    };
    match serde_json::from_slice::<DerpMap>(&text) {
        Ok(map) if !map.regions.is_empty() => Ok(map),
        Ok(_) => Err(ConfigError::DerpMap { path, source: None }),
        Err(error) => Err(ConfigError::DerpMap { path, source: Some(error) }),
    }
}
