//! The relays.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json;

/// Number of a relay region, 1 to 65535; 0 stands for "none".
pub type RegionId = u32;

/// Region of the coordinator's own relay, in a Maru network.
pub const OWN_REGION: RegionId = 1;

/// All relays, by region.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DerpMap {
    /// Weights of regions for choosing a home region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home_params: Option<serde_json::Value>,
    /// The regions. Stock clients need at least one.
    #[serde(deserialize_with = "json::null_values")]
    pub regions: BTreeMap<RegionId, DerpRegion>,
    /// Whether the client's default regions are omitted.
    #[serde(rename = "omitDefaultRegions", skip_serializing_if = "json::is_default")]
    pub omit_default_regions: bool,
}

/// Equivalent relays at one location.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DerpRegion {
    /// Number of the region, the same as its key in the map.
    #[serde(rename = "RegionID")]
    pub region_id: RegionId,
    /// Short name.
    pub region_code: String,
    /// Name for people.
    pub region_name: String,
    /// Degrees north.
    #[serde(skip_serializing_if = "json::is_default")]
    pub latitude: f64,
    /// Degrees east.
    #[serde(skip_serializing_if = "json::is_default")]
    pub longitude: f64,
    /// Whether clients should avoid it; the older form of `no_measure_no_home`.
    #[serde(skip_serializing_if = "json::is_default")]
    pub avoid: bool,
    /// Whether clients neither measure it nor make it their home.
    #[serde(skip_serializing_if = "json::is_default")]
    pub no_measure_no_home: bool,
    /// The relays, in order of preference.
    #[serde(deserialize_with = "json::objects")]
    pub nodes: Vec<DerpNode>,
}

/// One relay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DerpNode {
    /// Unique name; usually the region's number and a letter.
    pub name: String,
    /// Number of its region.
    #[serde(rename = "RegionID")]
    pub region_id: RegionId,
    /// Host to resolve, and the name in its certificate.
    pub host_name: String,
    /// Another name for the certificate, or `sha256-raw:` and the hex SHA-256 of the certificate's DER. Empty: none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert_name: String,
    /// Address to use instead of resolving; `none` for no IPv4.
    #[serde(rename = "IPv4", skip_serializing_if = "String::is_empty")]
    pub ipv4: String,
    /// Address to use instead of resolving; `none` for no IPv6.
    #[serde(rename = "IPv6", skip_serializing_if = "String::is_empty")]
    pub ipv6: String,
    /// UDP port of STUN; 0 means 3478, -1 none.
    #[serde(rename = "STUNPort", skip_serializing_if = "json::is_default")]
    pub stun_port: i32,
    /// Whether it only answers STUN.
    #[serde(rename = "STUNOnly", skip_serializing_if = "json::is_default")]
    pub stun_only: bool,
    /// TCP port of the relay; 0 means 443.
    #[serde(rename = "DERPPort", skip_serializing_if = "json::is_default")]
    pub derp_port: u16,
    /// Whether tests may skip checking the certificate. Maru does not use it.
    #[serde(skip_serializing_if = "json::is_default")]
    pub insecure_for_tests: bool,
    /// Address for STUN in tests.
    #[serde(rename = "STUNTestIP", skip_serializing_if = "String::is_empty")]
    pub stun_test_ip: String,
    /// Whether port 80 serves captive-portal checks.
    #[serde(rename = "CanPort80", skip_serializing_if = "json::is_default")]
    pub can_port_80: bool,
}

impl DerpNode {
    /// The pinned SHA-256 of the certificate's DER, if `cert_name` is a pin. `Some(None)` is an invalid pin, which no certificate
    /// satisfies.
    #[must_use]
    #[allow(clippy::option_option, reason = "an invalid pin is not the same as no pin")]
    pub fn certificate_pin(&self) -> Option<Option<[u8; 32]>> {
        let digits = self.cert_name.strip_prefix("sha256-raw:")?;
        let mut pin = [0; 32];
        Some(hex::decode_to_slice(digits, &mut pin).is_ok().then_some(pin))
    }

    /// The UDP port of STUN, if it answers STUN.
    #[must_use]
    pub fn stun(&self) -> Option<u16> {
        match self.stun_port {
            0 => Some(3478),
            port => u16::try_from(port).ok(),
        }
    }

    /// The TCP port of the relay.
    #[must_use]
    pub fn port(&self) -> u16 {
        if self.derp_port == 0 { 443 } else { self.derp_port }
    }
}
