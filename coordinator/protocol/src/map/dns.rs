//! DNS configuration.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::json;

/// A node's DNS configuration, which replaces the earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DnsConfig {
    /// Resolvers for all names; empty: those of the system.
    #[serde(deserialize_with = "json::objects", skip_serializing_if = "Vec::is_empty")]
    pub resolvers: Vec<Resolver>,
    /// Resolvers by suffix; an empty list: the client answers from the map.
    #[serde(deserialize_with = "json::null_values", skip_serializing_if = "BTreeMap::is_empty")]
    pub routes: BTreeMap<String, Vec<Resolver>>,
    /// Search domains.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Whether the client resolves the nodes' names.
    #[serde(skip_serializing_if = "json::is_default")]
    pub proxied: bool,
    /// Names other than those of the nodes.
    #[serde(deserialize_with = "json::objects", skip_serializing_if = "Vec::is_empty")]
    pub extra_records: Vec<DnsRecord>,
    /// Names for which the coordinator helps this node to get public certificates.
    #[serde(deserialize_with = "json::null_default", skip_serializing_if = "Vec::is_empty")]
    pub cert_domains: Vec<String>,
}

/// One resolver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Resolver {
    /// An IP address with or without a port, an `https://` URL, or `tls://` and a host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub addr: String,
}

/// A name other than those of the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DnsRecord {
    /// Fully qualified name.
    pub name: String,
    /// `A` or `AAAA`; empty: from the value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub r#type: String,
    /// The address.
    pub value: String,
}

impl DnsRecord {
    /// The record of an address.
    #[must_use]
    pub fn new(name: &str, address: IpAddr) -> Self {
        let r#type = if address.is_ipv4() { "A" } else { "AAAA" }.to_owned();
        Self { name: name.to_owned(), r#type, value: address.to_string() }
    }
}
